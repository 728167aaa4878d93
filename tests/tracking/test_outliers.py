"""Hits that do not belong to their track: found, dropped, and only where it is plain which it is."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2, kstest

from na64reco.tracking.fit import fit_tracks, residuals
from na64reco.tracking.layout import make_layout
from na64reco.tracking.outliers import AMBIGUOUS, SUSPECT, WRONG_HIT, choose
from na64reco.tracking.planes import TECHNOLOGIES, strip_planes

N = 20_000


@pytest.fixture(scope="module")
def sample(tools, setup, conditions):
    """Tracks of 100 GeV in MM1, MM2, MM3, GEM1, MM4, GEM2, each x and y."""
    toy = tools.toy(setup, 6)
    truth = toy.track(toy.states(N, 100.0))
    measured = toy.smear(truth)
    planes = strip_planes(setup, conditions)
    layout = make_layout(setup, planes)
    names = [
        (TECHNOLOGIES[planes.technology[p]], int(planes.station[p]), int(planes.projection[p]))
        for p in layout.planes
    ]
    u = np.stack([measured[k] for k in names], axis=1) + planes.origin[layout.planes]
    return truth.first, u, planes, layout


def pulls(fits, true):
    return (fits.first[:, 4] - true[:, 4]) / np.sqrt(fits.first_covariance[:, 4, 4])


def test_chi2_falls_by_the_squared_pull_of_the_hit_that_is_left_out(sample):
    true, u, planes, layout = (part[:500] if i < 2 else part for i, part in enumerate(sample))
    fits = fit_tracks(u, true, planes, layout)
    value, sigma = residuals(u, fits, planes, layout)
    for column in range(u.shape[1]):
        without = u.copy()
        without[:, column] = np.nan
        fall = fits.chi2 - fit_tracks(without, true, planes, layout).chi2
        np.testing.assert_allclose(fall, (value / sigma)[:, column] ** 2, rtol=1e-3, atol=2e-3)


def test_two_per_cent_of_wrong_hits(sample):
    true, u, planes, layout = sample
    random = np.random.default_rng(2)
    wrong = random.random(u.shape) < 0.02
    mixed = np.where(wrong, u + random.uniform(-5, 5, u.shape), u)
    before = fit_tracks(mixed, true, planes, layout)
    after = fit_tracks(mixed, true, planes, layout, max_dropped=1)
    assert (before.p_value > SUSPECT).mean() < 0.82
    assert (after.p_value > SUSPECT).mean() > 0.92
    off = [(np.abs(pulls(f, true)) > 5).mean() for f in (before, after)]
    assert off[1] < 0.5 * off[0]
    # of what passes for good, as few are wrong as before
    good = after.p_value > SUSPECT
    assert (np.abs(pulls(after, true)[good]) > 5).mean() < 1e-3
    mended = after.dropped > 0
    assert pulls(after, true)[mended & ~wrong[:, :4].any(axis=1)].std() < 1.5
    dropped = ~after.used & np.isfinite(mixed)
    assert (dropped & wrong).sum() > 0.995 * dropped.sum()
    # what was wrong behind the magnets, alone, and far enough off to show, is dropped
    alone = (wrong.sum(axis=1) == 1) & wrong[:, 4:].any(axis=1)
    far = (np.abs(mixed - u) > 1).any(axis=1)
    assert mended[alone & far].mean() > 0.95
    np.testing.assert_array_equal(after.ndf, 12 - 5 - after.dropped)
    np.testing.assert_array_equal(after.dropped, dropped.sum(axis=1))


def test_clean_tracks_keep_their_hits_and_p_values(sample):
    true, u, planes, layout = sample
    plain = fit_tracks(u, true, planes, layout)
    fits = fit_tracks(u, true, planes, layout, max_dropped=2)
    changed = fits.dropped > 0
    assert changed.mean() < SUSPECT
    assert (plain.p_value[changed] < SUSPECT).all()
    np.testing.assert_array_equal(fits.p_value[~changed], plain.p_value[~changed])
    assert kstest(fits.p_value, "uniform").pvalue > 0.01


def test_where_it_is_not_plain_which_hit_is_wrong_none_is_dropped(sample):
    """Two planes measure x before the magnets: either may be the one that is off."""
    true, u, planes, layout = sample
    off = u[:1000].copy()
    off[:, 0] += 5.0
    plain = fit_tracks(off, true[:1000], planes, layout)
    assert (plain.p_value < SUSPECT).mean() > 0.9
    fits = fit_tracks(off, true[:1000], planes, layout, max_dropped=2)
    assert (fits.dropped > 0).mean() < 0.01
    kept = fits.dropped == 0
    np.testing.assert_array_equal(fits.first[kept], plain.first[kept])
    # behind the magnets four planes tell
    off = u[:1000].copy()
    off[:, 4] += 5.0
    assert (fit_tracks(off, true[:1000], planes, layout, max_dropped=1).dropped == 1).mean() > 0.99


def test_tracks_without_a_degree_of_freedom_to_spare_keep_their_hits(sample):
    true, u, planes, layout = sample
    few = u[:100].copy()
    few[:, [2, 3, 6, 7, 8, 9]] = np.nan  # MM1, MM3, GEM2: six hits
    few[:, 4] += 50.0
    fits = fit_tracks(few, true[:100], planes, layout, max_dropped=2)
    assert (fits.ndf == 1).all()
    assert not fits.dropped.any()


def test_residuals_are_those_to_the_kept_hits(sample):
    true, u, planes, layout = sample
    off = u[:2000].copy()
    off[:, 4] += 5.0
    fits = fit_tracks(off, true[:2000], planes, layout, max_dropped=1)
    value, sigma = residuals(off, fits, planes, layout)
    clean, _ = residuals(
        u[:2000], fit_tracks(u[:2000], true[:2000], planes, layout), planes, layout
    )
    mended = fits.dropped > 0
    assert mended.mean() > 0.99
    np.testing.assert_allclose((value - clean)[mended, 4], 5.0, atol=1e-4)
    assert (value / sigma)[mended, 6].std() == pytest.approx(1.0, abs=0.15)


def test_choice():
    pull = np.array(
        [
            [0.5, 5.0, -1.0, np.nan],
            [0.5, -5.0, 4.5, np.nan],  # another would do
            [0.5, 3.9, -1.0, np.nan],  # not far enough off
            [np.nan] * 4,
        ]
    )
    assert choose(pull, np.ones_like(pull)).tolist() == [1, -1, -1, -1]
    assert chi2.sf(WRONG_HIT, 1) < 1e-4
    assert np.exp(AMBIGUOUS / 2) == pytest.approx(90, rel=0.01)
