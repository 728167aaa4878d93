"""The VHCAL from hits and waveforms by closed forms: Landau's distribution of SciPy, toy pulses."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from scipy.stats import landau
from typer.testing import CliRunner

from na64reco.calibrate import Task
from na64reco.calibrate.data_quality import calibrate_quality
from na64reco.calibrate.ionising import calibrate_ionising
from na64reco.calibrate.waveform import calibrate_waveform
from na64reco.calibration import load_conditions
from na64reco.cli.app import app
from na64reco.events import EventBatch, EventWriter, Hits, open_events
from na64reco.reconstruction import reconstruct_columns
from na64reco.resources import shipped_folder
from na64reco.setup import load_setup

from ..calorimeters.toy_pulses import NOISE, PEDESTALS, TIMES, pulse
from .test_mip import MODE_OF_SCIPY, XI_OF_SCIPY

RUN, EVENTS = 6100, 14_000
START = 0.005
"""GeV per count in the conditions to start from."""
OFFSET = 20.0
"""The toy's pulse begins at its time; hits are to have this time less."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A setup with the VHCAL of the muon mode, and conditions for it."""
    folder = tmp_path_factory.mktemp("vhcal")
    vhcal = load_setup("2022-muon-152").vhcal.model_dump(mode="json")
    content = {"based_on": "2022-electron", "name": "2022-electron", "vhcal": vhcal}
    (folder / "with_vhcal.yaml").write_text(yaml.safe_dump(content))
    setup = load_setup(folder / "with_vhcal.yaml")
    shutil.copytree(shipped_folder("calib") / "2022-electron", folder / "start")
    (folder / "start" / "waveform.txt").unlink()
    rows = [f"vhcal {x} {y} {START} 0 4 0.05" for x, y in cells(setup)]
    text = "runs=6035-6999\nsetup=2022-electron\n"
    text += "columns=section,ix,iy,scale,time,time_width,threshold\n"
    (folder / "start" / "vhcal.txt").write_text(text + "\n".join(rows) + "\n")
    return folder


def cells(setup):
    return [c for c in np.ndindex(4, 4) if c not in setup.vhcal.hole]


@pytest.fixture(scope="module")
def setup(folder):
    return load_setup(folder / "with_vhcal.yaml")


