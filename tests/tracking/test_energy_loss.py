"""Momentum of particles that lose energy, against a toy that draws each loss (`losses`)."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kstest

from na64reco.setup import load_setup
from na64reco.tracking.fit import fit_tracks
from na64reco.tracking.layout import make_layout
from na64reco.tracking.planes import TECHNOLOGIES, strip_planes

from . import losses

N = 20_000


def sample(
    tools, particle, momentum, *, n=N, seed=4, bremsstrahlung=False, field=1.0, resolution=1.0
):
    """True states at the first plane and at the ECAL, and what `fit_tracks` needs."""
    setup = tools.wide(tools.particle(load_setup("2022-electron"), particle))
    magnets = {
        name: m.model_copy(update={"field": field * m.field}) for name, m in setup.magnets.items()
    }
    setup = setup.model_copy(update={"magnets": magnets})
    toy = tools.toy(setup, seed)
    first = toy.states(n, momentum)
    u, last = losses.walk(tools, toy, first, particle, bremsstrahlung=bremsstrahlung)
    planes = strip_planes(setup, tools.conditions(setup))
    planes = planes._replace(resolution=resolution * planes.resolution)
    layout = make_layout(setup, planes)
    measured = np.empty((n, len(layout.planes)))
    for column, p in enumerate(layout.planes):
        name = TECHNOLOGIES[planes.technology[p]]
        key = (name, int(planes.station[p]), int(planes.projection[p]))
        smeared = u[key] + resolution * tools.resolution[name] * toy.random.normal(size=n)
        measured[:, column] = smeared + planes.origin[p]
    seeds = first.copy()
    seeds[:, 4] *= 1 + 0.02 * toy.random.normal(size=n)
    return first, last, measured, seeds, planes, layout


def test_photons_of_the_toy_have_the_moments_of_the_spectrum():
    x, below = losses.synchrotron_spectrum()
    drawn = np.interp(np.random.default_rng(1).random(400_000), below, x)
    assert drawn.mean() == pytest.approx(8 / (15 * np.sqrt(3)), rel=0.01)
    assert (drawn**2).mean() == pytest.approx(11 / 27, rel=0.02)


def pulls(states, covariances, true):
    return (states - true) / np.sqrt(np.einsum("nii->ni", covariances))


def width(values):
    """Half of what holds the middle 68.27 %: rare hard losses do not count."""
    low, high = np.quantile(values, (0.158655, 0.841345), axis=0)
    return (high - low) / 2


@pytest.mark.parametrize(
    ("particle", "momentum"),
    [*(("electron", p) for p in (20.0, 50.0, 100.0, 160.0)), ("muon", 20.0), ("muon", 160.0)],
)
def test_no_bias_with_losses(tools, particle, momentum):
    first, last, measured, seeds, planes, layout = sample(tools, particle, momentum)
    fits = fit_tracks(measured, seeds, planes, layout)
    assert fits.ok.all()
    ratio = fits.first[:, 4] / first[:, 4] - 1
    assert ratio.mean() == pytest.approx(0, abs=5e-4)
    assert abs(ratio.mean()) < 4 * ratio.std() / np.sqrt(N)
    found = pulls(fits.first, fits.first_covariance, first)
    np.testing.assert_allclose(width(found), 1.0, atol=0.03)
    np.testing.assert_allclose(found[:, :4].std(axis=0), 1.0, atol=0.05)
    np.testing.assert_allclose(found.mean(axis=0), 0.0, atol=0.04)
    # At 20 GeV two in 10,000 knock off an electron of more than 1 % of their energy.
    assert found[:, 4].std() == pytest.approx(1.0, abs=0.07 if momentum == 20.0 else 0.05)
    behind = pulls(fits.last, fits.last_covariance, last)[:, :4]
    np.testing.assert_allclose(behind.std(axis=0), 1.0, atol=0.05)
    assert kstest(fits.p_value, "uniform").pvalue > 0.01


def test_without_synchrotron_radiation_the_momentum_would_be_wrong(tools):
    first, _, measured, seeds, planes, layout = sample(tools, "electron", 160.0)
    dipoles = layout.dipoles._replace(loss=0 * layout.dipoles.loss)
    fits = fit_tracks(measured, seeds, planes, layout._replace(dipoles=dipoles))
    # half of what 7 T m take: 1.27e-9 E B^2 L / 2 = 0.12 %, and the upstream half of the way more
    bias = (fits.first[:, 4] / first[:, 4] - 1).mean()
    expected = 1.265e-9 * 160 * 1.75**2 * 4000 / 2
    assert bias == pytest.approx(expected, abs=4 * 0.015 / np.sqrt(N))


def test_noise_of_radiation_is_in_the_covariance(tools):
    """400 GeV in 14 T m, and planes of 1 um: there it is what limits the momentum."""
    first, _, measured, seeds, planes, layout = sample(
        tools, "electron", 400.0, n=5000, field=2.0, resolution=0.01
    )
    fits = fit_tracks(measured, seeds, planes, layout)
    pull = pulls(fits.first, fits.first_covariance, first)
    np.testing.assert_allclose(width(pull), 1.0, atol=0.05)
    quiet = layout._replace(dipoles=layout.dipoles._replace(noise=0 * layout.dipoles.noise))
    without = fit_tracks(measured, seeds, planes, quiet)
    assert width(pulls(without.first, without.first_covariance, first))[4] > 5


@pytest.mark.parametrize("momentum", [20.0, 100.0])
def test_bremsstrahlung_is_a_tail(tools, momentum):
    """1.1 % of a radiation length in front of the magnets; what is measured is behind it."""
    _, _, measured, seeds, planes, layout = sample(tools, "electron", momentum, bremsstrahlung=True)
    fits = fit_tracks(measured, seeds, planes, layout)
    p = 1 / np.abs(fits.first[:, 4])
    off = p / momentum - 1
    pull = off / (np.sqrt(fits.first_covariance[:, 4, 4]) * p)
    assert abs(np.median(off)) < 1e-3
    core = pull[np.abs(pull) < 1.5]
    assert core.mean() == pytest.approx(0.0, abs=0.05)
    assert (pull > 3).mean() < 0.003
    # Photons above a share y: t (4/3 ln(1/y) - 4/3 (1 - y) + (1 - y^2) / 2)
    y = 5 * np.median(np.sqrt(fits.first_covariance[:, 4, 4]) * p)
    harder = 0.0112 * (4 / 3 * np.log(1 / y) - 4 / 3 * (1 - y) + (1 - y * y) / 2)
    assert (pull < -5).mean() == pytest.approx(harder, rel=0.15)
    assert kstest(fits.p_value, "uniform").pvalue > 0.01
