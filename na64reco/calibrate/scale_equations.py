"""The linear equations of one round of `na64reco.calibrate.ecal_scales`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from na64reco.calibrate.scale_sums import add_equations, add_scatter, add_ties, sums_and_maxima

__all__ = ["SEEN", "TIED", "Equations", "Share", "System", "sums_and_columns"]

Array = NDArray[np.float64]

TUKEY: Final = 4.0
"""Where psi vanishes, in standard deviations: 91 % efficient for normal residuals."""
SEEN: Final = 0.01
"""An event counts for a cell that has more than this share of its energy."""
TIED: Final = 200
"""Events with their maximum in a cell that tie the preshower's cells together there."""
LIGHT: Final = 0.1
"""How far the light collection may vary over a cell, rms, relative."""


@dataclass(frozen=True)
class Share:
    """The mean share of the energy in the preshower, as expected."""

    value: float
    width: float
    """Its uncertainty."""
    uniform: Array | float = 0.002
    """How equal it is for showers in all columns of cells, relative; or for each column, shape
    (columns,)."""


@dataclass(frozen=True, eq=False)
class System:
    """Linear equations: unknowns are factors of the scales, light collection, preshower's share."""

    matrix: Array
    vector: Array
    slope: Array
    """Derivative of the estimating equations."""
    ratio: Array
    weight: Array
    residual: Array
    """Energy - expectation, GeV, shape (events,)."""
    entries: NDArray[np.int64]
    energy_share: Array
    resolution: float
    known: Array
    """What the prior adds to the diagonal."""
    ties: _Ties | None


@dataclass(frozen=True, eq=False)
class _Ties:
    """Measurements of the share in the preshower: gradient . unknowns = -mean."""

    number: NDArray[np.int64]
    """Of the measurement in each column of cells, -1 for none."""
    mean: Array
    variance: Array
    tolerance: Array
    """The part of the standard deviation that is not of the events."""
    gradient: Array
    """Shape (measurements, unknowns)."""
    weights: Array
    """Sum over the events."""


