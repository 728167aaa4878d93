from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kstest, moyal

from na64reco.simulation.ionisation import mean_one, most_probable_one


def test_moyal_distribution(rng):
    values = most_probable_one(rng, (20_000,), 0.1)
    assert kstest((values - 1) / 0.1, moyal.cdf).pvalue > 1e-3


def test_mean_is_one(rng):
    assert mean_one(rng, (200_000,), 0.07).mean() == pytest.approx(1, abs=0.002)


def test_never_negative(rng):
    assert mean_one(rng, (10_000,), 0.9).min() >= 0
    assert np.isfinite(mean_one(rng, (10_000,), 0.9)).all()
