"""Pages that are made from the code are what the code makes, and their examples load."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PAGES = ["columns", "commands", "file_reference", "selection_reference", "setup_reference"]


def blocks(page: str, language: str = "yaml") -> list[str]:
    """The code blocks of a page of docs/."""
    text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


@pytest.mark.parametrize("name", PAGES)
def test_the_page_is_that_of_the_code(script, name):
    made = script(f"make_{name}")["page"]()
    kept = (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
    assert kept == made, f"docs/{name}.md is not what the code says now: `make pages`"


def test_make_pages_remakes_all_of_them():
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    (names,) = re.findall(r"for page in (.*?);", text)
    assert sorted(names.split()) == PAGES
    made = {
        path.stem
        for path in (ROOT / "docs").glob("*.md")
        if "Made by `python docs/make_" in path.read_text(encoding="utf-8")
    }
    assert made == set(PAGES)


def test_every_key_and_variable_is_on_its_page():
    from na64reco.selection import known_variables
    from na64reco.selection.model import Cut, Selection
    from na64reco.setup.model import Setup

    for page, models in (("selection_reference", (Selection, Cut)), ("setup_reference", (Setup,))):
        text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
        for model in models:
            for name, info in model.model_fields.items():
                assert f"| `{info.alias or name}` |" in text
    for name in known_variables():
        assert f"\n| `{name}` |" in (ROOT / "docs" / "selection_reference.md").read_text()


def test_examples_of_selections_load(tmp_path):
    from na64reco.selection import load_selection

    whole, changed = blocks("selection_reference")
    for i, text in enumerate((whole, changed)):
        (tmp_path / f"{i}.yaml").write_text(text, encoding="utf-8")
    assert load_selection(tmp_path / "0.yaml").cut_names[0] == "trigger"
    cuts = load_selection(tmp_path / "1.yaml").cut_names
    base = load_selection("electron-invisible-2022").cut_names
    assert cuts == (*(name for name in base if name != "straw hits"), "one hit time")


def test_the_example_of_a_setup_loads(tmp_path):
    from na64reco.setup import load_setup

    (text,) = blocks("setup_reference")
    (tmp_path / "stronger.yaml").write_text(text, encoding="utf-8")
    setup = load_setup(tmp_path / "stronger.yaml")
    assert setup.srd is None
    assert setup.field_integral() == pytest.approx(2 * 1.9 * 2000)


def test_examples_of_other_files_load(tmp_path):
    from na64reco.darksector.generic import load_model
    from na64reco.events.mapping import load_mapping
    from na64reco.inference.search import load_search
    from na64reco.processors.fileset import resolve_inputs

    paths = []
    for i, text in enumerate(blocks("file_reference")):
        paths.append(tmp_path / f"{i}.yaml")
        paths[-1].write_text(text, encoding="utf-8")
    search, model, mapping, fileset = paths
    assert load_search(search).periods["first"].observed == 0
    assert load_model(str(model)).name == "muonphilic"
    assert load_mapping(mapping).tree == "T"
    assert [f.entries for f in resolve_inputs(fileset).files] == [3000, None]


def test_examples_in_the_tables_are_yaml():
    for page in PAGES[2:]:
        text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
        examples = re.findall(r"\| `([^`|]+)` \|\n", text)
        assert len(examples) > 10
        for example in examples:
            yaml.safe_load(example)


def test_a_key_without_a_meaning_is_an_error(script):
    from pydantic import BaseModel

    tools = script("model_tables")

    class Bare(BaseModel):
        key: float

    with pytest.raises(ValueError, match=r"Bare\.key has no docstring"):
        tools["Models"]({Bare: "Bare"}).table(Bare)


def test_units_are_told_from_meanings(script):
    split = script("model_tables")["split_unit"]
    assert split("Front face, mm.") == ("mm", "Front face.")
    assert split("Between samples, ns. Two ADCs.") == ("ns", "Between samples. Two ADCs.")
    assert split("Counters that must fire, all of them.")[0] == ""
