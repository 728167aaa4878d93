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

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

if TYPE_CHECKING:
    from na64reco.calorimeters.profile import ShowerProfile
    from na64reco.setup import Calorimeter

__all__ = ["PositionTable", "position_table", "shower_position"]

Array = NDArray[np.float64]

_FLOOR: Final = 1e-3
"""epsilon: keeps eta finite where a neighbour is below its threshold."""
_POINTS: Final = 401
_MAIN: Final = 1


@dataclass(frozen=True, eq=False)
class PositionTable:
    """Distance from the column's middle against eta."""

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
    return PositionTable(eta_max, np.interp(np.linspace(-eta_max, eta_max, _POINTS), eta, u))


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
    _positions(
        energies,
        calorimeter.cell_x,
        calorimeter.cell_y,
        along_x.eta_max,
        along_x.distance,
        along_y.eta_max,
        along_y.distance,
        x,
        y,
    )
    return x, y


@njit(cache=True, nogil=True)
def _distance(
    left: float, middle: float, right: float, eta_max: float, table: Array
) -> float:  # pragma: no cover - compiled
    left, right = max(left, 0.0), max(right, 0.0)
    floor = _FLOOR * (left + middle + right)
    eta = np.log((right + floor) / (left + floor))
    place = (eta / eta_max + 1.0) * 0.5 * (len(table) - 1)
    if place <= 0.0:
        return float(table[0])
    if place >= len(table) - 1:
        return float(table[-1])
    index = int(place)
    return float(table[index] + (place - index) * (table[index + 1] - table[index]))


@njit(cache=True, nogil=True)
def _positions(
    energies: Array,
    cell_x: float,
    cell_y: float,
    eta_x: float,
    table_x: Array,
    eta_y: float,
    table_y: Array,
    x: Array,
    y: Array,
) -> None:  # pragma: no cover - compiled
    events, sections, nx, ny = energies.shape
    for event in range(events):
        x[event] = y[event] = np.nan
        for section in range(sections - 1, -1, -1):
            cells = energies[event, section]
            largest, ix, iy = 0.0, -1, -1
            for i in range(nx):
                for j in range(ny):
                    if cells[i, j] > largest:
                        largest, ix, iy = cells[i, j], i, j
            if ix < 0:
                continue
            left = middle = right = below = above = centre = 0.0
            for i in range(max(ix - 1, 0), min(ix + 2, nx)):
                for j in range(max(iy - 1, 0), min(iy + 2, ny)):
                    energy = cells[i, j]
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
            x[event] = (ix + 0.5 - 0.5 * nx) * cell_x + _distance(
                left, middle, right, eta_x, table_x
            )
            y[event] = (iy + 0.5 - 0.5 * ny) * cell_y + _distance(
                below, centre, above, eta_y, table_y
            )
            break
