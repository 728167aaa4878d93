"""Recipes of docs/extending.md, word for word; tables of docs/setups.md."""

from __future__ import annotations

import json
import re
import runpy
import shlex
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
import uproot
from typer.main import get_command
from typer.testing import CliRunner

from na64reco.cli import app
from na64reco.selection import load_selection, variables
from na64reco.setup import list_setups

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGE = (DOCS / "extending.md").read_text(encoding="utf-8")


def recipes():
    """Files of the page by name: each block follows the name of its file."""
    found = {}
    for match in re.finditer(r"```(?:yaml|python)\n(.*?)```", PAGE, flags=re.DOTALL):
        name = re.findall(r"`(\w+\.(?:yaml|py))`", PAGE[: match.start()])[-1]
        found[name] = match[1]
    return found


def commands():
    """Lines of the page that call na64reco, without comments."""
    lines = re.findall(r"^    (na64reco .*)", PAGE, flags=re.MULTILINE)
    return [shlex.split(line, comments=True)[1:] for line in lines]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """All files of the page, beside the samples; variables are forgotten again."""
    before = dict(variables._REGISTRY)
    (tmp_path / "data_samples").symlink_to(ROOT / "data_samples")
    for name, text in recipes().items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    variables._REGISTRY.clear()
    variables._REGISTRY.update(before)


def call(*arguments):
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    assert done.exit_code == 0, done.output
    return done


def of_page(word, *words):
    """The page's command that has all these words."""
    (found,) = (c for c in commands() if c[0] == word and {*words} <= {*c})
    return found


@pytest.mark.usefixtures("folder")
def test_a_cut():
    call(*of_page("run", "out/early"))
    old = load_selection("electron-invisible-2022")
    new = load_selection("early_showers.yaml")
    expected = [name for name in old.cut_names if name != "straw planes"]
    assert [*expected, "ECAL time"] == list(new.cut_names)
    (rows,) = json.loads(Path("out/early/cutflow.json").read_text()).values()
    assert [row["cut"] for row in rows] == list(new.cut_names)
    momentum = next(c for c in new.cuts if c.name == "incoming track")
    assert momentum.window == (95.0, 105.0)
    assert new.blind == "signal"


@pytest.mark.usefixtures("folder")
def test_a_variable():
    names: dict = {}
    exec(compile(recipes()["prs_share.py"], "prs_share.py", "exec"), names)
    cutflow = names["report"].datasets[0].cutflow
    found = dict(cutflow.regions)
    # By hand from the events that the selection without this cut leaves.
    call("run", "electron-calibration-2022", "data_samples/calibration.root", "-o", "out/all",
         "--columns", "prs.energy,ecal.energy")  # fmt: skip
    with uproot.open("out/all/selected.root") as file:
        prs, ecal = (file["Events"][b].array(library="np") for b in ("prs_energy", "ecal_energy"))
    by_hand = int(np.count_nonzero(prs <= 0.08 * ecal))
    assert 0 < by_hand < len(ecal)
    assert found["full_energy"] == by_hand


@pytest.mark.usefixtures("folder")
def test_a_setup(monkeypatch):
    call(*of_page("setups", "gem3.yaml"))
    assert ">GEM3<" in Path("gem3.svg").read_text(encoding="utf-8")
    call(*(a if a != "2000" else "100" for a in of_page("simulate", "gem3.yaml")))
    monkeypatch.setattr("sys.argv", ["make.py", "--setup", "gem3.yaml", "--output", "my_calib"])
    (line,) = re.findall(r"python calib/make.py (.*)", PAGE)
    assert line.split() == ["--setup", "gem3.yaml", "--output", "my_calib"]
    runpy.run_path(str(ROOT / "calib" / "make.py"), run_name="__main__")
    call(*of_page("run", "gem3.root"), "--columns", "track.hits")
    with uproot.open("out/gem3/selected.root") as file:
        hits = file["Events"]["track_hits"].array(library="np")
    # Seven stations of two planes each, instead of six.
    assert hits.max() == 14


@pytest.mark.usefixtures("folder")
def test_a_model():
    line = of_page("limit", "leptophilic.yaml")
    (found,) = json.loads(call(*line, "--json").stdout)["points"]
    photon = ["limit", "na64e-2018", "--model", "dark-photon", "--masses", "10"]
    (epsilon,) = json.loads(call(*photon, "--json").stdout)["points"]
    # Couples to electrons as a dark photon with g = e epsilon; to neutrinos, which are left-handed,
    # goes 3 / 2 of what goes to electrons, so 3 / 5 in all, which is what is missing.
    expected = np.sqrt(4 * np.pi / 137.036) * epsilon["coupling"] / np.sqrt(3 / 5)
    assert found["coupling"] == pytest.approx(expected, rel=0.01)
    call(*of_page("yield", "leptophilic.yaml"))


def test_all_recipes_are_tested():
    assert set(recipes()) == {
        "early_showers.yaml", "prs_share.py", "prs_share.yaml", "gem3.yaml",
        "gem3_electrons.yaml", "leptophilic.yaml",
    }  # fmt: skip


def test_places_of_a_new_detector_exist():
    rows = re.findall(r"^\| `(na64reco/[\w/]+\.py)` \| (`.*?`) \|", PAGE, flags=re.MULTILINE)
    assert len(rows) == 13
    for path, names in rows:
        text = (ROOT / path).read_text(encoding="utf-8")
        for name in re.findall(r"`(\w+)`", names):
            assert re.search(rf"^(def |class )?{name}\b", text, flags=re.MULTILINE), (path, name)
    for path in re.findall(r"in `(na64reco/[\w/]+\.py)`", PAGE):
        assert (ROOT / path).exists(), path


def test_tables_of_setups_are_those_of_the_files(script):
    text = (DOCS / "setups.md").read_text(encoding="utf-8")
    made = script("make_setups")["filled"](text)
    assert made == text, "docs/setups.md is not what the setups say now: `make figures`"
    assert text.count("<!-- end -->") == 3 + len(list_setups())
    for name in list_setups():
        assert f"\n## {name}\n" in text
        assert f"(images/setup_{name}.svg)" in text


def test_commands_of_the_data_flow_exist():
    root = ET.parse(DOCS / "images" / "data_flow.svg").getroot()
    texts = root.iter("{http://www.w3.org/2000/svg}text")
    words = {"".join(t.itertext()) for t in texts if "command" in t.get("class", "")} - {"word"}
    assert words == {
        "simulate", "catalogue", "run", "efficiency", "exposure", "background", "yield", "limit",
        "report",
    }  # fmt: skip
    assert words <= set(get_command(app).commands)
