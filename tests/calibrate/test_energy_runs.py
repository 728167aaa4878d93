"""Calibrations of simulated runs whose gains the tests changed, against what they changed."""

from __future__ import annotations

import numpy as np
import pytest
import uproot

from na64reco.calibrate import Task
from na64reco.calibrate.data_quality import calibrate_quality
from na64reco.calibrate.drift import calibrate_drift
from na64reco.calibrate.ecal import calibrate_ecal
from na64reco.calibrate.ionising import calibrate_ionising
from na64reco.calibrate.srd import calibrate_srd
from na64reco.calibration import load_conditions
from na64reco.errors import ConditionsError, DataError, SetupError
from na64reco.events import EventWriter, open_events, read_scalar
from na64reco.reconstruction import reconstruct_columns
from na64reco.simulation.generate import at_momentum, simulate

from .conftest import distort, drift


@pytest.fixture(scope="module")
def calibrated(electrons, tmp_path_factory):
    """Drift, scales, drift and scales once more: folder of conditions and the last results."""
    out = tmp_path_factory.mktemp("calibrated")
    drifted = calibrate_drift(Task(electrons.setup, (str(electrons.path),), out))
    task = Task(electrons.setup, (str(electrons.path),), out, calib=out, overwrite=True)
    return out, drifted, calibrate_ecal(task)


def light_and_drift(electrons):
    """Mean factors on the beam cell's gain that the sample itself has: light at the impact
    points, drift."""
    events = open_events(str(electrons.path))
    ecal, detector = electrons.setup.ecal, electrons.detector
    x, y = (read_scalar(events, f"MC_{axis}") - getattr(ecal, axis) for axis in "xy")
    u, v = x / ecal.cell_x + ecal.nx / 2, y / ecal.cell_y + ecal.ny / 2
    inside = (np.floor(u) == ecal.beam_cell[0]) & (np.floor(v) == ecal.beam_cell[1])
    wave = np.cos(2 * np.pi * (u[inside] - 0.5)) * np.cos(2 * np.pi * (v[inside] - 0.5))
    light = 1 + detector.ecal_nonuniformity[ecal.beam_cell] * wave.mean()
    factor = drift(read_scalar(events, "spill"), read_scalar(events, "spill_time"))
    return light, factor.mean()


def test_scale_of_the_beam_cell(electrons, calibrated):
    _, _, result = calibrated
    fit = result.detail.fit
    light, mean_drift = light_and_drift(electrons)
    ix, iy = electrons.setup.ecal.beam_cell
    true = electrons.scale("ECAL")
    cell = np.ravel_multi_index((1, ix, iy), true.shape)
    assert fit.scale[cell] * light * mean_drift == pytest.approx(true.ravel()[cell], rel=0.005)
    assert fit.error[cell] < 0.005 * fit.scale[cell]
    pulls = (fit.scale * mean_drift - true.ravel()) / fit.error
    seen = result.detail.changed & (np.arange(len(pulls)) != cell)
    assert seen.sum() >= 4
    assert np.sqrt(np.mean(pulls[seen] ** 2)) < 2.0
    # Cells that the beam hardly reaches keep what they had.
    start = result.detail.electrons.conditions.ecal.scale.ravel()
    folder = calibrated[0]
    kept = load_conditions(electrons.setup, 6100, folder=folder).ecal.scale.ravel()
    assert kept[~result.detail.changed] == pytest.approx(start[~result.detail.changed], rel=1e-5)


def test_times(electrons, calibrated):
    found = load_conditions(electrons.setup, 6100, folder=calibrated[0]).ecal
    true = electrons.detector.ecal
    assert found.time == pytest.approx(true.time_offset, abs=0.12)
    assert found.time_width == pytest.approx(true.time_resolution, rel=0.06)


def test_drift_is_found(electrons, calibrated):
    _, drifted, _ = calibrated
    found = drifted.detail
    chosen = found.chosen
    gain = drift(found.electrons.spill[chosen], found.electrons.spill_time[chosen])
    assert np.std(gain) > 0.012
    assert np.std(gain * found.fit.factor) < 0.0025
    assert drifted.summary["width_after"] < 0.97 * drifted.summary["width_before"]


def energies(path, setup, **options):
    names = ["ecal.energy", "spill"]
    columns = reconstruct_columns(open_events(str(path)), setup, columns=names, **options)
    energy = columns["ecal.energy"].astype(np.float64)
    near = energy[np.abs(energy / np.median(energy) - 1) < 0.15]
    return np.median(near) / setup.beam.momentum, np.std(near) / np.median(near)


@pytest.mark.parametrize("momentum", [100.0, 50.0])
def test_resolution_and_linearity_are_restored(electrons, calibrated, tmp_path, momentum):
    setup = at_momentum(electrons.setup, momentum)
    options = {"trigger": "beam", "intensity": 0.0, "run": 6100}
    gains = {"ECAL": electrons.gain["ECAL"]}
    distort(tmp_path / "d.root", setup, "electron", 5000, seed=77, gain=gains, **options)
    distort(tmp_path / "u.root", setup, "electron", 5000, seed=77, gain={}, **options)
    mean, width = energies(tmp_path / "u.root", setup)
    mean_before, width_before = energies(tmp_path / "d.root", setup)
    mean_after, width_after = energies(tmp_path / "d.root", setup, calib=calibrated[0])
    assert abs(mean_before / mean - 1) > 0.05
    assert width_before > 1.03 * width
    # What is not calibrated to 5 % has 6 % of the energy; and light: 0.3 % of the beam's spot.
    # The medians of 5000 electrons are known to 1.25 sigma / sqrt(5000).
    limit = 0.006 + 2 * 1.25 * width / np.sqrt(5000)
    assert mean_after == pytest.approx(1 if momentum == 100 else mean, abs=limit)
    assert width_after < 1.025 * width


