"""The kernels of the fit: a Kalman filter along and against the beam, see `fit`."""

# ruff: noqa: PLR0917 - kernels take flat arrays

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numba import njit

from na64reco.tracking.field import SMALL, cross_dipole, dipole_turn
from na64reco.tracking.lanes import (
    CHI2,
    COVARIANCE,
    DEVIATION,
    JACOBIAN,
    LANES,
    REFERENCE,
    ROWS,
    USED,
    VALUE,
    cross,
    drift,
    invert,
    measure,
    radiate,
    refer,
    transport,
)
from na64reco.tracking.layout import MAGNET, PLANE
from na64reco.tracking.runge_kutta import CROSSED, cross_piece, invert_full, transport_full

__all__ = ["filter_tracks", "p_value"]

# Variances without knowledge, about the reference: mm^2, rad^2; of q/p relative (rms). Large
# beside what is measured (pull of the result towards the reference < 1e-4 standard deviations),
# small enough for the sum of both filters to keep its precision.
_PRIOR: Final = (1e5, 1e5, 1e-1, 1e-1, 0.0)
_PRIOR_MOMENTUM: Final = 10.0
_UNKNOWN: Final = 0.1  # share of them above which hits have not fixed a parameter; of q/p:
_NOTHING: Final = 1 - 1e-6
_ITERATIONS: Final = 4
_NEARLY: Final = 0.05  # relative change of q/p that does not need another iteration
_MIN_QP: Final = 1e-6
_MAX_QP: Final = 10.0

_FULL: Final = np.array(
    [[0, 1, 2, 3, 4], [1, 5, 6, 7, 8], [2, 6, 9, 10, 11], [3, 7, 10, 12, 13], [4, 8, 11, 13, 14]]
)
"""Which of the 15 rows of the covariance in `lanes` an element of the matrix is."""


@njit(cache=True, nogil=True, error_model="numpy")
def _set_lane(s, b, state, jacobian):  # type: ignore[no-untyped-def]
    for i in range(5):
        s[REFERENCE + i * LANES + b] = state[i]
    for i in range(4):
        for j in range(3):
            s[JACOBIAN + (3 * i + j) * LANES + b] = jacobian[i, 2 + j]


