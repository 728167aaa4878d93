"""Steps of the Kalman filter for `LANES` tracks side by side, which the compiler does in vectors.

One flat array holds a row of `LANES` numbers for each quantity: where a row begins is a constant,
so the compiler knows that rows do not overlap. The covariance is symmetric: 15 rows. Quantities are
those of `kalman`.
"""

# ruff: noqa: PLR0917 - kernels take flat arrays

from __future__ import annotations

import math
from typing import Any, Final

from numba import njit

from na64reco.tracking.field import SMALL, dipole_exit, dipole_turn, small_arc

__all__ = [
    "CHI2",
    "COVARIANCE",
    "DEVIATION",
    "JACOBIAN",
    "LANES",
    "REFERENCE",
    "ROWS",
    "USED",
    "VALUE",
    "cross",
    "drift",
    "invert",
    "measure",
    "radiate",
    "refer",
    "transport",
]

LANES: Final = 16

# Rows, as places where they begin.
REFERENCE: Final = 0
"""x, y, tx, ty, q/p of the reference: five rows."""
DEVIATION: Final = 5 * LANES
"""Of the state from it: five rows."""
COVARIANCE: Final = 10 * LANES
"""Upper half, row by row: 00, 01, 02, 03, 04, 11, 12, 13, 14, 22, 23, 24, 33, 34, 44."""
CHI2: Final = 25 * LANES
VALUE: Final = 26 * LANES
"""What a plane measured, 0 where it has nothing."""
USED: Final = 27 * LANES
"""1 where it has measured, 0 where not."""
JACOBIAN: Final = 28 * LANES
"""Of a magnet: columns 2 to 4 of its rows 0 to 3; the rest is that of the unit matrix."""
_NOISE: Final = 40 * LANES
"""Scattering matrix of slopes by theta^2 (22, 23, 33), then (q/p)^4."""
ROWS: Final = 44

_X, _Y, _TX, _TY, _QP = (REFERENCE + i * LANES for i in range(5))
_D0, _D1, _D2, _D3, _D4 = (DEVIATION + i * LANES for i in range(5))
_C00, _C01, _C02, _C03, _C04 = (COVARIANCE + i * LANES for i in range(5))
_C11, _C12, _C13, _C14 = (COVARIANCE + i * LANES for i in range(5, 9))
_C22, _C23, _C24 = (COVARIANCE + i * LANES for i in range(9, 12))
_C33, _C34, _C44 = (COVARIANCE + i * LANES for i in range(12, 15))
_J02, _J03, _J04, _J12, _J13, _J14 = (JACOBIAN + i * LANES for i in range(6))
_J22, _J23, _J24, _J32, _J33, _J34 = (JACOBIAN + i * LANES for i in range(6, 12))
_M22, _M23, _M33, _QP4 = (_NOISE + i * LANES for i in range(4))

_LANEWISE: Final[dict[str, Any]] = {
    "cache": True,
    "nogil": True,
    "error_model": "numpy",
    # Of no NaN or infinity is made less by these; they allow fused multiply-add. Not "reassoc":
    # it rounds the second half of the lanes unlike the first: a track would depend on its place.
    "fastmath": {"contract", "nsz", "arcp"},
}


@njit(**_LANEWISE)
def refer(s):  # type: ignore[no-untyped-def]
    """Take the reference's slopes for the noise from here on."""
    for b in range(LANES):
        tx, ty, qp = s[_TX + b], s[_TY + b], s[_QP + b]
        norm = 1.0 + tx * tx + ty * ty
        unit = qp * qp * norm * math.sqrt(norm)  # the root: the way is longer at an angle
        s[_M22 + b] = unit * (1.0 + tx * tx)
        s[_M23 + b] = unit * tx * ty
        s[_M33 + b] = unit * (1.0 + ty * ty)
        s[_QP4 + b] = qp * qp * qp * qp  # of a variance of the energy makes that of 1/p


