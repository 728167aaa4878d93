"""The loop averaged over the line shape (arXiv:2404.06982, eq. 5.1, Fig. 2)."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad

from na64reco.constants import MUON_MASS, TAU_MASS
from na64reco.darksector.loop import averaged_loop, loop_coupling
from na64reco.errors import ModelError

GAMMA = 0.1 / 12 * (5 / 9) ** 1.5
"""Width over mass: scalar chi, alpha_D = 0.1, m_chi = m / 3."""


def _integrated(mass: float, width: float, lowest: float) -> float:
    def integrand(q2: float) -> float:
        square = abs(complex(loop_coupling(q2))) ** 2
        return square / np.pi * np.sqrt(q2) * width / ((q2 - mass**2) ** 2 + (mass * width) ** 2)

    scale = mass * width
    cuts = [mass**2 + n * scale for n in (-50, -5, -1, 0, 1, 5, 50)]
    cuts += [lowest, 4 * MUON_MASS**2, 4 * TAU_MASS**2, 0.5, 1.0, 100.0, 1e4, 1e8]
    inside = sorted(c for c in cuts if lowest <= c <= 1e8)
    return sum(quad(integrand, a, b, epsrel=1e-10, limit=200)[0] for a, b in pairwise(inside))


@pytest.mark.parametrize("mass", [0.05, 0.2, 2 * MUON_MASS, 0.4])
def test_against_adaptive_quadrature(mass: float) -> None:
    lowest = 4 / 9 * mass**2
    found = averaged_loop(mass, GAMMA * mass, lowest)
    assert found == pytest.approx(_integrated(mass, GAMMA * mass, lowest), rel=1e-6)


@pytest.mark.parametrize("alpha", [0.1, 0.02])
def test_differs_by_less_than_a_percent_but_at_the_cusp(alpha: float) -> None:
    """Fig. 2 has less than 1 %; that is so but for a few MeV around 2 m_mu, where |Pi| has a cusp.

    There, on a grid too fine for the figure, it is 4.3 % (alpha_D = 0.1).
    """
    mass = np.concatenate((np.linspace(0.001, 0.5, 300), np.linspace(0.2108, 0.2145, 400)))
    width = alpha / 0.1 * GAMMA * mass
    change = averaged_loop(mass, width, 4 / 9 * mass**2) / np.abs(loop_coupling(mass**2)) ** 2 - 1
    largest = int(np.argmax(np.abs(change)))
    assert mass[largest] == pytest.approx(2 * MUON_MASS, rel=2e-4)
    assert change[largest] < 0
    far = (mass < 0.2111) | (mass > 0.2142)
    assert np.all(np.abs(change[far]) < 0.01)
    grid = np.linspace(0.01, 0.5, 50)  # steps of 10 MeV, as a figure might have
    change = averaged_loop(grid, alpha / 0.1 * GAMMA * grid, 4 / 9 * grid**2)
    change = change / np.abs(loop_coupling(grid**2)) ** 2 - 1
    assert np.max(np.abs(change)) < 0.01
    assert abs(grid[int(np.argmax(np.abs(change)))] - 2 * MUON_MASS) < 0.01


def test_a_narrow_width_leaves_the_value_on_the_mass_shell() -> None:
    mass = np.array([0.01, 0.1, 0.3])
    for relative in (1e-15, 1e-9):
        found = averaged_loop(mass, relative * mass, 4 / 9 * mass**2)
        expected = np.abs(loop_coupling(mass**2)) ** 2
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_unphysical_input() -> None:
    with pytest.raises(ModelError, match="needs m_chi < m / 2"):
        averaged_loop(0.1, 1e-4, 4 * 0.06**2)
    with pytest.raises(ModelError, match=r"width must be positive.*found 0.1, 0"):
        averaged_loop(0.1, 0.0, 0.0)
