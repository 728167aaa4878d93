"""What the README says to type works as it is written, line by line."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from na64reco.cli import app

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A folder as a clone's, with room for what commands write."""
    (tmp_path / "data_samples").symlink_to(ROOT / "data_samples")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def typed(line):
    program, *arguments = shlex.split(line, comments=True)
    assert Path(program).name == "na64reco"
    done = CliRunner(env={"NO_COLOR": "1"}).invoke(app, arguments)
    assert done.exit_code == 0, f"{line}\n{done.output}"
    return done


def test_the_lines_of_the_readme_one_after_the_other(checkout):
    (block,) = re.findall(r"## In the shell\n\n((?:    .*\n)+)", README)
    (selection,) = re.findall(r"```yaml\n(.*?)```", README, flags=re.DOTALL)
    (checkout / "my_selection.yaml").write_text(selection, encoding="utf-8")
    lines = block.replace("\\\n", " ").splitlines()
    assert len(lines) >= 15
    for line in lines:
        # The one liberty: fewer events.
        typed(line.replace("-n 10000 ", "-n 2000 "))
    left = {str(path.relative_to(checkout)) for path in checkout.rglob("*") if path.is_file()}
    assert {
        "out/run/report.html",
        "event.png",
        "selected.parquet",
        "out/calib/alignment.txt",
        "out/energies/ecal.txt",
        "out/run/efficiency.json",
        "out/search/exposure.json",
        "out/search/counting.json",
        "out/other/cutflow.json",
    } <= left


def test_make_demo_ends_with_the_path_of_a_page(checkout):
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    (recipe,) = re.findall(r"^demo:.*\n((?:\t.*\n)+)", text, flags=re.MULTILINE)
    for line in recipe.replace("$(BIN)/", "").splitlines():
        last = typed(line.strip())
    page = Path(last.stdout.splitlines()[-1].removeprefix("Open in a browser: "))
    assert page == checkout / "out" / "demo" / "report.html"
    assert page.read_text(encoding="utf-8").lower().startswith("<!doctype html>")
    # What the README says is left there.
    (promised,) = re.findall(r"leaves (.*?) and the picture", README, flags=re.DOTALL)
    for name in re.findall(r"`(\S+)`", promised):
        assert (checkout / "out" / "demo" / name).is_file()
    assert (checkout / "out" / "demo" / "ecal_hcal.png").is_file()
