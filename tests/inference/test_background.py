"""Components of the background against counts and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2

from na64reco.errors import InferenceError
from na64reco.inference.background import (
    Component,
    component_of,
    from_control,
    from_simulation,
    measure_sideband,
    weights_of_shapes,
)
from na64reco.inference.selected import Events
from na64reco.inference.shapes import ECAL_SHAPES
from na64reco.inference.sideband_fit import fit_sideband

from .output_toy import falling

BOX = (47.0, 1.0)


def events(inside, outside, weight=1.0):
    ecal = np.concatenate([np.full(inside, 20.0), np.full(outside, 70.0)])
    return Events(ecal, np.zeros(len(ecal)), np.full(len(ecal), weight))


def test_simulated_events_are_scaled_to_the_exposure():
    found = from_simulation(
        "mu", events(16, 50, 0.25), BOX, simulated=1e12, exposure=5e11, relative=0.3
    )
    assert found.value == pytest.approx(16 * 0.25 / 2)
    assert found.statistical == pytest.approx(4 * 0.25 / 2)  # sqrt of the sum of w^2
    assert found.systematic == pytest.approx(0.3 * 2.0)


def test_no_simulated_event_is_a_limit_and_never_zero():
    found = from_simulation("mu", events(0, 50, 0.25), BOX, simulated=1e12, exposure=5e11)
    assert found.limit_only
    assert found.value is None
    assert found.upper == pytest.approx(2.302585 * 0.25 / 2, rel=1e-6)
    assert found.expected == pytest.approx(0.125)  # one event
    empty = from_simulation("mu", events(0, 0), BOX, simulated=1e12, exposure=1e12)
    assert empty.upper == pytest.approx(2.302585, rel=1e-6)


def test_upper_limits_are_classical_ones():
    found = from_simulation("mu", events(3, 0), BOX, simulated=1.0, exposure=1.0)
    assert found.upper == pytest.approx(chi2.ppf(0.9, 8) / 2)
    control = from_control("n", 3, 0.01, 0.0)
    assert control.upper == pytest.approx(0.01 * chi2.ppf(0.9, 8) / 2)
    assert (control.value, control.statistical) == pytest.approx((0.03, 0.01 * np.sqrt(3)))
    assert from_control("n", 0, 0.01, 0.0).limit_only


def test_impossible_inputs():
    with pytest.raises(InferenceError, match="must be positive: the simulation of 'mu' stands for"):
        from_simulation("mu", events(1, 0), BOX, simulated=0.0, exposure=1.0)
    with pytest.raises(InferenceError, match="'n' needs a count, a transfer factor"):
        from_control("n", -1, 0.1, 0.1)


def test_akaike_weights():
    x = falling(np.random.default_rng(1), 500, 47.0, 90.0, 0.125)
    fits = {s.name: fit_sideband(x, s, (47.0, 90.0), scale=100.0) for s in ECAL_SHAPES}
    weights = weights_of_shapes(fits)
    assert sum(weights.values()) == pytest.approx(1.0)
    ratio = weights["gamma"] / weights["exponential"]
    gain = fits["exponential"].nll - fits["gamma"].nll  # one parameter more costs e^-1
    assert ratio == pytest.approx(np.exp(gain - 1), rel=1e-6)
    assert weights["missing-energy power"] == 0.0


def sideband(x):
    return measure_sideband(
        x,
        np.ones(len(x)),
        (47.0, 90.0),
        (0.0, 47.0),
        variable="ecal",
        scale=100.0,
        rng=np.random.default_rng(1),
        toys=50,
    )


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_few_events_give_a_stated_limit(count):
    x = np.linspace(75, 85, count)
    found = component_of("upstream", sideband(x))
    assert found.limit_only
    assert found.source
    assert np.isfinite(found.upper)
    assert found.upper > 0
    assert found.expected == pytest.approx(found.upper / np.log(10))
    assert np.isfinite([found.log_statistical, found.log_systematic]).all()


def power_law(u):
    """x^10 in 47-90 GeV from uniform numbers, and its events below 47 GeV per event there."""
    low, high = 47.0**11, 90.0**11
    return (low + u * (high - low)) ** (1 / 11), low / (high - low)


def missing_power_law(u):
    """(100 - x)^-2.5, the same."""
    low, high = 53.0**-1.5, 10.0**-1.5
    x = 100 - (low + u * (high - low)) ** (-1 / 1.5)
    return x, (low - 100.0**-1.5) / (high - low)


@pytest.mark.parametrize("truth", [power_law, missing_power_law])
def test_the_model_error_covers_another_truth(truth):
    """The exponential is wrong here by factors of 4 up and 9 down: its error must say so."""
    rng = np.random.default_rng(7)
    pulls, above = [], []
    for _ in range(8):
        x, share = truth(rng.random(rng.poisson(200)))
        found = component_of("upstream", sideband(x))
        total = np.hypot(found.statistical, found.systematic)
        pulls.append((found.value - 200 * share) / total)
        above.append(found.upper > 200 * share)
    assert abs(np.mean(pulls)) < 1.5
    assert np.mean(above) >= 0.75


def test_a_limit_has_an_error_of_one_hundred_per_cent():
    limit = Component("a", None, None, None, 2.302585, "")
    assert np.expm1(limit.log_statistical**2) == pytest.approx(1.0)
