"""How wide electromagnetic showers are: cell energies of a section, with correlations.

The mean density of a section is a sum of four terms

    f(r) = 3 R^3 / (2 pi (r^2 + R^2)^(5/2)),

which fall faster outside than those of Grindhammer and Peters (hep-ex/0001020) do. Radii and
weights go with ln E and with how early the shower begins, which is told by the preshower's share.
The integral over the corner (-inf, x] x (-inf, y] is a function of x plus one of y plus

    [atan(x y / R s) + R x y (s^2 + R^2) / (s (R^2 + x^2) (R^2 + y^2))] / (2 pi),

s^2 = R^2 + x^2 + y^2, and only this part is left in a rectangle.

From shower to shower the axis is displaced, the radii scale, the cross-section becomes an ellipse
and energy goes from the wide terms to the narrow ones, all by amounts that go with one over the
root of the section's energy. Around that each cell fluctuates as a gamma variate, and the section's
sum by less than such independent fluctuations would make it, since what one cell gets another one
lacks. Early showers connect the widths of preshower and main section; nothing else does.

The numbers were fitted to one half of the electrons of 10 to 100 GeV that EGSnrc v2025a-3 makes in
this calorimeter: the means by least squares, the fluctuations by the variances and covariances of
the central cell, the sums of its neighbours and what is farther, and differences between opposite
cells.
"""

# ruff: noqa: PLR0917 - kernels take flat arrays
from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numba
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["MODES", "QUANTUM", "TERMS", "cell_shares", "fluctuate", "lateral_terms"]

TERMS: Final = 4
"""Of the mean density."""

# By section (preshower, main), then by term. At 100 GeV and the usual share of the preshower.
_LOG_RADIUS: Final = np.array([[-0.9607, 1.2576, 2.4542, 4.1728], [-0.3995, 1.6406, 2.757, 3.9089]])
_LOG_RADIUS_ENERGY: Final = np.array(
    [[0.0001, 0.0813, -0.115, -0.0029], [-0.0128, 0.3077, -0.0077, 0.0071]]
)
"""Per unit of ln E."""
_LOG_RADIUS_EARLY: Final = np.array(
    [[0.3284, 0.0755, 0.0907, -0.0226], [0.7931, 0.077, 0.1205, 0.057]]
)
"""Per unit of the logarithm of the preshower's share; in the main section at 100 GeV, falling as
1 / sqrt(E)."""
_LOG_WEIGHT: Final = np.array([[1.6218, 1.774, 0.7602, 0.0], [-0.1475, 1.218, 0.9008, 0.0]])
"""Relative to the widest term."""
_LOG_WEIGHT_ENERGY: Final = np.array(
    [[-0.261, -0.1638, -0.0833, 0.0], [0.2179, 0.0519, -0.0021, 0.0]]
)
_LOG_WEIGHT_EARLY: Final = np.array([[0.4464, 0.5427, 0.5776, 0.0], [0.2073, 0.1268, 0.0836, 0.0]])
_USUAL: Final = (-2.9609, -0.46973)
"""Logarithm of the preshower's usual share at 100 GeV and its change with ln E."""
_EARLY: Final = np.array([[-1.5, 1.0], [-1.5, 1.5]])
"""How far from the usual logarithm the shape changes, by section."""
_LOG_ENERGIES: Final = (-3.0, 0.6)
"""ln(E / 100 GeV) within which the shape changes: 5 to 180 GeV."""

MODES: Final = np.array(
    [[0.190, 0.272, 0.059, 0.0357, 0.68, 0.0], [4.27, 0.0281, 0.0945, 0.1945, 0.405, 0.21]]
)
"""By section: rms times the root of the section's energy (GeV) of the axis of the wide terms in x
and in y (mm), of ln R, of the logarithm by which R is longer in x and shorter in y, and of the
logarithm of the narrow terms' weights; by how much the narrow terms follow the wide ones in the
first and third; minus the correlation of the last one with the energy that is seen."""
QUANTUM: Final = np.array([[0.0134, 0.02, 0.17], [0.0120, 0.006, 0.075]])
"""Variance of a cell's energy over its mean, GeV; below which share of the section's energy it
falls, and by which power of the share. By section."""


