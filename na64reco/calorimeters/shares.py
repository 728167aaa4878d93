"""Expected shares of the cells in a section's energy, and how they change.

The formulas are those of :mod:`na64reco.calorimeters.profile`.
"""

# ruff: noqa: PLR0917 - kernels take flat arrays

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.special import ndtr

from na64reco.calorimeters.profile import DEPTH_RANGE, REFERENCE_ENERGY

if TYPE_CHECKING:
    from na64reco.calorimeters.profile import ShowerProfile
    from na64reco.setup import Calorimeter

__all__ = [
    "FAST",
    "AxisLanes",
    "aligned",
    "axis_lanes",
    "expected_shares",
    "fill_shares",
    "share_modes",
    "work_room",
]

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
    axis = axis_lanes(profile, calorimeter)
    _fill_all(
        x,
        y,
        energy,
        np.clip(q, *DEPTH_RANGE),
        profile.growth,
        profile.depth,
        axis,
        work_room(axis),
        np.empty((4, calorimeter.nx * calorimeter.ny + axis.row)),
        modes,
    )
    return modes


class AxisLanes(NamedTuple):
    """The edges of the cells as kernels take them: lanes of equal loops, see `axis_lanes`."""

    nx: int
    ny: int
    row: int
    """Lanes of one direction."""
    lanes: tuple[int, ...]
    """As many entries as `row`: how long a tuple is the compiler knows, so that loops over lanes
    become whole vectors."""
    table: Array
    """Flat; for each section what `_TABLE` names, in lanes (term, direction, edge)."""


_LANES: Final = 8
_TABLE: Final = 4
"""Edges, inverse widths in the lanes along x (else 0), the same along y, and weights: those of the
terms along x, 1 along y, 0 in lanes without a cell."""
_TERMS: Final = 4


