"""The signal that the box is chosen for, against particles drawn one by one."""

from __future__ import annotations

import numpy as np
import pytest

from na64reco.darksector.strahlung import dsigma_dx, x_limits
from na64reco.errors import InferenceError
from na64reco.inference.selected import Events
from na64reco.inference.signal_shape import sampled_signal, strahlung_signal, turn_on


def drawn(rng, count, mass):
    """E_ECAL: depth, loss before the emission, share taken and resolution, each by chance."""
    depth = rng.uniform(0, 6, count)
    electron = 100 * np.exp(-rng.gamma(4 * depth / 3))
    low, high = x_limits(mass, 100.0)
    x = 1 - np.geomspace(1 - low, 1 - high, 4000)
    middle = 0.5 * (x[1:] + x[:-1])
    chance = dsigma_dx(middle, mass, 100.0) * np.diff(x)
    share = rng.choice(middle, count, p=chance / chance.sum())
    rest = 100 - electron * share
    return rest + rng.standard_normal(count) * np.hypot(0.1 * np.sqrt(rest), 0.04 * rest)


@pytest.mark.parametrize("mass", [0.001, 0.01, 0.1])
def test_share_below_a_threshold(mass):
    measured = drawn(np.random.default_rng(6), 200_000, mass)
    signal = strahlung_signal(mass, beam=100.0)
    base = np.mean(measured < 65)
    for threshold in (35.0, 45.0, 50.0, 55.0):
        wanted = np.mean(measured < threshold) / base
        found = signal.efficiency(threshold) / signal.efficiency(65.0)
        assert found == pytest.approx(wanted, abs=0.005)  # 3.5 sigma of 200,000


def test_the_turn_on_is_half_way_at_the_threshold():
    eta = turn_on(np.array([20.0, 50.0, 55.0, 90.0]), 50.0, beam=100.0)
    assert eta[1] == pytest.approx(0.5)
    # One sigma further: sqrt(0.01 * 45 + 0.0016 * 45^2) GeV of resolution at 45 GeV.
    from scipy.stats import norm

    assert eta[2] == pytest.approx(norm.cdf(5 / np.sqrt(0.45 + 0.0016 * 2025)))
    assert eta[0] < 1e-6
    assert eta[3] > 1 - 1e-6


def test_simulated_events_are_counted():
    ecal = np.array([20.0, 40.0, 60.0, 10.0])
    events = Events(ecal, np.array([0.0, 0.0, 0.0, 5.0]), np.array([1.0, 2.0, 1.0, 9.0]))
    signal = sampled_signal("a", events, 1.0, beam=100.0)
    assert signal.efficiency(50.0) == pytest.approx(0.75)
    with pytest.raises(InferenceError, match="signal sample 'a' has no event"):
        sampled_signal("a", events.take(events.hcal > 1), 1.0, beam=100.0)