@njit(**_LANEWISE)
def drift(s, step, s0, s1, s2, energy):  # type: ignore[no-untyped-def]
    """x += step tx, y += step ty; sums of scatterers and variance of energy on the way."""
    for b in range(LANES):
        m22, m23, m33 = s[_M22 + b], s[_M23 + b], s[_M33 + b]
        c02, c03, c12, c13 = s[_C02 + b], s[_C03 + b], s[_C12 + b], s[_C13 + b]
        c22, c23, c33 = s[_C22 + b], s[_C23 + b], s[_C33 + b]
        s[_X + b] += step * s[_TX + b]
        s[_Y + b] += step * s[_TY + b]
        s[_D0 + b] += step * s[_D2 + b]
        s[_D1 + b] += step * s[_D3 + b]
        s[_C00 + b] += step * (2.0 * c02 + step * c22) + s2 * m22
        s[_C01 + b] += step * (c03 + c12 + step * c23) + s2 * m23
        s[_C11 + b] += step * (2.0 * c13 + step * c33) + s2 * m33
        s[_C02 + b] = c02 + step * c22 + s1 * m22
        s[_C03 + b] = c03 + step * c23 + s1 * m23
        s[_C04 + b] += step * s[_C24 + b]
        s[_C12 + b] = c12 + step * c23 + s1 * m23
        s[_C13 + b] = c13 + step * c33 + s1 * m33
        s[_C14 + b] += step * s[_C34 + b]
        s[_C22 + b] = c22 + s0 * m22
        s[_C23 + b] = c23 + s0 * m23
        s[_C33 + b] = c33 + s0 * m33
        s[_C44 + b] += energy * s[_QP4 + b]


@njit(**_LANEWISE)
def measure(s, u, v, variance):  # type: ignore[no-untyped-def]
    """Take in what a plane measured, `VALUE` where `USED`, of x u + y v."""
    for b in range(LANES):
        c00, c01, c02, c03, c04 = (
            s[_C00 + b], s[_C01 + b], s[_C02 + b], s[_C03 + b], s[_C04 + b],
        )  # fmt: skip
        c11, c12, c13, c14 = s[_C11 + b], s[_C12 + b], s[_C13 + b], s[_C14 + b]
        d0, d1 = s[_D0 + b], s[_D1 + b]
        g0, g1 = c00 * u + c01 * v, c01 * u + c11 * v
        g2, g3, g4 = c02 * u + c12 * v, c03 * u + c13 * v, c04 * u + c14 * v
        weight = s[USED + b] / (g0 * u + g1 * v + variance)
        r = s[VALUE + b] - (s[_X + b] + d0) * u - (s[_Y + b] + d1) * v
        s[CHI2 + b] += r * r * weight
        k0, k1, k2, k3, k4 = g0 * weight, g1 * weight, g2 * weight, g3 * weight, g4 * weight
        s[_D0 + b] = d0 + k0 * r
        s[_D1 + b] = d1 + k1 * r
        s[_D2 + b] += k2 * r
        s[_D3 + b] += k3 * r
        s[_D4 + b] += k4 * r
        s[_C00 + b] = c00 - k0 * g0
        s[_C01 + b] = c01 - k0 * g1
        s[_C02 + b] = c02 - k0 * g2
        s[_C03 + b] = c03 - k0 * g3
        s[_C04 + b] = c04 - k0 * g4
        s[_C11 + b] = c11 - k1 * g1
        s[_C12 + b] = c12 - k1 * g2
        s[_C13 + b] = c13 - k1 * g3
        s[_C14 + b] = c14 - k1 * g4
        s[_C22 + b] -= k2 * g2
        s[_C23 + b] -= k2 * g3
        s[_C24 + b] -= k2 * g4
        s[_C33 + b] -= k3 * g3
        s[_C34 + b] -= k3 * g4
        s[_C44 + b] -= k4 * g4


