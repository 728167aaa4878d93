"""Fits and extrapolation: closed forms of the truncated exponential, pseudo-experiments, limits."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq, minimize

from na64reco.errors import InferenceError
from na64reco.inference.shapes import ECAL_SHAPES, HCAL_SHAPES, find_shape
from na64reco.inference.sideband_fit import extrapolate, fit_sideband

from .output_toy import falling

WINDOW, BOX = (47.0, 90.0), (0.0, 47.0)
EXPONENTIAL = find_shape("exponential")


def closed_form(x):
    """Slope of a truncated exponential by its mean; number and error of ln b in the box."""
    width = WINDOW[1] - WINDOW[0]

    def mean(s):  # of the distance to the upper end
        return 1 / s - width / np.expm1(s * width)

    wanted = WINDOW[1] - x.mean()
    s = brentq(lambda t: mean(t) - wanted, 1e-4, 2)
    share = np.expm1(s * BOX[1]) / (np.exp(s * WINDOW[1]) - np.exp(s * WINDOW[0]))
    variance = 1 / s**2 - width**2 / (4 * np.sinh(s * width / 2) ** 2)
    slope = BOX[1] / -np.expm1(-s * BOX[1]) - (WINDOW[1] - mean(s)) - 1 / s
    return s, len(x) * share, np.sqrt((1 + slope**2 / variance) / len(x))


@pytest.mark.parametrize("events", [20, 90, 5000])
def test_the_exponential_in_closed_form(events):
    x = falling(np.random.default_rng(events), events, *WINDOW, 0.125)
    fit = fit_sideband(x, EXPONENTIAL, WINDOW, scale=100.0)
    found = extrapolate(fit, BOX)
    slope, number, error = closed_form(x)
    assert fit.theta[0] == pytest.approx(slope, rel=1e-6)
    assert found.value == pytest.approx(number, rel=1e-5)
    assert found.log_error == pytest.approx(error, rel=1e-5)
    assert found.upper == pytest.approx(number * np.exp(1.28155 * error), rel=1e-4)


@pytest.mark.parametrize("shape", ECAL_SHAPES, ids=lambda s: s.name)
def test_every_shape_is_where_a_simplex_ends(shape):
    """scipy's Nelder and Mead on the likelihood normalised by the trapezoid rule."""
    x = falling(np.random.default_rng(3), 400, *WINDOW, 0.125)
    grid = np.linspace(*WINDOW, 4001)

    def nll(theta):
        if any(not lo <= t <= hi for t, (lo, hi) in zip(theta, shape.limits, strict=True)):
            return np.inf
        density = np.exp(shape.log_density(grid, theta, 100.0))
        integral = np.trapezoid(density, grid)
        return len(x) * np.log(integral) - shape.log_density(x, theta, 100.0).sum()

    fit = fit_sideband(x, shape, WINDOW, scale=100.0)
    start = fit.theta * 1.3 + 0.02
    found = minimize(nll, start, method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-9})
    assert fit.theta == pytest.approx(found.x, rel=2e-3, abs=2e-3)
    assert fit.nll == pytest.approx(found.fun, abs=1e-3)


def test_pulls_of_200_pseudo_experiments():
    """Of the number in the box, for few and for many events; the mean is known to 0.07."""
    rng = np.random.default_rng(20)
    for mean, slope in ((25, 0.1), (90, 0.125), (1000, 0.125)):
        share = np.expm1(slope * BOX[1]) / (np.exp(slope * 90) - np.exp(slope * 47))
        truth = np.log(mean * share)
        pulls = []
        for _ in range(200):
            x = falling(rng, rng.poisson(mean), *WINDOW, slope)
            found = extrapolate(fit_sideband(x, EXPONENTIAL, WINDOW, scale=100.0), BOX)
            if found.limit_only:  # too little is known for a number
                continue
            pulls.append((np.log(found.value) - truth) / found.log_error)
        assert len(pulls) > 190
        assert abs(np.mean(pulls)) < 0.15
        assert 0.85 < np.std(pulls) < 1.15