@numba.njit(cache=True, nogil=True)
def lateral_terms(
    section: int,
    energy: float,
    share: float,
    wider: float,
    narrower: float,
    radii: NDArray[np.float64],
    weights: NDArray[np.float64],
) -> None:
    """Radii in mm and weights of a section's terms.

    Parameters
    ----------
    section
        0 for the preshower, 1 for all behind.
    energy
        GeV.
    share
        The preshower's share of the energy.
    wider, narrower
        What is added to the logarithms of the radii, and of the two narrow terms' weights.
    radii, weights
        Written to, shape (4,).
    """
    log = np.log(max(energy, 1e-3) / 100)
    early = np.log(max(share, 1e-6)) - _USUAL[0] - _USUAL[1] * log
    log = min(max(log, _LOG_ENERGIES[0]), _LOG_ENERGIES[1])
    if section > 0:
        early *= np.exp(-0.5 * log)
    early = min(max(early, _EARLY[section, 0]), _EARLY[section, 1])
    total = 0.0
    for k in range(len(radii)):
        radii[k] = np.exp(
            _LOG_RADIUS[section, k]
            + log * _LOG_RADIUS_ENERGY[section, k]
            + early * _LOG_RADIUS_EARLY[section, k]
            + wider
        )
        weights[k] = np.exp(
            _LOG_WEIGHT[section, k]
            + log * _LOG_WEIGHT_ENERGY[section, k]
            + early * _LOG_WEIGHT_EARLY[section, k]
            + (narrower if k < 2 else 0.0)
        )
        total += weights[k]
    for k in range(len(weights)):
        weights[k] /= total


@numba.njit(cache=True, nogil=True)
def cell_shares(
    x: float,
    y: float,
    shift: tuple[float, float, float],
    follow: float,
    radii: NDArray[np.float64],
    weights: NDArray[np.float64],
    cell_x: float,
    cell_y: float,
    cells: NDArray[np.float64],
) -> None:
    """Shares of the cells, shape (nx, ny), of a calorimeter about the origin; added to `cells`.

    What falls outside is lost, so the sum is below 1.

    Parameters
    ----------
    x, y
        Axis, mm.
    shift
        Of the two wide terms in x and y, mm, and the logarithm by which their radii are longer in
        x and shorter in y.
    follow
        By how much of that the two narrow terms follow.
    radii, weights
        Of the terms, narrow ones first, shape (4,).
    """
    nx, ny = cells.shape
    for k in range(len(radii)):
        part = follow if k < 2 else 1.0
        at_x, at_y, longer = x + part * shift[0], y + part * shift[1], np.exp(part * shift[2])
        r = radii[k]
        r2 = r * r
        for i in range(nx + 1):
            u = ((i - nx / 2) * cell_x - at_x) / longer
            u2 = r2 + u * u
            for j in range(ny + 1):
                v = ((j - ny / 2) * cell_y - at_y) * longer
                v2 = r2 + v * v
                s2 = u2 + v * v
                s = np.sqrt(s2)
                value = np.arctan(u * v / (r * s)) + r * u * v * (s2 + r2) / (s * u2 * v2)
                value *= weights[k] / (2 * np.pi)
                if i < nx and j < ny:
                    cells[i, j] += value
                if i > 0 and j < ny:
                    cells[i - 1, j] -= value
                if i < nx and j > 0:
                    cells[i, j - 1] -= value
                if i > 0 and j > 0:
                    cells[i - 1, j - 1] += value


@numba.njit(cache=True, nogil=True)
def fluctuate(
    rng: Any,
    quantum: tuple[float, float, float],
    readout: float,
    whole: float,
    cells: NDArray[np.float64],
) -> None:
    """Make each cell a gamma variate of its mean, GeV.

    Its variance over its mean is the quantum plus `readout`, GeV; that of the cells' sum is
    `whole`. `quantum` is the one of large cells, and from which share of the sum down it falls by
    which power.
    """
    before, after, variance = cells.sum(), 0.0, 0.0
    for i in range(cells.shape[0]):
        for j in range(cells.shape[1]):
            mean = cells[i, j]
            cells[i, j] = 0.0
            if mean > 1e-6:
                few = min(mean / (before * quantum[1]), 1.0)
                unit = quantum[0] * few ** quantum[2] + readout
                cells[i, j] = unit * rng.standard_gamma(mean / unit)
                variance += unit * mean
            after += cells[i, j]
    if after > 0:
        cells *= (before + (after - before) * min(np.sqrt(whole * before / variance), 1.0)) / after
