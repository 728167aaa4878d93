"""Expected shares of the cells in a section's energy, and how they change.

The formulas are those of :mod:`na64reco.calorimeters.profile`.
"""

# ruff: noqa: PLR0917 - kernels take flat arrays

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.special import ndtr

from na64reco.calorimeters.profile import DEPTH_RANGE, REFERENCE_ENERGY

if TYPE_CHECKING:
    from na64reco.calorimeters.profile import ShowerProfile
    from na64reco.setup import Calorimeter

__all__ = ["FAST", "expected_shares", "fill_shares", "share_modes"]

FAST: Final = {"reassoc", "contract", "arcp", "nsz"}
"""Freedom of the compiler to reorder sums; NaN and infinities keep their meaning."""

Array = NDArray[np.float64]

# The normal distribution function and its density, tabulated; expanded to second order around the
# nearest point they are right to 5e-8.
_CDF_RANGE: Final = 6.0
_CDF_PER_UNIT: Final = 64
_POINTS: Final = np.linspace(-_CDF_RANGE, _CDF_RANGE, int(2 * _CDF_RANGE * _CDF_PER_UNIT) + 1)
_NORMAL: Final = np.stack(
    [ndtr(_POINTS), np.exp(-0.5 * _POINTS**2) / math.sqrt(2 * math.pi)], axis=1
)
_NORMAL[0], _NORMAL[-1] = (0.0, 0.0), (1.0, 0.0)


def expected_shares(
    profile: ShowerProfile,
    calorimeter: Calorimeter,
    x: Array,
    y: Array,
    energy: Array,
    *,
    depth: Array | float = 0.0,
) -> Array:
    """Expected share of each cell in its section's energy.

    Parameters
    ----------
    profile, calorimeter
        The shower and the cells.
    x, y
        Impact points in the calorimeter's frame, mm, shape (events,).
    energy
        GeV, shape (events,).
    depth
        q, the preshower's share over the expected one minus 1, shape (events,).

    Returns
    -------
    shape (events, 2, nx, ny); the sum over the cells of a section is 1
    """
    return share_modes(profile, calorimeter, x, y, energy, depth=depth)[:, :, 0]


def share_modes(
    profile: ShowerProfile,
    calorimeter: Calorimeter,
    x: Array,
    y: Array,
    energy: Array,
    *,
    depth: Array | float = 0.0,
) -> Array:
    """Expected shares f, df/dx, df/dy (1/mm) and df/d ln s; parameters as `expected_shares`.

    Returns
    -------
    shape (events, 2, 4, nx, ny); derivatives are without that of the normalisation
    """
    arrays = np.broadcast_arrays(*(np.asarray(a, dtype=np.float64) for a in (x, y, energy, depth)))
    x, y, energy, q = (np.ascontiguousarray(a) for a in arrays)
    modes = np.empty((len(x), 2, 4, calorimeter.nx, calorimeter.ny))
    _fill_all(
        x,
        y,
        energy,
        np.clip(q, *DEPTH_RANGE),
        calorimeter.cell_x,
        calorimeter.cell_y,
        profile.weight,
        profile.sigma,
        profile.growth,
        profile.depth,
        modes,
    )
    return modes


@njit(cache=True, nogil=True, inline="always", error_model="numpy")
def _normal(t: float) -> tuple[float, float]:  # pragma: no cover - compiled
    """Distribution function and density of the normal distribution."""
    # Most Gaussians are narrow, so that most edges of cells are far away.
    if t <= -_CDF_RANGE:
        return 0.0, 0.0
    if t >= _CDF_RANGE:
        return 1.0, 0.0
    index = int((t + _CDF_RANGE) * _CDF_PER_UNIT + 0.5)
    point = index * (1.0 / _CDF_PER_UNIT) - _CDF_RANGE
    d = t - point
    cdf, density = _NORMAL[index, 0], _NORMAL[index, 1]
    return (
        cdf + d * density * (1.0 - 0.5 * d * point),
        density * (1.0 - d * point + 0.5 * d * d * (point * point - 1.0)),
    )