def test_without_times_in_the_spill_drift_cannot_be_applied(electrons, calibrated, tmp_path):
    path = tmp_path / "x.root"
    with EventWriter(path) as writer:
        for batch in simulate(electrons.setup, "electron", 50, seed=1, trigger="beam", run=6100):
            batch.scalars.pop("spill_time", None)
            writer.write(batch)
    events = open_events(str(path))
    with pytest.raises(ConditionsError, match="no branch `spill_time`"):
        reconstruct_columns(events, electrons.setup, columns=["ecal.energy"], calib=calibrated[0])


@pytest.mark.parametrize(
    ("name", "collection", "channels"),
    [("hcal", "HCAL", 3), ("veto", "VETO", 2), ("counters", "Counter", 3)],
)
def test_mip_scales(muons, tmp_path, name, collection, channels):
    result = calibrate_ionising(Task(muons.setup, (str(muons.path),), tmp_path), name)
    true = muons.scale(collection)
    found = result.detail
    assert len(found.fits) == channels
    conditions = getattr(load_conditions(muons.setup, 6100, folder=tmp_path), name)
    for key in found.fits:
        index = found.channels.keys[key]
        assert conditions.scale[index] == pytest.approx(true[index], rel=0.02)
    entries = {tuple(c["channel"]): c for c in result.summary["channels"]}
    pulls = [
        (entries[key]["scale"] - true[found.channels.keys[key]]) / entries[key]["scale_error"]
        for key in found.fits
    ]
    assert np.sqrt(np.mean(np.square(pulls))) < 1.7


def test_srd_scales(electrons, tmp_path):
    result = calibrate_srd(Task(electrons.setup, (str(electrons.path),), tmp_path))
    true = electrons.scale("SRD")
    assert len(result.summary["modules"]) == 3
    for module in result.summary["modules"]:
        off = module["scale"] - true[module["module"]]
        assert abs(off) < 3 * module["scale_error"]
        assert abs(off) < 0.045 * true[module["module"]]


def test_quality_of_a_steady_run(electrons, calibrated, tmp_path):
    out = tmp_path / "q"
    task = Task(electrons.setup, (str(electrons.path),), out, calib=calibrated[0])
    result = calibrate_quality(task)
    spills = uproot.open(electrons.path)["Events"]["spill"].array(library="np")
    assert result.summary["spills"] == len(np.unique(spills))
    assert result.summary["bad_spills"] == []
    assert (out / "drift.txt").exists()  # what the starting folder knew is carried over
    assert load_conditions(electrons.setup, 6100, folder=out).bad_runs


@pytest.mark.parametrize("name", ["hcal", "veto"])
def test_electrons_have_no_mip_peak(electrons, tmp_path, name):
    with pytest.raises(DataError, match=r"no \w+ channel shows the peak .* Give runs of muons"):
        calibrate_ionising(Task(electrons.setup, (str(electrons.path),), tmp_path), name)
    assert not list(tmp_path.iterdir())


def test_muons_are_no_electrons(muons, tmp_path):
    task = Task(muons.setup, (str(muons.path),), tmp_path)
    with pytest.raises(DataError, match=r"at least 500 are needed|no electrons in it"):
        calibrate_ecal(task)
    with pytest.raises(DataError, match="Give runs of the electron beam with the magnets on"):
        calibrate_srd(task)
    with pytest.raises(DataError, match="needs a peak of at least 800 electrons"):
        calibrate_drift(task)


def test_physics_trigger_is_refused(setup, tmp_path):
    path = tmp_path / "p.root"
    options = {"trigger": "physics", "gain": {}, "intensity": 0.0}
    distort(path, setup, "pion", 100, seed=5, **options)
    with pytest.raises(DataError, match=r"fired the physics trigger, .* less than 90 GeV"):
        calibrate_ecal(Task(setup, (str(path),), tmp_path / "out"))


def test_a_detector_that_is_not_there(setup, tmp_path):
    with pytest.raises(SetupError, match="has no vhcal to calibrate"):
        calibrate_ionising(Task(setup, ("none.root",), tmp_path), "vhcal")


def test_pedestals_that_move(setup, tmp_path):
    path = tmp_path / "w.root"
    options = {"trigger": "beam", "intensity": 0.0, "run": 6100, "waveforms": True}
    batch = next(iter(simulate(setup, "electron", 800, seed=4, **options)))
    spill = 1 + np.arange(800) // 200
    batch.scalars["spill"] = spill.astype(np.uint32)
    hits = batch.collections["ECAL"]
    moved = np.repeat(spill == 3, hits.counts)
    hits["samples"][moved] += 3
    with EventWriter(path) as writer:
        writer.write(batch)
    result = calibrate_quality(Task(setup, (str(path),), tmp_path / "q"))
    reasons = {tuple(f) for f in result.summary["findings"]}
    assert (6100, 3, "ECAL_pedestals_+3.0_counts") in reasons
    assert {spill for _, spill, _ in reasons} == {3}
