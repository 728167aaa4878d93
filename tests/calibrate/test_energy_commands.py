"""`na64reco calibrate --only drift,ecal,...`: files, pictures, JSON, errors."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from na64reco.calibration import load_conditions
from na64reco.cli.app import app


@pytest.fixture(scope="module")
def calibrate():
    def run(*words):
        return CliRunner().invoke(app, ["calibrate", "2022-electron", *map(str, words)])

    return run


def test_electron_run(electrons, calibrate, tmp_path):
    out = tmp_path / "new"
    done = calibrate(
        electrons.path, "-o", out, "-n", 6000, "--only", "drift,ecal,quality", "--json"
    )
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["ecal"]["converged"]
    assert found["ecal"]["events"] > 4500
    assert found["quality"]["spills"] == 2
    pictures = {path.name for path in (out / "pictures").iterdir()}
    assert pictures >= {"drift.png", "ecal.png", "quality.png"}
    text = (out / "ecal.txt").read_text()
    assert "scale_error" in text
    assert "electrons of 100 GeV: 6000 events of run 6100" in text
    conditions = load_conditions(electrons.setup, 6100, folder=out)
    assert conditions.drift["ECAL"].needs_time([6100])


def test_muon_run(muons, calibrate, tmp_path):
    done = calibrate(muons.path, "-o", tmp_path, "--only", "hcal,counters")
    assert done.exit_code == 0, done.output
    assert "module1 1 1" in done.stdout
    assert "S3" in done.stdout
    pictures = {path.name for path in (tmp_path / "pictures").iterdir()}
    assert pictures == {"hcal.png", "counters.png"}


def test_wrong_run(muons, calibrate, tmp_path):
    done = calibrate(muons.path, "-o", tmp_path / "new", "--only", "srd")
    assert done.exit_code == 1
    assert "no module of the SRD shows the synchrotron spectrum" in done.output
    assert not (tmp_path / "new").exists()
