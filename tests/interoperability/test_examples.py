"""The examples of docs/interoperability.md, in the order of the page."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from na64reco.cli import app

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "interoperability.md").read_text(encoding="utf-8")


@pytest.fixture
def folder(out, tmp_path, monkeypatch):
    (tmp_path / "out").symlink_to(out)
    (tmp_path / "run_6100.root").symlink_to(ROOT / "data_samples" / "physics.root")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(line):
    """A command of ours as in a shell, `> FILE` included."""
    command, _, to = line.partition(" > ")
    program, *arguments = shlex.split(command)
    assert program == "na64reco"
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    if to:
        Path(to).write_text(done.stdout)


def test_commands_and_python(folder):
    commands = re.findall(r"^    (na64reco .*)$", PAGE, flags=re.MULTILINE)
    assert len(commands) == 6
    for line in commands:
        run(line)
    written = {p.name for p in folder.iterdir()}
    assert written >= {
        *("selected.parquet", "selected.csv", "signal.feather", "hits.parquet", "limit.json"),
        *("submission", "likelihood_10.json", "likelihood_100.json"),
    }
    blocks = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    assert len(blocks) == 2
    names = {}
    for block in blocks:
        exec(compile(block, "docs/interoperability.md", "exec"), names)
    assert names["frame"]["ecal_energy"].tolist() == names["events"].ecal.energy.tolist()
    assert names["schema"].field("ecal_energy").metadata[b"unit"] == b"GeV"
