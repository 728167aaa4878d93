from __future__ import annotations

import numpy as np
import pytest

from na64reco.calibrate.stability import DetectorHistory, History, find_problems, silent_channels


@pytest.fixture
def history():
    rng = np.random.default_rng(1)
    spills, channels = 12, 20
    hits = rng.poisson(200, (spills, channels)).astype(float)
    detector = DetectorHistory(
        tuple(f"c{i}" for i in range(channels)),
        hits,
        rng.normal(0, 0.02, spills),
        np.full(spills, 0.02),
    )
    return History(
        run=np.full(spills, 6100),
        spill=np.arange(1, spills + 1),
        events=np.full(spills, 1000),
        detectors={"HCAL": detector},
        gain=rng.normal(1, 0.002, spills),
        gain_error=np.full(spills, 0.002),
    )


def reasons(history):
    return {(f.spill, f.reason) for f in find_problems(history)}


def test_chance_alone_gives_nothing(history):
    assert reasons(history) == set()


def test_what_stands_out_is_named(history):
    detector = history.detectors["HCAL"]
    detector.hits[3, 5] = 0
    detector.hits[4, 6] = 3000
    detector.late[7] = 2.5
    history.gain[9] = 0.93
    drop = 0.93 / np.median(history.gain)
    assert reasons(history) == {
        (4, "HCAL_dead_c5"),
        (5, "HCAL_noisy_c6"),
        (5, "HCAL_hits_1.69_of_usual"),
        (8, "HCAL_times_+2.5_ns"),
        (10, f"ECAL_gain_{drop:.3f}"),
    }


def test_a_channel_that_was_never_there_is_silent(history):
    history.detectors["HCAL"].hits[:, 2] = 0
    assert silent_channels(history) == {"HCAL": ["c2"]}
    assert reasons(history) == set()


def test_a_small_spill_is_not_taken_for_a_dead_one(history):
    detector = history.detectors["HCAL"]
    history.events[5] = 20
    detector.hits[5] = np.random.default_rng(2).poisson(4, 20)
    detector.hits[5, :3] = 0
    assert reasons(history) == set()
