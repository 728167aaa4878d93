"""`calibrate --only straw` on a simulated run, from conditions that are far off."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from na64reco.calibration import load_conditions
from na64reco.cli import app
from na64reco.resources import shipped_folder
from na64reco.setup import load_setup
from na64reco.simulation.detector import load_detector

EVENTS = 8000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run, and conditions with t0 6 ns late, constant drift velocity, planes 0.2 mm off."""
    folder = tmp_path_factory.mktemp("straw")
    done = CliRunner().invoke(
        app,
        [
            *("simulate", "2022-electron", "electron", "-n", str(EVENTS), "--seed", "17"),
            *("--run", "6100", "--trigger", "beam", "--intensity", "1e4", "--no-truth"),
            *("-o", str(folder / "run.root")),
        ],
    )
    assert done.exit_code == 0, done.output
    start = folder / "start"
    start.mkdir()
    for path in (shipped_folder("calib") / "2022-electron").glob("*.txt"):
        lines = path.read_text().splitlines()
        for number, line in enumerate(lines):
            words = line.split()
            if path.name == "straw.txt" and words and words[0] in {"ST3", "ST4"}:
                t0, time_max = float(words[3]) + 6, 1.1 * float(words[4])
                lines[number] = f"{' '.join(words[:3])} {t0} {time_max} 0,3 0.3"
            if path.name == "alignment.txt" and words and words[0] in {"ST3", "ST4"}:
                lines[number] = f"{' '.join(words[:2])} {float(words[2]) + 0.2} {words[3]}"
        (start / path.name).write_text("\n".join(lines) + "\n")
    done = CliRunner(env={"COLUMNS": "200"}).invoke(
        app,
        [
            *("calibrate", "2022-electron", str(folder / "run.root"), "--only", "straw"),
            *("-o", str(folder / "new"), "--calib", str(start)),
        ],
    )
    assert done.exit_code == 0, done.output
    assert "Straws, runs 6100-6999" in done.output
    assert "Places of the straw planes" in done.output
    return folder


def test_truth_is_found_again(folder):
    setup = load_setup("2022-electron")
    found = json.loads((folder / "new" / "calibration.json").read_text())["straw"]
    assert found["tracks"] > 0.97 * EVENTS
    written = load_conditions(setup, 6100, folder=folder / "new")
    detector = load_detector(setup)
    pulls = []
    for plane in found["planes"]:
        station = setup.stations[plane["plane"].split()[0]]
        projection = "XY".index(plane["plane"][-1])
        for layer in plane["layers"]:
            key = (station.number, projection, layer["layer"])
            true, now = detector.straws[key], written.straw[key]
            pulls.append((now.t0 - true.t0) / layer["t0_error_ns"])
            pulls.append((now.time_max - true.time_max) / layer["time_max_error_ns"])
            assert layer["t0_error_ns"] < 0.25
            distance = np.linspace(0.05, 2.9, 40)
            s = (true.drift_time(distance) - now.t0) / now.time_max
            off = np.polynomial.polynomial.polyval(np.clip(s, 0, 1), now.rt) - distance
            assert np.abs(off).max() < 0.06  # of a resolution of 0.13 to 0.16
            assert layer["time_resolution_ns"] == pytest.approx(true.time_resolution, rel=0.04)
        # The strips' conditions, which the tracks are from, have errors of 10 um and 0.05 mrad.
        shift = written.alignment["straw", station.number, projection].shift
        truth = detector.straws[station.number, projection, 0].shift
        assert abs(shift - truth) < 0.02
        assert plane["shift_change_mm"] == pytest.approx(-0.2, abs=0.03)
    assert 0.2 < np.mean(np.square(pulls)) < 2.5  # of 16: beyond with a probability of 1e-4


def test_files_and_picture(folder):
    text = (folder / "new" / "straw.txt").read_text()
    assert "t0_error" in text
    assert "comment=drift times on" in text
    picture = folder / "new" / "pictures" / "straw.png"
    assert picture.stat().st_size > 20_000


def test_strips_and_other_runs_stay(folder):
    setup = load_setup("2022-electron")
    before, after = (load_conditions(setup, 6100, folder=folder / n) for n in ("start", "new"))
    assert before.mm == after.mm
    strips = [key for key in before.alignment if key[0] != "straw"]
    assert all(before.alignment[k] == after.alignment[k] for k in strips)
    other = load_conditions(setup, 6050, folder=folder / "new")
    assert other.straw == before.straw
