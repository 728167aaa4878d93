"""calib/ holds what calibrates the simulated detector to a few per mil, not its own table."""

from __future__ import annotations

import numpy as np
import pytest

from na64reco.calibration import CellConditions, load_conditions
from na64reco.setup import load_setup
from na64reco.simulation.detector import Channels, load_detector

ELECTRON = ("2016-electron", "2017-electron", "2018-electron", "2021-electron", "2022-electron")


@pytest.mark.parametrize("name", ELECTRON)
def test_loads_for_first_middle_and_last_run(name: str) -> None:
    setup = load_setup(name)
    for run in (setup.runs[0], sum(setup.runs) // 2, setup.runs[1]):
        found = load_conditions(setup, run)
        assert found.runs[0] <= run <= found.runs[1]
        assert setup.runs[0] <= found.runs[0]
        assert found.runs[1] <= setup.runs[1]
        assert found.ecal.scale.shape == setup.ecal.shape
        assert found.hcal.scale.shape == setup.hcal.shape
        assert found.shower_profile
        assert run not in found.bad_runs
        # thresholds: [pub] 0.2 GeV for an HCAL cell
        assert (found.hcal.threshold == 0.2).all()
        assert (found.ecal.threshold[0] == 0.01).all()
        assert (found.ecal.threshold[1] == 0.01).all()


def errors(found: CellConditions, true: Channels) -> tuple[np.ndarray, np.ndarray]:
    exist = true.gain > 0
    np.testing.assert_array_equal(found.scale > 0, exist)
    return (found.scale * true.gain - 1)[exist], (found.time - true.time_offset)[exist]


@pytest.mark.parametrize("name", ELECTRON)
def test_gains_and_times_are_those_of_the_detector_with_errors(name: str) -> None:
    setup = load_setup(name)
    true = load_detector(setup)
    for run in setup.runs:
        found = load_conditions(setup, run)
        assert true.srd is not None
        assert true.veto is not None
        gains, times = zip(
            errors(found.ecal, true.ecal),
            errors(found.hcal, true.hcal),
            errors(found.srd, true.srd),
            errors(found.veto, true.veto),
            errors(found.counters, true.counters),
            strict=True,
        )
        gain, offset = np.concatenate(gains), np.concatenate(times)
        # 3 per mil and 0.1 ns, from about 110 channels: good to 7 %
        assert 0.002 < gain.std() < 0.004
        assert abs(gain).max() < 0.01
        assert abs(gain.mean()) < 0.0015
        assert 0.07 < offset.std() < 0.13
        # not the same table: next to no channel agrees to a hundredth of a per mil
        assert (abs(gain) < 1e-5).mean() < 0.05


@pytest.mark.parametrize("name", ELECTRON)
def test_tracking_planes_are_those_of_the_detector_with_errors(name: str) -> None:
    setup = load_setup(name)
    true, found = load_detector(setup), load_conditions(setup, setup.runs[0])
    planes = {**true.strips, **{("straw", *key[:2]): p for key, p in true.straws.items()}}
    assert planes.keys() == found.alignment.keys()
    shifts = np.array([found.alignment[k].shift - p.shift for k, p in planes.items()])
    angles = np.array([found.alignment[k].rotation - p.rotation for k, p in planes.items()])
    assert 0.004 < shifts.std() < 0.02  # 10 um, 16 planes or so
    assert 0.02 < angles.std() < 0.1
    strips = {**{("mm", *k): v for k, v in found.mm.items()}}
    strips |= {("gem", *k): v for k, v in found.gem.items()}
    for key, plane in true.strips.items():
        assert strips[key].dead == plane.dead
        assert strips[key].time == pytest.approx(plane.time_offset, abs=0.5)
        assert strips[key].min_charge > 3 * plane.noise
    # The measured drift relation undoes the true one to better than the resolution.
    distance = np.linspace(0.1, 2.9, 15)
    for straw, plane in true.straws.items():
        known = found.straw[straw]
        relative = (plane.drift_time(distance) - known.t0) / known.time_max
        back = np.polynomial.polynomial.polyval(relative, known.rt)
        assert abs(back - distance).max() < 0.05


def test_second_period_of_2022_changes_a_few_cells_a_little() -> None:
    setup = load_setup("2022-electron")
    before, after = load_conditions(setup, 6149), load_conditions(setup, 6150)
    ratio = after.ecal.scale / before.ecal.scale
    # the factor on the whole preshower, five main cells by themselves
    assert np.isclose(ratio[0], 1.002, rtol=1e-9).sum() == 25
    assert (ratio[1] == 1).sum() == 25
    assert abs(ratio - 1).max() < 0.012
    assert ratio[1, 2, 3] != 1
    np.testing.assert_array_equal(before.ecal.time, after.ecal.time)
