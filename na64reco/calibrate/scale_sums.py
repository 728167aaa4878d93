"""Sums over events for the fit of cell scales (`na64reco.calibrate.ecal_scales`)."""

# ruff: noqa: PLR0917 - kernels take flat arrays

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["add_equations", "add_scatter", "add_ties", "sums_and_maxima"]

Array = NDArray[np.float64]
Index = NDArray[np.int64]


@njit(cache=True, nogil=True)
def sums_and_maxima(
    amplitude: NDArray[np.floating[Any]], scale: Array, columns: int, total: Array, hit: Index
) -> None:  # pragma: no cover - compiled
    """Fill the calibrated sum and the column (cells behind each other) with the largest energy.

    `amplitude` has the shape (events, cells), `total` and `hit` (events,).
    """
    cells = amplitude.shape[1]
    for event in range(len(amplitude)):
        most, best, everything = -1.0, 0, 0.0
        for column in range(columns):
            energy = 0.0
            for cell in range(column, cells, columns):
                energy += amplitude[event, cell] * scale[cell]
            everything += energy
            if energy > most:
                most, best = energy, column
        total[event], hit[event] = everything, best


@njit(cache=True, nogil=True)
def _gather(
    amplitudes: NDArray[np.floating[Any]],
    scale: Array,
    position: Array,
    energy: float,
    place: int,
    index: Index,
    derivative: Array,
) -> int:  # pragma: no cover - compiled
    """Derivatives of the event's sum over expectation that are not 0, and of which unknowns."""
    n = 0
    for cell in range(len(scale)):
        value = amplitudes[cell] * scale[cell]
        if value != 0.0:
            index[n], derivative[n] = cell, value
            n += 1
    if place >= 0:
        for k in range(len(position)):
            index[n], derivative[n] = place + k, -energy * position[k]
            n += 1
    return n


@njit(cache=True, nogil=True, error_model="numpy")
def add_equations(
    amplitude: NDArray[np.floating[Any]],
    scale: Array,
    energy: Array,
    total: Array,
    weight: Array,
    bend: Array,
    position: Array,
    place: Index,
    matrix: Array,
    slope: Array,
    vector: Array,
    entries: Index,
    share: Array,
    seen: float,
) -> None:  # pragma: no cover - compiled
    """Add up the linear equations, the slopes, and how much of the energy the cells have.

    Parameters
    ----------
    weight, bend
        psi(r) / r and psi'(r) over the variance of the relative residual, shape (events,).
    position
        Functions of the impact point, shape (events, functions).
    place
        First unknown that multiplies them in the event's column, -1 for none, shape (events,).
    matrix, slope
        Upper triangles are added to.
    """
    cells = len(scale)
    index = np.empty(cells + position.shape[1], np.int64)
    derivative = np.empty(cells + position.shape[1])
    for event in range(len(amplitude)):
        if weight[event] == 0.0 and bend[event] == 0.0:
            continue
        n = _gather(
            amplitude[event], scale, position[event], energy[event], place[event], index, derivative
        )
        per = 1.0 / (energy[event] * total[event])
        w, b = weight[event] * per, bend[event] * per
        for i in range(n):
            row, first = index[i], derivative[i]
            vector[row] += w * first * energy[event]
            for j in range(i, n):
                product = first * derivative[j]
                matrix[row, index[j]] += w * product
                slope[row, index[j]] += b * product
            if row < cells and weight[event] > 0.0:
                share[row] += first / total[event]
                if first > seen * total[event]:
                    entries[row] += 1


@njit(cache=True, nogil=True, error_model="numpy")
def add_ties(
    amplitude: NDArray[np.floating[Any]],
    scale: Array,
    total: Array,
    weight: Array,
    hit: Index,
    sums: Array,
    gradient: Array,
) -> None:  # pragma: no cover - compiled
    """Add up, by column of the shower: weights, squares, share q of section 0, q^2; d q / d factor.

    `sums` has the shape (columns, 4), `gradient` (columns, cells).
    """
    columns, cells = gradient.shape
    for event in range(len(amplitude)):
        w, column = weight[event], hit[event]
        if w == 0.0:
            continue
        q = 0.0
        for cell in range(columns):
            q += amplitude[event, cell] * scale[cell]
        q /= total[event]
        sums[column, 0] += w
        sums[column, 1] += w * w
        sums[column, 2] += w * q
        sums[column, 3] += w * q * q
        for cell in range(cells):
            f = amplitude[event, cell] * scale[cell] / total[event]
            gradient[column, cell] += w * f * ((1.0 if cell < columns else 0.0) - q)


@njit(cache=True, nogil=True, error_model="numpy")
def add_scatter(
    amplitude: NDArray[np.floating[Any]],
    scale: Array,
    energy: Array,
    total: Array,
    weight: Array,
    residual: Array,
    position: Array,
    place: Index,
    tie: Index,
    pull: Array,
    gradient: Array,
    scatter: Array,
) -> None:  # pragma: no cover - compiled
    """Add up the products of what each event contributes to the equations (upper triangle).

    Parameters
    ----------
    residual
        Energy - expectation, GeV, shape (events,).
    tie
        Number of the measurement of section 0's share to which the event belongs, or -1.
    pull, gradient
        The event contributes pull * gradient[tie] through it; shapes (events,), (ties, unknowns).
    """
    cells, size = len(scale), len(scatter)
    index = np.empty(cells + position.shape[1], np.int64)
    derivative = np.empty(cells + position.shape[1])
    score = np.empty(size)
    for event in range(len(amplitude)):
        if weight[event] == 0.0:
            continue
        n = _gather(
            amplitude[event], scale, position[event], energy[event], place[event], index, derivative
        )
        per = weight[event] * residual[event] / (energy[event] * total[event])
        score[:] = 0.0
        for i in range(n):
            score[index[i]] = per * derivative[i]
        if tie[event] >= 0:
            for i in range(size):
                score[i] += pull[event] * gradient[tie[event], i]
        for i in range(size):
            if score[i] != 0.0:
                for j in range(i, size):
                    scatter[i, j] += score[i] * score[j]
