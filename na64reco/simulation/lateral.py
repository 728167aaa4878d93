"""Energy in rectangular cells for showers with radial profiles of Grindhammer and Peters.

Their density f(r) = R^2 / (pi (r^2 + R^2)^2) (hep-ex/0001020, eq. 25, per area) integrates in
closed form over the corner (-inf, x] x (-inf, y]:

    G(x, y) = 1/4 + [A(x) + A(y)] / 4 + [A(x) B(y, x) + A(y) B(x, y)] / (2 pi),
    A(x) = x / sqrt(R^2 + x^2),  B(y, x) = atan(y / sqrt(R^2 + x^2)).
"""

# ruff: noqa: PLR0917 - kernels take flat arrays
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numba
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["corner", "share_out", "smear"]


@numba.njit(cache=True, nogil=True)
def corner(x: float, y: float, radius: float) -> float:
    """Share of a shower at the origin with core radius R that lies at x' < x and y' < y."""
    across = np.sqrt(radius * radius + x * x)
    along = np.sqrt(radius * radius + y * y)
    a, b = x / across, y / along
    return float(
        0.25 + 0.25 * (a + b) + (a * np.arctan(y / across) + b * np.arctan(x / along)) / (2 * np.pi)
    )


@numba.njit(cache=True, nogil=True)
def share_out(
    energy: float,
    x: float,
    y: float,
    radii: NDArray[np.float64],
    weights: NDArray[np.float64],
    cell_x: float,
    cell_y: float,
    cells: NDArray[np.float64],
) -> None:
    """Add a shower's energy to the cells, shape (nx, ny), of a calorimeter about the origin.

    What falls outside is lost. `radii` and `weights` are those of the components; the weights
    add up to 1.
    """
    nx, ny = cells.shape
    for c in range(len(radii)):
        weight, radius = energy * weights[c], radii[c]
        if weight <= 0:
            continue
        for i in range(nx + 1):
            u = (i - nx / 2) * cell_x - x
            for j in range(ny + 1):
                v = (j - ny / 2) * cell_y - y
                value = weight * corner(u, v, radius)
                if i < nx and j < ny:
                    cells[i, j] += value
                if i > 0 and j < ny:
                    cells[i - 1, j] -= value
                if i < nx and j > 0:
                    cells[i, j - 1] -= value
                if i > 0 and j > 0:
                    cells[i - 1, j - 1] += value


@numba.njit(cache=True, nogil=True)
def smear(rng: Any, stochastic: float, cells: NDArray[np.float64]) -> None:
    """Sampling fluctuations: each cell becomes a gamma variate of variance stochastic^2 * E.

    They are independent, so the sum has the resolution stochastic / sqrt(E).
    """
    unit = stochastic * stochastic
    for i in range(cells.shape[0]):
        for j in range(cells.shape[1]):
            energy = cells[i, j]
            if energy <= 1e-6:
                cells[i, j] = max(energy, 0.0)
            else:
                cells[i, j] = unit * rng.standard_gamma(energy / unit)