@njit(cache=True, nogil=True, inline="always", error_model="numpy")
def _fill_axis(
    position: float,
    cell: float,
    cells: int,
    sigma: float,
    work: Array,
    row: int,
    k: int,
) -> float:  # pragma: no cover - compiled
    """One Gaussian's integrals over each cell of one axis, into work[row, k]; their sum is given.

    Behind them, in work[row + 1, k] and work[row + 2, k], are their slopes with the position and
    with the logarithm of the width.
    """
    # The whole array and places in it: numba counts references to each view, which took longer.
    inverse = 1.0 / sigma
    t, step = (-0.5 * cells * cell - position) * inverse, cell * inverse
    first, density = _normal(t)
    cdf, moment = first, t * density
    for i in range(cells):
        t += step
        next_cdf, next_density = _normal(t)
        next_moment = t * next_density
        work[row, k, i] = next_cdf - cdf
        work[row + 1, k, i] = (density - next_density) * inverse
        work[row + 2, k, i] = moment - next_moment
        cdf, density, moment = next_cdf, next_density, next_moment
    return cdf - first


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def fill_shares(
    x: float,
    y: float,
    cell_x: float,
    cell_y: float,
    weight: Array,
    sigma: Array,
    work: Array,
    share: Array,
    slope_x: Array,
    slope_y: Array,
    wide: Array,
) -> None:  # pragma: no cover - compiled
    """Shares of all cells of one section for one impact point, and what they change by.

    `work` has the shape (6, 4, max(nx, ny)), for integrals, slopes and changes with the width of
    each term along x, then along y; `share`, `slope_x` and `slope_y` (per mm), `wide`
    (per unit of the logarithm of the width), shape (nx, ny), are filled. How the normalisation
    changes is left out: it is as if the whole energy changed.
    """
    nx, ny = share.shape
    total = 0.0
    for k in range(len(weight)):
        all_x = _fill_axis(x, cell_x, nx, sigma[k], work, 0, k)
        all_y = _fill_axis(y, cell_y, ny, sigma[k], work, 3, k)
        total += weight[k] * all_x * all_y
    # Far outside the calorimeter nothing is left to share out.
    factor = 1.0 / total if total > 1e-9 else 0.0
    # The terms are written out (there are four): as a loop they cost twice the time.
    w0, w1, w2, w3 = factor * weight[0], factor * weight[1], factor * weight[2], factor * weight[3]
    for i in range(nx):
        a0, a1, a2, a3 = (
            w0 * work[0, 0, i],
            w1 * work[0, 1, i],
            w2 * work[0, 2, i],
            w3 * work[0, 3, i],
        )
        b0, b1 = w0 * work[1, 0, i], w1 * work[1, 1, i]
        b2, b3 = w2 * work[1, 2, i], w3 * work[1, 3, i]
        c0, c1 = w0 * work[2, 0, i], w1 * work[2, 1, i]
        c2, c3 = w2 * work[2, 2, i], w3 * work[2, 3, i]
        for j in range(ny):
            y0, y1, y2, y3 = work[3, 0, j], work[3, 1, j], work[3, 2, j], work[3, 3, j]
            share[i, j] = a0 * y0 + a1 * y1 + a2 * y2 + a3 * y3
            slope_x[i, j] = b0 * y0 + b1 * y1 + b2 * y2 + b3 * y3
            slope_y[i, j] = (
                a0 * work[4, 0, j] + a1 * work[4, 1, j] + a2 * work[4, 2, j] + a3 * work[4, 3, j]
            )
            wide[i, j] = (
                c0 * y0 + c1 * y1 + c2 * y2 + c3 * y3
                + a0 * work[5, 0, j] + a1 * work[5, 1, j] + a2 * work[5, 2, j] + a3 * work[5, 3, j]
            )  # fmt: skip


@njit(cache=True, nogil=True, fastmath=FAST)
def _fill_all(
    x: Array,
    y: Array,
    energy: Array,
    depth: Array,
    cell_x: float,
    cell_y: float,
    weight: Array,
    sigma: Array,
    growth: Array,
    per_depth: Array,
    modes: Array,
) -> None:  # pragma: no cover - compiled
    _, sections, _, nx, ny = modes.shape
    work = np.empty((6, weight.shape[1], max(nx, ny)))
    tilted = np.empty(weight.shape[1])
    for event in range(len(x)):
        for section in range(sections):
            grown = (max(energy[event], 1.0) / REFERENCE_ENERGY) ** growth[section]
            tilted[:] = weight[section]
            tilted[0] *= np.exp(per_depth[section] * depth[event])
            one = modes[event, section]
            fill_shares(
                x[event], y[event], cell_x, cell_y, tilted, sigma[section] * grown,
                work, one[0], one[1], one[2], one[3],
            )  # fmt: skip
