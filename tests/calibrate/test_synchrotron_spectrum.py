from __future__ import annotations

import numpy as np
import pytest

from na64reco.calibrate.synchrotron_spectrum import (
    critical_energy,
    fit_spectrum,
    photon_share_above,
    photons_caught,
    sum_spectrum,
)


def test_moments_are_the_closed_forms():
    # M. Sands, SLAC-121, eq. 5.12: <u> = 8 u_c / (15 sqrt 3), <u^2> = 11 u_c^2 / 27.
    pmf = sum_spectrum(3.0)
    energy = np.arange(len(pmf)) * 0.005
    assert pmf.sum() == pytest.approx(1)
    mean = pmf @ energy
    assert mean / 3 == pytest.approx(8 / (15 * np.sqrt(3)), rel=1e-3)
    assert (pmf @ energy**2 - mean**2) / 3 == pytest.approx(11 / 27, rel=1e-3)


def test_half_of_the_power_lies_above_the_critical_energy():
    xi = np.linspace(0, 30, 300_001)
    above = photon_share_above(xi)
    power = -np.diff(above) * (xi[1:] + xi[:-1]) / 2
    assert power[xi[1:] > 1].sum() / power.sum() == pytest.approx(0.5, abs=2e-3)


def test_beam_and_field_of_2022(setup):
    # FACTS of the experiment: 11.6 MeV at 1.75 T and 100 GeV.
    assert critical_energy(setup) == pytest.approx(11.6e-3, rel=0.01)
    # 20.6 photons per radian and GeV [PDG 2024, accelerators: 5 alpha gamma / (2 sqrt 3)],
    # 28 mm seen from 14-18 m.
    photons = photons_caught(setup)
    assert photons == pytest.approx(20.6 * 100 * 28 / 15_500, rel=0.08)


def test_scale_from_the_spectrum():
    rng = np.random.default_rng(1)
    critical, gain, electrons = 0.0116, 2.2e4, 20_000
    xi = np.geomspace(1e-8, 40, 20_000)
    share = 1 - photon_share_above(xi)
    number = rng.poisson(3.7, electrons)
    photons = critical * np.interp(rng.random(number.sum()), share, xi)
    energy = np.bincount(np.repeat(np.arange(electrons), number), photons, electrons)
    energy += 0.3 * np.sqrt(1e-3 * energy) * rng.standard_normal(electrons)
    values = gain * energy[energy > 0]
    fit = fit_spectrum(
        values, critical, 0.3, 1.8e4, electrons=electrons, photons=3.7, double=(0.0, 0.002)
    )
    assert fit.counts_per_gev == pytest.approx(gain, abs=3 * fit.counts_per_gev_error)
    assert fit.counts_per_gev_error < 0.02 * gain
    assert fit.photons == pytest.approx(3.7, abs=3 * fit.photons_error)


def test_other_spectra_are_refused():
    rng = np.random.default_rng(2)
    few = rng.exponential(200, 300)
    assert fit_spectrum(few, 0.0116, 0.3, 2e4, electrons=300, photons=3.7) is None
