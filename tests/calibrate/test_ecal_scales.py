from __future__ import annotations

import numpy as np
import pytest

from na64reco.calibrate.ecal_scales import Share, fit_scales
from na64reco.errors import DataError

SHAPE = (2, 3, 3)
CELLS = 18
ENERGY = 100.0


def showers(rng, events, gain, *, resolution=0.05, pile_up=0.0, radiated=0.0):
    """A toy of its own: exponential profile, log-normal depth, one common fluctuation."""
    x, y = rng.uniform(0.4, 2.6, (2, events))
    centres = np.arange(3) + 0.5
    lateral = np.exp(
        -np.hypot(x[:, None, None] - centres[:, None], y[:, None, None] - centres) / 0.18
    )
    lateral /= lateral.sum(axis=(1, 2), keepdims=True)
    share = np.minimum(0.06 * np.exp(0.35 * rng.standard_normal(events) - 0.06), 0.5)
    depth = np.stack([share, 1 - share], axis=1)[:, :, None, None]
    energy = ENERGY * (1 + resolution * rng.standard_normal(events))
    # Sampling fluctuations of 10 % / sqrt(E) in every cell.
    cells = energy[:, None, None, None] * depth * lateral[:, None]
    cells = 0.01 * rng.standard_gamma(np.maximum(cells, 1e-6) / 0.01)
    cells = cells.reshape(events, CELLS)
    low = rng.random(events) < radiated
    cells[low] *= rng.uniform(0.1, 0.95, (low.sum(), 1))
    double = rng.random(events) < pile_up
    cells[double] += cells[rng.permutation(events)[: double.sum()]] * rng.uniform(
        0, 1, (double.sum(), 1)
    )
    return cells * gain


def test_least_squares_comes_out_low_but_not_this_fit():
    rng = np.random.default_rng(1)
    resolution = 0.08
    gain = rng.uniform(50, 200, CELLS)
    amplitude = showers(rng, 40_000, gain, resolution=resolution)
    usual, *_ = np.linalg.lstsq(amplitude, np.full(len(amplitude), ENERGY), rcond=None)
    fit = fit_scales(amplitude, np.full(len(amplitude), ENERGY), 1 / gain, SHAPE)

    def response(scale):
        return float((amplitude @ scale).mean() / ENERGY - 1)

    # Of amplitudes with a relative spread s, least squares takes 1 / (1 + s^2) in closed form.
    assert response(usual) == pytest.approx(-(resolution**2) / (1 + resolution**2), rel=0.1)
    assert abs(response(fit.scale)) < 3 * resolution / np.sqrt(40_000)


def test_pulls_with_pile_up_and_radiation():
    rng = np.random.default_rng(2)
    pulls = []
    for _ in range(25):
        gain = rng.uniform(50, 200, CELLS)
        start = (1 + 0.2 * np.clip(rng.standard_normal(CELLS), -2, 2)) / gain
        amplitude = showers(rng, 3000, gain, pile_up=0.04, radiated=0.03)
        fit = fit_scales(amplitude, np.full(3000, ENERGY), start, SHAPE, share=Share(0.06, 0.006))
        assert fit.converged
        pulls.append((fit.scale - 1 / gain) / fit.error)
    pulls = np.array(pulls)
    assert pulls.std() == pytest.approx(1.0, abs=0.15)
    # A few per cent of events in the tails may shift the peak by less than the error.
    assert abs(pulls[:, 9:].mean()) < 0.6


def test_preshower_cells_are_tied_by_the_mean_share():
    rng = np.random.default_rng(3)
    gain = rng.uniform(50, 200, CELLS)
    amplitude = showers(rng, 20_000, gain)
    start = (1 + 0.15 * np.clip(rng.standard_normal(CELLS), -2, 2)) / gain
    energy = np.full(len(amplitude), ENERGY)
    free = fit_scales(amplitude, energy, start, SHAPE)
    tied = fit_scales(amplitude, energy, start, SHAPE, share=Share(0.06, 0.006))
    ratio = tied.scale[:9] * gain[:9]
    assert np.std(ratio / ratio.mean()) < 0.015
    assert np.std(free.scale[:9] * gain[:9]) > 3 * np.std(ratio)
    assert tied.share == pytest.approx(0.06, abs=4 * tied.share_error)
    assert tied.share_error < 0.002