def axis_lanes(profile: ShowerProfile, calorimeter: Calorimeter) -> AxisLanes:
    """Edges over widths at 100 GeV, inverse widths and weights of every lane.

    A lane is the lower edge of a cell. Behind the last cell the last edge is repeated: nothing is
    between equal edges.
    """
    cells = (calorimeter.nx, calorimeter.ny)
    row = -(-(max(cells) + 1) // _LANES) * _LANES
    table = np.zeros((len(profile.sigma), _TABLE, _TERMS, 2, row))
    for axis, (number, width) in enumerate(
        zip(cells, (calorimeter.cell_x, calorimeter.cell_y), strict=True)
    ):
        edges = (np.minimum(np.arange(row), number) - 0.5 * number) * width
        table[:, 0, :, axis] = edges / profile.sigma[:, :, None]
        table[:, 1 + axis, :, axis] = 1.0 / profile.sigma[:, :, None]
        table[:, 3, :, axis, :number] = 1.0 if axis else profile.weight[:, :, None]
    return AxisLanes(*cells, row, tuple(range(row)), aligned(table.size, table.ravel()))


def aligned(number: int, values: Array | float = 0.0) -> Array:
    """Array that begins where a line of the processor's cache does: vectors do not cross lines."""
    line = 64
    room = np.empty(8 * number + line, dtype=np.uint8)
    start = -room.ctypes.data % line
    found: Array = room[start : start + 8 * number].view(np.float64)
    found[:] = values
    return found


def work_room(lanes: AxisLanes) -> Array:
    """Memory that `fill_shares` works in."""
    return aligned(_WORK * lanes.row)


@njit(cache=True, nogil=True, inline="always", error_model="numpy")
def _normal(t: float) -> tuple[float, float]:  # pragma: no cover - compiled
    """Distribution function and density of the normal distribution."""
    t = t if t > -_CDF_RANGE else -_CDF_RANGE
    t = t if t < _CDF_RANGE else _CDF_RANGE
    index = int((t + _CDF_RANGE) * _CDF_PER_UNIT + 0.5)
    point = index * (1.0 / _CDF_PER_UNIT) - _CDF_RANGE
    d = t - point
    cdf, density = _NORMAL[index, 0], _NORMAL[index, 1]
    return (
        cdf + d * density * (1.0 - 0.5 * d * point),
        density * (1.0 - d * point + 0.5 * d * d * (point * point - 1.0)),
    )


# Parts of the memory that `fill_shares` works in, in rows. Parts of one array at fixed distances:
# of several arrays a loop would have to find out each time that they do not overlap.
_ROWS: Final = 2 * _TERMS
_DENSITY: Final = _ROWS + 1
_MOMENT: Final = 2 * (_ROWS + 1)
_INTEGRAL: Final = 3 * (_ROWS + 1)
_SLOPE: Final = _INTEGRAL + _ROWS
_WIDE: Final = _SLOPE + _ROWS
_WORK: Final = _WIDE + _ROWS


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def fill_shares(
    x: float,
    y: float,
    grown: float,
    tilt: float,
    section: int,
    axis: AxisLanes,
    work: Array,
    share: Array,
    slope_x: Array,
    slope_y: Array,
    wide: Array,
) -> None:  # pragma: no cover - compiled
    """Shares of all cells of one section for one impact point, and what they change by.

    The Gaussians are `grown` times as wide as at 100 GeV, the first weighs `tilt` times as much.
    `share`, `slope_x` and `slope_y` (per mm), `wide` (per unit of the logarithm of the width) are
    filled, cell after cell, then row - ny zeros. How the normalisation changes is left out: it is
    as if the whole energy changed.
    """
    table, nx, ny = axis.table, axis.nx, axis.ny
    row = len(axis.lanes)
    lanes = _ROWS * row
    # Unsigned places: numba would look for negative ones otherwise, and loops stay scalar.
    start, one = np.uint64(section) * np.uint64(_TABLE * lanes), np.uint64(lanes)
    narrow = 1.0 / grown
    for lane in range(lanes):
        at = start + np.uint64(lane)
        t = (table[at] - x * table[at + one] - y * table[at + one + one]) * narrow
        cdf, density = _normal(t)
        work[lane] = cdf
        work[_DENSITY * row + lane] = density
        work[_MOMENT * row + lane] = t * density
    for lane in range(lanes):
        at = start + np.uint64(lane)
        weight = table[at + one + one + one]
        inverse = (table[at + one] + table[at + one + one]) * narrow
        density = work[_DENSITY * row + lane] - work[_DENSITY * row + lane + 1]
        moment = work[_MOMENT * row + lane] - work[_MOMENT * row + lane + 1]
        work[_INTEGRAL * row + lane] = (work[lane + 1] - work[lane]) * weight
        work[_SLOPE * row + lane] = density * inverse * weight
        work[_WIDE * row + lane] = moment * weight
    total = 0.0
    for k in range(_TERMS):
        first = 2 * k * row
        weight = table[start + one + one + one + np.uint64(first)] * (tilt if k == 0 else 1.0)
        all_x = work[first + nx] - work[first]
        total += weight * all_x * (work[first + row + ny] - work[first + row])
    # Far outside the calorimeter nothing is left to share out.
    factor = 1.0 / total if total > 1e-9 else 0.0
    tilt *= factor
    # The terms are written out (there are four), and each result has a loop of its own with a
    # length that the compiler does not know: only so these loops become vectors.
    # Of the lanes along y: integrals f, slopes g, changes with the width h of the terms.
    f0, g0, h0 = _INTEGRAL * row + row, _SLOPE * row + row, _WIDE * row + row
    f1, g1, h1 = f0 + 2 * row, g0 + 2 * row, h0 + 2 * row
    f2, g2, h2 = f1 + 2 * row, g1 + 2 * row, h1 + 2 * row
    f3, g3, h3 = f2 + 2 * row, g2 + 2 * row, h2 + 2 * row
    term = np.uint64(2 * row)
    for i in range(nx):
        cell = np.uint64(i) * np.uint64(ny)
        at = np.uint64(_INTEGRAL * row + i)
        a0, a1 = tilt * work[at], factor * work[at + term]
        a2, a3 = factor * work[at + term + term], factor * work[at + term + term + term]
        for j in range(axis.row):
            share[cell + np.uint64(j)] = (
                a0 * work[f0 + j] + a1 * work[f1 + j] + a2 * work[f2 + j] + a3 * work[f3 + j]
            )
        for j in range(axis.row):
            slope_y[cell + np.uint64(j)] = (
                a0 * work[g0 + j] + a1 * work[g1 + j] + a2 * work[g2 + j] + a3 * work[g3 + j]
            )
        at = np.uint64(_SLOPE * row + i)
        b0, b1 = tilt * work[at], factor * work[at + term]
        b2, b3 = factor * work[at + term + term], factor * work[at + term + term + term]
        for j in range(axis.row):
            slope_x[cell + np.uint64(j)] = (
                b0 * work[f0 + j] + b1 * work[f1 + j] + b2 * work[f2 + j] + b3 * work[f3 + j]
            )
        at = np.uint64(_WIDE * row + i)
        c0, c1 = tilt * work[at], factor * work[at + term]
        c2, c3 = factor * work[at + term + term], factor * work[at + term + term + term]
        for j in range(axis.row):
            wide[cell + np.uint64(j)] = (
                c0 * work[f0 + j] + c1 * work[f1 + j] + c2 * work[f2 + j] + c3 * work[f3 + j]
                + a0 * work[h0 + j] + a1 * work[h1 + j] + a2 * work[h2 + j] + a3 * work[h3 + j]
            )  # fmt: skip


@njit(cache=True, nogil=True, fastmath=FAST)
def _fill_all(
    x: Array,
    y: Array,
    energy: Array,
    depth: Array,
    growth: Array,
    per_depth: Array,
    axis: AxisLanes,
    work: Array,
    room: Array,
    modes: Array,
) -> None:  # pragma: no cover - compiled
    events, sections, kinds, nx, ny = modes.shape
    for event in range(events):
        for section in range(sections):
            grown = (max(energy[event], 1.0) / REFERENCE_ENERGY) ** growth[section]
            tilt = np.exp(per_depth[section] * depth[event])
            fill_shares(
                x[event], y[event], grown, tilt, section, axis, work,
                room[0], room[1], room[2], room[3],
            )  # fmt: skip
            for kind in range(kinds):
                for i in range(nx):
                    for j in range(ny):
                        modes[event, section, kind, i, j] = room[kind, i * ny + j]
