"""`calibrate`: from hit files to conditions that `run` can use."""

from __future__ import annotations

import json

import numpy as np
import pytest
import uproot

from na64reco.calibration import load_conditions
from na64reco.resources import shipped_folder
from na64reco.setup import load_setup
from na64reco.simulation.detector import load_detector


@pytest.fixture(scope="module")
def folder(tmp_path_factory, command):
    """A calibration run, and conditions in which a plane is 0.4 mm off."""
    folder = tmp_path_factory.mktemp("calibrate")
    done = command(
        *("simulate", "2022-electron", "electron", "-n", 3000, "--seed", 8, "--run", 6100),
        *("--trigger", "beam", "--intensity", 1e4, "--no-truth", "-o", folder / "run.root"),
    )
    assert done.exit_code == 0, done.output
    wrong = folder / "wrong"
    wrong.mkdir()
    for path in (shipped_folder("calib") / "2022-electron").glob("*.txt"):
        text = path.read_text()
        if path.name == "alignment.txt":
            text += "\nruns=6035-6999\ncolumns=station,projection,shift\nMM4 Y 0.4\n"
        (wrong / path.name).write_text(text)
    return folder


@pytest.fixture(scope="module")
def result(folder, command, parse):
    done = command(
        *("calibrate", "2022-electron", folder / "run.root", "-o", folder / "new"),
        *("--calib", folder / "wrong", "--json"),
    )
    assert done.exit_code == 0, done.output
    return parse(done.stdout)


def test_writes_conditions_that_are_right(folder, result):
    setup = load_setup("2022-electron")
    assert result["setup"] == "2022-electron"
    found = result["alignment"]
    assert found["converged"]
    assert found["events"] == 3000
    assert 2900 < found["tracks"] <= 3000
    assert found["runs"] == [6100, 6999]
    planes = {p["plane"]: p for p in found["planes"]}
    assert len(planes) == 12
    assert planes["MM4 Y"]["shift_before_mm"] == 0.4
    conditions = load_conditions(setup, 6100, folder=folder / "new")
    written = conditions.alignment["mm", 4, 1]
    assert written.shift == pytest.approx(planes["MM4 Y"]["shift_mm"], abs=1e-4)
    # Offset and slope of the telescope stay those of the wrong start: a line through y planes.
    truth = load_detector(setup).strips
    y = {k: s for k, s in setup.stations.items() if s.technology in {"mm", "gem"}}
    off = [
        conditions.alignment[s.technology, s.number, 1].shift
        - truth[s.technology, s.number, 1].shift
        for s in y.values()
    ]
    z = [s.projection_z("Y") for s in y.values()]
    left = off - np.polyval(np.polyfit(z, off, 1), z)
    assert np.abs(left).max() < 0.02
    names = [m["name"] for m in found["modes"] if m["held"]]
    assert "shift of the telescope in y" in names


def test_the_file_says_where_it_is_from(folder, result):
    text = (folder / "new" / "alignment.txt").read_text()
    assert f"fitted to {result['alignment']['tracks']} tracks in 3000 events of run 6100" in text
    assert f"comment=alignment with {result['alignment']['tracks']} tracks in 3000 events" in text
    rows = [line.split() for line in text[text.index("runs=6100-6999") :].splitlines()]
    written = next(row for row in rows if row[:2] == ["MM1", "X"])
    plane = next(p for p in result["alignment"]["planes"] if p["plane"] == "MM1 X")
    assert float(written[4]) == pytest.approx(plane["shift_error_mm"], rel=1e-4)
    assert float(written[5]) == pytest.approx(plane["rotation_error_mrad"], rel=1e-4)
    assert int(written[6]) == result["alignment"]["tracks"]
    assert "shear in x: shift linear in z: kept as before, no track sees it" in text
    assert "runs=6100-6999" in text
    # What was there before stays for the runs before.
    setup = load_setup("2022-electron")
    before = load_conditions(setup, 6050, folder=folder / "new")
    assert before.alignment == load_conditions(setup, 6050, folder=folder / "wrong").alignment
    after = load_conditions(setup, 6100, folder=folder / "new")
    # Straw planes follow the strips' tracks; their errors are those of 3000 tracks.
    assert [p["plane"] for p in result["alignment"]["straws"]] == [
        "ST3 X",
        "ST3 Y",
        "ST4 X",
        "ST4 Y",
    ]
    for plane in result["alignment"]["straws"]:
        station, projection = plane["plane"].split()
        place = after.alignment["straw", setup.stations[station].number, "XY".index(projection)]
        assert place.shift == pytest.approx(plane["shift_mm"], abs=1e-4)
        assert plane["shift_error_mm"] < 0.005
    assert after.runs[0] == 6100
    assert {p.name for p in (folder / "new").iterdir()} == {
        "calibration.json",
        "pictures",
        *(p.name for p in (folder / "wrong").iterdir()),
    }
    summary = json.loads((folder / "new" / "calibration.json").read_text())["alignment"]
    assert summary["planes"] == result["alignment"]["planes"]
    assert summary["setup"] == "2022-electron"


