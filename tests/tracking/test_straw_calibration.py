"""Drift times of a straw with an r-t relation in closed form, seen by tracks of known error.

Drift velocity v(r) = v0 / sqrt(1 + r / c): T(r) = t0 + 2 c / (3 v0) ((1 + r / c)^1.5 - 1), which is
no polynomial, and its inverse r = c ((1 + 1.5 v0 (t - t0) / c)^(2/3) - 1).
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import chi2, norm

from na64reco.errors import DataError
from na64reco.tracking.straw_calibration import fit_straws, folded_moments
from na64reco.tracking.straw_tracks import StrawCrossings, StrawLayer, join_crossings

V0, C, T0, RADIUS = 0.06, 4.0, 21.0, 3.0  # mm / ns, mm, ns, mm
SIGMA = 3.0  # ns


def _time(r):
    return T0 + 2 * C / (3 * V0) * ((1 + r / C) ** 1.5 - 1)


def _distance(t):
    return C * ((1 + 1.5 * V0 * (t - T0) / C) ** (2 / 3) - 1)


def _crossings(seed, *, n=3000, error=0.1, shift=0.0, rotation=0.0, wrong=0.02, layers=2):
    """Tracks anywhere in the tubes of a plane; efficiency falls towards the wall."""
    random = np.random.default_rng(seed)
    what, parts = [], []
    for number in range(layers):
        what.append(StrawLayer("ST3", 3, 0, number, RADIUS))
        true = random.uniform(-RADIUS, RADIUS, n)
        true = true[random.random(n) < 1 - (np.abs(true) / RADIUS) ** 10]
        lever = random.normal(0, 6, len(true))
        time = _time(np.abs(true)) + SIGMA * random.normal(size=len(true))
        bad = random.random(len(true)) < wrong
        time[bad] = random.uniform(-50, 200, bad.sum())
        errors = error * random.uniform(0.8, 1.2, len(true))
        # A wire stands further along by its plane's shift than those who made `offset` think.
        offset = true + errors * random.normal(size=len(true)) + shift - 1e-3 * rotation * lever
        parts.append((np.full(len(true), number), time, offset, errors, lever))
    columns = (np.concatenate(c) for c in zip(*parts, strict=True))
    return StrawCrossings(tuple(what), *columns, tracks=n)


@pytest.mark.parametrize("offset", [-1.3, -0.1, 0.0, 0.02, 0.4])
def test_moments_are_the_integrals(offset):
    sigma = 0.15
    moments, slopes = folded_moments(np.array([offset]), np.array([sigma]), 6)
    step = 1e-4
    for k in range(7):

        def mean(o, k=k):
            function = lambda x: abs(x) ** k * norm.pdf(x, o, sigma)  # noqa: E731
            return quad(function, o - 2, 0)[0] + quad(function, 0, o + 2)[0]

        assert moments[k, 0] == pytest.approx(mean(offset), rel=1e-6, abs=1e-9)
        change = (mean(offset + step) - mean(offset - step)) / (2 * step)
        assert slopes[k, 0] == pytest.approx(change, rel=1e-4, abs=1e-6)


def test_relation_resolution_and_place_are_found():
    (plane,) = fit_straws(_crossings(1, n=20_000, shift=0.2, rotation=2.0))
    assert abs(plane.shift - 0.2) < 4 * plane.shift_error < 0.008
    assert abs(plane.rotation - 2.0) < 4 * plane.rotation_error < 1.0
    assert (plane.station, plane.number, plane.projection) == ("ST3", 3, 0)
    for fit in plane.layers:
        assert abs(fit.t0 - T0) < 4 * fit.t0_error < 0.8
        assert abs(fit.time_max - (_time(RADIUS) - T0)) < 4 * fit.time_max_error < 2
        s = np.linspace(0, 1, 50)
        found = np.polynomial.polynomial.polyval(s, fit.rt)
        off = found - np.clip(_distance(fit.t0 + s * fit.time_max), 0, RADIUS)
        assert np.abs(off).max() < 0.02
        assert fit.time_resolution == pytest.approx(SIGMA, rel=0.03)
        # rms of sigma dr/dt over the tube: v0^2 / (1 + r / c) averaged
        velocity = V0 * np.sqrt(C / RADIUS * np.log(1 + RADIUS / C))
        assert fit.resolution == pytest.approx(SIGMA * velocity, rel=0.03)


def test_rounding_at_the_wire_does_not_bias_t0():
    # Tracks worse than the straw: means of |offset| are 0.24 mm at the wire.
    (plane,) = fit_straws(_crossings(2, n=40_000, error=0.3, wrong=0.0, layers=1))
    (fit,) = plane.layers
    assert abs(fit.t0 - T0) < 4 * fit.t0_error < 1.2
    assert fit.drift_time(np.array([1.5]))[0] == pytest.approx(_time(1.5), abs=0.4)


def test_errors_are_those_of_the_deviations():
    pulls = []
    for seed in range(40):
        (plane,) = fit_straws(_crossings(100 + seed, shift=0.1, rotation=-1.0, wrong=0.01))
        pulls.append((plane.shift - 0.1) / plane.shift_error)
        pulls.append((plane.rotation + 1.0) / plane.rotation_error)
        for fit in plane.layers:
            pulls.append((fit.t0 - T0) / fit.t0_error)
            middle = fit.drift_time(np.array([1.5]))[0] - _time(1.5)
            powers = 1.5 ** np.arange(4)
            pulls.append(middle / np.sqrt(powers @ fit.covariance @ powers))
    total, n = float(np.square(pulls).sum()), len(pulls)
    assert chi2.sf(total, n) > 1e-4
    assert chi2.cdf(total, n) > 1e-4


def test_parts_of_a_run_are_joined():
    one, two = _crossings(3, n=500), _crossings(4, n=700)
    both = join_crossings([one, two])
    assert len(both.time) == len(one.time) + len(two.time)
    assert both.tracks == 1200
    assert fit_straws(both)[0].layers[0].entries > fit_straws(two)[0].layers[0].entries


def test_what_cannot_be_fitted_is_said():
    few = _crossings(5, n=150)
    with pytest.raises(DataError, match=r"fewer than 200 hits on tracks \(ST3 X layer 0 1\d\d,"):
        fit_straws(few)
    crossings = _crossings(6)
    upside_down = dataclasses.replace(crossings, time=100 - crossings.time)
    with pytest.raises(DataError, match=r"ST3 X layer 0: the drift times that tracks give do not"):
        fit_straws(upside_down)
