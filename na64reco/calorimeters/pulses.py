"""Fit of pulses to one sampled waveform: kernels.

A waveform is a sum of pulses, y_i = sum_j A_j T(i - p_j) + noise, with the template T of the
detector. One pulse is fitted by Gauss-Newton steps: at the present position, A T + B dT/dp is
linear in A and B, and p moves by B / A. Where the residuals are larger than noise, a further
pulse is looked for in them (what a candidate would gain beside free heights and positions of the
pulses found before), and all are fitted together (Levenberg-Marquardt).
"""

# ruff: noqa: PLR0917 - kernels take flat arrays

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from na64reco.calorimeters.templates import PHASES, PulseTable

__all__ = ["FAST", "MAX_PULSES", "Room", "fit_one", "fit_together", "make_room", "pulse_at"]

Array = NDArray[np.float64]

MAX_PULSES: Final = 4
"""Pulses that are told apart in one waveform."""

_STEP: Final = 0.8
"""Longest step of a position, samples."""
_SETTLED: Final = 0.004
"""A step of a position below this ends the fit of one pulse, samples, or one below _PRECISE
standard errors: what would follow is smaller by more than the signal-to-noise ratio."""
_PRECISE: Final = 0.05
_OUTSIDE: Final = 2.0
"""A pulse whose maximum is outside the window stays within this of where it was found, samples:
nothing but the slope of its tail says when it was."""
# Sums may be reordered for vector instructions; NaN and infinities keep their meaning.
FAST: Final = {"reassoc", "contract", "nsz", "arcp"}


class Room(NamedTuple):
    """Working arrays of one thread."""

    height: Array
    """T of each pulse, shape (MAX_PULSES, samples)."""
    slope: Array
    """dT/dp, the same shape."""
    trial: Array
    """T and dT/dp of a candidate, shape (2, samples)."""
    basis: Array
    """Orthonormal, weighted, shape (2 MAX_PULSES, samples)."""
    matrix: Array
    """Shape (2 MAX_PULSES, 2 MAX_PULSES)."""
    factor: Array
    vector: Array
    """Shape (2 MAX_PULSES,)."""
    solution: Array
    before: Array


def make_room(samples: int) -> Room:
    """Working arrays for waveforms of so many samples."""
    size = 2 * MAX_PULSES
    return Room(
        np.zeros((MAX_PULSES, samples)),
        np.zeros((MAX_PULSES, samples)),
        np.zeros((2, samples)),
        np.zeros((size, samples)),
        np.zeros((size, size)),
        np.zeros((size, size)),
        np.zeros(size),
        np.zeros(size),
        np.zeros(size),
    )


@njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
def pulse_at(
    table: PulseTable, position: float, height: Array, slope: Array
) -> None:  # pragma: no cover - compiled
    """Fill T and dT/dp of a pulse at a position within [table.first, table.last]."""
    whole = np.floor(position)
    part = (position - whole) * PHASES
    phase = np.int64(part + 0.5)
    rest = (part - phase) / PHASES
    begin = table.zero - np.int64(whole)
    value, change = table.value[phase], table.slope[phase]
    for i in range(len(height)):
        slope[i] = change[begin + i]
        height[i] = value[begin + i] + rest * change[begin + i]


@njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
def fit_one(
    y: Array,
    weight: Array,
    table: PulseTable,
    position: float,
    limit: int | np.int64,
    errors: Array,
    room: Room,
) -> tuple[float, float, float]:  # pragma: no cover - compiled
    """Fit one pulse from a first position, in `limit` steps at most.

    Fills the first column of `errors` as :func:`fit_together` does.

    Returns
    -------
    height, position, chi2. Where no pulse fits, the height is 0 and chi2 that of no pulse.
    """
    height, slope = room.height[0], room.slope[0]
    amplitude, chi2 = 0.0, np.inf
    errors[0, 0] = errors[1, 0] = np.inf
    errors[2, 0] = 0.0
    for _ in range(limit):
        pulse_at(table, position, height, slope)
        tt = td = dd = yt = yd = yy = 0.0
        for i in range(len(y)):
            wt, wd, wy = weight[i] * height[i], weight[i] * slope[i], weight[i] * y[i]
            tt += wt * height[i]
            td += wt * slope[i]
            dd += wd * slope[i]
            yt += wt * y[i]
            yd += wd * y[i]
            yy += wy * y[i]
        determinant = tt * dd - td * td
        if not determinant > 1e-9 * tt * dd:
            amplitude = max(yt / tt, 0.0) if tt > 0.0 else 0.0
            errors[0, 0] = errors[1, 0] = np.inf
            errors[2, 0] = 0.0
            return amplitude, position, yy - amplitude * yt
        amplitude = (yt * dd - yd * td) / determinant
        moved = (yd * tt - yt * td) / determinant
        if amplitude <= 0.0:
            # Too far from it for the expansion: uphill in the overlap.
            step, chi2 = _STEP if yd > 0.0 else -_STEP, yy
            errors[0, 0] = errors[1, 0] = np.inf
        else:
            step, chi2 = moved / amplitude, yy - amplitude * yt - moved * yd
            errors[0, 0] = np.sqrt(dd / determinant)
            errors[1, 0] = np.sqrt(tt / determinant) / amplitude
            errors[2, 0] = -td / (determinant * amplitude)
            if abs(step) > _STEP:
                step = _STEP if step > 0.0 else -_STEP
        target = min(max(position + step, table.first), table.last)
        step = target - position
        position = target
        late = errors[1, 0]
        if abs(step) < max(_SETTLED, _PRECISE * late) and late < np.inf:
            break
    return max(amplitude, 0.0), position, chi2


@njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
def _normal(
    y: Array,
    weight: Array,
    table: PulseTable,
    amplitudes: Array,
    positions: Array,
    number: int | np.int64,
    anchors: Array,
    room: Room,
) -> float:  # pragma: no cover - compiled
    """Normal equations of all pulses at their present parameters (A_j, p_j).

    Returns chi2, fills room.matrix and room.vector (half its negative gradient).
    """
    samples = len(y)
    for j in range(number):
        pulse_at(table, positions[j], room.height[j], room.slope[j])
    residual = room.trial[0]
    chi2 = 0.0
    for i in range(samples):
        value = y[i]
        for j in range(number):
            value -= amplitudes[j] * room.height[j, i]
        residual[i] = value
        chi2 += weight[i] * value * value
    work = room.trial[1]
    for a in range(2 * number):
        j = a // 2
        one = room.height[j] if a % 2 == 0 else room.slope[j]
        scale = 1.0 if a % 2 == 0 else amplitudes[j]
        total = 0.0
        for i in range(samples):
            work[i] = weight[i] * scale * one[i]
            total += work[i] * residual[i]
        room.vector[a] = total
        for b in range(a + 1):
            k = b // 2
            other = room.height[k] if b % 2 == 0 else room.slope[k]
            total = 0.0
            for i in range(samples):
                total += work[i] * other[i]
            room.matrix[a, b] = total if b % 2 == 0 else total * amplitudes[k]
    for j in range(number):
        top = positions[j] + table.peak
        if top < 0.0 or top > samples - 1:
            pull = 1.0 / (_OUTSIDE * _OUTSIDE)
            away = positions[j] - anchors[j]
            room.matrix[2 * j + 1, 2 * j + 1] += pull
            room.vector[2 * j + 1] -= pull * away
            chi2 += pull * away * away
    return chi2


@njit(cache=True, nogil=True, error_model="numpy")
def _factorise(room: Room, size: int, damping: float) -> bool:  # pragma: no cover - compiled
    """Cholesky factor of the matrix with its diagonal times (1 + damping); False if it fails."""
    matrix, factor = room.matrix, room.factor
    for a in range(size):
        for b in range(a + 1):
            value = matrix[a, b] * ((1.0 + damping) if a == b else 1.0)
            for k in range(b):
                value -= factor[a, k] * factor[b, k]
            if a == b:
                if not value > 1e-12 * matrix[a, a]:
                    return False
                factor[a, a] = np.sqrt(value)
            else:
                factor[a, b] = value / factor[b, b]
    return True


@njit(cache=True, nogil=True, error_model="numpy")
def _solve(room: Room, size: int) -> None:  # pragma: no cover - compiled
    """Solution of factor factor^T x = vector."""
    factor, x = room.factor, room.solution
    for a in range(size):
        value = room.vector[a]
        for k in range(a):
            value -= factor[a, k] * x[k]
        x[a] = value / factor[a, a]
    for a in range(size - 1, -1, -1):
        value = x[a]
        for k in range(a + 1, size):
            value -= factor[k, a] * x[k]
        x[a] = value / factor[a, a]


@njit(cache=True, nogil=True, error_model="numpy")
def fit_together(
    y: Array,
    weight: Array,
    table: PulseTable,
    amplitudes: Array,
    positions: Array,
    number: int | np.int64,
    errors: Array,
    limit: int | np.int64,
    room: Room,
) -> float:  # pragma: no cover - compiled
    """Fit heights and positions of several pulses, in place.

    Parameters
    ----------
    errors
        Shape (3, MAX_PULSES), filled with standard errors of heights and positions (samples), and
        the covariance of each height with its position.
    limit
        Steps at most; 0 only computes chi2 and errors.

    Returns
    -------
    chi2; infinite if the pulses cannot be told apart
    """
    size = 2 * int(number)
    anchors = positions.copy()
    before = room.before
    chi2 = _normal(y, weight, table, amplitudes, positions, number, anchors, room)
    damping = 1e-3
    for _ in range(limit):
        if not _factorise(room, size, damping):
            damping = max(10.0 * damping, 1e-6)
            if damping > 1e8:
                return np.inf
            continue
        _solve(room, size)
        largest = 0.0
        for j in range(number):
            before[2 * j], before[2 * j + 1] = amplitudes[j], positions[j]
            step = room.solution[2 * j + 1]
            limited = min(max(step, -_STEP), _STEP)
            target = min(max(positions[j] + limited, table.first), table.last)
            largest = max(largest, abs(target - positions[j]))
            amplitudes[j] = max(amplitudes[j] + room.solution[2 * j], 1e-3 * amplitudes[j])
            positions[j] = target
        after = _normal(y, weight, table, amplitudes, positions, number, anchors, room)
        if after <= chi2 + 1e-9:
            gained = chi2 - after
            chi2 = after
            damping *= 0.1
            if largest < 0.02 and gained < 0.02:
                break
        else:
            for j in range(number):
                amplitudes[j], positions[j] = before[2 * j], before[2 * j + 1]
            chi2 = _normal(y, weight, table, amplitudes, positions, number, anchors, room)
            if damping > 1e6:
                break
            damping = max(10.0 * damping, 1e-4)
    if not _factorise(room, size, 0.0):
        return np.inf
    # Columns of the inverse: variances are their diagonal.
    for a in range(size):
        for b in range(size):
            room.vector[b] = 1.0 if a == b else 0.0
        _solve(room, size)
        errors[a % 2, a // 2] = np.sqrt(max(room.solution[a], 0.0))
        if a % 2 == 0:
            errors[2, a // 2] = room.solution[a + 1]
    return chi2
