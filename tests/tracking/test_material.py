"""Losses in matter, against figures of the Particle Data Group and the spectra themselves."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, special

from na64reco.errors import DataError
from na64reco.materials import MATERIALS
from na64reco.tracking.material import (
    bethe,
    bremsstrahlung,
    electron_ionisation,
    ionisation,
    landau_width,
    layer_loss,
    max_transfer,
    most_probable_loss,
    synchrotron,
)

MUON, ELECTRON, PROTON = 0.1056583755, 0.51099895e-3, 0.938272


@pytest.mark.parametrize(
    ("name", "minimum"),  # MeV cm^2/g, tables of atomic and nuclear properties of the PDG
    [
        ("air", 1.815),
        ("mylar", 1.848),
        ("polystyrene", 1.936),
        ("silicon", 1.664),
        ("iron", 1.451),
        ("copper", 1.403),
        ("lead", 1.122),
    ],
)
def test_minimum_ionisation(name, minimum):
    at = np.geomspace(1.5, 10, 60)
    losses = [1e3 * bethe(b, MUON, MATERIALS[name]) for b in at]
    assert min(losses) == pytest.approx(minimum, rel=0.005)
    assert 2.9 < at[int(np.argmin(losses))] < 4.1


def test_slow_particles_lose_as_one_over_beta_squared_and_fast_ones_meet_the_plateau():
    copper = MATERIALS["copper"]
    # the density effect grows as 2 ln(beta gamma): what is left of the rise is that of Wmax
    high = copper.density_effect(1e5) - copper.density_effect(1e4)
    assert high == pytest.approx(2 * np.log(10), rel=1e-12)
    slow = bethe(0.2, PROTON, copper) / bethe(0.4, PROTON, copper)
    assert 2.5 < slow < 4.0


def test_largest_transfer_of_muons_and_protons():
    # far below m^2 / 2 m_e: 2 m_e (beta gamma)^2; far above: all of the energy
    assert max_transfer(3.0, PROTON) == pytest.approx(2 * ELECTRON * 9, rel=0.005)
    assert max_transfer(1e6, MUON) == pytest.approx(1e6 * MUON, rel=1e-3)


def test_most_probable_loss_in_silicon():
    # xi = 17.8 eV per um / beta^2; the most probable loss in 320 um is 0.69 of the least mean loss
    # (review, section on fluctuations of the loss).
    silicon = MATERIALS["silicon"]
    depth = 0.032 * silicon.density
    beta_gamma = 0.5 / 0.1396
    xi = landau_width(beta_gamma, depth, silicon)
    assert xi == pytest.approx(17.8e-9 * 320 * (1 + 1 / beta_gamma**2), rel=0.01)
    least = 1.664e-3 * depth
    assert most_probable_loss(beta_gamma, depth, silicon) == pytest.approx(0.69 * least, rel=0.04)
    mean = ionisation(0.5, 0.1396, depth, silicon)
    assert 0.6 < most_probable_loss(beta_gamma, depth, silicon) / mean.mean < 0.75
    assert mean.sigma == pytest.approx(4 * xi / 2.35482, rel=1e-5)


def test_a_minimum_ionising_muon_loses_two_mev_per_gram():
    assert ionisation(0.37, MUON, 1.0, MATERIALS["polystyrene"]).mean == pytest.approx(
        2e-3, rel=0.05
    )


@pytest.mark.parametrize("t", [0.001, 0.02, 0.3])
def test_bremsstrahlung_has_the_moments_of_bethe_and_heitlers_spectrum(t):
    # f(z) = (-ln z)^(c - 1) / Gamma(c), c = t / ln 2; with u = -ln z: u^(c-1) e^-u / Gamma(c)
    c = t / np.log(2)

    def moment(power):
        # u = w^(1/c) takes the pole away
        def f(w):
            return np.exp(-(1 + power) * w ** (1 / c)) / (c * special.gamma(c))

        end = 60.0**c
        return integrate.quad(f, 0, end, limit=400, points=[min(1.0, end / 2)])[0]

    kept = bremsstrahlung(t)
    assert kept.mean == pytest.approx(np.exp(-t), rel=1e-12)
    assert kept.mean == pytest.approx(moment(1), rel=1e-5)
    assert kept.sigma**2 == pytest.approx(moment(2) - moment(1) ** 2, rel=5e-3)


def test_synchrotron_mean_and_fluctuation_from_the_photons():
    # Photons along the way: 5 / (2 sqrt 3) alpha gamma angle; energies as the spectrum's moments.
    mean, sigma = synchrotron(100.0, ELECTRON, 1.75, 4000.0)
    angle = 0.299792458e-3 * 1.75 * 4000 / 100
    number = 5 / (2 * np.sqrt(3)) / 137.036 * (100 / ELECTRON) * angle
    critical = 0.665e-6 * 100**2 * 1.75
    assert mean == pytest.approx(number * 8 / (15 * np.sqrt(3)) * critical, rel=2e-3)
    assert sigma**2 == pytest.approx(number * 11 / 27 * critical**2, rel=4e-3)
    assert synchrotron(100.0, MUON, 1.75, 4000.0).mean < 1e-8 * mean


@pytest.mark.parametrize(
    ("name", "critical"),  # MeV, of electrons: tables of atomic and nuclear properties of the PDG
    [("silicon", 40.19), ("iron", 21.68), ("copper", 19.42), ("lead", 7.43)],
)
def test_an_electron_of_the_critical_energy_ionises_as_much_per_radiation_length(name, critical):
    """Rossi's definition of the critical energy, which is that of the review (sec. 34.4.4)."""
    of = MATERIALS[name]
    loss = 1e3 * electron_ionisation(1e-3 * critical, of) * of.radiation_length
    assert loss == pytest.approx(critical, rel=0.015)


def test_rise_of_fast_electrons():
    """Where the density effect is in full, Moller scattering leaves 1/2 K Z/A ln gamma."""
    silicon = MATERIALS["silicon"]
    rise = electron_ionisation(100.0, silicon) - electron_ionisation(1.0, silicon)
    assert rise == pytest.approx(0.307075e-3 / 2 * 0.49848 * np.log(100), rel=1e-3)


def test_loss_in_a_layer():
    # 0.3 % of a radiation length of mylar: 0.12 g/cm^2, 2.5 MeV cm^2/g on the plateau
    lost = layer_loss(0.003, 160.0, "muon")
    assert lost.mean == pytest.approx(0.12 * 2.5e-3, rel=0.05)
    # the full width at half maximum is 4 xi, xi = 0.1535 MeV Z/A x
    assert 2.35482 * lost.sigma == pytest.approx(4 * 0.1535e-3 * 0.52 * 0.12, rel=0.01)
    assert layer_loss(0.003, 100.0, "electron").mean == pytest.approx(lost.mean, rel=0.05)
    assert layer_loss(0.003, 100.0, "positron") == layer_loss(0.003, 100.0, "electron")
    assert layer_loss(0.0, 100.0, "muon") == (0.0, 0.0)


def test_what_is_not_known_is_named():
    with pytest.raises(DataError, match=r"no properties of 'milar' are known\. .*mylar"):
        layer_loss(0.01, 100.0, "muon", substance="milar")
    with pytest.raises(DataError, match=r"no energy loss of 'muom' is known\. Did you mean 'muon'"):
        layer_loss(0.01, 100.0, "muom")
