"""Closed-form Poisson limits against published tables."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from na64reco.errors import InferenceError
from na64reco.inference.poisson import (
    classical_limit,
    cls_limit,
    feldman_cousins,
    pmf,
    significance,
)


# PDG 2024, table 40.3: upper limits for no background.
@pytest.mark.parametrize(
    ("n", "at90", "at95"),
    [(0, 2.30, 3.00), (1, 3.89, 4.74), (2, 5.32, 6.30), (5, 9.27, 10.51), (10, 15.41, 16.96)],
)
def test_without_background_the_limits_are_those_of_the_pdg(n, at90, at95):
    assert classical_limit(n) == pytest.approx(at90, abs=0.005)
    assert cls_limit(n, cl=0.95) == pytest.approx(at95, abs=0.005)


def test_zero_events_and_zero_background():
    assert classical_limit(0) == pytest.approx(2.302585, abs=1e-6)


@pytest.mark.parametrize(("n", "b"), [(0, 0.7), (3, 1.2), (12, 9.5)])
def test_the_defining_equations_hold(n, b):
    assert stats.poisson.cdf(n, classical_limit(n, b) + b) == pytest.approx(0.1)
    ratio = stats.poisson.cdf(n, cls_limit(n, b) + b) / stats.poisson.cdf(n, b)
    assert ratio == pytest.approx(0.1)


def test_cls_of_no_event_does_not_depend_on_the_background():
    assert cls_limit(0, 5.0) == pytest.approx(-math.log(0.1))
    assert classical_limit(0, 5.0) == 0


# G. Feldman, R. Cousins, Phys. Rev. D 57 (1998) 3873, tables IV and V, 90 %.
@pytest.mark.parametrize(
    ("n", "b", "low", "high"),
    [
        (0, 0.0, 0.00, 2.44),
        (0, 0.5, 0.00, 1.94),
        (0, 1.0, 0.00, 1.61),
        (0, 3.0, 0.00, 1.08),
        (1, 0.0, 0.11, 4.36),
        (3, 0.0, 1.10, 7.42),
        (4, 3.0, 0.00, 5.60),
        (10, 0.0, 5.50, 16.50),
    ],
)
def test_unified_intervals_are_the_published_ones(n, b, low, high):
    found = feldman_cousins(n, b)
    assert found[0] == pytest.approx(low, abs=0.006)
    assert found[1] == pytest.approx(high, abs=0.006)


def test_significance_of_a_count():
    # 1 - CDF(24 | 10) as a one-sided Gaussian tail.
    expected = stats.norm.isf(stats.poisson.sf(24, 10.0))
    assert significance(25, 10.0) == pytest.approx(expected)
    assert significance(0, 3.0) == 0
    assert significance(2, 0.0) == math.inf


def test_probabilities_also_of_a_mean_of_zero():
    np.testing.assert_allclose(pmf(np.arange(3), 0.0), [1, 0, 0])
    np.testing.assert_allclose(pmf(np.arange(9), 2.5), stats.poisson.pmf(np.arange(9), 2.5))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"observed": 0, "cl": 90}, r"between 0 and 1, found 90\. For 90 % give 0\.9\."),
        ({"observed": -1}, "whole number >= 0, found -1"),
        ({"observed": 1.5}, r"whole number >= 0, found 1\.5"),
        ({"observed": 0, "background": -0.1}, "background must be a finite number >= 0"),
        ({"observed": 0, "background": math.nan}, "background must be a finite number >= 0"),
    ],
)
def test_nonsense_is_refused(arguments, message):
    with pytest.raises(InferenceError, match=message):
        classical_limit(**arguments)
