"""The fit: pulls, p-values and covariance on tracks that a Runge-Kutta integration made."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kstest

from na64reco.errors import DataError
from na64reco.tracking.fit import fit_tracks, residuals
from na64reco.tracking.layout import make_layout
from na64reco.tracking.planes import TECHNOLOGIES, strip_planes


def _names(planes, layout):
    return [
        (TECHNOLOGIES[planes.technology[p]], int(planes.station[p]), int(planes.projection[p]))
        for p in layout.planes
    ]


def vacuum(layout):
    """The layout without its material."""
    return layout._replace(scatter=0 * layout.scatter, loss=0 * layout.loss)


def _sample(
    tools, setup, conditions, n, momentum, *, charge=-1, material=True, inefficiency=0.0, seed=3
):
    toy = tools.toy(setup, seed, material)
    truth = toy.track(toy.states(n, momentum, charge))
    measured = toy.smear(truth, inefficiency)
    planes = strip_planes(setup, conditions)
    layout = make_layout(setup, planes)
    u = np.stack([measured[k] for k in _names(planes, layout)], axis=1)
    u += planes.origin[layout.planes]
    seed_states = truth.first.copy()
    seed_states[:, 4] *= 1 + 0.02 * toy.random.normal(size=n)
    return truth, u, seed_states, planes, layout


@pytest.mark.parametrize("momentum", [20.0, 100.0])
def test_pulls_of_all_parameters_and_p_values(tools, setup, conditions, momentum):
    truth, u, seeds, planes, layout = _sample(tools, setup, conditions, 20_000, momentum)
    fits = fit_tracks(u, seeds, planes, layout)
    assert fits.ok.all()
    assert (fits.ndf == 12 - 5).all()
    for state, covariance, true in (
        (fits.first, fits.first_covariance, truth.first),
        (fits.last, fits.last_covariance, truth.ecal),
    ):
        pulls = (state - true) / np.sqrt(np.einsum("nii->ni", covariance))
        np.testing.assert_allclose(pulls.std(axis=0), 1.0, atol=0.05)
        np.testing.assert_allclose(pulls.mean(axis=0), 0.0, atol=0.04)
    assert fits.chi2.mean() == pytest.approx(7, rel=0.02)
    assert kstest(fits.p_value, "uniform").pvalue > 0.01


def test_covariance_is_that_of_linear_least_squares(tools, setup, conditions):
    """Without material: (A^T V^-1 A)^-1, with A from differences of Runge-Kutta tracks."""
    truth, u, seeds, planes, layout = _sample(tools, setup, conditions, 4, 100.0, material=False)
    no_material = vacuum(layout)
    fits = fit_tracks(u, seeds, planes, no_material)
    toy = tools.toy(setup, material=False)
    names = _names(planes, layout)
    steps = np.array([1e-2, 1e-2, 1e-5, 1e-5, 1e-5])
    columns = []
    for i, h in enumerate(steps):
        shift = np.zeros(5)
        shift[i] = h
        up, down = toy.track(truth.first + shift).u, toy.track(truth.first - shift).u
        columns.append(np.stack([(up[k] - down[k])[0] / (2 * h) for k in names]))
    a = np.stack(columns, axis=1)
    weights = np.diag([tools.resolution[k[0]] ** -2 for k in names])
    expected = np.linalg.inv(a.T @ weights @ a)
    scale = np.sqrt(np.diag(expected))
    np.testing.assert_allclose(
        fits.first_covariance[0] / np.outer(scale, scale),
        expected / np.outer(scale, scale),
        atol=2e-3,
    )
    # the momentum resolution that the layout was made for [24e]: about 1 %
    assert 0.009 < 100 * scale[4] < 0.013


@pytest.mark.parametrize("momentum", [20.0, 50.0, 100.0, 160.0])
@pytest.mark.parametrize("charge", [-1, 1])
def test_no_bias_of_the_momentum(tools, setup, conditions, momentum, charge):
    truth, u, seeds, planes, layout = _sample(
        tools, tools.wide(setup), conditions, 20_000, momentum, charge=charge, material=False
    )
    no_material = vacuum(layout)
    fits = fit_tracks(u, seeds, planes, no_material)
    ratio = fits.first[:, 4] / truth.first[:, 4]
    assert ratio.mean() == pytest.approx(1.0, abs=1e-3)
    error = ratio.std() / np.sqrt(len(ratio))
    assert abs(ratio.mean() - 1) < 4 * error


def test_exact_measurements_give_the_exact_track(tools, setup, conditions):
    toy = tools.toy(setup, material=False)
    truth = toy.track(np.array([[1.0, -2, 1e-4, 2e-4, -1 / 95], [3.0, 1, -1e-4, 0, 1 / 12]]))
    planes = strip_planes(setup, conditions)
    layout = make_layout(setup, planes)
    u = np.stack([truth.u[k] for k in _names(planes, layout)], axis=1)
    u += planes.origin[layout.planes]
    seeds = truth.first.copy()
    seeds[:, 4] *= 1.5  # a bad seed: the fit must iterate
    fits = fit_tracks(u, seeds, planes, layout._replace(loss=0 * layout.loss))
    off = (fits.first - truth.first) / np.sqrt(np.einsum("nii->ni", fits.first_covariance))
    np.testing.assert_allclose(off, 0.0, atol=0.01)
    np.testing.assert_allclose(fits.last[:, :2], truth.ecal[:, :2], atol=1e-3)
    assert (fits.chi2 < 1e-3).all()


def test_missing_planes_give_larger_errors_that_are_right(tools, setup, conditions):
    truth, u, seeds, planes, layout = _sample(
        tools, setup, conditions, 20_000, 100.0, inefficiency=0.1
    )
    fits = fit_tracks(u, seeds, planes, layout)
    # a momentum needs an x before the magnets, and enough else
    usable = np.isfinite(fits.first[:, 4]) & (fits.first_covariance[:, 4, 4] < 1e-6)
    assert usable.mean() > 0.95
    pull = (fits.first - truth.first)[usable, 4] / np.sqrt(fits.first_covariance[usable, 4, 4])
    assert pull.std() == pytest.approx(1.0, abs=0.05)
    full = np.isfinite(u).all(axis=1)
    error = np.sqrt(fits.first_covariance[:, 4, 4])
    assert np.median(error[usable & ~full]) > np.median(error[full])


def test_residuals_leave_the_own_plane_out(tools, setup, conditions):
    _truth, u, seeds, planes, layout = _sample(tools, setup, conditions, 10_000, 50.0)
    fits = fit_tracks(u, seeds, planes, layout)
    values, sigma = residuals(u, fits, planes, layout)
    np.testing.assert_allclose((values / sigma).std(axis=0), 1.0, atol=0.05)
    # a plane that is off by 1 mm shows it in full in its own residual
    moved = u.copy()
    moved[:, 4] += 1.0
    shifted, _ = residuals(moved, fit_tracks(moved, seeds, planes, layout), planes, layout)
    assert (shifted - values)[:, 4].mean() == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize(
    "seed", [[0, 0, 0, 0, np.nan], [0, 0, 0, 0, 5.0], [0, 0, 0, 0, 0.0], [0, 0, 5.0, 0, 0.01]]
)
def test_impossible_seeds_do_no_harm(tools, setup, conditions, seed):
    _, u, _, planes, layout = _sample(tools, setup, conditions, 1, 100.0)
    fits = fit_tracks(u, np.array([seed]), planes, layout)
    if not fits.ok[0]:
        assert np.isnan(fits.first).all()
        assert np.isnan(fits.p_value).all()


def test_hits_that_do_not_fix_all_parameters_give_no_track(tools, setup, conditions):
    _, u, seeds, planes, layout = _sample(tools, setup, conditions, 7, 100.0)
    hit = np.full((7, u.shape[1]), True)  # x and y of MM1, MM2, MM3, GEM1, MM4, GEM2
    hit[0] = False
    hit[1, 4:] = False  # before the magnets only: no momentum
    hit[2, :4] = False  # behind them only
    hit[3, 1::2] = False  # x only
    hit[4, 5:] = False  # five hits: x of both, y of two
    hit[5, [0, 2]] = False  # no x before the magnets
    fits = fit_tracks(np.where(hit, u, np.nan), seeds, planes, layout)
    assert fits.ok.tolist() == [False] * 4 + [True, False, True]
    assert fits.ndf.tolist() == [-5, -1, 3, 1, 0, 5, 7]
    assert np.isnan(fits.first[~fits.ok]).all()
    assert np.isnan(fits.last_covariance[~fits.ok]).all()
    assert np.isnan(fits.p_value[:5]).all()
    assert np.isfinite(fits.first[4]).all()


def test_hits_at_infinity_are_none(tools, setup, conditions):
    _, u, seeds, planes, layout = _sample(tools, setup, conditions, 3, 100.0)
    with_nan, with_inf = u.copy(), u.copy()
    with_nan[1, 4], with_inf[1, 4] = np.nan, np.inf
    fits = [fit_tracks(m, seeds, planes, layout) for m in (with_nan, with_inf)]
    assert fits[0].ndf.tolist() == [7, 6, 7]
    np.testing.assert_array_equal(fits[0].first, fits[1].first)
    assert fits[1].ok.all()


def test_measurements_of_another_spectrometer_are_an_error(tools, setup, conditions):
    _, u, seeds, planes, layout = _sample(tools, setup, conditions, 3, 100.0)
    with pytest.raises(DataError, match=r"shape \(3, 11\) and seeds of shape \(3, 5\).*12 planes"):
        fit_tracks(u[:, :11], seeds, planes, layout)
    with pytest.raises(DataError, match=r"shape \(3, 12\) and seeds of shape \(2, 5\)"):
        fit_tracks(u, seeds[:2], planes, layout)


def test_no_tracks(tools, setup, conditions):
    _, u, seeds, planes, layout = _sample(tools, setup, conditions, 3, 100.0)
    fits = fit_tracks(u[:0], seeds[:0], planes, layout, max_dropped=2)
    assert fits.first.shape == (0, 5)
    assert fits.used.shape == (0, 12)
