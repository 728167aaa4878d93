"""Muon pairs from photons: cross section, shares, angles, yields."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from na64reco.cascade import Stack
from na64reco.cascade.muon_pairs import (
    muon_pair_angles,
    muon_pair_share,
    muon_pair_total,
    muon_pair_yield,
    sample_share,
)
from na64reco.cascade.track_length import track_lengths
from na64reco.constants import ALPHA, ELECTRON_MASS, MUON_MASS
from na64reco.materials import MATERIALS

if TYPE_CHECKING:
    from pathlib import Path

LEAD = MATERIALS["lead"].composition[0][0]
DENSITIES = {"lead": 11.35, "polystyrene": 1.03}
SANDWICH = Stack.sandwich(
    [("lead", 0.15), ("polystyrene", 0.15)], 150, densities={"polystyrene": 1.03}, half_width=11.46
)


def parametrised(k: float, z: int, a: float) -> float:
    """H. Burkhardt's fit of the total cross section (Geant4 Physics Reference Manual), cm^2."""
    size, root = 1.54 * a**0.27, np.sqrt(np.e)
    third = z ** (-1 / 3)
    at_infinity = 183 * third * MUON_MASS / (size * ELECTRON_MASS)
    medium = 1 / (4 * size * root * MUON_MASS)
    strength = 4 * ALPHA * z**2 * (2.8179403205e-13 * ELECTRON_MASS / MUON_MASS) ** 2
    correction = 1 + 0.04 * np.log(1 + (-18 + 4347 / (183 * third)) / k)
    power = -0.88
    grown = ((at_infinity / medium) ** power + k**power) ** (1 / power)
    grown *= (1 - 4 * MUON_MASS / k) ** (1.479 + 0.00799 * size)
    return float(7 / 9 * strength * np.log(1 + medium * correction * grown))


@pytest.mark.parametrize("name", ["lead", "iron", "carbon"])
def test_total_cross_section_is_that_of_burkhardt_s_fit(name: str) -> None:
    element = MATERIALS[name].composition[0][0]
    k = np.array([2.0, 5.0, 20.0, 50.0, 100.0, 1e4])
    expected = [parametrised(float(value), element.z, element.a) for value in k]
    np.testing.assert_allclose(muon_pair_total(k, element), expected, rtol=0.03)


def test_no_pairs_below_the_threshold() -> None:
    assert muon_pair_total(np.array([0.2, 4 * MUON_MASS * 0.999]), LEAD).max() == 0.0


@pytest.mark.parametrize("k", [5.0, 60.0])
def test_shares_are_drawn_from_the_cross_section(k: float) -> None:
    rng = np.random.default_rng(7)
    x = sample_share(rng, np.full(20_000, k), LEAD)
    edges = np.linspace(MUON_MASS / k, 1 - MUON_MASS / k, 2001)
    middle = 0.5 * (edges[1:] + edges[:-1])
    density = muon_pair_share(middle, k, LEAD)
    running = np.cumsum(density) / density.sum()
    found = np.searchsorted(np.sort(x), edges[1:]) / len(x)
    # Kolmogorov's distance at 1e-3: 1.95 / sqrt(n).
    assert np.abs(found - running).max() < 1.95 / np.sqrt(len(x))


def test_angles_are_some_masses_over_energies_and_momenta_balance() -> None:
    rng = np.random.default_rng(8)
    k, n = 40.0, 20_000
    photon = np.full(n, k)
    x = sample_share(rng, photon, LEAD)
    ax, ay, bx, by = muon_pair_angles(rng, photon, x, LEAD)
    plus = np.hypot(ax, ay) * x * k / MUON_MASS
    minus = np.hypot(bx, by) * (1 - x) * k / MUON_MASS
    # dN/du^2 goes as 1 / (1 + u^2)^2 (median 1), less where u is large, by the nucleus' size.
    assert 0.6 < np.median(plus) < 1.0
    assert np.median(minus) == pytest.approx(np.median(plus), rel=0.05)
    # The nucleus takes little: transverse momenta nearly cancel.
    total = np.hypot(ax * x + bx * (1 - x), ay * x + by * (1 - x)) * k
    assert np.median(total) < 0.15 * np.median(plus) * MUON_MASS


def test_yields_per_beam_particle(tmp_path: Path) -> None:
    # Electrons, approximation A: the integral of 0.572 E X0 / k^2 n sigma dk over 10 to 40 GeV, with
    # Burkhardt's fit and 6.37 g/cm^2.
    lengths = track_lengths(SANDWICH, 100.0, lowest=1.0, showers=250, cache=tmp_path)
    pairs = muon_pair_yield(lengths, DENSITIES)
    k = np.geomspace(10.0, 40.0, 300)
    sigma = np.array([parametrised(float(value), 82, 207.2) for value in k])
    expected = np.trapezoid(0.572 * 100 * 6.37 / k**2 * 6.02214076e23 / 207.2 * sigma, k)
    inside = (lengths.edges[:-1] >= 9.99) & (lengths.edges[1:] <= 40.1)
    assert pairs[inside].sum() == pytest.approx(expected, rel=0.1)
    whole = muon_pair_yield(lengths, DENSITIES, above=19.95)
    assert whole.sum() == pytest.approx(2.5e-5, rel=0.1)
    # Muons of 160 GeV: some 1e-7 (arXiv:2110.15111, sect. V).
    lengths = track_lengths(
        SANDWICH, 160.0, particle="muon", lowest=1.0, showers=600, cache=tmp_path
    )
    assert 3e-8 < muon_pair_yield(lengths, DENSITIES, above=10.0).sum() < 3e-7
