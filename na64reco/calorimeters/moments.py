r"""Sums over the cells of one shower: sections, 3x3, 5x5, second moments.

The width of a shower in x is

.. math:: \sqrt{\sum_i E_i (x_i - \bar x)^2 / \sum_i E_i}

over all cells of both sections, x_i being the cells' middles.
"""

# ruff: noqa: PLR0917 - kernels take flat arrays

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["MOMENTS", "event_moments"]

Array = NDArray[np.float64]

MOMENTS: Final = 6
"""Preshower, main section, share in 3x3, share in 5x5, width in x, width in y."""


@njit(cache=True, nogil=True, error_model="numpy")
def event_moments(
    cells: Array, nx: int, ny: int, cell_x: float, cell_y: float, moments: Array
) -> tuple[int, int, int]:  # pragma: no cover - compiled
    """Fill `moments`; the most energetic cell (-1, -1 without energy) and the number of cells hit.

    `cells` has the shape (sections, at least nx * ny). Shares are about the most energetic cell,
    0 without energy; widths are in mm, NaN without energy.
    """
    hit, most, largest = 0, -1, 0.0
    prs, total = 0.0, 0.0
    sum_x = sum_y = sum_xx = sum_yy = 0.0
    for i in range(nx):
        column = 0.0
        for j in range(ny):
            cell = i * ny + j
            both = cells[0, cell]
            prs += both
            hit += 1 if both != 0.0 else 0
            for section in range(1, len(cells)):
                energy = cells[section, cell]
                hit += 1 if energy != 0.0 else 0
                both += energy
            if both > largest:
                largest, most = both, cell
            column += both
            sum_y += both * j
            sum_yy += both * j * j
        total += column
        sum_x += column * i
        sum_xx += column * i * i
    moments[0], moments[1] = prs, total - prs
    moments[2] = moments[3] = 0.0
    moments[4] = moments[5] = np.nan
    if most < 0:
        return -1, -1, hit
    ix, iy = most // ny, most % ny
    near = wide = 0.0
    for section in range(len(cells)):
        for i in range(max(ix - 2, 0), min(ix + 3, nx)):
            for j in range(max(iy - 2, 0), min(iy + 3, ny)):
                energy = cells[section, i * ny + j]
                wide += energy
                near += energy if abs(i - ix) < 2 and abs(j - iy) < 2 else 0.0
    # Rounding may not make the whole smaller than its part.
    moments[2], moments[3] = min(near / total, 1.0), min(wide / total, 1.0)
    mean_x, mean_y = sum_x / total, sum_y / total
    moments[4] = cell_x * np.sqrt(max(sum_xx / total - mean_x * mean_x, 0.0))
    moments[5] = cell_y * np.sqrt(max(sum_yy / total - mean_y * mean_y, 0.0))
    return ix, iy, hit
