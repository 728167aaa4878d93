"""Drawings and tables of docs/setups.md: `make figures`, or `python docs/make_setups.py`.

A table stands between a line `<!-- NAME -->` and a line `<!-- end -->`; only that is replaced.
"""

# ruff: noqa: T201 - prints what it has made

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from na64reco.report.setup_drawing import save_setup
from na64reco.resources import shipped_folder
from na64reco.selection import list_selections, load_selection
from na64reco.setup import list_setups, load_setup

if TYPE_CHECKING:
    from na64reco.setup import Setup

DOCS = Path(__file__).parent
PAGE = DOCS / "setups.md"
FILES = DOCS.parent / "na64reco" / "setup" / "data"
NAMED = ("counters", "magnets", "stations", "passive")
SOURCES = ("24e", "22e", "24m", "22m", "pub", "calc", "recall", "assumed")


def main() -> None:
    """Draw all setups and fill in the tables."""
    for name in list_setups():
        save_setup(load_setup(name), DOCS / "images" / f"setup_{name}.svg")
        print(f"setup_{name}.svg")
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    print(PAGE.name)


def filled(text: str) -> str:
    """The page with the tables as the setups have them now."""
    tables = {"all setups": overview(), "sources": sources(), "selections": selections()}
    tables |= {f"changes {name}": changes(name) for name in list_setups()}
    for name, table in tables.items():
        block = re.compile(rf"(<!-- {re.escape(name)} -->\n).*?(<!-- end -->)", flags=re.DOTALL)
        text = block.sub(lambda found, t=table: f"{found[1]}\n{t}\n\n{found[2]}", text)
    return text


def overview() -> str:
    """One row a setup."""
    rows = [("setup", "runs", "beam", "a spill", "field", "detectors", "ECAL", "trigger")]
    return _table(rows + [_overview_row(load_setup(name)) for name in list_setups()])


def _overview_row(s: Setup) -> tuple[str, ...]:
    technologies = Counter(station.technology for station in s.stations.values())
    short = {"mm": "MM", "gem": "GEM", "straw": "ST", "bms": "BMS"}
    parts = [f"{technologies[key]} {text}" for key, text in short.items() if technologies[key]]
    parts += [text for key, text in (("srd", "SRD"), ("veto", "VETO")) if getattr(s, key)]
    parts.append(f"HCAL {len(s.hcal.sections)} x ({s.hcal.nx} x {s.hcal.ny})")
    if s.vhcal is not None:
        parts.append("VHCAL")
    ecal = f"{s.ecal.nx} x {s.ecal.ny}"
    if s.ecal.beam_cell is not None:
        ecal += f", beam cell ({s.ecal.beam_cell[0]}, {s.ecal.beam_cell[1]})"
    trigger = " ".join((*s.trigger.coincidence, *(f"!{veto}" for veto in s.trigger.veto)))
    if s.trigger.ecal_max < s.beam.momentum:
        trigger += f", ECAL < {s.trigger.ecal_max:g} GeV"
    bends = (f"{name} {s.field_integral(name) * 1e-3:.3g}" for name in s.spectrometers)
    return (
        f"[`{s.name}`](#{s.name})", f"{s.runs[0]}-{s.runs[1]}",
        f"{s.beam.particle}s, {s.beam.momentum:g} GeV/c", f"{s.beam.intensity:.2g}",
        ", ".join(bends) + " T m", ", ".join(parts), ecal, trigger,
    )  # fmt: skip


def sources() -> str:
    """How many lines with numbers name which source; a line may name several."""
    rows = [("file", *SOURCES)]
    for name in list_setups():
        found: Counter[str] = Counter()
        for line in (FILES / f"{name}.yaml").read_text(encoding="utf-8").splitlines():
            content, _, comment = line.partition("#")
            if re.search(r":\s*[\[{]?.*\d", content) and "title" not in content:
                found.update(source for source in SOURCES if source in comment)
        rows.append((name, *(str(found[source] or "") for source in SOURCES)))
    return _table(rows)


def selections() -> str:
    """Which selections and conditions belong to a setup."""
    rows = [("setup", "selections", "conditions")]
    of = {name: load_selection(name).setup for name in list_selections()}
    for setup in list_setups():
        names = [name for name, wanted in of.items() if wanted == setup]
        folder = shipped_folder("calib") / setup
        files = sorted(path.stem for path in folder.glob("*.txt"))
        rows.append((
            f"`{setup}`",
            ", ".join(f"[`{n}`](../selections/{n}.yaml)" for n in names),
            f"`calib/{setup}`: {', '.join(files)}",
        ))  # fmt: skip
    return _table(rows)


def changes(name: str) -> str:
    """What the file of a setup writes over the one it is based on."""
    content = yaml.safe_load((FILES / f"{name}.yaml").read_text(encoding="utf-8"))
    base = content.pop("based_on", None)
    if base is None:
        return f"Complete in [its file](../na64reco/setup/data/{name}.yaml)."
    before = load_setup(base).model_dump(mode="json")
    rows = [("key", f"`{base}`", f"`{name}`")]
    for key in ("title", "runs"):
        content.pop(key)
    named = [key for key in content if key in NAMED and len(content[key]) > 2]
    rows += [_named(key, before.get(key) or {}, content.pop(key)) for key in named]
    rows += _differences(before, content)
    return _table(rows) if len(rows) > 1 else f"Everything is as in `{base}` but the runs."


def _named(key: str, before: dict[str, Any], change: dict[str, Any]) -> tuple[str, ...]:
    """Parts by name: which are new, which stand elsewhere or are others, which are gone."""
    found = {
        "new": [n for n, value in change.items() if value is not None and n not in before],
        "changed": [n for n, value in change.items() if value is not None and n in before],
        "gone": [n for n, value in change.items() if value is None],
    }
    text = "; ".join(f"{word}: {', '.join(names)}" for word, names in found.items() if names)
    return f"`{key}`", ", ".join(before), text


def _differences(before: Any, change: dict[str, Any], path: str = "") -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for key, new in change.items():
        old, here = before.get(key), f"{path}{key}"
        if isinstance(new, dict) and isinstance(old, dict):
            found += _differences(old, new, f"{here}.")
        elif old != new:
            found.append((f"`{here}`", _plain(old), _plain(new)))
    return found


def _plain(value: Any) -> str:
    """A value for people; of a part only that it is there."""
    if value is None:
        return "none"
    if isinstance(value, dict):
        return (
            "there" if len(value) > 4 else ", ".join(f"{k} {_plain(v)}" for k, v in value.items())
        )
    if isinstance(value, list):
        return " ".join(_plain(item) for item in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _table(rows: list[tuple[str, ...]]) -> str:
    head, *body = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([head, "|" + "---|" * len(rows[0]), *body])


if __name__ == "__main__":
    main()
