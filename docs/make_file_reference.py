"""Write docs/file_reference.md from models and formats: `python docs/make_file_reference.py`."""

from __future__ import annotations

import dataclasses
import re
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from model_tables import Models, attribute_docstrings, table

from na64reco.calibration.tables import file_formats
from na64reco.calibration.waveform import WAVEFORM_FILE, waveform_format
from na64reco.darksector import generic
from na64reco.events import mapping
from na64reco.inference import search
from na64reco.processors.fileset import InputFile
from na64reco.setup import list_setups, load_setup

if TYPE_CHECKING:
    from types import ModuleType

    from na64reco.calibration.sdc import Column, SdcFormat

ROOT = Path(__file__).parents[1]
SEARCH = {
    search.Search: "The search",
    search.Beam: "Its beam",
    search.Target: "Its target",
    search.Plate: "A plate of the target",
    search.Signal: "Its signal",
    search.Period: "A period",
    search.Measured: "A measured number",
    search.EfficiencyPoints: "Efficiency points",
}
MAPPING = {mapping.Mapping: "The mapping", mapping.Source: "A source"}
KINDS = {
    "float": "number",
    "int": "integer",
    "text": "text",
    "ints": "integers, comma-separated",
    "floats": "numbers, comma-separated",
}
INTRO = """\
# Other files: every key

Made by `python docs/make_file_reference.py` from the code; do not edit.
[Selections](selection_reference.md) and [setups](setup_reference.md) have pages of their own, and
so have the [columns](columns.md) of hit files and of `selected.root`.
"""
CONDITIONS = """\
## Conditions

Text files with validity by run, one folder per setup; how they are written and what wins where two
overlap is told in [conditions](conditions.md). Columns without a default must be there.
Beside these, each number `NAME` may have a column `NAME_error`, its standard deviation, and each
row a column `entries`, what it is from; both are for people only.
"""
FILESET = """\
## A fileset

Input files by dataset: `{dataset: {files: {path: facts}}}`, as coffea takes it too, in YAML or
JSON. `na64reco catalogue` writes it. Facts that are there are checked before an event of the file
counts. Paths count from the folder of the fileset; `root://`, `http(s)://` and `s3://` are taken as
they are.

```yaml
physics:
  files:
    physics.root: {entries: 3000, container: ttree}
    /data/run_6101.root: {}
```
"""
OF_SEARCH = """\
## A search

Of `na64reco yield` and `na64reco limit`, by name (`na64reco searches`), by path, or as the
`counting.json` of a run's own analysis.
"""
OF_MAPPING = """\
## A mapping of foreign branches

Of `--mapping`: what a file calls otherwise. Branches that are not mentioned are read under their
own names, where the file has them.
"""
OF_MODEL = """\
## A model of a new particle

Of `na64reco yield` and `na64reco limit`; [recasting](recasting.md) tells what follows from it.
"""


def _example(module: ModuleType) -> list[str]:
    """The file that the docstring of its module shows."""
    (block,) = re.findall(r"\.\. code-block:: yaml\n\n((?:    .*\n|\n)+)", f"{module.__doc__}\n")
    return ["```yaml", textwrap.dedent(block).rstrip(), "```", ""]


def _columns(columns: tuple[Column, ...]) -> list[tuple[str, str, str, str]]:
    rows = []
    for c in columns:
        kind = KINDS[c.kind] + (f", {c.limit}" if c.limit else "")
        default = "required" if c.default is None else f"`{c.default}`"
        rows.append((f"`{c.name}`", kind, "none" if c.default == () else default, c.meaning))
    return rows


def _conditions() -> list[str]:
    """The columns of each file that any of the shipped setups needs."""
    formats: dict[str, SdcFormat] = {}
    for name in list_setups():
        formats = {**file_formats(load_setup(name)), **formats}
    formats[WAVEFORM_FILE] = waveform_format(load_setup(list_setups()[0]))
    lines = [CONDITIONS]
    for name, form in sorted(formats.items()):
        keys = ", ".join(f"`{c.name}`" for c in form.keys)
        lines += [f"### {name}", "", f"A row is named by {keys}.", ""]
        plain = [c for c in form.columns.values() if not c.name.endswith("_error")]
        shown = tuple(c for c in plain if c.name != "entries") if name != WAVEFORM_FILE else None
        rows = _columns(shown or tuple(form.columns.values()))
        lines += [*table(["column", "type", "default", "meaning"], rows), ""]
    return lines


def _fileset() -> list[str]:
    """The facts that are used; other keys that coffea knows are taken and not looked at."""
    meanings = attribute_docstrings(InputFile)
    facts = [one.name for one in dataclasses.fields(InputFile)]
    rows = [(f"`{name}`", meanings[name]) for name in facts if name not in {"dataset", "path"}]
    return [FILESET, *table(["fact", "meaning"], rows), ""]


def page() -> str:
    """The text of docs/file_reference.md."""
    searches, mappings = Models(SEARCH), Models(MAPPING)
    for name in search.search_names():
        searches.take_examples(search.load_search(name))
    sample = (ROOT / "data_samples" / "foreign_mapping.yaml").read_text(encoding="utf-8")
    mappings.take_examples(mapping.Mapping(**yaml.safe_load(sample)))
    lines = [INTRO, OF_SEARCH, *_example(search), *searches.sections(level=3)]
    lines += [OF_MODEL, *_example(generic)]
    lines += [OF_MAPPING, *_example(mapping), *mappings.sections(level=3)]
    lines += [*_fileset(), *_conditions()]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).rstrip() + "\n"


if __name__ == "__main__":
    path = Path(__file__).with_name("file_reference.md")
    path.write_text(page(), encoding="utf-8")
