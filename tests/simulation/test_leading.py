"""Leading hadrons against what their distributions integrate to."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kstest

from na64reco.simulation.leading import leading_hadrons
from na64reco.simulation.tracks import PION, PROTON

ROWS = 200_000


def lead(energy, kind=PION, **options):
    rng = np.random.default_rng(3)
    return leading_hadrons(
        rng, np.full(ROWS, energy), np.full(ROWS, kind, dtype=np.int8), **options
    )


def test_shares_of_collisions():
    kept, swapped, weight = lead(100.0)
    # 5 % diffraction and 9 % others: within the 10 to 15 % known of nuclei.
    assert (kept > 0).mean() == pytest.approx(0.14, abs=0.003)
    assert (kept >= 0.9).mean() == pytest.approx(0.05, abs=0.002)
    assert not swapped.any()
    assert (weight == 1).all()
    middle = kept[(kept > 0) & (kept < 0.9)]
    assert kstest(middle, "uniform", (0.5, 0.4)).pvalue > 1e-3


def test_dissociation_has_the_spectrum_of_missing_masses():
    """dN / d ln M^2 is flat up to M^2 = 0.1 s, and M^2 = m^2 + 2 m (1 - x) E."""
    energy, mass = 100.0, 0.938272
    kept, _, _ = lead(energy)
    lost = (1 - kept[kept > 0.9]) * energy
    square = mass**2 + 2 * mass * lost
    low, high = (mass + 0.139570) ** 2, 0.1 * (2 * mass * energy + mass**2)
    assert low * 0.999 < square.min() < square.max() < high * 1.001
    scaled = np.log(square / low) / np.log(high / low)
    assert kstest(scaled, "uniform").pvalue > 1e-3


def test_a_third_of_leading_nucleons_change_charge():
    kept, swapped, _ = lead(100.0, PROTON)
    assert swapped[kept == 0].sum() == 0
    assert swapped.sum() / ((kept > 0) & (kept < 0.9)).sum() == pytest.approx(1 / 3, abs=0.02)


def test_slow_hadrons_do_not_lead():
    kept, _, weight = lead(4.0, favoured=10.0)
    assert (kept == 0).all()
    assert (weight == 1).all()


@pytest.mark.parametrize("favoured", [2.0, 50.0])
def test_favouring_keeps_the_sums(favoured):
    kept, _, weight = lead(100.0, favoured=favoured)
    assert (kept > 0).mean() == pytest.approx(min(0.14 * favoured, 0.7), abs=0.005)
    assert weight.mean() == pytest.approx(1, abs=0.01)
    assert np.mean(weight * (kept > 0)) == pytest.approx(0.14, rel=0.02)
    assert np.mean(weight * (kept > 0.9)) == pytest.approx(0.05, rel=0.03)