@njit(cache=True, nogil=True, error_model="numpy")
def _cross(m, forward, s, kept, magnets, alive, scratch, field):  # type: ignore[no-untyped-def]
    """All lanes through magnet (or piece of the field) ``m``.

    On the way along the beam the reference in front of the magnet and the Jacobian are ``kept``; on
    the way back, which must follow, they are used again. Lanes whose reference does not come
    through are no longer ``alive``.
    """
    state, d, jacobian, cov, work = scratch
    if forward:
        for i in range(5 * LANES):
            kept[m, i] = s[i]
    else:
        for i in range(5 * LANES):
            s[i] = kept[m, i]
    if field is None:
        if forward:
            length, strength, loss, lost = (
                magnets[m, 0],
                magnets[m, 1],
                magnets[m, 2],
                magnets[m, 3],
            )
            if not cross(s, length, strength, loss, lost):
                for b in range(LANES):
                    for i in range(5):
                        state[i] = kept[m, i * LANES + b]
                    total = loss + lost * state[4] * state[4]
                    _, u = dipole_turn(state[2], state[3], state[4], length, strength, total)
                    if abs(u) < SMALL:
                        continue  # crossed: a track does not depend on those beside it
                    alive[b] = cross_dipole(state, length, strength, total, jacobian) and alive[b]
                    _set_lane(s, b, state, jacobian)
            for i in range(12 * LANES):
                kept[m, 5 * LANES + i] = s[JACOBIAN + i]
        else:
            for i in range(12 * LANES):
                s[JACOBIAN + i] = kept[m, 5 * LANES + i]
            invert(s)
        transport(s)
    else:  # whose Jacobian is full
        for b in range(LANES):
            if forward:
                for i in range(5):
                    state[i] = s[REFERENCE + i * LANES + b]
                here, there, lost = field.start[m], field.end[m], magnets[m, 3] * state[4] ** 2
                status = cross_piece(state, here, there, m, field, jacobian, lost)
                alive[b] = alive[b] and status == CROSSED
                for i in range(25):
                    kept[m, (5 + i) * LANES + b] = jacobian[i // 5, i % 5]
            else:
                for i in range(5):
                    state[i] = s[REFERENCE + i * LANES + b]
                for i in range(25):
                    jacobian[i // 5, i % 5] = kept[m, (5 + i) * LANES + b]
                invert_full(jacobian, work)
            _set_lane(s, b, state, jacobian)
            for i in range(5):
                d[i] = s[DEVIATION + i * LANES + b]
                for j in range(5):
                    cov[i, j] = s[COVARIANCE + _FULL[i, j] * LANES + b]
            transport_full(d, cov, jacobian, work)
            for i in range(5):
                s[DEVIATION + i * LANES + b] = d[i]
                for j in range(i, 5):
                    s[COVARIANCE + _FULL[i, j] * LANES + b] = cov[i, j]
    refer(s)
    if magnets[m, 4] > 0.0:
        radiate(s, magnets[m, 4])


@njit(cache=True, nogil=True, error_model="numpy")
def _filter(  # type: ignore[no-untyped-def]
    values, rows, number, planes, magnets, names, steps, forward, s, kept, alive, scratch,
    store, field,
):  # fmt: skip
    """Filter the tracks in the lanes along or against the beam; their reference travels with it.

    ``values`` are `VALUE` and `USED` of each plane.
    """
    for i in range(DEVIATION, VALUE):
        s[i] = 0.0
    for b in range(LANES):
        for i in range(4):
            s[COVARIANCE + _FULL[i, i] * LANES + b] = _PRIOR[i]
        s[COVARIANCE + _FULL[4, 4] * LANES + b] = (
            _PRIOR_MOMENTUM * s[REFERENCE + 4 * LANES + b]
        ) ** 2
    refer(s)
    for k in range(len(names)):
        drift(s, steps[k, 0], steps[k, 1], steps[k, 2], steps[k, 3], steps[k, 4])
        if names[k, 0] == PLANE:
            c = names[k, 1]
            if len(store):
                at = c if forward else len(planes) + c
                for b in range(number):
                    row = store[rows[b], at]
                    for i in range(5):
                        row[i] = s[DEVIATION + i * LANES + b]
                        row[5 + i] = s[REFERENCE + i * LANES + b]
                        for j in range(5):
                            row[10 + 5 * i + j] = s[COVARIANCE + _FULL[i, j] * LANES + b]
            for b in range(LANES):
                s[VALUE + b] = values[c, 0, b]
                s[USED + b] = values[c, 1, b]
            measure(s, planes[c, 0], planes[c, 1], planes[c, 2])
        elif names[k, 0] == MAGNET:
            _cross(names[k, 1], forward, s, kept, magnets, alive, scratch, field)


@njit(cache=True, nogil=True, error_model="numpy")
def _put(s, rows, number, states, variances, covariances):  # type: ignore[no-untyped-def]
    """States, variances and, where there is room, covariances of the tracks in the lanes."""
    for b in range(number):
        t = rows[b]
        for i in range(5):
            states[t, i] = s[REFERENCE + i * LANES + b] + s[DEVIATION + i * LANES + b]
            variances[t, i] = s[COVARIANCE + _FULL[i, i] * LANES + b]
    if covariances.shape[1]:
        for b in range(number):
            for i in range(5):
                for j in range(5):
                    covariances[rows[b], i, j] = s[COVARIANCE + _FULL[i, j] * LANES + b]


@njit(cache=True, nogil=True, error_model="numpy")
def p_value(chi2, ndf):  # type: ignore[no-untyped-def]
    """Probability of a larger chi2: Q(ndf / 2, chi2 / 2) as a finite sum, all terms positive.

    M. Abramowitz, I. A. Stegun, Handbook of Mathematical Functions, eqs. 26.4.4 and 26.4.5.
    """
    if ndf <= 0 or not chi2 >= 0.0:
        return math.nan
    half = 0.5 * chi2
    if ndf % 2:
        total = math.erfc(math.sqrt(half))
        term = 2.0 * math.sqrt(half / math.pi) * math.exp(-half)
        first = 3
    else:
        total = 0.0
        term = math.exp(-half)
        first = 2
    for k in range(first, ndf + 1, 2):
        total += term
        term *= chi2 / k
    return total


@njit(cache=True, nogil=True, error_model="numpy")
def filter_tracks(  # type: ignore[no-untyped-def]
    measured, seeds, tables, first, first_var, first_cov, last, last_var, last_cov, chi2, store
):
    """Filter all tracks both ways, again about the result where the seed was far off.

    Parameters
    ----------
    measured, seeds
        See `na64reco.tracking.fit.fit_tracks`.
    tables
        Planes (cos, sin, variance), magnets (length, field, what radiation adds to 1/p, energy
        lost in matter before, noise of radiation), and for the way along the beam, then for that
        against it, the elements (kind, number) and what lies before each (drift, sums of theta^2
        (1, a, a^2), variance of the energy); the distance from the last plane to the end; a
        `Field` whose pieces the magnets are, or None where all are uniform dipoles.
    first, first_var, first_cov, last, last_var, last_cov, chi2
        Filled: states, their variances (tracks, 5) and covariances (tracks, 5, 5) at both ends;
        covariances of shape (tracks, 0, 0) are left out.
    store
        Empty, or filled with the states and covariances predicted at every plane.

    Returns
    -------
    tuple
        ok, degrees of freedom and p-value of every track.
    """
    planes, magnets, names, steps, names_back, steps_back, rest, field = tables
    n = len(seeds)
    ok, ndf, probability = np.zeros(n, np.bool_), np.full(n, -5), np.empty(n)
    chi2[:] = math.nan
    start, trial = seeds.copy(), np.arange(n)
    s, kept = np.zeros(ROWS * LANES), np.zeros((len(magnets), 30 * LANES))
    values = np.empty((len(planes), 2, LANES))
    rows, alive = np.empty(LANES, np.int64), np.empty(LANES, np.bool_)
    scratch = np.empty(5), np.empty(5), np.empty((5, 5)), np.empty((5, 5)), np.empty((5, 5))
    pending = n
    for iteration in range(_ITERATIONS):
        again = at = 0
        while at < pending:
            number = 0
            while at < pending and number < LANES:
                t = trial[at]
                at += 1
                qp = start[t, 4]
                if abs(qp) <= _MAX_QP and abs(start[t, 2]) < 1.0 and abs(start[t, 3]) < 1.0:
                    if abs(qp) < _MIN_QP:
                        start[t, 4] = math.copysign(_MIN_QP, qp)
                    rows[number] = t
                    number += 1
            if number == 0:
                break
            rows[number:] = rows[0]  # empty lanes do what the first one does
            alive[:] = True
            for b in range(LANES):
                for i in range(5):
                    s[REFERENCE + i * LANES + b] = start[rows[b], i]
            for b in range(LANES):
                for c in range(len(planes)):
                    value = measured[rows[b], c]
                    there = np.isfinite(value)
                    values[c, 0, b] = value if there else 0.0
                    values[c, 1, b] = 1.0 if there else 0.0
            # np.bool_: a literal True is a type of its own, and all would be compiled twice.
            _filter(
                values, rows, number, planes, magnets, names, steps, np.bool_(True), s, kept,
                alive, scratch, store, field,
            )  # fmt: skip
            _put(s, rows, number, last, last_var, last_cov)
            for b in range(number):
                chi2[rows[b]] = s[CHI2 + b]
            # Against the beam about the same reference, from its place at the last plane.
            for b in range(LANES):
                for i in range(2):
                    s[REFERENCE + i * LANES + b] -= rest * s[REFERENCE + (2 + i) * LANES + b]
            _filter(
                values, rows, number, planes, magnets, names_back, steps_back, np.bool_(False), s,
                kept, alive, scratch, store, field,
            )  # fmt: skip
            _put(s, rows, number, first, first_var, first_cov)
            for b in range(number):
                t = rows[b]
                if not (alive[b] and chi2[t] >= 0.0 and s[CHI2 + b] >= 0.0):
                    continue
                near = abs(s[DEVIATION + 4 * LANES + b]) <= _NEARLY * abs(start[t, 4])
                if near or iteration == _ITERATIONS - 1:
                    ok[t] = True
                else:
                    for i in range(5):
                        start[t, i] = first[t, i]
                    trial[again] = t
                    again += 1
        pending = again
    for t in range(n):
        valid = ok[t]
        for i in range(5):
            # q/p: without a hit on the far side of the magnets a filter has learnt nothing of it.
            unknown = (
                _UNKNOWN * _PRIOR[i] if i < 4 else _NOTHING * (_PRIOR_MOMENTUM * start[t, 4]) ** 2
            )
            valid = valid and 0 < first_var[t, i] < unknown
            valid = valid and 0 < last_var[t, i] < unknown
            valid = valid and np.isfinite(first[t, i]) and np.isfinite(last[t, i])
        ok[t] = valid
        if not valid:
            first[t, :] = np.nan
            last[t, :] = np.nan
            first_var[t, :] = np.nan
            last_var[t, :] = np.nan
            first_cov[t, :, :] = np.nan
            last_cov[t, :, :] = np.nan
            chi2[t] = np.nan
        for c in range(measured.shape[1]):
            ndf[t] += np.isfinite(measured[t, c])
        probability[t] = p_value(chi2[t], ndf[t])
    return ok, ndf, probability
