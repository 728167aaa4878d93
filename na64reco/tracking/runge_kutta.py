"""Tracks through linear edges and field maps: Runge-Kutta-Nystroem with the exact derivatives.

With z as the parameter the Lorentz force is (e.g. A. Strandlie, W. Wittek, Nucl. Instrum. Meth. A
566 (2006) 687; R. Fruehwirth et al., Data Analysis Techniques for High-Energy Physics, ch. 3)::

    tx' = c (q/p) n (tx ty Bx - (1 + tx^2) By + ty Bz)      n = sqrt(1 + tx^2 + ty^2)
    ty' = c (q/p) n ((1 + ty^2) Bx - tx ty By - tx Bz)

A step is the fourth-order method of E. J. Nystroem as in E. Lund et al., JINST 4 (2009) P04001,
which needs the field at its two ends and in its middle. The Jacobian follows by the same steps
of the variational equations, in the spirit of L. Bugge, J. Myrheim, Nucl. Instrum. Meth. 179
(1981) 365, with the gradient of the field in x and y.

Steps end at the edges of the pieces of a `Field`. In a map they are longer than a cell, which is
allowed since the kinks of the interpolated By at the nodes are taken into account: By at the two
ends of a step is moved such that its integral and double integral are those of the map (summed up
beforehand in every column of nodes) along the step's middle.
"""

# ruff: noqa: PLR0917 - kernels take flat arrays

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numba import njit

from na64reco.constants import BEND_PER_TESLA_MM
from na64reco.tracking.field import cross_dipole
from na64reco.tracking.fieldmap import column, integrals, interpolate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.tracking.field import Field

__all__ = [
    "CROSSED",
    "OUTSIDE",
    "TURNED",
    "Transported",
    "cross_piece",
    "invert_full",
    "transport",
    "transport_full",
]

CROSSED: Final = 0
TURNED: Final = 1
"""The particle turns back inside the field."""
OUTSIDE: Final = 2
"""It leaves a field map sideways."""

_TOLERANCE: Final = 1e-4
"""Largest h |k2 - k3|, rad: of second order in the part of a step, the error is of fourth."""
_SHORTEST: Final = 1e-3
_STEEPEST: Final = 20.0
"""Slope at which a particle is taken to turn back."""
_CELLS: Final = 16
"""Longest step in a map in cells along z,"""
_SIDEWAYS: Final = 0.25
"""and in cells across."""
_FAST: Final = {"contract", "reassoc", "nsz", "arcp"}
"""They leave NaN and infinity alone and allow fused multiply-add."""


@njit(cache=True, inline="always")
def _longest(length, tx, ty, k, piece, field):  # type: ignore[no-untyped-def]
    """Length of the next step, mm, where the slope changes by ``k`` per mm."""
    for m in range(len(field.origin)):
        if field.active[piece, m]:
            length = min(length, _CELLS * field.step[m, 2])
            side_x, side_y = _SIDEWAYS * field.step[m, 0], _SIDEWAYS * field.step[m, 1]
            length = min(length, side_x / (abs(tx) + k * length), side_y / (abs(ty) + 1e-6))
    return length


@njit(cache=True, inline="always")
def _sample(x, y, z0, h, piece, field):  # type: ignore[no-untyped-def]
    """The field along (x, y) at the begin, middle and end of a step; inside a map or not.

    Each is B, dB/dx, dB/dy, d2B/dxdy: twelve numbers, with By at the ends as the module says.
    """
    half = 0.5 * h
    y1 = field.base[piece] + field.slope[piece] * (z0 - field.start[piece])
    y2, y4 = y1 + field.slope[piece] * half, y1 + field.slope[piece] * h
    inside = True
    b1 = b2 = b4 = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    for m in range(len(field.origin)):
        if not field.active[piece, m]:
            continue
        place = column(x, y, m, field.origin, field.step, field.nodes)
        if not place[0]:
            inside = False
            continue
        c1 = interpolate(place, z0, m, field.origin, field.step, field.nodes, field.table)
        c2 = interpolate(place, z0 + half, m, field.origin, field.step, field.nodes, field.table)
        c4 = interpolate(place, z0 + h, m, field.origin, field.step, field.nodes, field.table)
        low = integrals(place, z0, m, field.origin, field.step, field.nodes, field.table)
        high = integrals(place, z0 + h, m, field.origin, field.step, field.nodes, field.table)
        bend = (high[0] - low[0]) / h
        shift = (high[1] - low[1] - h * low[0]) / (h * h)
        # Such that (b1 + 4 b2 + b4) / 6 and (b1 + 2 b2) / 6, which the step uses, are right.
        y1 += 6.0 * shift - 2.0 * c2[1] - c1[1]
        y4 += 6.0 * (bend - shift) - 2.0 * c2[1] - c4[1]
        b1 = _add(b1, c1)
        b2 = _add(b2, c2)
        b4 = _add(b4, c4)
    return inside, _raise(b1, y1), _raise(b2, y2), _raise(b4, y4)


