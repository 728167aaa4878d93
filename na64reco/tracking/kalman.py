"""The kernels of the fit: a Kalman filter along and against the beam, see `fit`."""

# ruff: noqa: PLR0917 - kernels take flat arrays

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numba import njit

from na64reco.tracking.field import cross_dipole
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

# Of no NaN or infinity is made less by these; they allow fused multiply-add.
_FAST: Final = {"contract", "reassoc", "nsz", "arcp"}


@njit(cache=True, nogil=True, error_model="numpy")
def _transport(d, cov, jacobian, work):  # type: ignore[no-untyped-def]
    """Deviation and covariance through a magnet: d -> J d, C -> J C J^T, in place.

    Only columns 2-4 of J differ from the unit matrix, and row 4 does not.
    """
    for i in range(4):
        for j in range(5):
            s = cov[i, j] if i < 2 else 0.0
            for k in range(2, 5):
                s += jacobian[i, k] * cov[k, j]
            work[i, j] = s
    for j in range(5):
        work[4, j] = cov[4, j]
    for i in range(5):
        for j in range(5):
            if j == 4:
                cov[i, j] = work[i, 4]
                continue
            s = work[i, j] if j < 2 else 0.0
            for k in range(2, 5):
                s += jacobian[j, k] * work[i, k]
            cov[i, j] = s
    d2, d3, d4 = d[2], d[3], d[4]
    for i in range(4):
        s = d[i] if i < 2 else 0.0
        d[i] = s + jacobian[i, 2] * d2 + jacobian[i, 3] * d3 + jacobian[i, 4] * d4


@njit(cache=True, nogil=True, error_model="numpy")
def _invert(jacobian):  # type: ignore[no-untyped-def]
    """Inverse of a magnet's Jacobian, in place: see `_transport` for what differs from 1."""
    a, b, c = jacobian[2, 2], jacobian[2, 3], jacobian[2, 4]
    d, e, f = jacobian[3, 2], jacobian[3, 3], jacobian[3, 4]
    scale = 1.0 / (a * e - b * d)
    a, b, d, e = e * scale, -b * scale, -d * scale, a * scale
    c, f = -(a * c + b * f), -(d * c + e * f)
    jacobian[2, 2], jacobian[2, 3], jacobian[2, 4] = a, b, c
    jacobian[3, 2], jacobian[3, 3], jacobian[3, 4] = d, e, f
    for i in range(2):
        u, v = jacobian[i, 2], jacobian[i, 3]
        jacobian[i, 2], jacobian[i, 3] = -(u * a + v * d), -(u * b + v * e)
        jacobian[i, 4] = -(u * c + v * f + jacobian[i, 4])


