"""Lateral terms against numerical integration, fluctuations against the variances asked for."""

from __future__ import annotations

import numpy as np
import pytest

from na64reco.simulation.shower_lateral import TERMS, cell_shares, fluctuate, lateral_terms

NO_SHIFT = (0.0, 0.0, 0.0)


def shares(x, y, radius, *, shift=NO_SHIFT, follow=1.0, cells=6):
    radii, weights = np.array([radius, radius, radius, radius]), np.full(TERMS, 1 / TERMS)
    found = np.zeros((cells, cells))
    cell_shares(x, y, shift, follow, radii, weights, 38.2, 38.2, found)
    return found


@pytest.mark.parametrize("longer", [0.0, 0.3])
def test_cells_are_integrals_of_the_density(longer):
    x, y, radius, fine = 7.3, 30.1, 9.0, 300
    at = (np.arange(6 * fine) + 0.5) * 38.2 / fine - 3 * 38.2
    stretch = np.exp(longer)
    r2 = ((at - x) / stretch)[:, None] ** 2 + ((at - y) * stretch)[None] ** 2
    density = 3 * radius**3 / (2 * np.pi * (r2 + radius**2) ** 2.5)
    expected = density.reshape(6, fine, 6, fine).sum(axis=(1, 3)) * (38.2 / fine) ** 2
    found = shares(x, y, radius, shift=(0.0, 0.0, longer))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-6)


def test_all_energy_is_somewhere():
    assert shares(3.0, -4.0, 20.0, cells=80).sum() == pytest.approx(1, abs=1e-4)


def test_narrow_terms_follow_less():
    radii, weights = np.array([1.0, 3.0, 15.0, 50.0]), np.array([0.5, 0.5, 0.0, 0.0])
    moved, straight = np.zeros((2, 6, 6))
    cell_shares(10.0, 4.0, (5.0, 3.0, 0.0), 0.4, radii, weights, 38.2, 38.2, moved)
    cell_shares(12.0, 5.2, NO_SHIFT, 0.4, radii, weights, 38.2, 38.2, straight)
    np.testing.assert_allclose(moved, straight)


@pytest.mark.parametrize("section", [0, 1])
@pytest.mark.parametrize("energy", [0.1, 5.0, 100.0, 1000.0])
def test_weights_are_shares(section, energy):
    radii, weights = np.empty((2, TERMS))
    for share in (0.0, 0.05, 0.9):
        lateral_terms(section, energy, share, 0.0, 0.0, radii, weights)
        assert weights.sum() == pytest.approx(1)
        assert (weights > 0).all()
        assert (radii > 0).all()
        assert radii[3] < 120


def test_fluctuations_have_the_variances():
    rng, mean = np.random.default_rng(2), np.array([[80.0, 15.0], [4.0, 1.0]])
    quantum, readout, whole = (0.012, 1e-9, 0.1), 0.003, 0.009
    drawn = np.empty((40_000, 2, 2))
    for cells in drawn:
        cells[:] = mean
        fluctuate(rng, quantum, readout, whole, cells)
    np.testing.assert_allclose(drawn.mean(axis=0), mean, rtol=2e-3)
    total = drawn.sum(axis=(1, 2))
    assert total.var() == pytest.approx(whole * 100, rel=0.03)
    # A small cell's own variance; what the sum lacks is taken from the large one.
    assert drawn[:, 1, 1].var() == pytest.approx(0.015 * 1.0, rel=0.04)


def test_small_cells_have_smaller_quanta():
    rng = np.random.default_rng(3)
    drawn = np.empty((40_000, 1, 2))
    for cells in drawn:
        cells[:] = (99.0, 1.0)
        fluctuate(rng, (0.01, 0.1, 0.5), 0.0, 0.01, cells)
    # A tenth of the share from which it falls: sqrt(0.1).
    assert drawn[:, 0, 1].var() == pytest.approx(0.01 * np.sqrt(0.1), rel=0.04)
