r"""Scales of calorimeter cells from electrons of known energy: all cells in one robust fit.

Each event says that the calibrated amplitudes add up to the energy: sum_j s_j a_j = E. The usual
way, least squares of (sum - E)^2, comes out low by the square of the relative resolution, for the
amplitudes carry the fluctuations and E does not (regression dilution: 0.17 % at 4.1 %). Here the
scales are the solution of

.. math:: \sum_e f_{ei}\, \psi\!\left(\frac{E_e - \sum_j s_j a_{ej}}{\sigma}\right) = 0
   \quad\text{for each cell } i

with the cell's share f of the event's own sum, in which a factor common to all cells cancels: on
average the sum is right, in whichever cell the energy is. psi is Tukey's biweight (J. W. Tukey,
A. E. Beaton, Technometrics 16 (1974) 147): pile-up, hadrons in the beam and electrons that radiated
upstream do not count. What is left of the bias comes from the sampling fluctuations of single
cells and is (stochastic term)^2 / E, 0.01 % at 100 GeV.

The preshower's scale shows only in how the sum depends on the shower's depth. Two facts help:
showers of one energy leave the same mean share in the preshower wherever they hit (this ties its
cells together), and that share is about known (a prior on the common scale). Cells with too little
energy keep their starting scales: these are a prior for all cells.

Standard deviations are those of M-estimators ("sandwich": P. J. Huber, Robust Statistics, 1981,
ch. 6), from the scatter of the events themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from na64reco.calibrate.scale_equations import TIED, Equations, Share, sums_and_columns
from na64reco.errors import DataError

__all__ = ["ScaleFit", "Share", "fit_scales"]

Array = NDArray[np.float64]

FEWEST: Final = 500
"""Events that a fit needs."""
_ROUNDS: Final = 30
_CONVERGED: Final = 2e-5


@dataclass(frozen=True, eq=False)
class ScaleFit:
    """Scales of the cells, flat."""

    scale: Array
    """GeV per ADC count, shape (cells,)."""
    error: Array
    """Standard deviation; that of the prior where the events say nothing, shape (cells,)."""
    covariance: Array
    """Of scale / starting scale, shape (cells, cells)."""
    entries: NDArray[np.int64]
    """Events with more than 1 % of their energy in the cell, shape (cells,)."""
    energy_share: Array
    """Mean share of the energy by cell, shape (cells,)."""
    ratio: Array
    """sum / expected energy of all events, shape (events,)."""
    weight: Array
    """0 to 1, shape (events,)."""
    resolution: float
    """Relative, of the events in the peak."""
    share: float | None
    """Mean share in the preshower; None where it was not fitted."""
    share_error: float | None
    dead: tuple[int, ...]
    """Cells without any signal although showers lie around them."""
    rounds: int
    converged: bool


def fit_scales(
    amplitude: NDArray[np.floating[Any]],
    energy: Array,
    start: Array,
    shape: tuple[int, int, int],
    *,
    prior: float = 0.3,
    impact: Array | None = None,
    share: Share | None = None,
    saturation: float = np.inf,
    where: str = "the sample",
) -> ScaleFit:
    """Scales with which the amplitudes of electrons add up to their energies.

    Parameters
    ----------
    amplitude
        In time, ADC counts, shape (events, cells), cells in the order (section, ix, iy).
    energy
        What the calorimeter should show: the electron's energy without leakage, GeV, shape
        (events,).
    start
        Scales to start from, GeV per ADC count, shape (cells,); 0 where there is no cell.
    shape
        (sections, nx, ny).
    prior
        How far the starting scales may be off, relative rms.
    impact
        Where the electron enters, relative to the middle of the cell that it hits, in units of the
        cell's size (-0.5 to 0.5), shape (events, 2); NaN where not known. With it the fit has the
        light collection of each cell beside the scales; the scales are those of the mean over the
        impact points of the sample.
    share
        Expected share of section 0; without it its cells are free like all others.
    saturation
        Events with an amplitude from here on are left out, ADC counts.
    where
        What the events are from, for error messages.

    Raises
    ------
    DataError
        If there are too few events, or no peak at the energy expected.
    """
    columns = shape[1] * shape[2]
    cells = shape[0] * columns
    live = start > 0
    good = np.isfinite(energy) & (energy > 0) & (amplitude.max(axis=1, initial=0.0) < saturation)
    total, hit = sums_and_columns(amplitude, start, columns)
    dead = _dead(amplitude, live, hit, shape)
    good &= ~np.isin(hit, _around(dead, shape)) & (total > 0)
    _check_number(good, where)
    _check_peak(total[good] / energy[good], prior, where)
    scale = _first_guess(amplitude[good], energy[good], start, shape)
    _, hit = sums_and_columns(amplitude, scale, columns)
    if impact is not None:
        # At the rims of cells without a fit of their light, that would be taken for their scale.
        good &= (np.abs(impact) <= 1).all(axis=1)
        good &= np.bincount(hit[good], minlength=columns)[hit] >= TIED
        _check_number(good, where)
    hit = hit[good]
    position, place, unknowns = _light(
        None if impact is None else impact[good], hit, cells, columns
    )
    size = unknowns + (share is not None)
    job = Equations(
        amplitude[good],
        energy[good],
        start,
        live,
        columns,
        hit,
        position,
        place,
        size,
        share,
        prior,
    )
    solution: Array = np.zeros(size)
    system = job.system(scale, solution)
    converged, rounds = False, 0
    while not converged and rounds < _ROUNDS:
        rounds += 1
        solution[:] = np.linalg.solve(system.matrix, system.vector)
        scale = scale * solution[:cells]
        system = job.system(scale, solution)
        change = np.max(np.abs(solution[:cells] - 1), where=live, initial=0.0)
        converged = bool(change < _CONVERGED)
    covariance = job.covariance(system, scale)
    ratio: Array = np.zeros(len(good))
    weight: Array = np.zeros(len(good))
    ratio[good], weight[good] = system.ratio, system.weight * system.resolution**2
    relative = covariance[:cells, :cells] * np.outer(live, live)
    return ScaleFit(
        scale=np.where(live, scale, 0.0),
        error=np.sqrt(np.diag(relative)) * scale * live,
        covariance=relative,
        entries=system.entries,
        energy_share=system.energy_share,
        ratio=ratio,
        weight=weight,
        resolution=system.resolution,
        share=float(solution[-1]) if share else None,
        share_error=float(np.sqrt(covariance[-1, -1])) if share else None,
        dead=tuple(dead.tolist()),
        rounds=rounds,
        converged=converged,
    )


def _light(
    impact: Array | None, hit: NDArray[np.int64], cells: int, columns: int
) -> tuple[Array, NDArray[np.int64], int]:
    """Functions of the impact point, which unknowns multiply them, and the number of unknowns.

    The lowest even harmonics of the cell. Less their mean over the column's events: then the
    scales are right for the sample as it is.
    """
    none = np.full(len(hit), -1)
    if impact is None:
        return np.zeros((len(hit), 0)), none, cells
    across, up = np.cos(2 * np.pi * impact).T
    position = np.stack([across, up, across * up], axis=1)
    place, unknowns = none, cells
    for column in range(columns):
        events = hit == column
        if events.any():
            position[events] -= position[events].mean(axis=0)
            place[events] = unknowns
            unknowns += position.shape[1]
    return position, place, unknowns


def _neighbours(column: int, shape: tuple[int, int, int]) -> list[int]:
    """The column and those around it."""
    _, nx, ny = shape
    ix, iy = divmod(column, ny)
    return [
        i * ny + j
        for i in range(max(ix - 1, 0), min(ix + 2, nx))
        for j in range(max(iy - 1, 0), min(iy + 2, ny))
    ]


def _dead(
    amplitude: NDArray[np.floating[Any]],
    live: NDArray[np.bool_],
    hit: NDArray[np.int64],
    shape: tuple[int, int, int],
) -> NDArray[np.int64]:
    """Cells that never have a signal, beside cells with many showers."""
    columns = shape[1] * shape[2]
    showers = np.bincount(hit, minlength=columns)
    silent = live & (amplitude.max(axis=0, initial=0.0) <= 0)
    near = [showers[_neighbours(c, shape)].sum() >= TIED for c in range(columns)]
    return np.flatnonzero(silent & np.tile(near, shape[0]))


def _around(dead: NDArray[np.int64], shape: tuple[int, int, int]) -> list[int]:
    columns = shape[1] * shape[2]
    return sorted({n for cell in dead.tolist() for n in _neighbours(cell % columns, shape)})


def _first_guess(
    amplitude: NDArray[np.floating[Any]], energy: Array, start: Array, shape: tuple[int, int, int]
) -> Array:
    """Scales with which the median of the sum is right for showers in each column."""
    scale = start.copy()
    columns = shape[1] * shape[2]
    for _ in range(4):
        total, hit = sums_and_columns(amplitude, scale, columns)
        for column in range(columns):
            ratio = total[hit == column] / energy[hit == column]
            if len(ratio) >= TIED:
                scale[column::columns] /= float(np.median(ratio))
    return scale


def _check_number(good: NDArray[np.bool_], where: str) -> None:
    number = int(np.count_nonzero(good))
    if number < FEWEST:
        msg = (
            f"{where}: {number} of {len(good)} events have a track of the beam's momentum, where "
            f"there are tracks, and a shower in live cells that do not saturate; at least {FEWEST} "
            "are needed. Give more electrons, or another position of the beam"
        )
        raise DataError(msg)


def _check_peak(ratio: Array, prior: float, where: str) -> None:
    """Electrons make a peak at about their energy: most events are near it."""
    middle = float(np.median(ratio))
    inside = float(np.mean(np.abs(ratio - middle) < prior * middle))
    if abs(np.log(max(middle, 1e-9))) > 2 * prior or inside < 0.5:
        msg = (
            f"{where}: no electrons in it, it seems. By the starting constants the ECAL shows "
            f"{middle:.3g} of the beam energy in the middle of {len(ratio)} events, and "
            f"{inside:.0%} lie within {prior:.0%} of that; electrons without a condition on the "
            f"ECAL should show 1, most of them within {prior:.0%}. Give runs of the electron beam "
            "with the beam trigger, or starting constants (--calib) nearer to the truth"
        )
        raise DataError(msg)