@njit(cache=True, inline="always")
def _add(a, b):  # type: ignore[no-untyped-def]
    return (
        a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3], a[4] + b[4], a[5] + b[5],
        a[6] + b[6], a[7] + b[7], a[8] + b[8], a[9] + b[9], a[10] + b[10], a[11] + b[11],
    )  # fmt: skip


@njit(cache=True, inline="always")
def _raise(b, by):  # type: ignore[no-untyped-def]
    return (b[0], b[1] + by, b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11])


@njit(cache=True, inline="always")
def _beside(b, dx, dy):  # type: ignore[no-untyped-def]
    """The field at a distance (dx, dy) from where it was sampled."""
    ex, ey, ez = b[3] + dy * b[9], b[4] + dy * b[10], b[5] + dy * b[11]
    return (
        b[0] + dx * ex + dy * b[6], b[1] + dx * ey + dy * b[7], b[2] + dx * ez + dy * b[8],
        ex, ey, ez, b[6] + dx * b[9], b[7] + dx * b[10], b[8] + dx * b[11],
    )  # fmt: skip


@njit(cache=True, inline="always")
def _force(tx, ty, strength, b):  # type: ignore[no-untyped-def]
    """tx', ty' with ``strength`` = c q/p."""
    n = strength * math.sqrt(1.0 + tx * tx + ty * ty)
    gx = tx * ty * b[0] - (1.0 + tx * tx) * b[1] + ty * b[2]
    gy = (1.0 + ty * ty) * b[0] - tx * ty * b[1] - tx * b[2]
    return n * gx, n * gy


@njit(cache=True, inline="always")
def _derivatives(tx, ty, strength, b):  # type: ignore[no-untyped-def]
    """d(tx', ty') by x, y, tx, ty, and c q/p: ten numbers."""
    root = math.sqrt(1.0 + tx * tx + ty * ty)
    n, inverse = strength * root, strength / root
    a, c, e = tx * ty, 1.0 + tx * tx, 1.0 + ty * ty
    gx = a * b[0] - c * b[1] + ty * b[2]
    gy = e * b[0] - a * b[1] - tx * b[2]
    return (
        n * (a * b[3] - c * b[4] + ty * b[5]), n * (e * b[3] - a * b[4] - tx * b[5]),
        n * (a * b[6] - c * b[7] + ty * b[8]), n * (e * b[6] - a * b[7] - tx * b[8]),
        inverse * tx * gx + n * (ty * b[0] - 2.0 * tx * b[1]),
        inverse * tx * gy - n * (ty * b[1] + b[2]),
        inverse * ty * gx + n * (tx * b[0] + b[2]),
        inverse * ty * gy + n * (2.0 * ty * b[0] - tx * b[1]),
        root * gx, root * gy,
    )  # fmt: skip


