r"""Sums over the cells of one shower: sections, 3x3, 5x5, second moments.

The width of a shower in x is

.. math:: \sqrt{\sum_i E_i (x_i - \bar x)^2 / \sum_i E_i}

over all cells of both sections, x_i being the cells' middles.
"""

# ruff: noqa: PLR0917 - kernels take flat arrays

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from na64reco.calorimeters.shares import FAST

__all__ = ["event_core", "event_sums", "event_widths"]

Array = NDArray[np.float64]


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def event_sums(cells: Array) -> tuple[float, float]:  # pragma: no cover - compiled
    """Energies of preshower and main section; `cells` has the shape (2, at least cells)."""
    prs = main = 0.0
    for cell in range(cells.shape[1]):
        prs += cells[0, cell]
        main += cells[1, cell]
    return prs, main


# Energies of cells are never NaN; without being told so the compiler cannot vectorise a maximum.
@njit(cache=True, nogil=True, fastmath={*FAST, "nnan"}, error_model="numpy")
def event_core(
    cells: Array, nx: int, ny: int, both: Array
) -> tuple[int, int, float, int]:  # pragma: no cover - compiled
    """The most energetic cell (-1, -1 without energy), energy of 3x3 cells about it, cells hit.

    Fills `both`, of a section's length: the sums of the sections.
    """
    hit, largest = 0, 0.0
    for cell in range(len(both)):
        prs, main = cells[0, cell], cells[1, cell]
        hit += (prs != 0.0) + (main != 0.0)
        energy = prs + main
        both[cell] = energy
        largest = energy if energy > largest else largest
    if not largest > 0.0:
        return -1, -1, 0.0, hit
    most = 0
    while both[most] != largest:
        most += 1
    ix, iy = most // ny, most % ny
    near = 0.0
    for i in range(max(ix - 1, 0), min(ix + 2, nx)):
        for j in range(max(iy - 1, 0), min(iy + 2, ny)):
            near += both[np.uint64(i * ny + j)]
    return ix, iy, near, hit


@njit(cache=True, nogil=True, error_model="numpy")
def event_widths(
    both: Array, nx: int, ny: int, cell_x: float, cell_y: float, ix: int, iy: int
) -> tuple[float, float, float]:  # pragma: no cover - compiled
    """Energy of 5x5 cells about (ix, iy), and the widths in x and y, mm; NaN without energy."""
    if ix < 0:
        return 0.0, np.nan, np.nan
    total = wide = sum_x = sum_y = sum_xx = sum_yy = 0.0
    for i in range(nx):
        column = 0.0
        for j in range(ny):
            energy = both[np.uint64(i * ny + j)]
            column += energy
            sum_y += energy * j
            sum_yy += energy * j * j
            wide += energy if abs(i - ix) < 3 and abs(j - iy) < 3 else 0.0
        total += column
        sum_x += column * i
        sum_xx += column * i * i
    mean_x, mean_y = sum_x / total, sum_y / total
    return (
        wide,
        cell_x * np.sqrt(max(sum_xx / total - mean_x * mean_x, 0.0)),
        cell_y * np.sqrt(max(sum_yy / total - mean_y * mean_y, 0.0)),
    )
