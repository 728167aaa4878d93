from __future__ import annotations

import numpy as np
import pytest

from na64reco.simulation.spill import VARIATION, relative_rate, spill_intensity, spill_times


def test_times_fill_the_spill_as_the_rate_says(rng):
    times = spill_times(rng, 200_000, 4.8)
    assert times.min() >= 0
    assert times.max() <= 4.8
    # Flat but for a wave of 15 % between the edges, which hold 10 % of 0.9 of a flat top.
    counts = np.histogram(times, bins=120, range=(0.6, 4.2))[0]
    assert counts.std() / counts.mean() == pytest.approx(0.15 / np.sqrt(2), abs=0.01)
    assert (times < 0.48).mean() == pytest.approx(0.05 / 0.9, rel=0.2)
    # Densities of the times are the rates.
    edges = np.linspace(0, 4.8, 25)
    counts = np.histogram(times, bins=edges)[0]
    fine = relative_rate(np.linspace(0, 4.8, 24 * 100 + 1), 4.8)
    mean = 0.5 * (fine[1:] + fine[:-1]).reshape(24, 100).mean(axis=1)
    assert ((counts - mean * 200_000 / 24) ** 2 / (mean * 200_000 / 24)).sum() < 50


def test_the_mean_rate_is_one():
    rate = relative_rate(np.linspace(0, 4.8, 100_001), 4.8)
    assert np.trapezoid(rate, dx=1e-5) == pytest.approx(1, abs=1e-5)
    assert rate[0] == rate[-1] == 0


def test_spills_differ():
    factors = np.array([spill_intensity(3, spill) for spill in range(1000)])
    assert factors.mean() == pytest.approx(1, abs=0.006)
    assert factors.std() == pytest.approx(VARIATION, rel=0.1)
    assert spill_intensity(3, 7) == factors[7]
    assert spill_intensity(4, 7) != factors[7]