@njit(cache=True, inline="always")
def _vary(d, x, y, tx, ty, s):  # type: ignore[no-untyped-def]
    """Change of (tx', ty') with a change of the state, s that of c q/p."""
    return (
        d[0] * x + d[2] * y + d[4] * tx + d[6] * ty + d[8] * s,
        d[1] * x + d[3] * y + d[5] * tx + d[7] * ty + d[9] * s,
    )


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def cross_piece(state, here, there, piece, field, jacobian, lost=0.0):  # type: ignore[no-untyped-def]
    """Move a state from z = ``here`` to ``there`` (mm) within a piece of a `Field`, in place.

    As `cross_dipole`: either direction; ``jacobian`` (5, 5) receives d(new state)/d(old state).
    ``lost`` is what matter in front of it has added to 1/p, c/GeV. Returns CROSSED, TURNED or
    OUTSIDE; the state is as it was where it does not come through.
    """
    loss = field.loss[piece] + lost
    if field.simple[piece]:
        crossed = cross_dipole(state, there - here, field.base[piece], loss, jacobian)
        return CROSSED if crossed else TURNED
    x, y, tx, ty = state[0], state[1], state[2], state[3]
    strength = BEND_PER_TESLA_MM * (state[4] + math.copysign(loss, state[4]))
    for i in range(5):
        for j in range(5):
            jacobian[i, j] = 1.0 if i == j else 0.0
    z = here
    sign = 1.0 if there > here else -1.0
    wished = abs(there - here)
    k = turn = 0.0
    while z != there:
        rest = abs(there - z)
        wished = _longest(min(wished, rest), tx, ty, k, piece, field)
        while True:
            # Equal steps up to the end rather than long ones and a short one.
            h = sign * rest / math.ceil(rest / wished - 1e-9)
            half = 0.5 * h
            # Where the step's middle is: from the slope, and the bending of the step before.
            mx, my = x + half * tx + 0.5 * half * half * turn, y + half * ty
            inside, b1, b2, b4 = _sample(mx, my, z, h, piece, field)
            if not inside:
                return OUTSIDE
            b1 = _beside(b1, x - mx, y - my)
            k1x, k1y = _force(tx, ty, strength, b1)
            dx = half * (tx + 0.5 * half * k1x) - (mx - x)
            dy = half * (ty + 0.5 * half * k1y) - (my - y)
            b2 = _beside(b2, dx, dy)
            tx2, ty2 = tx + half * k1x, ty + half * k1y
            k2x, k2y = _force(tx2, ty2, strength, b2)
            tx3, ty3 = tx + half * k2x, ty + half * k2y
            k3x, k3y = _force(tx3, ty3, strength, b2)
            dx, dy = x + h * (tx + half * k3x) - mx, y + h * (ty + half * k3y) - my
            b4 = _beside(b4, dx, dy)
            tx4, ty4 = tx + h * k3x, ty + h * k3y
            k4x, k4y = _force(tx4, ty4, strength, b4)
            error = abs(h) * (abs(k2x - k3x) + abs(k2y - k3y))
            if error <= _TOLERANCE:
                break
            if abs(h) <= _SHORTEST:
                return TURNED
            wished = 0.5 * abs(h)
        turn = (k2x + k3x) * 0.5
        k = abs(turn)
        wished = abs(h) * (2.0 if error < 0.1 * _TOLERANCE else 1.0)
        end = there if abs(h) >= rest * (1.0 - 1e-9) else z + h

        d1 = _derivatives(tx, ty, strength, b1)
        d2 = _derivatives(tx2, ty2, strength, b2)
        d3 = _derivatives(tx3, ty3, strength, b2)
        d4 = _derivatives(tx4, ty4, strength, b4)
        sixth = h / 6.0
        for c in range(5):
            jx, jy, jtx, jty = jacobian[0, c], jacobian[1, c], jacobian[2, c], jacobian[3, c]
            js = BEND_PER_TESLA_MM if c == 4 else 0.0
            v1x, v1y = _vary(d1, jx, jy, jtx, jty, js)
            px = jx + half * (jtx + 0.5 * half * v1x)
            py = jy + half * (jty + 0.5 * half * v1y)
            v2x, v2y = _vary(d2, px, py, jtx + half * v1x, jty + half * v1y, js)
            v3x, v3y = _vary(d3, px, py, jtx + half * v2x, jty + half * v2y, js)
            px, py = jx + h * (jtx + half * v3x), jy + h * (jty + half * v3y)
            v4x, v4y = _vary(d4, px, py, jtx + h * v3x, jty + h * v3y, js)
            jacobian[0, c] = jx + h * (jtx + sixth * (v1x + v2x + v3x))
            jacobian[1, c] = jy + h * (jty + sixth * (v1y + v2y + v3y))
            jacobian[2, c] = jtx + sixth * (v1x + 2.0 * (v2x + v3x) + v4x)
            jacobian[3, c] = jty + sixth * (v1y + 2.0 * (v2y + v3y) + v4y)
        x += h * (tx + sixth * (k1x + k2x + k3x))
        y += h * (ty + sixth * (k1y + k2y + k3y))
        tx += sixth * (k1x + 2.0 * (k2x + k3x) + k4x)
        ty += sixth * (k1y + 2.0 * (k2y + k3y) + k4y)
        if not (abs(tx) < _STEEPEST and abs(ty) < _STEEPEST):
            return TURNED
        z = end
    state[0], state[1], state[2], state[3] = x, y, tx, ty
    return CROSSED