@dataclass(frozen=True, eq=False)
class Equations:
    """What stays the same in all rounds."""

    amplitude: NDArray[np.floating[Any]]
    energy: Array
    start: Array
    live: NDArray[np.bool_]
    columns: int
    """Cells of a section; the first section is the preshower."""
    hit: NDArray[np.int64]
    """Column of the largest energy, shape (events,)."""
    position: Array
    """Functions of the impact point, shape (events, functions)."""
    place: NDArray[np.int64]
    """First unknown of the light collection in the event's column, -1 for none."""
    size: int
    """Unknowns; the last one is the preshower's share where there is a prior for it."""
    share: Share | None
    prior: float

    def system(self, scale: Array, light: Array) -> System:
        """The equations around some scales; `light` has the length of all unknowns."""
        cells, size = len(scale), self.size
        total = self.sums(scale)
        seen = self.place >= 0
        bright = np.zeros(len(total))
        for k in range(self.position.shape[1]):
            bright[seen] += light[self.place[seen] + k] * self.position[seen, k]
        residual = self.energy * (1 + bright) - total
        sigma = max(1.4826 * float(np.median(np.abs(residual / self.energy))), 1e-4)
        u2 = (residual / (TUKEY * sigma * self.energy)) ** 2
        weight = np.where(u2 < 1, (1 - u2) ** 2, 0.0) / sigma**2
        bend = np.where(u2 < 1, (1 - u2) * (1 - 5 * u2), 0.0) / sigma**2
        matrix, slope = np.zeros((size, size)), np.zeros((size, size))
        vector = np.zeros(size)
        entries, energy_share = np.zeros(cells, np.int64), np.zeros(cells)
        add_equations(
            self.amplitude,
            scale,
            self.energy,
            total,
            weight,
            bend,
            self.position,
            self.place,
            matrix,
            slope,
            vector,
            entries,
            energy_share,
            SEEN,
        )
        matrix += np.triu(matrix, 1).T
        slope += np.triu(slope, 1).T
        # The starting scales, as measurements with an error of their own.
        before = np.divide(self.start, scale, out=np.ones(cells), where=self.live)
        known, aim = np.full(size, 1 / LIGHT**2), np.zeros(size)
        known[:cells] = np.where(self.live, 1 / (self.prior * before) ** 2, 1.0)
        aim[:cells] = before
        ties = self._ties(scale, total, weight)
        if ties is not None and self.share is not None:
            known[-1], aim[-1] = 1 / self.share.width**2, self.share.value
            weighted = ties.gradient.T / np.asarray(ties.variance)
            matrix += weighted @ ties.gradient
            slope += weighted @ ties.gradient
            vector -= weighted @ ties.mean
        vector += known * aim
        for part in (matrix, slope):
            part[np.diag_indices(size)] += known
        return System(
            matrix=matrix,
            vector=vector,
            slope=slope,
            ratio=total / self.energy,
            weight=weight,
            residual=residual,
            entries=entries,
            energy_share=energy_share / max(int(np.count_nonzero(weight)), 1),
            resolution=sigma,
            known=known,
            ties=ties,
        )

    def covariance(self, system: System, scale: Array) -> Array:
        """Of all unknowns."""
        size, ties = self.size, system.ties
        tie, pull = np.full(len(self.hit), -1), np.zeros(len(self.hit))
        gradient, scatter = np.zeros((1, size)), np.zeros((size, size))
        total = system.ratio * self.energy
        if ties is not None:
            tie = ties.number[self.hit]
            gradient = ties.gradient
            share = (self.amplitude[:, : self.columns] @ scale[: self.columns]) / total
            strength = 1 / (ties.weights * ties.variance)
            pull = np.where(tie >= 0, system.weight * strength[tie] * (ties.mean[tie] - share), 0.0)
            common = gradient.T / ties.variance * ties.tolerance
            scatter += np.triu(common @ common.T)
        add_scatter(
            self.amplitude,
            scale,
            self.energy,
            total,
            system.weight,
            system.residual,
            self.position,
            self.place,
            tie,
            pull,
            gradient,
            scatter,
        )
        scatter += np.triu(scatter, 1).T
        scatter[np.diag_indices(size)] += system.known
        inverse = np.linalg.inv(system.slope)
        covariance: Array = inverse @ scatter @ inverse.T
        return covariance

    def sums(self, scale: Array) -> Array:
        """Calibrated sums, GeV, never 0, shape (events,)."""
        total, _ = sums_and_columns(self.amplitude, scale, self.columns)
        return np.maximum(total, 1e-9)

    def _ties(self, scale: Array, total: Array, weight: Array) -> _Ties | None:
        """The mean share in the preshower, of showers in each column."""
        if self.share is None:
            return None
        sums = np.zeros((self.columns, 4))
        gradient = np.zeros((self.columns, len(scale)))
        add_ties(self.amplitude, scale, total, weight, self.hit, sums, gradient)
        enough = sums[:, 0] ** 2 >= TIED * np.maximum(sums[:, 1], 1e-12)
        number, squares = sums[enough, 0], sums[enough, 1]
        mean, square = sums[enough, 2], sums[enough, 3]
        mean, square = mean / number, square / number
        uniform = np.broadcast_to(np.asarray(self.share.uniform), self.columns)
        tolerance = uniform[enough] * mean
        whole = np.zeros((len(mean), self.size))
        whole[:, : len(scale)] = gradient[enough] / number[:, None]
        whole[:, -1] = -1
        return _Ties(
            number=np.where(enough, np.cumsum(enough) - 1, -1),
            mean=mean,
            variance=(square - mean**2) * squares / number**2 + tolerance**2,
            tolerance=tolerance,
            gradient=whole,
            weights=number,
        )


def sums_and_columns(
    amplitude: NDArray[np.floating[Any]], scale: Array, columns: int
) -> tuple[Array, NDArray[np.int64]]:
    """The calibrated sum, and the column with the largest energy."""
    total, hit = np.empty(len(amplitude)), np.empty(len(amplitude), np.int64)
    sums_and_maxima(amplitude, scale, columns, total, hit)
    return total, hit