def test_pictures(folder, result):
    pictures = {p.name: p.stat().st_size for p in (folder / "new" / "pictures").iterdir()}
    assert set(pictures) == {"alignment.png", "tracking_quality.pdf", "tracking_quality.png"}
    assert min(pictures.values()) > 20_000
    assert [w for w in result["alignment"]["written"] if w.endswith(".png")] == [
        str(folder / "new" / "pictures" / name)
        for name in ("alignment.png", "tracking_quality.png")
    ]


def test_strips_start_from_the_alignment_before(folder, command, tmp_path):
    done = command(
        *("calibrate", "2022-electron", folder / "run.root", "-o", tmp_path),
        *("--calib", folder / "wrong", "--only", "strips,alignment"),
    )
    assert done.exit_code == 0, done.output
    assert done.stdout.index("Alignment, runs") < done.stdout.index("Strip planes, runs")
    setup = load_setup("2022-electron")
    truth = load_detector(setup).strips
    found = json.loads((tmp_path / "calibration.json").read_text())
    assert found["strips"]["start"] == str(tmp_path)
    conditions = load_conditions(setup, 6100, folder=tmp_path)
    pulls = []
    for plane in found["strips"]["planes"]:
        station, projection = plane["plane"].split()
        technology, number = (getattr(setup.stations[station], n) for n in ("technology", "number"))
        key = (number, "XY".index(projection))
        true = truth[technology, *key]
        written = (conditions.mm if technology == "mm" else conditions.gem)[key]
        pulls.append((written.time - true.time_offset) / plane["time_error_ns"])
        pulls.append((written.time_width - true.time_resolution) / plane["time_width_error_ns"])
        # MM4 Y was 0.4 mm off: by the alignment before, its pulls are as wide as those of others.
        assert plane["pull_width_before"] == pytest.approx(1.0, abs=0.06)
    assert 0.2 < np.mean(np.square(pulls)) < 2.5
    names = {p.name for p in (tmp_path / "pictures").iterdir()}
    assert names == {"alignment.png", "strips.png", "tracking_quality.pdf", "tracking_quality.png"}


def test_a_look_at_the_tracks_writes_no_conditions(folder, command, parse, tmp_path):
    made = command(
        *("simulate", "2022-electron", "electron", "-n", 2000, "--seed", 10, "--run", 6100),
        *("--trigger", "beam", "--intensity", 1e4, "-o", tmp_path / "run.root"),
    )
    assert made.exit_code == 0, made.output
    done = command(
        *("calibrate", "2022-electron", tmp_path / "run.root", "-o", tmp_path / "look"),
        *("--only", "tracking", "--calib", folder / "wrong", "--json"),
    )
    assert done.exit_code == 0, done.output
    assert {p.name for p in (tmp_path / "look").iterdir()} == {
        *("calibration.json", "pictures", "tracking.root"),
    }
    found = parse(done.stdout)["tracking"]
    assert found["events"] == 2000
    assert found["found"] > 0.99
    planes = {p["plane"]: p for p in found["planes"]}
    assert planes["MM4Y"]["residual_mean_mm"] == pytest.approx(0.4, abs=0.05)
    truth = load_detector(load_setup("2022-electron")).strips
    for name, plane in planes.items():
        technology, number, projection = name[:-2].lower(), int(name[-2]), "XY".index(name[-1])
        true = truth[technology, number, projection].efficiency
        assert plane["efficiency"] == pytest.approx(true, abs=0.02) or name == "MM4Y"
    with uproot.open(tmp_path / "look" / "tracking.root") as file:
        entries = file["residual/GEM1X"].values().sum()
        crossed, seen = (
            file[f"{kind}/GEM1X"].values(flow=True).sum() for kind in ("crossed", "found")
        )
        assert 0.9 * 2000 < entries <= 2000
        assert seen / crossed == pytest.approx(planes["GEM1X"]["efficiency"])
        assert file["momentum_pull"].values().sum() > 1900


