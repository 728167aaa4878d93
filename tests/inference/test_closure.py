"""Closure tests: pulls where the method is right and where it is not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm, poisson

from na64reco.errors import InferenceError
from na64reco.inference.closure import abcd, close, pull_of
from na64reco.inference.shapes import find_shape

from .output_toy import falling


def test_the_pull_of_a_known_mean_is_poisson():
    for observed, mean in ((0, 2.0), (5, 3.0), (40, 30.0)):
        below = 0.5 * (poisson.cdf(observed, mean) + poisson.cdf(observed - 1, mean))
        assert pull_of(observed, mean, 0.0) == pytest.approx(norm.ppf(below), abs=1e-6)
    # A wide prediction excuses more.
    assert 0 < pull_of(10, 3.0, 0.8) < pull_of(10, 3.0, 0.1)


def test_pulls_are_normal_for_the_true_shape():
    rng = np.random.default_rng(2)
    pulls = []
    for _ in range(150):
        x = falling(rng, rng.poisson(300), 47.0, 90.0, 0.1)
        found = close(
            "A",
            x,
            np.ones(len(x)),
            find_shape("exponential"),
            fitted=(60.0, 90.0),
            predicted=(47.0, 60.0),
            scale=100.0,
        )
        pulls.append(found.pull)
    assert abs(np.mean(pulls)) < 0.25  # 3 sigma of 150
    assert 0.82 < np.std(pulls) < 1.18


def test_another_shape_shows():
    rng = np.random.default_rng(3)
    x = np.concatenate([falling(rng, 300, 47.0, 90.0, 0.125), rng.uniform(47, 60, 60)])
    found = close(
        "A",
        x,
        np.ones(len(x)),
        find_shape("exponential"),
        fitted=(60.0, 90.0),
        predicted=(47.0, 60.0),
        scale=100.0,
    )
    assert found.pull > 4


def test_independent_variables():
    rng = np.random.default_rng(4)
    truth = 1000 * 0.1 * 0.05
    pulls = []
    for _ in range(400):
        above = rng.poisson(1000 * 0.9 * 0.05)
        beside = rng.poisson(1000 * 0.1 * 0.95)
        corner = rng.poisson(1000 * 0.9 * 0.95)
        value, log_error = abcd(above, beside, corner)
        pulls.append(np.log(value / truth) / log_error)
    assert abs(np.mean(pulls)) < 0.15
    assert 0.88 < np.std(pulls) < 1.12
    with pytest.raises(InferenceError, match="need events in all three regions, found 0, 3 and 5"):
        abcd(0, 3, 5)
