from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad

from na64reco.darksector.strahlung import dsigma_dx, x_limits
from na64reco.simulation.signal import LOWEST, missing_share, sample_emission_energy, sample_x


@pytest.mark.parametrize("mass", [0.002, 0.0167, 0.3])
def test_sampling_follows_the_spectrum(rng, mass):
    x = sample_x(rng, 200_000, model="dark-photon", mass=mass, energy=100.0)
    low, high = x_limits(mass, 100.0)
    assert low <= x.min() <= x.max() <= high

    def integral(a, b):
        # In log(1 - x), where the spectrum is smooth.
        value, _ = quad(
            lambda t: dsigma_dx(np.array(1 - np.exp(t)), mass, 100.0) * np.exp(t),
            np.log(1 - b),
            np.log(1 - a),
            limit=400,
        )
        return value

    whole = integral(low, high * (1 - 1e-12))
    for cut in (0.5, 0.9):
        expected = integral(cut, high * (1 - 1e-12)) / whole
        assert (x > cut).mean() == pytest.approx(expected, abs=0.005)


def test_unknown_model(rng):
    with pytest.raises(ValueError, match=r"no signal model 'dark-foton'.*'dark-photon'"):
        sample_x(rng, 1, model="dark-foton", mass=0.01, energy=100.0)


def test_emission_follows_the_track_length_of_the_first_electron(rng):
    """Electron track length in the lead of this ECAL by EGSnrc, one electron of 100 GeV.

    0.756, 0.486 and 0.261 cm above 30, 50 and 80 GeV. Pairs' electrons have their share in it, as
    much as the positrons' 0.099, 0.022 and 0.001 cm.
    """
    share = sample_emission_energy(rng, 200_000)
    assert LOWEST <= share.min() <= share.max() <= 1
    primary = np.array([0.756 - 0.099, 0.486 - 0.022, 0.261 - 0.001])
    above = np.array([(share > cut).mean() for cut in (0.3, 0.5, 0.8)])
    # Energy loss in approximation A, and pairs from the pairs: 7 %.
    np.testing.assert_allclose(above, primary / primary[0], rtol=0.08)


def test_missing_energy_is_a_share_of_the_beam(rng):
    share = missing_share(rng, 20_000, model="dark-photon", mass=0.1, energy=100.0)
    assert 0 < share.min() <= share.max() < 1
