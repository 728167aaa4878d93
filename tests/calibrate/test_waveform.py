"""Pulse shapes and pedestals from files, and what a run with them makes of the same pulses."""

from __future__ import annotations

import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from na64reco.calibrate import Task
from na64reco.calibrate.waveform import calibrate_waveform
from na64reco.calibration import load_conditions
from na64reco.errors import DataError, OutputExistsError, SetupError
from na64reco.events import EventBatch, EventWriter, Hits, open_events
from na64reco.reconstruction import reconstruct_columns
from na64reco.report.waveform_calibration import draw_waveforms
from na64reco.resources import shipped_folder
from na64reco.setup import load_setup

from ..calorimeters.toy_pulses import NOISE, PEDESTALS, TIMES, pulse

RUN, EVENTS = 6100, 3000
OFFSET = 20.0
"""The toy's pulse begins at its time; hits are to have this time less."""


def write(path, setup, *, samples=True, events=EVENTS):
    """SRD modules see 100 to 3000 counts each, the photomultipliers of the VETO only noise."""
    rng = np.random.default_rng(8)
    conditions = load_conditions(setup, RUN)
    trigger = rng.normal(0, 3, events)
    module = np.tile(np.arange(3), events)
    expected = conditions.srd.time[module] + np.repeat(trigger, 3)
    height = rng.exponential(400, 3 * events) + 100
    time = expected - OFFSET + rng.normal(0, 1.5, 3 * events)
    y = height[:, None] * pulse(TIMES - time[:, None]) + rng.normal(0, NOISE, (3 * events, 32))
    y += np.resize(PEDESTALS, 32) + 10 * module[:, None]
    tubes = np.tile(np.arange(6), events)
    quiet = rng.normal(60, NOISE, (6 * events, 32))

    def hits(ix, values, size):
        columns = {"ix": ix.astype(np.uint8)}
        if samples:
            columns["samples"] = np.rint(values).clip(0, 2**14 - 1).astype(np.uint16)
        else:
            columns |= {"amplitude": np.ones(size, "f4"), "time": np.zeros(size, "f4")}
        return Hits(np.arange(events + 1) * (size // events), columns)

    collections = {
        "SRD": hits(module, y, 3 * events),
        "VETO": hits(tubes, quiet, 6 * events),
    }
    scalars = {
        "run": np.full(events, RUN, dtype=np.uint32),
        "spill": np.ones(events, dtype=np.uint32),
        "event": np.arange(events, dtype=np.uint64),
        "trigger": np.full(events, 2, dtype=np.uint32),
        "master_time": (setup.trigger.master_time + trigger).astype(np.float32),
    }
    fields = {name: tuple(h.columns) for name, h in collections.items()}
    with EventWriter(path, collections=fields, scalars=tuple(scalars)) as writer:
        writer.write(EventBatch(scalars, collections))
    return SimpleNamespace(path=path, height=height.reshape(-1, 3), conditions=conditions)


@pytest.fixture(scope="module")
def setup():
    return load_setup("2022-electron")


@pytest.fixture(scope="module")
def made(setup, tmp_path_factory):
    return write(tmp_path_factory.mktemp("hits") / "waveforms.root", setup)


@pytest.fixture(scope="module")
def found(setup, made, tmp_path_factory):
    out = tmp_path_factory.mktemp("calib") / "new"
    task = Task(setup=setup, files=(str(made.path),), out=out)
    return task, calibrate_waveform(task)


def test_pedestals_noise_and_pulse_are_those_of_the_toy(setup, found):
    task, result = found
    waveform = load_conditions(setup, RUN, folder=task.out).waveform["SRD"]
    true = np.array(PEDESTALS)[:, None] + 10 * np.arange(3)
    # 6000 samples of each ADC and channel
    error = NOISE / np.sqrt(2 * EVENTS)
    assert waveform.pedestal == pytest.approx(true, abs=5 * error)
    assert waveform.noise == pytest.approx(np.hypot(NOISE, np.sqrt(1 / 12)), rel=0.03)
    assert np.max(waveform.shape_error) < 3e-3
    at = waveform.start + waveform.step * np.arange(len(waveform.pulse))
    # The median of 9000 times of 1.5 ns rms says where on the pulse its time is.
    assert waveform.pulse == pytest.approx(pulse(at + OFFSET), abs=4e-3)
    assert result.summary["SRD"]["pulses"] > 8000
    assert result.summary["SRD"]["channels_without_samples"] == 0


def test_the_picture_shows_every_detector(found):
    _, result = found
    figure = draw_waveforms(result.detail)["waveform"]
    (top, middle, bottom) = figure.axes
    assert top.get_title().startswith("SRD: 2400 pulses")
    assert "own pulses" in top.texts[0].get_text()
    # The mean pulse and those of three channels; zero and three differences; three residuals
    assert [len(ax.lines) for ax in (top, middle, bottom)] == [4, 4, 4]
    for line in bottom.lines[:3]:
        left = np.asarray(line.get_ydata(), dtype=float)
        assert np.nanmax(abs(left)) < 0.5  # per cent


def test_a_run_with_it_finds_the_energies(setup, made, found):
    task, _ = found
    columns = [f"srd.module{i}" for i in range(3)]
    got = reconstruct_columns(open_events(made.path), setup, columns=columns, calib=task.out)
    true = made.height * made.conditions.srd.scale
    for i, name in enumerate(columns):
        # In time: three standard deviations of about 2 ns
        assert np.median(got[name] / true[:, i]) == pytest.approx(1, abs=1e-3)
        assert np.mean(abs(got[name] / true[:, i] - 1) < 0.05) > 0.97


def test_a_detector_without_pulses_is_left_out_with_a_warning(found):
    _, result = found
    assert "VETO" not in result.summary
    (warning,) = result.warnings
    assert "VETO has 0 isolated pulses above 25 times the noise" in warning
    assert "waveform.txt stays without new values of VETO" in warning
    assert [row[0] for row in result.tables[0].rows] == ["SRD"]


def test_the_folder_is_whole_and_not_overwritten(setup, made, found):
    task, result = found
    assert result.written[0].name == "waveform.txt"
    assert {p.name for p in result.written} >= {"srd.txt", "ecal.txt", "quality.txt"}
    with pytest.raises(OutputExistsError, match=r"waveform\.txt exists already"):
        calibrate_waveform(Task(setup=setup, files=(str(made.path),), out=task.out))


def test_drift_is_carried_over_and_few_pulses_make_one_shape(setup, tmp_path):
    few = write(tmp_path / "few.root", setup, events=250)
    start = shutil.copytree(shipped_folder("calib") / setup.name, tmp_path / "start")
    drift = "columns=detector,run,spills,time,factor\nSRD 6100 * * 1.25\n"
    (start / "drift.txt").write_text(drift)
    task = Task(setup=setup, files=(str(few.path),), calib=start, out=tmp_path / "new")
    result = calibrate_waveform(task)
    assert result.summary["SRD"]["modes"] == 0
    assert "drift.txt" in {p.name for p in result.written}
    assert (task.out / "drift.txt").read_text() == drift


def test_files_without_samples(setup, tmp_path):
    peaks = write(tmp_path / "peaks.root", setup, samples=False, events=50)
    task = Task(setup=setup, files=(str(peaks.path),), out=tmp_path / "new")
    with pytest.raises(DataError, match=r"peaks\.root: no collection has samples"):
        calibrate_waveform(task)


def test_a_setup_without_digitizer(setup, made, tmp_path):
    bare = setup.model_copy(update={"digitizer": None})
    task = Task(setup=bare, files=(str(made.path),), out=tmp_path / "new")
    with pytest.raises(SetupError, match="2022-electron has no `digitizer`"):
        calibrate_waveform(task)
