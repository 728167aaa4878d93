r"""Position of a shower from the energies beside its most energetic cell.

In each direction the logarithm of the ratio of the energies to the right and to the left,

.. math:: \eta = \ln \frac{R + \epsilon S}{L + \epsilon S},

R, L and S being sums over three rows of the columns right, left and of all three, is compared with
what the mean lateral shape (see :mod:`na64reco.calorimeters.profile`) gives: :math:`\eta(u)` rises
with the distance u from the column's middle all over the column, so that the S-shaped bias of a
barycentre does not arise.
"""

# ruff: noqa: PLR0917 - kernels take flat arrays

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

if TYPE_CHECKING:
    from na64reco.calorimeters.profile import ShowerProfile
    from na64reco.setup import Calorimeter

__all__ = ["PositionTable", "event_position", "position_table", "shower_position"]

Array = NDArray[np.float64]

_FLOOR: Final = 1e-3
"""epsilon: keeps eta finite where a neighbour is below its threshold."""
_POINTS: Final = 401
_MAIN: Final = 1


class PositionTable(NamedTuple):
    """Distance from the column's middle against eta."""

    cell: float
    """Width of the columns, mm."""
    eta_max: float
    """eta at the column's edge; the table goes from -eta_max to eta_max in equal steps."""
    distance: Array
    """mm, shape (points,)."""


def position_table(profile: ShowerProfile, cell: float) -> PositionTable:
    """Table of one direction, from the lateral shape in the main section.

    Parameters
    ----------
    profile
        The expected shower.
    cell
        Width of the columns, mm.
    """
    u = np.linspace(-cell / 2, cell / 2, _POINTS)
    left, middle, right = profile.column_shares(_MAIN, u, cell=cell, cells=1, height=1.5 * cell).T
    floor = _FLOOR * (left + middle + right)
    eta = np.log((right + floor) / (left + floor))
    eta_max = float(eta[-1])
    distance = np.interp(np.linspace(-eta_max, eta_max, _POINTS), eta, u)
    return PositionTable(cell, eta_max, distance)


def shower_position(
    energies: Array, calorimeter: Calorimeter, profile: ShowerProfile
) -> tuple[Array, Array]:
    """Position of each event's shower.

    Parameters
    ----------
    energies
        In-time energies of the cells, GeV, shape (events, 2, nx, ny). The main section is used;
        the preshower where the main section is empty.
    calorimeter, profile
        The cells and the expected shower.

    Returns
    -------
    x, y in the calorimeter's frame, mm, shape (events,) each; NaN where there is no energy
    """
    x, y = np.empty(len(energies)), np.empty(len(energies))
    along_x = position_table(profile, calorimeter.cell_x)
    along_y = position_table(profile, calorimeter.cell_y)
    flat = np.ascontiguousarray(energies).reshape(*energies.shape[:2], -1)
    _positions(flat, calorimeter.nx, calorimeter.ny, along_x, along_y, x, y)
    return x, y


@njit(cache=True, nogil=True, inline="always", error_model="numpy")
def _distance(
    left: float, middle: float, right: float, along: PositionTable
) -> float:  # pragma: no cover - compiled
    left, right = max(left, 0.0), max(right, 0.0)
    floor = _FLOOR * (left + middle + right)
    eta = np.log((right + floor) / (left + floor))
    table = along.distance
    place = (eta / along.eta_max + 1.0) * 0.5 * (len(table) - 1)
    if place <= 0.0:
        return float(table[0])
    if place >= len(table) - 1:
        return float(table[-1])
    index = int(place)
    return float(table[index] + (place - index) * (table[index + 1] - table[index]))


@njit(cache=True, nogil=True, error_model="numpy")
def event_position(
    energies: Array, nx: int, ny: int, along_x: PositionTable, along_y: PositionTable
) -> tuple[float, float]:  # pragma: no cover - compiled
    """Position of one shower; `energies` has the shape (sections, at least nx * ny)."""
    for section in range(len(energies) - 1, -1, -1):
        cells = energies[section]
        largest, ix, iy = 0.0, -1, -1
        for i in range(nx):
            for j in range(ny):
                if cells[i * ny + j] > largest:
                    largest, ix, iy = cells[i * ny + j], i, j
        if ix < 0:
            continue
        left = middle = right = below = above = centre = 0.0
        for i in range(max(ix - 1, 0), min(ix + 2, nx)):
            for j in range(max(iy - 1, 0), min(iy + 2, ny)):
                energy = cells[i * ny + j]
                if i < ix:
                    left += energy
                elif i > ix:
                    right += energy
                else:
                    middle += energy
                if j < iy:
                    below += energy
                elif j > iy:
                    above += energy
                else:
                    centre += energy
        return (
            (ix + 0.5 - 0.5 * nx) * along_x.cell + _distance(left, middle, right, along_x),
            (iy + 0.5 - 0.5 * ny) * along_y.cell + _distance(below, centre, above, along_y),
        )
    return np.nan, np.nan


@njit(cache=True, nogil=True)
def _positions(
    energies: Array,
    nx: int,
    ny: int,
    along_x: PositionTable,
    along_y: PositionTable,
    x: Array,
    y: Array,
) -> None:  # pragma: no cover - compiled
    for event in range(len(energies)):
        x[event], y[event] = event_position(energies[event], nx, ny, along_x, along_y)
