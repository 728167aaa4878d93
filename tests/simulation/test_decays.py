"""Decays against closed forms and the figures of arXiv:2110.15111, section IV."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kstest

from na64reco.constants import KAON_MASS, MUON_MASS, PION_MASS
from na64reco.simulation.decays import SPECIES, Particle, decay, decay_length, decay_probability


def moving(species, rows, momentum):
    parent = np.zeros((rows, 4))
    parent[:, 0], parent[:, 3] = np.hypot(momentum, species.mass), momentum
    return parent


def at_rest(species, rows):
    return moving(species, rows, 0.0)


@pytest.mark.parametrize("name", list(SPECIES))
def test_branching_ratios_add_up_and_charge_and_momentum_are_conserved(rng, name):
    species = SPECIES[name]
    assert sum(c.ratio for c in species.channels) == pytest.approx(1, abs=2e-3)
    rows = 4000
    charge = np.full(rows, 0 if name == "kaon0_long" else -1, dtype=np.int8)
    parent = moving(species, rows, 100.0)
    products = decay(rng, species, parent, charge)
    total = np.zeros((rows, 4))
    np.add.at(total, products.parent, products.momentum)
    np.testing.assert_allclose(total, parent, rtol=1e-9, atol=1e-8)
    charges = np.bincount(products.parent, weights=products.charge, minlength=rows)
    np.testing.assert_array_equal(charges, charge)
    assert (np.diff(products.parent) >= 0).all()


def test_channels_occur_at_their_ratios(rng):
    rows = 40_000
    charge = np.ones(rows, dtype=np.int8)
    products = decay(rng, SPECIES["kaon"], moving(SPECIES["kaon"], rows, 100.0), charge)
    photons = np.bincount(products.parent[products.particle == Particle.PHOTON], minlength=rows)
    # One pi0: pi pi0, e3, mu3; two: pi pi0 pi0.
    assert (photons == 2).mean() == pytest.approx(0.2067 + 0.0507 + 0.0335, abs=0.01)
    assert (photons == 4).mean() == pytest.approx(0.0176, abs=0.003)
    muons = np.bincount(products.parent[products.particle == Particle.MUON], minlength=rows)
    assert (muons == 1).mean() == pytest.approx(0.6356 + 0.0335, abs=0.01)


def test_mean_lives_against_their_times():
    """Mean lives of PDG in s: 2.6033e-8, 1.2380e-8, 5.116e-8 and 2.1969811e-6."""
    lives = {"pion": 2.6033e-8, "kaon": 1.238e-8, "kaon0_long": 5.116e-8, "muon": 2.1969811e-6}
    for name, life in lives.items():
        assert SPECIES[name].ctau == pytest.approx(life * 2.99792458e11, rel=1e-3)


def test_pions_give_muons_with_a_flat_spectrum(rng):
    rows, energy = 20_000, np.hypot(100.0, PION_MASS)
    products = decay(
        rng, SPECIES["pion"], moving(SPECIES["pion"], rows, 100.0), np.ones(rows, np.int8)
    )
    muon = products.momentum[products.particle == Particle.MUON, 0]
    low = energy * (MUON_MASS / PION_MASS) ** 2
    assert kstest(muon, "uniform", (low, energy - low)).pvalue > 1e-3
    assert products.momentum[:, 3].min() >= 0


def test_the_largest_transverse_momentum_is_that_at_rest(rng):
    rows = 50_000
    for name, largest in (("pion", 0.02979), ("kaon", 0.23554)):  # p* of mu nu, PDG
        species = SPECIES[name]
        products = decay(
            rng, species, moving(species, rows, 100.0), np.ones(rows, np.int8), channel="mu nu"
        )
        pt = np.hypot(products.momentum[:, 1], products.momentum[:, 2])
        assert pt.max() == pytest.approx(largest, rel=1e-3)


def test_pions_from_kaons_have_205_mev(rng):
    products = decay(
        rng, SPECIES["kaon"], at_rest(SPECIES["kaon"], 1000), np.ones(1000, np.int8),
        channel="pi pi0",
    )  # fmt: skip
    pions = products.particle == Particle.PION
    momentum = np.linalg.norm(products.momentum[pions, 1:], axis=1)
    np.testing.assert_allclose(momentum, 0.2051, atol=1e-4)  # PDG
    photons = np.bincount(products.parent[products.particle == Particle.PHOTON])
    assert (photons == 2).all()


def test_michel_spectrum(rng):
    """2 x^2 (3 - 2x) with x = E / E_max, hence the distribution x^3 (2 - x)."""
    rows = 20_000
    products = decay(rng, SPECIES["muon"], at_rest(SPECIES["muon"], rows), np.ones(rows, np.int8))
    electron = products.momentum[products.particle == Particle.ELECTRON, 0]
    x = electron / (MUON_MASS / 2)
    assert kstest(np.clip(x, 0, 1), lambda v: v**3 * (2 - v)).pvalue > 1e-3
    assert x.mean() == pytest.approx(0.7, rel=0.01)


def test_semileptonic_pions_follow_vector_exchange(rng):
    """Ke3: dGamma / dE_pi ~ p_pi^3 f+(t)^2 for massless leptons."""
    rows, mass, pion = 20_000, KAON_MASS, 0.1349768
    products = decay(
        rng, SPECIES["kaon"], at_rest(SPECIES["kaon"], rows), np.ones(rows, np.int8),
        channel="pi0 e nu",
    )  # fmt: skip
    photons = products.particle == Particle.PHOTON
    energy = np.bincount(products.parent[photons], weights=products.momentum[photons, 0])
    grid = np.linspace(pion, (mass**2 + pion**2) / (2 * mass), 2000)
    t = mass**2 + pion**2 - 2 * mass * grid
    density = (grid**2 - pion**2) ** 1.5 * (1 + 0.0286 * t / PION_MASS**2) ** 2
    cumulative = np.concatenate(([0.0], np.cumsum(0.5 * (density[1:] + density[:-1]))))
    cumulative /= cumulative[-1]
    assert kstest(energy, lambda e: np.interp(e, grid, cumulative)).pvalue > 1e-3


def test_decay_lengths_and_probabilities():
    # gamma c tau = (p / m) c tau: 5.592 km and 752 m at 100 GeV.
    pion = decay_length(SPECIES["pion"], np.array([100.0]))[0]
    kaon = decay_length(SPECIES["kaon"], np.array([100.0]))[0]
    assert pion == pytest.approx(100 / 0.13957 * 7804.5, rel=1e-4)
    assert kaon == pytest.approx(751.7e3, rel=1e-3)
    short = decay_probability(SPECIES["kaon"], np.array([100.0]), 28e3)[0]
    assert short == pytest.approx(1 - np.exp(-28 / 751.7), rel=1e-3)


def test_kaons_in_the_muon_beam(rng):
    """160 GeV over 36 m: P(K -> mu nu) = 0.018, and 0.011 with a muon of less than 100 GeV."""
    species, rows = SPECIES["kaon"], 20_000
    probability = decay_probability(species, np.array([160.0]), 36e3)[0] * 0.6356
    # "about 36 m": half a metre is 1.4 %.
    assert probability == pytest.approx(0.018, rel=0.05)
    products = decay(
        rng, species, moving(species, rows, 160.0), np.full(rows, -1, np.int8), channel="mu nu"
    )
    muon = products.momentum[products.particle == Particle.MUON, 0]
    below = probability * (muon < 100).mean()
    assert below == pytest.approx(0.011, abs=0.0005)
    # Hadrons 1e-6 of the muons, kaons 0.03 of the hadrons: 3.3e-10 per muon on target.
    assert 1e-6 * 0.03 * below == pytest.approx(3.3e-10, rel=0.05)
    # Decays behind the beam spectrometer only (4 m, section IV), muons below 80 GeV (the signal
    # box): the order of table I's 1e-11.
    late = decay_probability(species, np.array([160.0]), 4e3)[0] * 0.6356 * (muon < 80).mean()
    assert 3e-12 < 1e-6 * 0.03 * late < 5e-11


def test_an_unknown_channel_is_named(rng):
    with pytest.raises(ValueError, match=r"pion has no decay 'mu mu'; there are mu nu, e nu"):
        decay(
            rng, SPECIES["pion"], at_rest(SPECIES["pion"], 1), np.ones(1, np.int8), channel="mu mu"
        )


def test_nothing_decays_into_nothing(rng):
    products = decay(rng, SPECIES["kaon"], np.empty((0, 4)), np.empty(0, np.int8))
    assert len(products.parent) == 0
    assert products.momentum.shape == (0, 4)
