"""The quick start: its files are as written there, its commands run, its numbers are true."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from na64reco.cli import app
from na64reco.events.mapping import load_mapping

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "quick_start.md").read_text(encoding="utf-8")
LINES = re.findall(r"^    (na64reco .*)", PAGE, flags=re.MULTILINE)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "data_samples").symlink_to(ROOT / "data_samples")
    for match in re.finditer(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL):
        name = re.findall(r"`(\w+\.yaml)`", PAGE[: match.start()])[-1]
        (tmp_path / name).write_text(match[1], encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(*words):
    """The page's only command with these words."""
    (line,) = (x for x in LINES if {*words} <= {*x.split()})
    return CliRunner().invoke(app, shlex.split(line)[1:])


def cutflow(folder, dataset):
    rows = json.loads((folder / "cutflow.json").read_text(encoding="utf-8"))[dataset]
    return {row["cut"]: row["passed"] for row in rows}


@pytest.mark.usefixtures("folder")
def test_the_search_and_its_table():
    """What `make demo` runs; the page quotes its cutflow."""
    demo = (ROOT / "Makefile").read_text(encoding="utf-8")
    (line,) = re.findall(r"na64reco (run electron-invisible-2022 .*) -o out/demo ", demo)
    done = CliRunner().invoke(app, [*line.split(), "-o", "out/demo"])
    assert done.exit_code == 0, done.output
    found = cutflow(Path("out/demo"), "physics")
    table = re.findall(r"^\| ([\w -]+) \| (\d+) \| [^|]+ \| [^|]+ \|$", PAGE, flags=re.MULTILINE)
    assert [(name, int(passed)) for name, passed in table] == list(found.items())
    assert re.search(r"signal +│ hidden", done.output)
    text = " ".join(PAGE.split())
    signal = cutflow(Path("out/demo"), "signal")
    assert f"{[*signal.values()][-1]} of 1000 pass" in text
    for dataset in ("dimuon", "hadron"):
        assert [*cutflow(Path("out/demo"), dataset).values()][-1] == 0
    for name, number in re.findall(r"`(sideband_a|diagonal)`, (\d+) events", text):
        assert re.search(rf"{name} +│ +{number} ", done.output)
    assert call("display", "out/demo").exit_code == 0
    assert Path("event.png").stat().st_size > 50_000


@pytest.mark.usefixtures("folder")
def test_a_changed_cut():
    done = call("run", "tighter.yaml")
    assert done.exit_code == 0, done.output
    kept, before = re.findall(r"keeps (\d+) events of `physics` instead of (\d+)", PAGE)[0]
    assert cutflow(Path("out/tighter"), "physics")["incoming track"] == int(kept)
    assert f"| incoming track | {before} |" in PAGE
    shutil.rmtree("out")
    path = Path("tighter.yaml")
    path.write_text(path.read_text().replace("track.momentum", "track.momentun"))
    wrong = call("run", "tighter.yaml")
    assert wrong.exit_code == 1
    said = re.findall(r"^    (Error: The selection tighter.*)\n    (.*)$", PAGE, flags=re.MULTILINE)
    for line in said[0]:
        assert line.strip() in wrong.stderr


@pytest.mark.usefixtures("folder")
def test_a_file_of_ones_own():
    (bare,) = (x for x in LINES if x.endswith("inspect data_samples/foreign.root"))
    done = CliRunner().invoke(app, shlex.split(bare)[1:])
    assert done.exit_code == 1
    said = " ".join(done.output.split())
    assert "there is no 'Events' in this file. Known: 'tree'." in said
    assert "give a mapping with the key 'tree'" in said
    begun = yaml.safe_load(Path("my.yaml").read_text())
    whole = yaml.safe_load((ROOT / "data_samples" / "foreign_mapping.yaml").read_text())
    assert begun["scalars"] == whole["scalars"]
    assert begun["collections"]["ECAL"] == whole["collections"]["ECAL"]
    assert load_mapping("my.yaml").tree == "tree"
    done = call("inspect", "my.yaml")
    assert "there is no collection SRD, but setup 2022-electron has that detector" in done.output
    done = call("run", "data_samples/foreign.root")
    assert done.exit_code == 0, done.output
    passed = [*cutflow(Path("out/foreign"), "events").values()][-1]
    assert f"{passed} of its 500 events pass" in PAGE
    # The trap that the page speaks of.
    text = (ROOT / "data_samples" / "foreign_mapping.yaml").read_text()
    Path("wrong.yaml").write_text(text.replace(", factor: 1000", ""))
    line = ["data_samples/foreign.root", "--mapping", "wrong.yaml"]
    done = CliRunner().invoke(app, ["inspect", *line, "--setup", "2022-electron"])
    (quoted,) = re.findall(r"`(master_time is .*?)`", " ".join(PAGE.split()))
    assert quoted.removesuffix(" ...") in " ".join(done.output.split())
    done = CliRunner().invoke(app, ["run", "electron-invisible-2022", *line, "-o", "out/wrong"])
    assert done.exit_code == 0, done.output
    assert cutflow(Path("out/wrong"), "events")["master time"] == 0


@pytest.mark.usefixtures("folder")
def test_the_recast():
    done = call("limit", "leptophilic.yaml")
    assert done.exit_code == 0, done.output
    assert Path("g.png").stat().st_size > 5000
    rows = re.findall(r"^    (│ +\d+ │.*) \.\.\.$", PAGE, flags=re.MULTILINE)
    assert len(rows) == 3
    for row in rows:
        assert row in done.output
