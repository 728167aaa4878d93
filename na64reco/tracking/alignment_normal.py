"""Normal equations of the alignment: what tracks say about planes once they have been fitted.

Of a track, r(p, g) = u measured - u predicted depends on its own parameters p (x, y, tx, ty, q/p
at the first plane) and on all planes' shifts and rotations g. Let V be the covariance of r, from
the resolution of the planes and from multiple scattering, which ties all planes behind a layer
together; V = L L^T, Q an orthonormal basis of the columns of L^-1 dr/dp, and N = (1 - Q Q^T)
L^-1. Then chi2 at the best p is |N r|^2, and the sum over tracks of F^T N^T N F, F = dr/dg, is
the matrix for g alone: as if p were eliminated from the whole system, V. Blobel, C. Kleinwort,
hep-ex/0208021.
"""

# ruff: noqa: PLR0917 - kernels take flat arrays

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numba import njit

from na64reco.tracking.field import cross_dipole
from na64reco.tracking.layout import MAGNET, PLANE, SCATTERER
from na64reco.tracking.runge_kutta import CROSSED, cross_piece

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.tracking.layout import Layout
    from na64reco.tracking.planes import Planes

__all__ = ["derivatives", "normal_equations"]

_TINY: Final = 1e-9
"""A column of L^-1 dr/dp of which less than this is new: a parameter that nothing measures."""


