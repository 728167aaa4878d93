"""Expected limits: closed forms of others, integrals by hand, and counting pseudo-experiments."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.stats import gamma, poisson

from na64reco.errors import InferenceError
from na64reco.inference.expected import (
    count_probability,
    expected_limit,
    limit_on_count,
    toy_limits,
)


def test_nothing_seen_is_2_303_whatever_the_background():
    for background, error in ((0.0, 0.0), (0.4, 0.2), (3.0, 1.0)):
        assert limit_on_count(3, background, error)[0] == pytest.approx(-np.log(0.1), abs=1e-9)


def test_known_background_is_cls():
    """P(N <= n | s + b) = 0.1 P(N <= n | b), solved with scipy."""
    for n, found in enumerate(limit_on_count(6, 0.53, 0.0)):
        wanted = brentq(
            lambda s, n=n: poisson.cdf(n, s + 0.53) - 0.1 * poisson.cdf(n, 0.53), 0.1, 30
        )
        assert found == pytest.approx(wanted, abs=1e-6)


def test_counts_of_an_uncertain_background():
    background, error = 0.4, 0.3
    prior = gamma((background / error) ** 2, scale=error**2 / background)
    for n, found in enumerate(count_probability(4, background, error)):
        truth, _ = quad(lambda b, n=n: poisson.pmf(n, b) * prior.pdf(b), 0, 8, limit=200)
        assert found == pytest.approx(truth, rel=1e-4)


@pytest.mark.parametrize(("background", "error"), [(0.4, 0.2), (2.0, 0.8)])
def test_pseudo_experiments(background, error):
    toys = toy_limits(background, error, np.random.default_rng(3), toys=20_000)
    # Limits of toys are on a grid of 0.02, and known to 1 % by 20,000 counts.
    assert toys.mean() == pytest.approx(expected_limit(background, error), rel=0.015)
    median = expected_limit(background, error, method="median")
    assert np.median(toys) == pytest.approx(median, abs=0.06)


def test_asimov_limit_of_a_known_background():
    """2 (s - b ln(1 + s / b)) = 1.2816^2: G. Cowan et al., eq. 97 with n = b."""
    found = expected_limit(3.0, 0.0, method="asimov")
    assert 2 * (found - 3 * np.log1p(found / 3)) == pytest.approx(1.2815515655**2, rel=1e-6)
    # Large b: s = 1.28 sqrt(b + sigma^2).
    big = expected_limit(1e4, 200.0, method="asimov")
    assert big == pytest.approx(1.2815515655 * np.sqrt(1e4 + 200.0**2), rel=0.01)


def test_many_events_join_few():
    """The normal approximation takes over where the sum ends: no step but that of its accuracy."""
    for method in ("mean", "median"):
        summed = expected_limit(170.0, 10.0, method=method)
        normal = expected_limit(190.0, 10.0, method=method)
        assert normal / summed == pytest.approx(np.sqrt(290 / 270), rel=0.03)
    assert np.isfinite(expected_limit(1e6, 1e3))


def test_a_median_is_a_step():
    assert expected_limit(0.69, 0.0, method="median") == pytest.approx(2.302585, abs=1e-6)
    assert expected_limit(0.70, 0.0, method="median") > 3


def test_errors():
    with pytest.raises(InferenceError, match="no kind of expected limit 'medan'"):
        expected_limit(1.0, 0.1, method="medan")
    with pytest.raises(InferenceError, match="background must be >= 0"):
        expected_limit(-1.0, 0.1)
