from __future__ import annotations

import numpy as np
import pytest

from na64reco.setup import list_setups, load_setup
from na64reco.simulation import load_detector


def test_every_file_of_a_setup_has_the_same_detector(setup):
    first, second = load_detector(setup), load_detector(load_setup("2022-electron"))
    np.testing.assert_array_equal(first.ecal.gain, second.ecal.gain)
    assert first.strips["mm", 1, 0].shift == second.strips["mm", 1, 0].shift
    assert first.straws[3, 1, 0].t0 == second.straws[3, 1, 0].t0


def test_setups_have_detectors_of_their_own(detector):
    other = load_detector(load_setup("2021-electron"))
    assert not np.allclose(other.ecal.gain, detector.ecal.gain)
    assert other.strips["gem", 1, 1].shift != detector.strips["gem", 1, 1].shift


@pytest.mark.parametrize("name", list_setups())
def test_constants_are_sane_everywhere(name):
    setup = load_setup(name)
    detector = load_detector(setup)
    assert detector.ecal.gain.shape == setup.ecal.shape
    assert detector.hcal.gain.shape == setup.hcal.shape
    assert (detector.srd is None) == (setup.srd is None)
    for channels in (detector.ecal, detector.hcal, detector.srd, detector.veto):
        if channels is None:
            continue
        assert (channels.gain > 0).all()
        assert (channels.noise > 0).all()
        assert (channels.time_resolution > 0.5).all()
        spread = channels.gain.std(axis=-1) / channels.gain.mean(axis=-1)
        assert 0.01 < np.mean(spread) < 0.25
    # A muon's 0.5 GeV and 2.4 GeV (arXiv:2110.15111) stand far above the noise.
    assert detector.ecal.zero_suppression[1].max() < 0.5 * 134 / 150 / 5
    assert detector.hcal.zero_suppression.max() < 2.4 / 5
    planes = {
        (s.technology, s.number, p): s
        for s in setup.stations.values()
        if s.technology in {"mm", "gem"}
        for p in range(len(s.projections))
    }
    assert set(detector.strips) == set(planes)
    for key, plane in detector.strips.items():
        assert abs(plane.shift) <= 0.1
        assert abs(plane.rotation) < 1
        assert plane.efficiency == pytest.approx(0.98, abs=0.011)  # arXiv:2110.15111
        assert len(plane.dead) <= 3
        assert plane.gain.shape == (planes[key].channels,)


def test_only_counters_of_the_setup_exist(setup, detector):
    there = set(np.flatnonzero(detector.counters.gain))
    assert there == {counter.id for counter in setup.counters.values()}


def test_drift_times_grow_with_the_distance(detector):
    straw = detector.straws[3, 0, 0]
    times = straw.drift_time(np.linspace(0, 3, 50))
    assert times[0] == straw.t0
    assert times[-1] == pytest.approx(straw.t0 + straw.time_max)
    assert (np.diff(times) > 0).all()