@njit(cache=True, nogil=True, error_model="numpy")
def _radiate(cov, jacobian, variance):  # type: ignore[no-untyped-def]
    """Add the noise that photons all along a magnet make of q/p, and so of the state behind it.

    What is lost with a share r of the magnet still to come changes q/p by 1, slopes by r and
    positions by r^2 times the Jacobian's last column: hence the integrals of powers of r.
    """
    for i in range(4):
        a = jacobian[i, 4] * variance
        m = 2 if i < 2 else 1
        cov[i, 4] += a / (m + 1)
        cov[4, i] += a / (m + 1)
        for j in range(4):
            cov[i, j] += a * jacobian[j, 4] / (m + (3 if j < 2 else 2))
    cov[4, 4] += variance


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST, forceinline=True)
def _filter(  # type: ignore[no-untyped-def]
    measured, track, planes, magnets, names, steps, forward, reference, entrances, jacobians,
    d, cov, work, store, field,
):  # fmt: skip
    """Filter one track along or against the beam; ``reference`` travels with it, in place.

    On the way along the beam the reference in front of each magnet and the Jacobian are kept in
    ``entrances`` and ``jacobians``; on the way back, which must follow, they are used again.

    Returns chi2, negative where the reference does not come through. The covariance is symmetric
    and lives in 15 numbers, which the compiler keeps in registers: half the time of loops over a
    matrix. Only magnets, whose Jacobian is full, see the matrix. Inlined: calls with so many
    arrays take a quarter of the time.
    """
    x, y, tx, ty = reference[0], reference[1], reference[2], reference[3]
    qp = reference[4]
    d0 = d1 = d2 = d3 = d4 = 0.0
    c00, c11, c22, c33 = _PRIOR[0], _PRIOR[1], _PRIOR[2], _PRIOR[3]
    c44 = (_PRIOR_MOMENTUM * qp) ** 2
    c01 = c02 = c03 = c04 = c12 = c13 = c14 = c23 = c24 = c34 = 0.0
    chi2 = 0.0
    norm = 1.0 + tx * tx + ty * ty
    unit = qp * qp * norm * math.sqrt(norm)  # the root: the way through is longer at an angle
    m22, m23, m33 = unit * (1.0 + tx * tx), unit * tx * ty, unit * (1.0 + ty * ty)
    qp4 = qp * qp * qp * qp  # of a variance of the energy makes that of 1/p
    for k in range(len(names)):
        # Drift: x += step tx, y += step ty.
        step, s0, s1, s2 = steps[k, 0], steps[k, 1], steps[k, 2], steps[k, 3]
        c44 += steps[k, 4] * qp4
        x += step * tx
        y += step * ty
        d0 += step * d2
        d1 += step * d3
        c00 += step * (2.0 * c02 + step * c22) + s2 * m22
        c01 += step * (c03 + c12 + step * c23) + s2 * m23
        c11 += step * (2.0 * c13 + step * c33) + s2 * m33
        c02 += step * c22 + s1 * m22
        c03 += step * c23 + s1 * m23
        c04 += step * c24
        c12 += step * c23 + s1 * m23
        c13 += step * c33 + s1 * m33
        c14 += step * c34
        c22 += s0 * m22
        c23 += s0 * m23
        c33 += s0 * m33
        if names[k, 0] == PLANE:
            c = names[k, 1]
            if len(store):
                row = store[track, c if forward else len(planes) + c]
                row[:5] = d0, d1, d2, d3, d4
                row[5:10] = x, y, tx, ty, qp
                row[10:15] = c00, c01, c02, c03, c04
                row[15:20] = c01, c11, c12, c13, c14
                row[20:25] = c02, c12, c22, c23, c24
                row[25:30] = c03, c13, c23, c33, c34
                row[30:35] = c04, c14, c24, c34, c44
            value = measured[track, c]
            if np.isfinite(value):
                u, v = planes[c, 0], planes[c, 1]
                g0, g1 = c00 * u + c01 * v, c01 * u + c11 * v
                g2, g3, g4 = c02 * u + c12 * v, c03 * u + c13 * v, c04 * u + c14 * v
                weight = 1.0 / (g0 * u + g1 * v + planes[c, 2])
                r = value - (x + d0) * u - (y + d1) * v
                chi2 += r * r * weight
                k0, k1, k2 = g0 * weight, g1 * weight, g2 * weight
                k3, k4 = g3 * weight, g4 * weight
                d0 += k0 * r
                d1 += k1 * r
                d2 += k2 * r
                d3 += k3 * r
                d4 += k4 * r
                c00 -= k0 * g0
                c01 -= k0 * g1
                c02 -= k0 * g2
                c03 -= k0 * g3
                c04 -= k0 * g4
                c11 -= k1 * g1
                c12 -= k1 * g2
                c13 -= k1 * g3
                c14 -= k1 * g4
                c22 -= k2 * g2
                c23 -= k2 * g3
                c24 -= k2 * g4
                c33 -= k3 * g3
                c34 -= k3 * g4
                c44 -= k4 * g4
        elif names[k, 0] == MAGNET:
            m = names[k, 1]
            jacobian = jacobians[m]
            if forward:
                lost = magnets[m, 3] * qp * qp
                reference[:] = x, y, tx, ty, qp
                entrances[m, :] = reference
                if field is None:
                    if not cross_dipole(
                        reference, magnets[m, 0], magnets[m, 1], magnets[m, 2] + lost, jacobian
                    ):
                        return -1.0
                else:
                    here, there = field.start[m], field.end[m]
                    if cross_piece(reference, here, there, m, field, jacobian, lost) != CROSSED:
                        return -1.0
            else:
                reference[:] = entrances[m]
                if field is None:
                    _invert(jacobian)
                else:
                    invert_full(jacobian, work)
            x, y, tx, ty = reference[0], reference[1], reference[2], reference[3]
            norm = 1.0 + tx * tx + ty * ty
            unit = qp * qp * norm * math.sqrt(norm)
            m22, m23, m33 = unit * (1.0 + tx * tx), unit * tx * ty, unit * (1.0 + ty * ty)
            d[:] = d0, d1, d2, d3, d4
            cov[0, :] = c00, c01, c02, c03, c04
            cov[1, :] = c01, c11, c12, c13, c14
            cov[2, :] = c02, c12, c22, c23, c24
            cov[3, :] = c03, c13, c23, c33, c34
            cov[4, :] = c04, c14, c24, c34, c44
            if field is None:
                _transport(d, cov, jacobian, work)
            else:
                transport_full(d, cov, jacobian, work)
            if magnets[m, 4] > 0.0:
                _radiate(cov, jacobian, magnets[m, 4])
            d0, d1, d2, d3, d4 = d[0], d[1], d[2], d[3], d[4]
            c00, c01, c02, c03, c04 = cov[0, 0], cov[0, 1], cov[0, 2], cov[0, 3], cov[0, 4]
            c11, c12, c13, c14 = cov[1, 1], cov[1, 2], cov[1, 3], cov[1, 4]
            c22, c23, c24 = cov[2, 2], cov[2, 3], cov[2, 4]
            c33, c34, c44 = cov[3, 3], cov[3, 4], cov[4, 4]
    reference[:] = x, y, tx, ty, qp
    d[:] = d0, d1, d2, d3, d4
    cov[0, :] = c00, c01, c02, c03, c04
    cov[1, :] = c01, c11, c12, c13, c14
    cov[2, :] = c02, c12, c22, c23, c24
    cov[3, :] = c03, c13, c23, c33, c34
    cov[4, :] = c04, c14, c24, c34, c44
    return chi2


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
    measured, seeds, tables, first, first_cov, last, last_cov, chi2, store
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
    first, first_cov, last, last_cov, chi2
        Filled: states and covariances at both ends.
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
    reference, start, d = np.empty(5), np.empty(5), np.empty(5)
    cov, work = np.empty((5, 5)), np.empty((5, 5))
    entrances, jacobians = np.empty((len(magnets), 5)), np.empty((len(magnets), 5, 5))
    for t in range(n):
        start[:] = seeds[t]
        fitted = False
        chi2[t] = math.nan
        for iteration in range(_ITERATIONS):
            qp = start[4]
            if not (abs(qp) <= _MAX_QP and abs(start[2]) < 1.0 and abs(start[3]) < 1.0):
                break
            if abs(qp) < _MIN_QP:
                start[4] = qp = math.copysign(_MIN_QP, qp)
            reference[:] = start
            value = _filter(
                measured, t, planes, magnets, names, steps, True, reference, entrances, jacobians,
                d, cov, work, store, field,
            )  # fmt: skip
            if not value >= 0.0:
                break
            for i in range(5):
                last[t, i] = reference[i] + d[i]
                for j in range(5):
                    last_cov[t, i, j] = cov[i, j]
            chi2[t] = value
            # Against the beam about the same reference, from its place at the last plane.
            reference[0] -= rest * reference[2]
            reference[1] -= rest * reference[3]
            value = _filter(
                measured, t, planes, magnets, names_back, steps_back, False, reference, entrances,
                jacobians, d, cov, work, store, field,
            )  # fmt: skip
            if not value >= 0.0:
                break
            for i in range(5):
                first[t, i] = reference[i] + d[i]
                for j in range(5):
                    first_cov[t, i, j] = cov[i, j]
                start[i] = first[t, i]
            fitted = True
            if abs(d[4]) <= _NEARLY * abs(qp):
                break
            fitted = iteration == _ITERATIONS - 1
        valid = fitted and chi2[t] >= 0.0
        for i in range(5):
            # q/p: without a hit on the far side of the magnets a filter has learnt nothing of it.
            unknown = _UNKNOWN * _PRIOR[i] if i < 4 else _NOTHING * (_PRIOR_MOMENTUM * qp) ** 2
            valid = valid and 0 < first_cov[t, i, i] < unknown
            valid = valid and 0 < last_cov[t, i, i] < unknown
            valid = valid and np.isfinite(first[t, i]) and np.isfinite(last[t, i])
        ok[t] = valid
        if not valid:
            first[t, :] = np.nan
            last[t, :] = np.nan
            first_cov[t, :, :] = np.nan
            last_cov[t, :, :] = np.nan
            chi2[t] = np.nan
        for c in range(measured.shape[1]):
            ndf[t] += np.isfinite(measured[t, c])
        probability[t] = p_value(chi2[t], ndf[t])
    return ok, ndf, probability