def test_light_collection_does_not_pull_the_neighbours():
    rng = np.random.default_rng(4)
    gain = np.full(CELLS, 100.0)
    events = 30_000
    x, y = rng.normal(1.5, 0.2, (2, events))
    centres = np.arange(3) + 0.5
    lateral = np.exp(
        -np.hypot(x[:, None, None] - centres[:, None], y[:, None, None] - centres) / 0.18
    )
    lateral /= lateral.sum(axis=(1, 2), keepdims=True)
    u, v = x % 1 - 0.5, y % 1 - 0.5
    light = 1 + 0.03 * np.cos(2 * np.pi * u) * np.cos(2 * np.pi * v)
    energy = ENERGY * light * (1 + 0.03 * rng.standard_normal(events))
    main = (energy[:, None, None] * lateral).reshape(events, 9)
    amplitude = np.concatenate([0 * main, main], axis=1) * gain
    start = np.concatenate([np.zeros(9), 1 / gain[9:]])
    expected = np.full(events, ENERGY)
    blind = fit_scales(amplitude, expected, start, SHAPE)
    seeing = fit_scales(amplitude, expected, start, SHAPE, impact=np.column_stack([u, v]))
    beside = [9 + 1, 9 + 3, 9 + 5, 9 + 7]
    assert np.all(blind.scale[beside] * 100 > 1.02)
    # In this toy the light of the cell hit is that of all: one factor for all scales.
    true = 0.01 / light.mean()
    assert np.all(np.abs(seeing.scale - true)[beside] < 3 * seeing.error[beside])
    assert np.all(seeing.error[beside] < 0.015 * true)
    assert seeing.scale[13] == pytest.approx(true, rel=0.003)


def test_cells_without_energy_keep_their_scale():
    rng = np.random.default_rng(5)
    gain = rng.uniform(50, 200, CELLS)
    amplitude = showers(rng, 2000, gain)
    shape = (2, 4, 3)
    amplitude = np.concatenate(
        [amplitude[:, :9], np.zeros((2000, 3)), amplitude[:, 9:], np.zeros((2000, 3))], axis=1
    )
    amplitude[:50, [9, 21]] = 1e-3
    start = 1 / np.concatenate([gain[:9], [70.0] * 3, gain[9:], [70.0] * 3])
    fit = fit_scales(amplitude, np.full(2000, ENERGY), start, shape, prior=0.2)
    assert fit.scale[9] == pytest.approx(1 / 70.0, rel=1e-3)
    assert fit.error[9] == pytest.approx(0.2 / 70.0, rel=0.01)
    assert fit.entries[9] == 0


def test_showers_around_dead_cells_do_not_count():
    rng = np.random.default_rng(6)
    shape = (1, 7, 1)
    x = rng.uniform(0, 7, 30_000)
    lateral = np.exp(-np.abs(x[:, None] - np.arange(7) - 0.5) / 0.2)
    amplitude = 100 * lateral / lateral.sum(axis=1, keepdims=True)
    amplitude *= 1 + 0.03 * rng.standard_normal((len(x), 1))
    amplitude[:, 6] = 0.0
    fit = fit_scales(amplitude, np.full(len(x), 100.0), np.ones(7), shape)
    assert fit.dead == (6,)
    assert fit.scale[:5] == pytest.approx(np.ones(5), abs=0.003)


def test_saturated_events_are_left_out():
    rng = np.random.default_rng(7)
    gain = np.full(CELLS, 100.0)
    amplitude = showers(rng, 4000, gain)
    clipped = np.minimum(amplitude, 7000.0)
    fit = fit_scales(clipped, np.full(4000, ENERGY), 1 / gain, SHAPE, saturation=7000.0)
    assert not fit.weight[amplitude.max(axis=1) > 7000].any()


def test_a_sample_without_electrons_is_refused():
    rng = np.random.default_rng(8)
    gain = np.full(CELLS, 100.0)
    hadrons = showers(rng, 3000, gain) * rng.uniform(0, 1, (3000, 1))
    with pytest.raises(DataError, match=r"runs: no electrons in it.*beam trigger"):
        fit_scales(hadrons, np.full(3000, ENERGY), 1 / gain, SHAPE, where="runs")


def test_too_few_events_are_refused():
    amplitude = np.full((20, CELLS), 50.0)
    with pytest.raises(DataError, match=r"20 of 20 events .* at least 500 are needed"):
        fit_scales(amplitude, np.full(20, ENERGY), np.full(CELLS, 0.01), SHAPE)
