"""The muon's magnetic moment against both papers, limits and a closed form."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad

from na64reco.constants import ALPHA, MUON_MASS
from na64reco.darksector.g_minus_2 import (
    Measured,
    anomaly,
    coupling_band,
    coupling_for,
    difference,
    loop_integral,
)
from na64reco.errors import ModelError

FERMILAB_2023 = Measured(116592059e-11, 22e-11)
WHITE_PAPER = Measured(116591810e-11, 43e-11)


@pytest.mark.parametrize("mass", [1e-6, 1e-3, 0.0167, 0.1, 0.5, 3.0])
def test_both_papers_agree(mass: float) -> None:
    """Eq. 2 of arXiv:2206.03101 and eq. 3 of arXiv:2110.15111, each integrated by itself."""
    g = 1e-3
    r = mass / MUON_MASS

    def first(z: float) -> float:
        return 2 * z * (1 - z) ** 2 / ((1 - z) ** 2 + r**2 * z)

    def second(x: float) -> float:
        return x**2 * (1 - x) / (x**2 + (1 - x) * r**2)

    cuts = [1e-8, 1e-4, 1e-2, 0.3, 0.9, 0.999]
    one = quad(first, 0, 1, points=[1 - c for c in cuts], limit=400, epsrel=1e-11)[0]
    two = quad(second, 0, 1, points=cuts, limit=400, epsrel=1e-11)[0]
    assert g**2 / (8 * np.pi**2) * one == pytest.approx(g**2 / (4 * np.pi**2) * two, rel=1e-9)
    assert anomaly(mass, g) == pytest.approx(g**2 / (8 * np.pi**2) * one, rel=1e-9)


def test_limits() -> None:
    """Schwinger's alpha / 2 pi for a massless boson of charge e; 2/3 (m_mu/m)^2 when heavy."""
    e = np.sqrt(4 * np.pi * ALPHA)
    assert anomaly(1e-9, e) == pytest.approx(ALPHA / (2 * np.pi), rel=1e-6)
    assert loop_integral(1e4) == pytest.approx(2 / 3 * 1e-8, rel=1e-5)
    assert loop_integral(1e3) == pytest.approx(2 / 3 * 1e-6, rel=1e-4)


def test_closed_form_where_the_masses_are_equal() -> None:
    """x = 1: integral of 2 (1-u) u^2 / (u^2 - u + 1) is 1 - ... in closed form.

    2 (1-u) u^2 = -2u (u^2 - u + 1) + 2u, and the integral of 2u / (u^2 - u + 1) is 2 pi / (3
    sqrt 3).
    """
    assert loop_integral(1.0) == pytest.approx(2 * np.pi / (3 * np.sqrt(3)) - 1, rel=1e-12)


def test_values_of_the_papers() -> None:
    """g = 4.5e-4 solves the discrepancy (2404.06982); [3.2, 5.5]e-4 at 2 sigma (2206.03101)."""
    assert coupling_for(1e-5, 249e-11) == pytest.approx(4.5e-4, rel=0.02)
    found = difference(FERMILAB_2023, WHITE_PAPER)
    assert found.value == pytest.approx(249e-11)
    assert found.error == pytest.approx(48.3e-11, rel=1e-3)
    low, high = coupling_band(1e-5, Measured(251e-11, 59e-11), Measured(0.0, 0.0))
    assert low == pytest.approx(3.2e-4, rel=0.02)
    assert high == pytest.approx(5.5e-4, rel=0.03)


def test_any_pair_of_values() -> None:
    mass = np.geomspace(1e-4, 1, 5)
    low, high = coupling_band(mass, FERMILAB_2023, WHITE_PAPER, sigmas=1)
    np.testing.assert_allclose(anomaly(mass, high) - anomaly(mass, low), 2 * 48.3e-11, rtol=1e-3)
    close = Measured(116592020e-11, 60e-11)
    low, high = coupling_band(mass, FERMILAB_2023, close)
    np.testing.assert_array_equal(low, 0)
    assert np.all(high > 0)
    with pytest.raises(ModelError, match="negative by more than 1 sigma"):
        coupling_band(mass, WHITE_PAPER, FERMILAB_2023, sigmas=1)
    with pytest.raises(ModelError, match="error >= 0"):
        Measured(1.0, -1.0)
    with pytest.raises(ModelError, match="mass must be positive"):
        anomaly(0.0, 1e-3)
