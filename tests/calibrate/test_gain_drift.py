from __future__ import annotations

import numpy as np
import pytest

from na64reco.calibrate.gain_drift import fit_drift, location


def test_location_of_a_peak_with_tails():
    rng = np.random.default_rng(1)
    pulls = []
    for _ in range(200):
        values = np.concatenate([rng.normal(1, 0.04, 600), rng.uniform(0.3, 0.85, 40)])
        place, error, width = location(values)
        pulls.append((place - 1) / error)
    assert np.std(pulls) == pytest.approx(1, abs=0.15)
    assert abs(np.mean(pulls)) < 0.3
    assert width == pytest.approx(0.04, rel=0.15)


def sample(rng, n, *, drift, spills):
    spill = np.sort(rng.integers(1, 9, n))
    time = rng.uniform(0, 4.8, n)
    gain = (1 + drift * (time / 4.8 - 0.5)) * (1 + spills * np.cos(spill))
    return gain, gain * rng.normal(1, 0.04, n), np.full(n, 7), spill, time


def test_drift_within_and_between_spills():
    rng = np.random.default_rng(2)
    gain, ratio, run, spill, time = sample(rng, 40_000, drift=0.05, spills=0.01)
    fit = fit_drift(ratio, run, spill, time)
    assert fit.drifting_times == fit.drifting_spills == {7}
    corrected = gain * fit.factor
    assert np.std(corrected) < 0.002 < 0.015 < np.std(gain)
    assert fit.width_after == pytest.approx(0.04, rel=0.03)
    pulls = [
        (part.gain - (1 + 0.05 * (np.mean(part.times) / 4.8 - 0.5))) / part.error
        for part in fit.times
    ]
    assert np.std(pulls) == pytest.approx(1, abs=0.45)  # of 24: +- 0.14


def test_a_constant_gain_stays_constant():
    rng = np.random.default_rng(3)
    _, ratio, run, spill, time = sample(rng, 20_000, drift=0.0, spills=0.0)
    fit = fit_drift(ratio, run, spill, time)
    assert not fit.drifting_times
    assert not fit.drifting_spills
    assert np.all(fit.factor == 1)


def test_without_times_only_spills():
    rng = np.random.default_rng(4)
    _, ratio, run, spill, time = sample(rng, 20_000, drift=0.0, spills=0.02)
    fit = fit_drift(ratio, run, spill, np.full(len(time), np.nan))
    assert not fit.known_times
    assert not fit.times
    assert fit.drifting_spills == {7}


def test_small_spills_are_put_together():
    rng = np.random.default_rng(5)
    n = 2000
    ratio = rng.normal(1, 0.04, n)
    spill = np.repeat(np.arange(40), 50)
    fit = fit_drift(ratio, np.ones(n, int), spill, np.full(n, np.nan))
    assert [part.spills for part in fit.spills] == [(0, 7), (8, 15), (16, 23), (24, 31), (32, 39)]
    assert sum(part.entries for part in fit.spills) == n