@njit(**_LANEWISE)
def cross(s, length, field, loss, energy_loss):  # type: ignore[no-untyped-def]
    """Reference through a dipole, and the `JACOBIAN`.

    False where a lane turns by more than `SMALL`, or back: then what they are is of no use.
    """
    fits = 0
    for b in range(LANES):
        tx, ty, qp = s[_TX + b], s[_TY + b], s[_QP + b]
        turn, u = dipole_turn(tx, ty, qp, length, field, loss + energy_loss * qp * qp)
        fits += abs(u) < SMALL  # not of a NaN
        ratio, slope = small_arc(u)
        dx, dy, tx, ty, of_tx, of_ty, of_qp = dipole_exit(tx, ty, turn, length, ratio, slope)
        s[_X + b] += dx
        s[_Y + b] += dy
        s[_TX + b], s[_TY + b] = tx, ty
        s[_J02 + b], s[_J12 + b], s[_J22 + b], s[_J32 + b] = of_tx
        s[_J03 + b], s[_J13 + b], s[_J23 + b], s[_J33 + b] = of_ty
        s[_J04 + b], s[_J14 + b], s[_J24 + b], s[_J34 + b] = of_qp
    return fits == LANES


@njit(**_LANEWISE)
def transport(s):  # type: ignore[no-untyped-def]
    """Deviation and covariance through a magnet: d -> J d, C -> J C J^T."""
    for b in range(LANES):
        j02, j03, j04 = s[_J02 + b], s[_J03 + b], s[_J04 + b]
        j12, j13, j14 = s[_J12 + b], s[_J13 + b], s[_J14 + b]
        j22, j23, j24 = s[_J22 + b], s[_J23 + b], s[_J24 + b]
        j32, j33, j34 = s[_J32 + b], s[_J33 + b], s[_J34 + b]
        c02, c03, c04 = s[_C02 + b], s[_C03 + b], s[_C04 + b]
        c12, c13, c14 = s[_C12 + b], s[_C13 + b], s[_C14 + b]
        c22, c23, c24 = s[_C22 + b], s[_C23 + b], s[_C24 + b]
        c33, c34, c44 = s[_C33 + b], s[_C34 + b], s[_C44 + b]
        d2, d3, d4 = s[_D2 + b], s[_D3 + b], s[_D4 + b]
        # w = J C
        w00 = s[_C00 + b] + j02 * c02 + j03 * c03 + j04 * c04
        w01 = s[_C01 + b] + j02 * c12 + j03 * c13 + j04 * c14
        w02 = c02 + j02 * c22 + j03 * c23 + j04 * c24
        w03 = c03 + j02 * c23 + j03 * c33 + j04 * c34
        w04 = c04 + j02 * c24 + j03 * c34 + j04 * c44
        w11 = s[_C11 + b] + j12 * c12 + j13 * c13 + j14 * c14
        w12 = c12 + j12 * c22 + j13 * c23 + j14 * c24
        w13 = c13 + j12 * c23 + j13 * c33 + j14 * c34
        w14 = c14 + j12 * c24 + j13 * c34 + j14 * c44
        w22 = j22 * c22 + j23 * c23 + j24 * c24
        w23 = j22 * c23 + j23 * c33 + j24 * c34
        w24 = j22 * c24 + j23 * c34 + j24 * c44
        w32 = j32 * c22 + j33 * c23 + j34 * c24
        w33 = j32 * c23 + j33 * c33 + j34 * c34
        w34 = j32 * c24 + j33 * c34 + j34 * c44
        s[_C00 + b] = w00 + j02 * w02 + j03 * w03 + j04 * w04
        s[_C01 + b] = w01 + j12 * w02 + j13 * w03 + j14 * w04
        s[_C02 + b] = j22 * w02 + j23 * w03 + j24 * w04
        s[_C03 + b] = j32 * w02 + j33 * w03 + j34 * w04
        s[_C04 + b] = w04
        s[_C11 + b] = w11 + j12 * w12 + j13 * w13 + j14 * w14
        s[_C12 + b] = j22 * w12 + j23 * w13 + j24 * w14
        s[_C13 + b] = j32 * w12 + j33 * w13 + j34 * w14
        s[_C14 + b] = w14
        s[_C22 + b] = j22 * w22 + j23 * w23 + j24 * w24
        s[_C23 + b] = j32 * w22 + j33 * w23 + j34 * w24
        s[_C24 + b] = w24
        s[_C33 + b] = j32 * w32 + j33 * w33 + j34 * w34
        s[_C34 + b] = w34
        s[_D0 + b] += j02 * d2 + j03 * d3 + j04 * d4
        s[_D1 + b] += j12 * d2 + j13 * d3 + j14 * d4
        s[_D2 + b] = j22 * d2 + j23 * d3 + j24 * d4
        s[_D3 + b] = j32 * d2 + j33 * d3 + j34 * d4