@pytest.fixture(scope="module")
def truth(setup):
    """One muon in a random cell of each event, showers in every tenth, pile-up, noise, NaN."""
    rng = np.random.default_rng(31)
    scale = START / (1 + 0.2 * np.clip(rng.standard_normal((4, 4)), -2, 2))
    offset = rng.normal(0, 2, (4, 4))
    places = np.array(cells(setup))
    place = places[rng.integers(0, len(places), EVENTS)]
    index = tuple(place.T)
    z = landau.rvs(size=EVENTS, random_state=rng) - MODE_OF_SCIPY
    energy = setup.vhcal.mip * (1 + 0.06 * XI_OF_SCIPY * z + 0.08 * rng.standard_normal(EVENTS))
    muon = (
        np.arange(EVENTS),
        place,
        energy / scale[index],
        offset[index] + rng.normal(0, 3, EVENTS),
    )
    shower = np.repeat(np.arange(0, EVENTS, 10), len(places))
    where = np.tile(places, (EVENTS // 10, 1))
    index = tuple(where.T)
    energy = rng.exponential(3, len(shower)) + 0.5
    showers = (shower, where, energy / scale[index], offset[index] + rng.normal(0, 3, len(shower)))
    late = rng.integers(0, EVENTS, EVENTS // 4)
    where = places[rng.integers(0, len(places), len(late))]
    others = (late, where, rng.exponential(300, len(late)), rng.uniform(-150, 150, len(late)))
    bad = np.arange(0, EVENTS, 100)
    nan = np.resize([np.nan, 500.0, np.inf], len(bad))
    broken = (bad, places[bad % len(places)], nan, np.where(nan == 500.0, np.nan, 0.0))
    hole = (bad, np.tile([1, 2], (len(bad), 1)), np.full(len(bad), 240.0), np.zeros(len(bad)))
    event, place, amplitude, time = (
        np.concatenate(c) for c in zip(muon, showers, others, broken, hole, strict=True)
    )
    return SimpleNamespace(
        scale=scale, offset=offset, event=event, place=place, amplitude=amplitude, time=time
    )


def write(path, hits, *, events=EVENTS, master_time=100.0):
    scalars = {
        "run": np.full(events, RUN, dtype=np.uint32),
        "spill": (1 + np.arange(events) * 4 // events).astype(np.uint32),
        "event": np.arange(events, dtype=np.uint64),
        "trigger": np.full(events, 2, dtype=np.uint32),
        "master_time": np.broadcast_to(master_time, events).astype(np.float32),
    }
    with EventWriter(
        path, collections={"VHCAL": tuple(hits.columns)}, scalars=tuple(scalars)
    ) as writer:
        writer.write(EventBatch(scalars, {"VHCAL": hits}))
    return path


def ragged(event, place, events=EVENTS, **columns):
    order = np.argsort(event, kind="stable")
    offsets = np.concatenate([[0], np.cumsum(np.bincount(event, minlength=events))])
    ix, iy = place[order].T.astype(np.uint8)
    return Hits(offsets, {"ix": ix, "iy": iy} | {n: v[order] for n, v in columns.items()})


@pytest.fixture(scope="module")
def path(truth, folder):
    amplitude, time = truth.amplitude.astype(np.float32), truth.time.astype(np.float32)
    hits = ragged(truth.event, truth.place, amplitude=amplitude, time=time)
    return write(folder / "muons.root", hits)


def test_scales_and_times_are_the_true_ones(setup, folder, path, truth, tmp_path):
    task = Task(setup, (str(path),), tmp_path, calib=folder / "start")
    found = calibrate_ionising(task, "vhcal")
    conditions = load_conditions(setup, RUN, folder=tmp_path).vhcal
    assert {tuple(c["channel"][1:]) for c in found.summary["channels"]} == set(cells(setup))
    pulls, times = [], []
    for channel in found.summary["channels"]:
        cell = tuple(channel["channel"][1:])
        assert conditions.scale[0][cell] == pytest.approx(truth.scale[cell], rel=0.02)
        pulls.append((channel["scale"] - truth.scale[cell]) / channel["scale_error"])
        times.append(conditions.time[0][cell] - truth.offset[cell])
        assert conditions.time_width[0][cell] == pytest.approx(3, rel=0.1)
    # The tail is the one that is fitted, so the 1 % for its shape are not needed here.
    assert np.sqrt(np.mean(np.square(pulls))) < 1.2
    assert np.abs(times).max() < 0.4  # 3 ns / sqrt(1000): 0.1


def test_command_with_picture(folder, path, tmp_path):
    done = CliRunner().invoke(
        app,
        [
            *("calibrate", str(folder / "with_vhcal.yaml"), str(path), "-o", str(tmp_path)),
            *("--calib", str(folder / "start"), "--only", "vhcal", "--json"),
        ],
    )
    assert done.exit_code == 0, done.output
    assert len(json.loads(done.stdout)["vhcal"]["channels"]) == 12
    assert (tmp_path / "pictures" / "vhcal.png").stat().st_size > 20_000


def test_energies_of_the_run_leave_out_what_is_no_number(setup, folder, path, truth):
    """Sums in closed form from the finite pulses within three widths of 4 ns."""
    found = reconstruct_columns(
        open_events(path),
        setup,
        columns=["vhcal.energy", "vhcal.energy_out"],
        calib=folder / "start",
    )
    finite = np.isfinite(truth.amplitude) & np.isfinite(truth.time)
    there = finite & ~((truth.place == [1, 2]).all(axis=1))
    event, energy = truth.event[there], START * truth.amplitude[there]
    flat = truth.place[there] @ [4, 1]
    in_time = np.abs(truth.time[there]) < 12
    for name, chosen, least in (("energy", in_time, 0.05), ("energy_out", ~in_time, 0.0)):
        table = np.bincount(
            event[chosen] * 16 + flat[chosen], energy[chosen], minlength=16 * EVENTS
        ).reshape(EVENTS, 16)
        expected = np.where(table < least, 0, table).sum(axis=1)
        edge = np.bincount(event, np.abs(np.abs(truth.time[there]) - 12) < 1e-3, EVENTS) > 0
        np.testing.assert_allclose(found[f"vhcal.{name}"][~edge], expected[~edge], rtol=1e-4)


def test_quality_names_a_dead_cell_but_not_the_hole(setup, folder, truth, tmp_path):
    alive = ~((truth.place == [3, 0]).all(axis=1) | (truth.place == [1, 2]).all(axis=1))
    hits = ragged(
        truth.event[alive],
        truth.place[alive],
        amplitude=truth.amplitude[alive].astype(np.float32),
        time=truth.time[alive].astype(np.float32),
    )
    path = write(tmp_path / "dead.root", hits)
    task = Task(setup, (str(path),), tmp_path / "new", calib=folder / "start")
    assert calibrate_quality(task).summary["silent_channels"] == {"VHCAL": ["vhcal_3_0"]}


def test_waveforms_from_pedestals_to_scales(setup, folder, truth, tmp_path):
    """Muons as samples: scales as with their exact amplitudes, then energies of a run."""
    rng = np.random.default_rng(7)
    events = 4800
    chosen = np.flatnonzero(np.arange(len(truth.event)) < events)  # the muons
    event, place = truth.event[chosen], truth.place[chosen]
    trigger = rng.normal(0, 3, events)
    time = truth.time[chosen] + trigger[event] - OFFSET
    y = truth.amplitude[chosen][:, None] * pulse(TIMES - time[:, None])
    y += np.resize(PEDESTALS, 32) + rng.normal(0, NOISE, y.shape)
    samples = np.rint(y).clip(0, 2**14 - 1).astype(np.uint16)
    hits = ragged(event, place, events, samples=samples)
    master = setup.trigger.master_time + trigger
    path = write(tmp_path / "samples.root", hits, events=events, master_time=master)
    task = Task(setup, (str(path),), tmp_path / "new", calib=folder / "start")
    calibrate_waveform(task)
    calibrate_ionising(replace(task, calib=task.out), "vhcal")
    conditions = load_conditions(setup, RUN, folder=tmp_path / "new")
    exact, late = (v[chosen].astype(np.float32) for v in (truth.amplitude, truth.time))
    peaks = write(
        tmp_path / "peaks.root",
        ragged(event, place, events, amplitude=exact, time=late),
        events=events,
    )
    task = Task(setup, (str(peaks),), tmp_path / "peaks", calib=folder / "start")
    calibrate_ionising(task, "vhcal")
    same = load_conditions(setup, RUN, folder=tmp_path / "peaks").vhcal
    ratio = []
    for cell in cells(setup):
        pedestals = conditions.waveform["VHCAL"].pedestal[:, 0, *cell]
        assert pedestals == pytest.approx(PEDESTALS, abs=0.2)
        ratio.append(conditions.vhcal.scale[0][cell] / same.scale[0][cell])
    # Of 400 muons in bins, each peak is known to 1 %, of the same muons better.
    assert ratio == pytest.approx(np.ones(12), abs=0.01)
    assert np.mean(ratio) == pytest.approx(1, abs=2e-3)
    columns = ["vhcal.energy", "vhcal.energy_error", "vhcal.cells"]
    found = reconstruct_columns(open_events(path), setup, columns=columns, calib=tmp_path / "new")
    seen = found["vhcal.cells"] == 1
    assert seen.mean() > 0.98
    scale = conditions.vhcal.scale[0][tuple(place.T)]
    off = found["vhcal.energy"] - scale * truth.amplitude[chosen]
    relative = off[seen] / (scale * truth.amplitude[chosen])[seen]
    assert np.median(relative) == pytest.approx(0, abs=1e-3)
    pulls = off[seen] / found["vhcal.energy_error"][seen]
    assert np.diff(np.percentile(pulls, [16, 84]))[0] / 2 == pytest.approx(1, abs=0.15)