@njit(cache=True, nogil=True, error_model="numpy")
def transport_full(d, cov, jacobian, work):  # type: ignore[no-untyped-def]
    """Deviation and covariance through a piece: d -> J d, C -> J C J^T, in place."""
    for i in range(5):
        for j in range(5):
            s = 0.0
            for k in range(5):
                s += jacobian[i, k] * cov[k, j]
            work[i, j] = s
    for i in range(5):
        for j in range(5):
            s = 0.0
            for k in range(5):
                s += work[i, k] * jacobian[j, k]
            cov[i, j] = s
    for i in range(5):
        s = 0.0
        for k in range(5):
            s += jacobian[i, k] * d[k]
        work[0, i] = s
    d[:] = work[0]


@njit(cache=True, nogil=True, error_model="numpy")
def invert_full(jacobian, work):  # type: ignore[no-untyped-def]
    """Inverse of a piece's Jacobian, in place: Gauss and Jordan.

    Without pivots: positions and slopes change little but for the drift, so all are about 1.
    """
    for i in range(5):
        for j in range(5):
            work[i, j] = 1.0 if i == j else 0.0
    for i in range(5):
        pivot = 1.0 / jacobian[i, i]
        for j in range(5):
            jacobian[i, j] *= pivot
            work[i, j] *= pivot
        for r in range(5):
            if r != i:
                factor = jacobian[r, i]
                for j in range(5):
                    jacobian[r, j] -= factor * jacobian[i, j]
                    work[r, j] -= factor * work[i, j]
    jacobian[:, :] = work


class Transported(NamedTuple):
    """States at another z."""

    states: NDArray[np.float64]
    """(x, y, tx, ty, q/p), shape (tracks, 5); NaN where a track does not come through."""
    jacobians: NDArray[np.float64]
    """d(new state)/d(old state), shape (tracks, 5, 5)."""
    status: NDArray[np.int8]
    """CROSSED, TURNED or OUTSIDE."""


def transport(states: NDArray[np.float64], here: float, there: float, field: Field) -> Transported:
    """Move states (tracks, 5) from z = ``here`` to ``there`` (mm, either way) with derivatives."""
    moved = np.array(states, np.float64, order="C", ndmin=2)
    jacobians = np.empty((len(moved), 5, 5))
    status = np.zeros(len(moved), np.int8)
    _transport_all(moved, float(here), float(there), field, jacobians, status)
    return Transported(moved, jacobians, status)


@njit(cache=True, nogil=True, error_model="numpy")
def _drift(state, length, jacobian):  # type: ignore[no-untyped-def]
    for i in range(2):
        state[i] += length * state[i + 2]
        for c in range(5):
            jacobian[i, c] += length * jacobian[i + 2, c]


@njit(cache=True, nogil=True, error_model="numpy")
def _transport_all(states, here, there, field, jacobians, status):  # type: ignore[no-untyped-def]
    piece_jacobian, product = np.empty((5, 5)), np.empty((5, 5))
    pieces = len(field.start)
    forward = there >= here
    for t in range(len(states)):
        state, total = states[t], jacobians[t]
        for i in range(5):
            for j in range(5):
                total[i, j] = 1.0 if i == j else 0.0
        z = here
        for k in range(pieces):
            p = k if forward else pieces - 1 - k
            lo, hi = field.start[p], field.end[p]
            enter = max(z, lo) if forward else min(z, hi)
            leave = min(there, hi) if forward else max(there, lo)
            if (forward and leave <= enter) or (not forward and leave >= enter):
                continue
            _drift(state, enter - z, total)
            outcome = cross_piece(state, enter, leave, p, field, piece_jacobian)
            if outcome != CROSSED:
                status[t] = outcome
                break
            for i in range(5):
                for j in range(5):
                    s = 0.0
                    for m in range(5):
                        s += piece_jacobian[i, m] * total[m, j]
                    product[i, j] = s
            total[:, :] = product
            z = leave
        if status[t] == CROSSED:
            _drift(state, there - z, total)
        else:
            states[t, :] = np.nan
            total[:, :] = np.nan