@njit(**_LANEWISE)
def invert(s):  # type: ignore[no-untyped-def]
    """Inverse of a magnet's Jacobian, in place."""
    for b in range(LANES):
        j22, j23, j24 = s[_J22 + b], s[_J23 + b], s[_J24 + b]
        j32, j33, j34 = s[_J32 + b], s[_J33 + b], s[_J34 + b]
        scale = 1.0 / (j22 * j33 - j23 * j32)
        i22, i23, i32, i33 = j33 * scale, -j23 * scale, -j32 * scale, j22 * scale
        i24, i34 = -(j24 * i22 + j34 * i23), -(j24 * i32 + j34 * i33)
        j02, j03, j12, j13 = s[_J02 + b], s[_J03 + b], s[_J12 + b], s[_J13 + b]
        s[_J22 + b], s[_J23 + b], s[_J24 + b] = i22, i23, i24
        s[_J32 + b], s[_J33 + b], s[_J34 + b] = i32, i33, i34
        s[_J02 + b], s[_J03 + b] = -(j02 * i22 + j03 * i32), -(j02 * i23 + j03 * i33)
        s[_J12 + b], s[_J13 + b] = -(j12 * i22 + j13 * i32), -(j12 * i23 + j13 * i33)
        s[_J04 + b] = -(j02 * i24 + j03 * i34 + s[_J04 + b])
        s[_J14 + b] = -(j12 * i24 + j13 * i34 + s[_J14 + b])


@njit(**_LANEWISE)
def radiate(s, variance):  # type: ignore[no-untyped-def]
    """Add the noise that photons all along a magnet make of q/p, and so of the state behind it.

    What is lost with a share r of the magnet still to come changes q/p by 1, slopes by r and
    positions by r^2 times the Jacobian's last column: hence the integrals of powers of r.
    """
    for b in range(LANES):
        j0, j1, j2, j3 = s[_J04 + b], s[_J14 + b], s[_J24 + b], s[_J34 + b]
        a0, a1, a2, a3 = j0 * variance, j1 * variance, j2 * variance, j3 * variance
        s[_C00 + b] += a0 * j0 / 5.0
        s[_C01 + b] += a0 * j1 / 5.0
        s[_C02 + b] += a0 * j2 / 4.0
        s[_C03 + b] += a0 * j3 / 4.0
        s[_C04 + b] += a0 / 3.0
        s[_C11 + b] += a1 * j1 / 5.0
        s[_C12 + b] += a1 * j2 / 4.0
        s[_C13 + b] += a1 * j3 / 4.0
        s[_C14 + b] += a1 / 3.0
        s[_C22 + b] += a2 * j2 / 3.0
        s[_C23 + b] += a2 * j3 / 3.0
        s[_C24 + b] += a2 / 2.0
        s[_C33 + b] += a3 * j3 / 3.0
        s[_C34 + b] += a3 / 2.0
        s[_C44 + b] += variance
