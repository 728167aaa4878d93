"""Neutrino tridents of a heavy boson."""

from __future__ import annotations

import numpy as np
import pytest

from na64reco.darksector.trident import trident_limit, trident_ratio
from na64reco.errors import ModelError


def test_the_published_limit():
    """arXiv:1406.2332: m / g > 550 GeV at 95 %."""
    assert 100.0 / float(trident_limit(100.0)) == pytest.approx(550, rel=0.02)


def test_limits_give_the_ratio_back():
    mass = np.array([10.0, 30.0, 200.0])
    np.testing.assert_allclose(trident_ratio(mass, trident_limit(mass)), 0.82 + 1.96 * 0.28)
    assert float(trident_ratio(50.0, 0.0)) == 1.0


def test_where_it_does_not_hold():
    with pytest.raises(ModelError, match=r"from 10 GeV on, found 0.1 GeV"):
        trident_limit([0.1, 20.0])
    with pytest.raises(ModelError, match="Standard Model itself"):
        trident_limit(20.0, sigmas=0.1)