def test_weighted_events():
    """Errors of weighted samples: the spread over pseudo-experiments, which 1/sqrt(sum w) is not."""
    rng = np.random.default_rng(5)
    logs, errors = [], []
    for _ in range(300):
        x = falling(rng, rng.poisson(400), *WINDOW, 0.11)
        keep = rng.random(len(x)) < 0.3 + 0.7 * (x < 70)  # where events are many, few are kept
        weights = 1 / (0.3 + 0.7 * (x < 70))
        fit = fit_sideband(x[keep], EXPONENTIAL, WINDOW, scale=100.0, weights=weights[keep])
        found = extrapolate(fit, BOX)
        logs.append(np.log(found.value))
        errors.append(found.log_error)
    assert np.mean(errors) == pytest.approx(np.std(logs), rel=0.12)  # 3 sigma of 300
    share = np.expm1(0.11 * 47) / (np.exp(0.11 * 90) - np.exp(0.11 * 47))
    assert np.mean(logs) == pytest.approx(np.log(400 * share), abs=0.07)


def test_no_event_gives_the_poisson_limit_in_the_ratio_of_widths():
    found = extrapolate(fit_sideband(np.empty(0), EXPONENTIAL, WINDOW, scale=100.0), BOX)
    assert found.limit_only
    assert found.reason == "no event in the sideband, slope not measured"
    assert found.upper == pytest.approx(2.302585 * 47 / 43, rel=1e-6)
    assert np.isinf(found.error)


def test_one_event_gives_a_limit():
    found = extrapolate(fit_sideband(np.array([80.0]), EXPONENTIAL, WINDOW, scale=100.0), BOX)
    assert found.limit_only
    assert found.reason.startswith("one event")
    assert found.upper == pytest.approx(3.88972 * 47 / 43, rel=1e-5)


def test_events_heaped_at_either_end_give_limits():
    rising = extrapolate(fit_sideband(np.full(6, 48.0), EXPONENTIAL, WINDOW, scale=100.0), BOX)
    assert rising.limit_only
    assert "s of the exponential at the end of its range" in rising.reason
    # Flat: 6 events, one-sided 90 % of the profile likelihood n - 6 ln n, in the ratio of widths.
    n = brentq(lambda v: v - 6 * np.log(v / 6) - 6 - 0.5 * 1.28155**2, 6, 20)
    assert rising.upper == pytest.approx(n * 47 / 43, rel=1e-3)
    steep = extrapolate(fit_sideband(np.full(6, 89.99), EXPONENTIAL, WINDOW, scale=100.0), BOX)
    assert steep.limit_only
    assert 0 < steep.upper < 1e-6


def test_a_number_known_to_no_order_of_magnitude_is_a_limit():
    x = np.array([80.0, 84.0, 86.0, 88.0])
    found = extrapolate(fit_sideband(x, EXPONENTIAL, WINDOW, scale=100.0), BOX)
    assert found.limit_only
    assert "no better than a factor of" in found.reason
    assert found.upper > found.value > 0


@pytest.mark.parametrize(("mean", "slope"), [(6.0, 0.06), (90.0, 0.125)])
def test_limits_cover(mean, slope):
    """Of 90 % limits 90 % lie above the truth."""
    rng = np.random.default_rng(8)
    truth = mean * np.expm1(slope * 47) / (np.exp(slope * 90) - np.exp(slope * 47))
    above = []
    for _ in range(200):
        x = falling(rng, rng.poisson(mean), *WINDOW, slope)
        found = extrapolate(fit_sideband(x, EXPONENTIAL, WINDOW, scale=100.0), BOX)
        above.append(found.upper >= truth)
    assert np.mean(above) > 0.84  # 90 % less three times its error


def test_hadrons_may_rise_towards_the_box():
    rng = np.random.default_rng(9)
    x = 1 + rng.exponential(4.0, 3000)
    x = x[x < 21]
    found = extrapolate(fit_sideband(x, HCAL_SHAPES[0], (1.0, 21.0), scale=100.0), (0.0, 1.0))
    truth = 3000 * (np.exp(0.25) - 1)  # the same exponential, one GeV further down
    assert found.value == pytest.approx(truth, rel=4 * found.log_error)


def test_what_cannot_be_fitted_says_why():
    with pytest.raises(InferenceError, match="range of the fit, 90 to 47 GeV, is empty"):
        fit_sideband(np.ones(3), EXPONENTIAL, (90.0, 47.0), scale=100.0)
    with pytest.raises(InferenceError, match="Weights of sideband events must be finite"):
        fit_sideband(
            np.full(3, 50.0), EXPONENTIAL, WINDOW, scale=100.0, weights=np.array([1, -1, 1.0])
        )