def normal_equations(
    measured: NDArray[np.float64],
    states: NDArray[np.float64],
    weights: NDArray[np.float64],
    planes: Planes,
    layout: Layout,
    centres: NDArray[np.float64],
    *,
    straight: bool = False,
    beam: tuple[float, float] = (0.0, 0.0),
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Matrix and vector for the planes' corrections, and what each track contributes.

    Parameters
    ----------
    measured
        As for `fit_tracks`, shape (tracks, planes of the spectrometer).
    states
        Fitted states at the first plane, shape (tracks, 5); a good start is enough.
    weights
        Shape (tracks,); tracks of weight 0 only get a chi2.
    centres
        x and y of the planes' stations, shape (planes of the spectrometer, 2), mm.
    straight
        The magnets were off: four parameters, momenta are the beam's.
    beam
        q/p and its standard deviation of every track, as known from the beam, c/GeV; (0, 0) if
        not to be used.

    Returns
    -------
    tuple
        Matrix (2 planes, 2 planes) and vector (2 planes,), parameters being shift (mm) and
        rotation (mrad) of the first plane, of the second, ...: the corrections are the solution of
        matrix @ correction = vector. chi2 and number of degrees of freedom of every track.
    """
    chosen = layout.planes
    n = len(chosen)
    matrix, vector = np.zeros((2 * n, 2 * n)), np.zeros(2 * n)
    chi2, ndf = np.empty(len(measured)), np.empty(len(measured), np.int64)
    arguments: tuple[Any, ...] = (
        np.ascontiguousarray(measured, np.float64),
        np.ascontiguousarray(states, np.float64),
        weights,
        np.column_stack((planes.cos[chosen], planes.sin[chosen], planes.resolution[chosen])),
        np.ascontiguousarray(centres),
        *_elements(layout, straight=straight),
        1.0 / layout.beam_momentum if straight else 0.0,
        float(beam[0]),
        float(beam[1]),
        *(matrix, vector, chi2, ndf),
    )
    _accumulate(*arguments)
    return matrix, vector, chi2, ndf


def derivatives(
    state: NDArray[np.float64], planes: Planes, layout: Layout, *, straight: bool = False
) -> NDArray[np.float64]:
    """du/d(x, y, tx, ty, q/p) of one track at all planes, shape (planes of the spectrometer, 5)."""
    chosen = layout.planes
    n = len(chosen)
    axes = np.column_stack((planes.cos[chosen], planes.sin[chosen], planes.resolution[chosen]))
    kind, number, z, _, ends, strength, loss, field = _elements(layout, straight=straight)
    slopes = np.full((n, 5), np.nan)
    places, kicks, kinks = np.empty((n, 2)), np.empty((n, 2 * len(z))), np.empty((5, 2 * len(z)))
    transport, work, jacobian = np.empty((5, 5)), np.empty(5), np.empty((5, 5))
    arguments: tuple[Any, ...] = (
        *(np.array(state, np.float64), axes, kind, number, z, ends, strength, loss, field),
        *(places, slopes, kicks, transport, kinks, work, jacobian),
    )
    _follow(*arguments)
    return slopes


def _elements(layout: Layout, *, straight: bool) -> tuple[Any, ...]:
    """What stands along the beam, as the kernels take it.

    Kind, number, z and scattering of all elements; end, field and energy loss of magnets; and,
    where these are not just uniform, the `Field` in whose pieces they are cut, else None.
    """
    field = None if straight else layout.field
    if field is None:
        magnets = layout.dipoles
        strength, loss = magnets.field * (not straight), magnets.loss * (not straight)
        return (
            *(layout.kind, layout.number, layout.z, layout.scatter),
            *(magnets.end, strength, loss, None),
        )
    stays = layout.kind != MAGNET
    pieces = np.flatnonzero(field.start >= layout.z[0])
    kind = np.concatenate((layout.kind[stays], np.full(len(pieces), MAGNET)))
    number = np.concatenate((layout.number[stays], pieces))
    z = np.concatenate((layout.z[stays], field.start[pieces]))
    scatter = np.concatenate((layout.scatter[stays], np.zeros(len(pieces))))
    # A piece begins behind what stands at the same z.
    order = np.lexsort((kind == MAGNET, z))
    return (
        *(kind[order], number[order], z[order], scatter[order]),
        *(field.end, field.base, field.loss, field),
    )


@njit(cache=True, nogil=True, error_model="numpy")
def _through(matrix, columns, jacobian, work):  # type: ignore[no-untyped-def]
    """The first ``columns`` columns of matrix (5, ...) through a magnet, in place."""
    for c in range(columns):
        for i in range(5):
            s = 0.0
            for k in range(5):
                s += jacobian[i, k] * matrix[k, c]
            work[i] = s
        for i in range(5):
            matrix[i, c] = work[i]


@njit(cache=True, nogil=True, error_model="numpy")
def _follow(  # type: ignore[no-untyped-def]
    state, axes, kind, number, z, ends, strength, loss, field,
    places, slopes, kicks, transport, kinks, work, jacobian,
):  # fmt: skip
    """Follow a state (changed in place) through all planes.

    Fills ``places`` (planes, 2) with (x, y), ``slopes`` (planes, 5) with du / d(start) and
    ``kicks`` (planes, 2 elements) with du / d(angle in x and in y at each scatterer).

    Returns False where the particle turns back in a magnet.
    """
    for i in range(5):
        for j in range(5):
            transport[i, j] = 1.0 if i == j else 0.0
    kicks[:, :] = 0.0
    here = z[0]
    met = 0
    for e in range(len(z)):
        step = z[e] - here
        state[0] += step * state[2]
        state[1] += step * state[3]
        for j in range(5):
            transport[0, j] += step * transport[2, j]
            transport[1, j] += step * transport[3, j]
        for j in range(met):
            kinks[0, j] += step * kinks[2, j]
            kinks[1, j] += step * kinks[3, j]
        here = z[e]
        if kind[e] == PLANE:
            c = number[e]
            cosine, sine = axes[c, 0], axes[c, 1]
            places[c, 0], places[c, 1] = state[0], state[1]
            for j in range(5):
                slopes[c, j] = cosine * transport[0, j] + sine * transport[1, j]
            for j in range(met):
                kicks[c, j] = cosine * kinks[0, j] + sine * kinks[1, j]
        elif kind[e] == SCATTERER:
            for j in range(met, met + 2):
                for i in range(5):
                    kinks[i, j] = 0.0
                kinks[2 + j - met, j] = 1.0
            met += 2
        elif kind[e] == MAGNET:
            m = number[e]
            if field is None:
                if strength[m] == 0.0:
                    continue
                if not cross_dipole(state, ends[m] - z[e], strength[m], loss[m], jacobian):
                    return False
            elif cross_piece(state, z[e], ends[m], m, field, jacobian) != CROSSED:
                return False
            _through(transport, 5, jacobian, work)
            _through(kinks, met, jacobian, work)
            here = ends[m]
    return True


@njit(cache=True, nogil=True, error_model="numpy")
def _cholesky_inverse(v, n, lower, inverse):  # type: ignore[no-untyped-def]
    """L^-1 of v = L L^T, the first ``n`` rows and columns."""
    for i in range(n):
        for j in range(i + 1):
            s = v[i, j]
            for k in range(j):
                s -= lower[i, k] * lower[j, k]
            lower[i, j] = math.sqrt(s) if i == j else s / lower[j, j]
    for i in range(n):
        for j in range(n):
            if j > i:
                inverse[i, j] = 0.0
                continue
            s = 1.0 if i == j else 0.0
            for k in range(j, i):
                s -= lower[i, k] * inverse[k, j]
            inverse[i, j] = s / lower[i, i]


@njit(cache=True, nogil=True, error_model="numpy")
def _basis(inverse, slopes, n, parameters, q):  # type: ignore[no-untyped-def]
    """Orthonormal basis ``q`` (n, number) of the columns of inverse @ slopes; returns number."""
    number = 0
    for c in range(parameters):
        size = 0.0
        for i in range(n):
            s = 0.0
            for k in range(i + 1):
                s += inverse[i, k] * slopes[k, c]
            q[i, number] = s
            size += s * s
        for _ in range(2):  # twice is enough: W. Kahan
            for b in range(number):
                s = 0.0
                for i in range(n):
                    s += q[i, b] * q[i, number]
                for i in range(n):
                    q[i, number] -= s * q[i, b]
        left = 0.0
        for i in range(n):
            left += q[i, number] ** 2
        if left > _TINY * _TINY * size:
            left = math.sqrt(left)
            for i in range(n):
                q[i, number] /= left
            number += 1
    return number


@njit(cache=True, nogil=True, error_model="numpy")
def _accumulate(  # type: ignore[no-untyped-def]
    measured, states, weights, axes, centres, kind, number, z, scatter, ends, strength, loss, field,
    straight_qp, beam_qp, beam_error, matrix, vector, chi2, ndf,
):  # fmt: skip
    planes, elements = len(axes), len(z)
    state, jacobian, transport = np.empty(5), np.empty((5, 5)), np.empty((5, 5))
    places, slopes = np.empty((planes, 2)), np.empty((planes, 5))
    kicks, kinks = np.empty((planes, 2 * elements)), np.empty((5, 2 * elements))
    theta = np.array([scatter[e] for e in range(elements) if kind[e] == SCATTERER])
    rows = planes + 1  # the last for the momentum that the beam is known to have
    v, lower, inverse = np.empty((rows, rows)), np.empty((rows, rows)), np.empty((rows, rows))
    a, q, projected = np.empty((rows, 5)), np.empty((rows, 6)), np.empty((rows, rows))
    r, pull, lever = np.empty(rows), np.empty(rows), np.empty(rows)
    column = np.empty(rows, np.int64)
    work = np.empty(5)
    parameters = 4 if straight_qp > 0 else 5
    for t in range(len(measured)):
        chi2[t], ndf[t] = math.nan, -parameters
        state[:] = states[t]
        if straight_qp > 0:
            state[4] = straight_qp
        qp = state[4]
        if not np.isfinite(state.sum()) or not _follow(
            state, axes, kind, number, z, ends, strength, loss, field,
            places, slopes, kicks, transport, kinks, work, jacobian,
        ):  # fmt: skip
            continue
        n = 0
        for c in range(planes):
            if np.isfinite(measured[t, c]):
                cosine, sine = axes[c, 0], axes[c, 1]
                x, y = places[c, 0], places[c, 1]
                column[n] = c
                r[n] = measured[t, c] - x * cosine - y * sine
                lever[n] = 1e-3 * ((x - centres[c, 0]) * sine - (y - centres[c, 1]) * cosine)
                for k in range(5):
                    a[n, k] = slopes[c, k]
                n += 1
        hits = n
        for i in range(n):
            for j in range(i + 1):
                s = axes[column[i], 2] ** 2 if i == j else 0.0
                for k in range(len(theta)):
                    both = kicks[column[i], 2 * k] * kicks[column[j], 2 * k]
                    both += kicks[column[i], 2 * k + 1] * kicks[column[j], 2 * k + 1]
                    s += (theta[k] * qp) ** 2 * both
                v[i, j] = s
        if beam_error > 0 and straight_qp == 0:
            v[n, :] = 0.0
            v[n, n] = beam_error * beam_error
            r[n] = beam_qp - qp
            a[n, :] = 0.0
            a[n, 4] = 1.0
            n += 1
        ndf[t] += n
        if ndf[t] <= 0:
            continue
        _cholesky_inverse(v, n, lower, inverse)
        size = _basis(inverse, a, n, parameters, q)
        for j in range(n):
            for i in range(n):
                projected[i, j] = inverse[i, j]
            for b in range(size):
                s = 0.0
                for i in range(j, n):
                    s += q[i, b] * inverse[i, j]
                for i in range(n):
                    projected[i, j] -= s * q[i, b]
        total = 0.0
        for i in range(n):
            s = 0.0
            for j in range(n):
                s += projected[i, j] * r[j]
            pull[i] = s
            total += s * s
        chi2[t] = total
        weight = weights[t]
        if weight == 0.0:
            continue
        for i in range(hits):
            p = 2 * column[i]
            s = 0.0
            for k in range(n):
                s += projected[k, i] * pull[k]
            vector[p] -= weight * s
            vector[p + 1] -= weight * s * lever[i]
            for j in range(hits):
                s = 0.0
                for k in range(n):
                    s += projected[k, i] * projected[k, j]
                s *= weight
                o = 2 * column[j]
                matrix[p, o] += s
                matrix[p, o + 1] += s * lever[j]
                matrix[p + 1, o] += s * lever[i]
                matrix[p + 1, o + 1] += s * lever[i] * lever[j]
