"""Reactions of photons in the ECAL against closed forms, EGSnrc and arXiv:2110.15111."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kstest, poisson

from na64reco.constants import MUON_MASS
from na64reco.simulation.dimuons import photon_track
from na64reco.simulation.interactions import interacting_less
from na64reco.simulation.nuclear import (
    electron_tracks,
    equivalent_photons,
    fragments,
    nucleons_per_area,
    photon_cross_section,
    photon_energies,
    reactions_per_shower,
    transverse_momenta,
)
from na64reco.simulation.tracks import PHOTON, PION


def test_cross_section():
    # PDG: sigma(gamma p) = 0.115 mb around 100 GeV, 0.12 at 10 GeV.
    assert photon_cross_section(100.0) == pytest.approx(0.115, rel=0.01)
    assert photon_cross_section(10.0) == pytest.approx(0.118, rel=0.03)


def test_nucleons_of_the_ecal(setup):
    lead, plastic = 22.5 * 11.35, 22.5 * 1.06
    # Shadowing at high energies: 0.65 in lead, 0.8 in carbon (D. O. Caldwell et al., 1979).
    expected = 6.022e23 * 1e-27 * (0.65 * lead + 0.81 * plastic)
    assert nucleons_per_area(setup.ecal) == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize(
    ("low", "high", "centimetres"),
    # T- + T+ in the lead of the ECAL for one electron of 100 GeV, with EGSnrc.
    [(1.0, 1.122, 2.630), (5.012, 5.623, 0.5301), (19.95, 22.39, 0.1339), (44.67, 50.12, 0.0664),
     (70.79, 79.43, 0.0606), (89.13, 100.0, 0.1986)],
)  # fmt: skip
def test_track_lengths_against_a_full_simulation(low, high, centimetres):
    x, length = electron_tracks()
    # 1.5 mm lead and 1.5 mm plastic in turn: lead has 0.987 of the radiation lengths of 5.61 mm.
    mine = length[(100 * x > low) & (100 * x < high)].sum() * 0.987 * 0.5612
    assert mine == pytest.approx(centimetres, rel=0.2)


def test_rate_scales_and_follows_the_photons_track_length(setup):
    """Approximation A: 0.572 (E0 / k - 1) radiation lengths of photons above k."""
    energy = np.array([50.0, 100.0, 200.0])
    rate = reactions_per_shower(setup.ecal, energy)
    per_length = nucleons_per_area(setup.ecal) / 40.0 * 0.125
    np.testing.assert_allclose(rate, per_length * 0.572 * (energy - 1), rtol=0.15)
    assert reactions_per_shower(setup.ecal, np.array([0.5]))[0] == 0


def test_energies_of_photons(rng):
    photon = photon_energies(rng, np.full(50_000, 100.0))
    assert 1.0 <= photon.min() < photon.max() < 100.0
    # Nearly 1/k^2: half of them lie below 2 GeV, one in ten above 10.
    assert np.median(photon) == pytest.approx(2.0, rel=0.1)
    assert (photon > 10).mean() == pytest.approx(0.091, rel=0.2)


def test_hard_photons_are_the_tail_of_all(setup, rng):
    energy = np.full(200_000, 100.0)
    every, hard = photon_energies(rng, energy), photon_energies(rng, energy, least=30.0)
    share = reactions_per_shower(setup.ecal, energy[:1], least=30.0)
    share /= reactions_per_shower(setup.ecal, energy[:1])
    assert (every > 30).mean() == pytest.approx(share[0], rel=0.05)
    assert hard.min() >= 30
    tail = every[every > 30]
    assert abs(hard.mean() - tail.mean()) < 4 * tail.std() / np.sqrt(len(tail))


def test_equivalent_photons_of_electrons():
    # Twice the lepton's logarithm, (2 alpha / pi) ln(E / m) / y for soft ones, to leading order.
    soft = equivalent_photons(np.array([1e-3]))[0] * 1e-3
    leading = 2 / (137.036 * 2 * np.pi) * 2 * np.log(np.sqrt(0.6) / (0.511e-3 * 1e-3))
    assert soft == pytest.approx(leading, rel=0.05)
    assert (equivalent_photons(np.array([0.5, 0.9]), 5.0) == 0).all()


def test_fragments_share_the_photon(rng):
    energy = np.repeat([5.0, 100.0], 10_000)
    reaction, kind, charge, taken = fragments(rng, energy)
    np.testing.assert_allclose(np.bincount(reaction, weights=taken), 1.0)
    number = np.bincount(reaction)
    assert number.min() == 2
    # Half of 7 charged at s = 188 GeV^2, and half as many neutral.
    assert number[10_000:].mean() == pytest.approx(0.75 * 6.5, rel=0.15)
    assert number[:10_000].mean() < number[10_000:].mean()
    assert (kind == PHOTON).mean() == pytest.approx(0.26, abs=0.03)
    pairs = number[reaction] == 2
    assert kstest(taken[pairs & (energy[reaction] > 50)], "uniform").pvalue > 1e-3
    assert abs(charge.mean()) < 0.03
    assert (kind == PION).mean() > 0.5


def test_transverse_momenta(rng):
    reaction, _, _, taken = fragments(rng, np.full(60_000, 50.0))
    pt, phi = transverse_momenta(rng, reaction, taken)
    number = np.bincount(reaction)[reaction]
    many = pt[number > 2]
    assert many.mean() == pytest.approx(0.35, rel=0.02)
    # Gamma distribution of the shape 2: above 1 GeV (1 + u) e^-u, u = 1 / 0.175.
    assert (many > 1).mean() == pytest.approx(0.0222, rel=0.1)
    first, second = pt[number == 2].reshape(-1, 2).T
    np.testing.assert_allclose(first, second, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(
        np.cos(np.diff(phi[number == 2].reshape(-1, 2), axis=1)), -1, atol=1e-9
    )
    # Pions of a rho0: p* = sqrt(0.775^2 / 4 - 0.1396^2), <sin theta> = pi / 4 where isotropic.
    assert first.max() <= 0.363
    assert first.mean() == pytest.approx(0.3615 * np.pi / 4, rel=0.02)
    assert len(transverse_momenta(rng, np.zeros(0, np.int64), np.zeros(0))[0]) == 0


@pytest.mark.parametrize("least", [20.0, 50.0, 80.0])
def test_hard_reactions_follow_the_photons_of_the_cascade(setup, least):
    """q E X0 / k^2 as the cascade finds it (`dimuons.photon_track`); virtual photons add 1-2 %."""
    share = np.linspace(least / 100, 1, 2000)
    reactions = photon_track(share) / share**2 * photon_cross_section(100 * share)
    expected = np.trapezoid(reactions, share) * nucleons_per_area(setup.ecal) / 40
    found = reactions_per_shower(setup.ecal, np.array([100.0]), least=least)[0]
    assert found == pytest.approx(expected, rel=0.1)


def test_leading_neutral_hadrons_of_electrons(setup, rng):
    """Of n hadrons that fill the simplex, n (1 - a)^(n - 1) take more than the share a.

    n - 2 is a Poisson number but for 12 % rho0, 5.5 % of hadrons are n or KL.
    """
    photon = photon_energies(rng, np.full(500_000, 100.0), least=50.0)
    reaction, kind, charge, taken = fragments(rng, photon)
    leads = (charge == 0) & (kind != PHOTON) & (taken * photon[reaction] > 50)
    some = photon[::20]
    log_s = np.log(2 * 0.938272 * some + 0.938272**2)
    mean = 0.75 * (0.88 + 0.44 * log_s + 0.118 * log_s**2) - 2
    number = np.arange(2, 25)[:, None]
    expected = poisson.pmf(number - 2, mean) * number * (1 - 50 / some) ** (number - 1)
    found = leads.sum() / len(photon)
    assert found == pytest.approx(0.88 * 0.055 * expected.sum(axis=0).mean(), rel=0.05)
    assert len(np.unique(reaction[leads])) == leads.sum()


def test_leading_hadrons_of_muons(setup, rng):
    """arXiv:2110.15111: 1e-6 per muon of 160 GeV give a hadron of 80 GeV or more in the ECAL.

    With the chance that a neutral one passes two HCAL modules of 7.5 interaction lengths: table
    I's 1e-12 for single-hadron punch-through.
    """
    share = np.linspace(0.5, 0.999, 400)
    flux = equivalent_photons(share, MUON_MASS) * photon_cross_section(160 * share)
    rate = np.trapezoid(flux, share) * nucleons_per_area(setup.ecal)
    photon = 160 * rng.choice(share, 200_000, p=flux / flux.sum())
    reaction, kind, charge, taken = fragments(rng, photon)
    leading = (taken * photon[reaction] >= 80) & (kind != PHOTON)
    assert 1e-7 < rate * leading.sum() / len(photon) < 1e-5
    passing = np.exp(-15 / interacting_less(setup.hcal.sampling)[kind])
    neutral = leading & (charge == 0)
    assert neutral.sum() > 100
    assert 1e-13 < rate * passing[neutral].sum() / len(photon) < 1e-11
