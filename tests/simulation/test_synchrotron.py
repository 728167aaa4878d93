from __future__ import annotations

import numpy as np
import pytest

from na64reco.simulation.beam import primaries
from na64reco.simulation.synchrotron import (
    critical_energy,
    photon_quantiles,
    sample_photon,
    srd_energies,
)
from na64reco.simulation.transport import beamline, propagate


@pytest.fixture(scope="module")
def photons():
    rng = np.random.default_rng(7)
    table = photon_quantiles()
    return np.array([sample_photon(rng, table) for _ in range(300_000)])


def test_critical_energy_at_the_nominal_field():
    # 0.665 E^2 B keV = 11.6 MeV at 100 GeV, 1.75 T.
    assert critical_energy(100.0, 1.75) == pytest.approx(11.6e-3, rel=0.01)


def test_moments_of_the_photon_spectrum(photons):
    # H. Wiedemann: <E> = 8 / (15 sqrt 3) E_c, <E^2> = 11/27 E_c^2.
    assert photons.mean() == pytest.approx(8 / (15 * np.sqrt(3)), rel=0.01)
    assert (photons**2).mean() == pytest.approx(11 / 27, rel=0.015)


def test_half_of_the_power_is_above_the_critical_energy(photons):
    assert photons[photons > 1].sum() / photons.sum() == pytest.approx(0.5, abs=0.01)


def test_soft_photons_follow_the_cube_root(photons):
    # The number of photons below xi grows with xi^(1/3): a factor of 2 for one of 8.
    few, many = (photons < 1e-5).mean(), (photons < 8e-5).mean()
    assert many / few == pytest.approx(2.0, rel=0.05)


def wide(setup):
    """An SRD that catches and resolves everything."""
    srd = setup.srd.model_copy(
        update={
            "x": 0.0,
            "module_width": 4000.0,
            "module_height": 4000.0,
            "window_x0": 0.0,
            "resolution": 0.0,
        }
    )
    thin = {
        part: {
            k: v.model_copy(update={"thickness_x0": 0.0}) for k, v in getattr(setup, part).items()
        }
        for part in ("counters", "stations", "passive")
    }
    return setup.model_copy(update={"srd": srd, **thin})


def test_number_and_energy_of_photons(setup):
    bare = wide(setup)
    rng = np.random.default_rng(8)
    tracks = primaries(rng, bare, "electron", 40_000)
    paths = propagate(rng, beamline(bare), tracks)
    total = srd_energies(rng, bare, tracks, paths).sum(axis=1)
    # 5 alpha gamma theta / (2 sqrt 3) = 43.3 photons of 0.3079 * 11.64 MeV.
    number = 5 / 137.036 / (2 * np.sqrt(3)) * (100 / 0.511e-3) * 0.020986
    mean = 0.30792 * 0.665e-6 * 100**2 * 1.75
    assert number == pytest.approx(43.3, abs=0.1)
    assert total.mean() == pytest.approx(number * mean, rel=0.01)
    # A compound Poisson sum: variance = number * <E^2>; the beam's spread adds 0.2 %.
    square = 11 / 27 * (0.665e-6 * 100**2 * 1.75) ** 2
    assert total.var() / square == pytest.approx(number, rel=0.03)


def test_hadrons_do_not_radiate(setup):
    rng = np.random.default_rng(9)
    tracks = primaries(rng, setup, "pion", 20_000)
    paths = propagate(rng, beamline(setup), tracks)
    energy = srd_energies(rng, setup, tracks, paths).sum(axis=1)
    assert (energy > 1e-3).mean() < 1e-3
    assert (energy > 1e-3).any()


def test_electrons_are_seen_by_the_srd(setup):
    rng = np.random.default_rng(10)
    tracks = primaries(rng, setup, "electron", 5000)
    paths = propagate(rng, beamline(setup), tracks)
    energy = srd_energies(rng, setup, tracks, paths).sum(axis=1)
    straight = np.abs(paths.momentum - 100) < 2
    accepted = (energy > 1e-3) & (energy < 0.1)
    assert accepted[straight].mean() > 0.95
