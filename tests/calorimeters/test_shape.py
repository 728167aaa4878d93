"""chi2 of the shape: against dense linear algebra, and on showers that fitted nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest

from na64reco.calorimeters import expected_shares, shape_statistic, shower_chi2
from na64reco.calorimeters.shape import published_cut
from na64reco.calorimeters.shares import share_modes

THRESHOLD = 0.01
TRACK_ERROR = 0.3  # mm
# Energy in GeV: published cut on chi2 (public analyses of the experiment)
CUTS = {10: 3.25, 20: 2.83, 50: 3.385, 100: 4.0}
PROBABILITY = 0.95


@pytest.fixture(scope="module")
def threshold(setup):
    return np.full(setup.ecal.shape, THRESHOLD)


@pytest.fixture(scope="module")
def measured(showers):
    """Reference showers as they are read out, and impact points as tracks give them."""
    random = np.random.default_rng(20)
    count = np.array([20.0, 100.0])[:, None, None] / 16383  # GeV; 14 bits
    cells = showers.cells * (1 + random.normal(0, 0.003, showers.cells.shape[1:]))
    cells = cells + 0.35 * count * random.normal(size=cells.shape)
    cells = np.round(cells / count) * count
    cells[cells < THRESHOLD] = 0
    x, y = (a + random.normal(0, TRACK_ERROR, a.shape) for a in (showers.x, showers.y))
    return cells, x, y


@pytest.fixture(scope="module")
def chi2(measured, profile, setup, threshold):
    return shower_chi2(*measured, profile, setup.ecal, threshold)


def dense(cells, x, y, p, profile, ecal, threshold, error):
    """T of one shower with the covariance as a matrix."""
    total = cells.sum()
    log_energy = math.log(total / 100)
    share = math.log(cells[0].sum() / total) - p["share_log"] - p["share_slope"] * log_energy
    statistic = (share / p["share_early" if share > 0 else "share_late"]) ** 2
    at = (np.array([v]) for v in (x, y, total))
    modes = share_modes(profile, ecal, *at, depth=math.exp(share) - 1)[0]
    for section, name in enumerate(("prs", "main")):
        energy = cells[section].sum()
        f = modes[section, 0].ravel()
        rest = cells[section].ravel() - energy * f
        hidden = cells[section].ravel() == 0
        rest[hidden] = np.minimum(rest + threshold[section].ravel(), 0)[hidden]
        noise = np.maximum(p["noise"], threshold[section].ravel() / 2)
        covariance = np.diag(
            (p[f"{name}_quantum"] * energy + p[f"{name}_single"] ** 2) * f
            + (p["calibration_error"] * energy * f) ** 2
            + noise**2
        )
        point = p[f"{name}_wander"] ** 2 / energy + error**2
        sizes = (1e6, point, point, p[f"{name}_width"] ** 2 / energy)
        for mode, size in zip(modes[section], sizes, strict=True):
            covariance += size * np.outer(mode.ravel(), mode.ravel()) * energy**2
        statistic += rest @ np.linalg.solve(covariance, rest)
    return statistic


def test_statistic_agrees_with_dense_matrices(
    measured, showers, setup, profile, parameters, threshold
):
    cells, x, y = measured
    found = shape_statistic(*measured, profile, setup.ecal, threshold)
    for event in (0, 7, int(np.argmin(showers.energy)), 400):
        expected = dense(
            cells[event], x[event], y[event], parameters, profile, setup.ecal, threshold, 0.3
        )
        assert found[event] == pytest.approx(expected, rel=2e-4)


def test_column_is_the_published_cut_where_the_level_is(
    measured, showers, setup, profile, parameters, threshold
):
    cells, x, y = (a[:20] for a in measured)
    statistic = shape_statistic(cells, x, y, profile, setup.ecal, threshold)
    log_energy = np.log(cells.sum(axis=(1, 2, 3)) / 100)
    level = (
        parameters["level"]
        + parameters["level_slope"] * log_energy
        + parameters["level_curve"] * log_energy**2
    )
    np.testing.assert_allclose(
        shower_chi2(cells, x, y, profile, setup.ecal, threshold),
        4 * (statistic / np.exp(level)) ** parameters["power"],
        rtol=1e-6,
    )


def test_published_cuts():
    for energy, cut in CUTS.items():
        middle = energy if energy == 100 else energy + 2.5
        assert published_cut(float(middle)) == pytest.approx(cut)
    assert published_cut(0.0) == 2.5
    assert published_cut(11.25) == pytest.approx(0.25 * 3.86 + 0.75 * 3.25, abs=0.16)


@pytest.mark.parametrize("energy", CUTS)
def test_published_cuts_keep_95_percent(chi2, showers, energy):
    chosen = showers.uniform if energy == 100 else ~showers.uniform & (showers.energy == energy)
    kept, number = (chi2[chosen] < published_cut(energy)).mean(), chosen.sum()
    # Both halves have the fluctuations of a sample of this size: the cut was set on the other.
    both = math.sqrt(2 * PROBABILITY * (1 - PROBABILITY) / number)
    assert kept == pytest.approx(PROBABILITY, abs=0.01 + 2 * both)


def test_efficiency_over_all_energies(chi2, showers):
    cut = np.array([published_cut(e) for e in showers.energy])
    assert (chi2 < cut).mean() == pytest.approx(PROBABILITY, abs=0.015)


def test_peak_is_near_one(chi2, showers):
    assert 0.7 < np.median(chi2[showers.uniform]) < 1.6


def test_efficiency_is_the_same_all_over_the_cell(chi2, showers):
    """Within 3 % of the mean, and two standard deviations of the parts."""
    edge = np.minimum(
        np.minimum(showers.x, 38.2 - showers.x), np.minimum(showers.y, 38.2 - showers.y)
    )
    mean = (chi2[showers.uniform] < 4).mean()
    for low, high in ((0, 2), (2, 4), (4, 7), (7, 10), (10, 19.2)):
        chosen = showers.uniform & (edge >= low) & (edge < high)
        error = math.sqrt(PROBABILITY * (1 - PROBABILITY) / chosen.sum())
        assert (chi2[chosen] < 4).mean() == pytest.approx(mean, abs=0.03 + error)


@pytest.mark.parametrize(
    ("columns", "rows"), [(-1, -1), (1, 1), (-2, 0), (0, -2), (-2, -1), (2, 2), (-3, -3)]
)
def test_second_particle_more_than_a_cell_away_is_seen(
    measured, showers, profile, setup, threshold, columns, rows
):
    """Of 5 GeV: 10 GeV electrons at half of their energy, that far in cells. 90 % is asked for."""
    cells, x, y = measured
    chosen = showers.uniform
    second = np.resize(0.5 * cells[showers.energy == 10], cells[chosen].shape)
    moved = np.zeros_like(second)
    to = [slice(max(n, 0), 6 + min(n, 0)) for n in (columns, rows)]
    of = [slice(max(-n, 0), 6 - max(n, 0)) for n in (columns, rows)]
    moved[:, :, to[0], to[1]] = second[:, :, of[0], of[1]]
    both = shower_chi2(cells[chosen] + moved, x[chosen], y[chosen], profile, setup.ecal, threshold)
    assert (both > 4).mean() > 0.98


def test_wrong_impact_is_seen(measured, showers, profile, setup, threshold):
    cells, x, y = (a[showers.uniform] for a in measured)
    away = shower_chi2(cells, x + 10, y, profile, setup.ecal, threshold)
    assert (away > 4).mean() > 0.9


def test_muon_and_late_showers_are_seen(setup, profile, threshold):
    """Little in the preshower, or all of the energy there, is no electron of that energy."""
    x = y = np.array([19.1])
    for prs, q in ((0.0, -1.0), (49.0, 2.0)):
        shares = expected_shares(profile, setup.ecal, x, y, np.array([50.0]), depth=q)[0]
        cells = np.stack([prs * shares[0], (50 - prs) * shares[1]])[None]
        ordinary = np.stack([4.0 * shares[0], 46.0 * shares[1]])[None]
        found, reference = (
            shape_statistic(c, x, y, profile, setup.ecal, threshold)[0] for c in (cells, ordinary)
        )
        assert found > reference + 25


def test_threshold_hides_cells_without_spoiling_the_shape(setup, profile):
    """Thresholds of 0.1 GeV hide a per cent of a shower; a cell of 6 GeV cannot be hidden."""
    x = y = np.array([19.1])
    shares = expected_shares(profile, setup.ecal, x, y, np.array([100.0]))[0]
    cells = np.stack([5.3 * shares[0], 94.7 * shares[1]])[None]
    threshold = np.full(setup.ecal.shape, 0.1)
    hidden = np.where(cells < 0.1, 0.0, cells)
    assert cells.sum() - hidden.sum() > 0.5
    assert shower_chi2(hidden, x, y, profile, setup.ecal, threshold)[0] < 0.01
    without = cells.copy()
    without[0, 1, 3, 2] = 0
    assert cells[0, 1, 3, 2] > 2
    assert shower_chi2(without, x, y, profile, setup.ecal, threshold)[0] > 4


def test_nothing_to_judge_is_nan(setup, profile, threshold):
    empty = np.zeros((1, *setup.ecal.shape))
    zero, nan = np.zeros(1), np.full(1, np.nan)
    assert np.isnan(shower_chi2(empty, zero, zero, profile, setup.ecal, threshold))
    assert np.isnan(shower_chi2(empty + 1, nan, zero, profile, setup.ecal, threshold))
