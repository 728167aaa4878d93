"""Three ways to the error of an extrapolation; goodness of fit."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kstest

from na64reco.inference.shapes import ECAL_SHAPES, find_shape
from na64reco.inference.sideband_fit import extrapolate, fit_sideband
from na64reco.inference.toys import draw, goodness_of_fit, sampled_error, solve, toy_error

from .output_toy import falling

WINDOW, BOX = (47.0, 90.0), (0.0, 47.0)


@pytest.mark.parametrize("shape", ECAL_SHAPES[:4], ids=lambda s: s.name)
def test_propagation_sampling_and_toys_agree(shape):
    rng = np.random.default_rng(1)
    fit = fit_sideband(falling(rng, 300, *WINDOW, 0.125), shape, WINDOW, scale=100.0)
    error = extrapolate(fit, BOX).log_error
    # 5000 samples know a quantile width to 1.4 %.
    assert sampled_error(fit, BOX, rng) == pytest.approx(error, rel=0.042)
    # 2000 toys know a width to 2 %; the rest is what 300 events differ from infinitely many.
    assert toy_error(fit, BOX, rng) == pytest.approx(error, rel=0.09)


def test_many_fits_at_once_are_the_fits():
    rng = np.random.default_rng(2)
    shape = find_shape("power law")
    samples = [falling(rng, 80, *WINDOW, 0.125) for _ in range(5)]
    means = np.array([shape.statistic(x, 100.0)[0].mean() for x in samples])
    one_by_one = [fit_sideband(x, shape, WINDOW, scale=100.0).theta[0] for x in samples]
    assert solve(shape, means, WINDOW, scale=100.0) == pytest.approx(one_by_one, rel=1e-6)


def test_drawn_energies_follow_the_shape():
    rng = np.random.default_rng(3)
    fit = fit_sideband(
        falling(rng, 300, *WINDOW, 0.125), find_shape("exponential"), WINDOW, scale=100.0
    )
    s = fit.theta[0]
    x = draw(rng, fit, 5000)

    def below(e):
        return np.expm1(s * (e - 47)) / np.expm1(s * 43)

    assert kstest(x, below).pvalue > 0.01


def test_p_values_are_flat_for_the_true_shape_and_small_for_another():
    rng = np.random.default_rng(4)
    shape = find_shape("exponential")
    found = []
    for _ in range(60):
        x = falling(rng, 90, *WINDOW, 0.125)
        fit = fit_sideband(x, shape, WINDOW, scale=100.0)
        found.append(goodness_of_fit(fit, x, rng, toys=100))
    for name in ("chi2_p", "ks_p", "ad_p"):
        p = np.array([getattr(g, name) for g in found])
        assert kstest(p, "uniform").pvalue > 1e-3, name
    bump = np.concatenate([falling(rng, 200, *WINDOW, 0.125), rng.normal(60, 2, 60)])
    fit = fit_sideband(bump, shape, WINDOW, scale=100.0)
    wrong = goodness_of_fit(fit, bump, rng, toys=100)
    assert max(wrong.chi2_p, wrong.ks_p, wrong.ad_p) < 0.01


def test_too_few_events_have_no_p_value():
    x = np.array([60.0, 80.0])
    fit = fit_sideband(x, find_shape("exponential"), WINDOW, scale=100.0)
    found = goodness_of_fit(fit, x, np.random.default_rng(1))
    assert np.isnan([found.chi2_p, found.ks_p, found.ad_p]).all()