def test_prints_tables_and_takes_a_validity(folder, command, tmp_path):
    done = command(
        *("calibrate", "2022-electron", folder / "run.root", "-o", tmp_path, "-n", 1000),
        *("--only", "alignment", "--runs", "6100-6120", "--beam-momentum"),
    )
    assert done.exit_code == 0, done.output
    assert "Alignment, runs 6100-6120" in done.stdout
    assert "MM1 X" in done.stdout
    assert "of 1000 events" in done.stdout
    assert "momentum scale" not in done.stdout
    assert str(tmp_path / "alignment.txt") in done.stderr
    setup = load_setup("2022-electron")
    assert load_conditions(setup, 6110, folder=tmp_path).runs == (6100, 6120)
    assert load_conditions(setup, 6121, folder=tmp_path).runs[0] == 6121


@pytest.mark.parametrize(
    ("options", "code", "text"),
    [
        (["--only", "algnment"], 2, "There is no calibration 'algnment'. Did you mean"),
        (["--runs", "61xx"], 2, "'61xx' is no range of runs; expected 6100, 6100-6199 or 6100-"),
        (["--runs", "6100-6000"], 2, "the last run is before the first"),
        (["--runs", "6200-"], 1, "valid for runs 6200 to 4294967295, but the files hold"),
        (["--spectrometer", "man"], 1, "has no spectrometer 'man'. Did you mean 'main'"),
        (["-n", "50"], 1, "tracks can be used of 50 events, at least 200 are needed"),
        (["--calib", "nowhere"], 1, "There is no conditions file nowhere/"),
    ],
)
def test_what_is_wrong_is_said(folder, command, tmp_path, options, code, text):
    done = command(
        "calibrate", "2022-electron", folder / "run.root", "-o", tmp_path / "out", *options
    )
    assert done.exit_code == code, done.output
    assert " ".join(text.split()) in " ".join(done.stderr.replace("│", " ").split())
    assert not (tmp_path / "out").exists()


def test_runs_of_two_periods_are_refused(folder, command, tmp_path):
    calib = tmp_path / "calib"
    calib.mkdir()
    for path in (folder / "wrong").iterdir():
        text = path.read_text()
        if path.name == "alignment.txt":
            text += "\nruns=6101-\ncolumns=station,projection,shift\nMM4 Y 0.2\n"
        (calib / path.name).write_text(text)
    made = command(
        *("simulate", "2022-electron", "electron", "-n", 100, "--seed", 9, "--run", 6101),
        *("--trigger", "beam", "--no-truth", "-o", tmp_path / "next.root"),
    )
    assert made.exit_code == 0, made.output
    done = command(
        *("calibrate", "2022-electron", folder / "run.root", tmp_path / "next.root"),
        *("-o", tmp_path / "out", "--calib", calib),
    )
    assert done.exit_code == 1
    assert "are others for run 6101 than for run 6100; calibrate the two" in done.stderr


def test_nothing_is_overwritten(folder, command, result):
    path = folder / "new" / "alignment.txt"
    before = path.read_text()
    done = command("calibrate", "2022-electron", folder / "run.root", "-o", folder / "new")
    assert done.exit_code == 1
    assert "alignment.txt exists already. Choose another folder" in done.stderr
    assert path.read_text() == before


def test_help_has_an_example(command):
    done = command("calibrate", "--help")
    assert done.exit_code == 0
    assert "na64reco calibrate 2022-electron" in done.stdout
    assert "calibrate" in command("--help").stdout
