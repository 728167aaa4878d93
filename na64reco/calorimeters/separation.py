"""How many pulses a waveform has, and which: found one after the other, fitted together."""

# ruff: noqa: PLR0917 - kernels take flat arrays

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from na64reco.calorimeters.candidates import look_for, seed
from na64reco.calorimeters.pulses import MAX_PULSES, Room, fit_one, fit_together, pulse_at

if TYPE_CHECKING:
    from na64reco.calorimeters.templates import PulseTable

__all__ = ["FOUND", "GAIN", "KEPT", "fit_channel", "hold_time"]

Array = NDArray[np.float64]

FOUND: Final = 4.5
"""A pulse is found if its height exceeds this many standard errors."""
KEPT: Final = 2.5
"""At the expected time a height above this many standard errors is kept."""
GAIN: Final = 25.0
"""A further pulse must lower chi2 by this."""
_SUSPECT: Final = 2.0
"""Further pulses are looked for where chi2 exceeds its mean by this many standard deviations."""
_STEPS: Final = 8
_TOGETHER: Final = 25
_COMPATIBLE: Final = 3.0
"""Standard deviations from the expected time within which a pulse may be the trigger's: the window
of in-time hits."""
_VAGUE: Final = 0.3
"""A time is vague if its error exceeds this part of the channel's resolution."""
_NEAR: Final = 2.5
"""Samples between pulses that may be mistaken for one another."""


@njit(cache=True, nogil=True, error_model="numpy")
def fit_channel(
    y: Array,
    weight: Array,
    clipped: NDArray[np.bool_],
    usable: int,
    top: int,
    sigma: float,
    ceiling: float,
    shape_error: float,
    expected: float,
    table: PulseTable,
    amplitudes: Array,
    positions: Array,
    errors: Array,
    room: Room,
) -> tuple[int, float, bool]:  # pragma: no cover - compiled
    """Pulses of one waveform: their number, chi2, whether measured at the expected time."""
    length = len(y)
    full = usable == length
    if full and 0 < top < length - 1:
        left, right = y[top] - y[top - 1], y[top] - y[top + 1]
        start = top + 0.5 * (left - right) / max(left + right, 1e-9) - table.peak
    elif not full:
        begin, end = -1, 0
        for i in range(length):
            if clipped[i]:
                begin = i if begin < 0 else begin
                end = i
        low, high = begin - 3.0 - table.peak, end + 1.0 - table.peak
        low, high = max(low, table.first), min(high, table.last)
        start = seed(y, weight, table, low, high, clipped, ceiling, room)
    elif top == 0:
        start = seed(y, weight, table, table.first, 1.0 - table.peak, clipped, ceiling, room)
    else:
        start = seed(
            y, weight, table, length - 3.0 - table.peak, table.last, clipped, ceiling, room
        )
    start = min(max(start, table.first), table.last)
    amplitude, position, chi2 = fit_one(y, weight, table, start, _STEPS, errors, room)
    if shape_error * amplitude > 0.3 * sigma:
        _weigh(weight, room.height, amplitude, sigma, shape_error)
        amplitude, position, chi2 = fit_one(y, weight, table, position, 4, errors, room)
    if amplitude > 0.0 and not 0.0 <= position + table.peak <= length - 1.0:
        amplitudes[0], positions[0] = amplitude, position
        chi2 = fit_together(y, weight, table, amplitudes, positions, 1, errors, _TOGETHER, room)
        amplitude, position = amplitudes[0], positions[0]
    freedom = usable - 2.0
    suspect = chi2 > freedom + _SUSPECT * np.sqrt(2.0 * freedom)
    amplitudes[0], positions[0] = amplitude, position
    if not suspect:
        if amplitude > FOUND * errors[0, 0]:
            return 1, chi2, False
        return _expected(y, weight, expected, table, amplitudes, positions, errors, room)
    number = 1 if amplitude > 0.0 else 0
    number, chi2 = _more(
        y,
        weight,
        usable,
        number,
        chi2,
        shape_error,
        table,
        amplitudes,
        positions,
        errors,
        room,
    )
    if number == 0 or (number == 1 and not amplitudes[0] > FOUND * errors[0, 0]):
        return _expected(y, weight, expected, table, amplitudes, positions, errors, room)
    return number, chi2, False


@njit(cache=True, nogil=True, error_model="numpy")
def hold_time(
    amplitudes: Array,
    positions: Array,
    number: int,
    errors: Array,
    expected: float,
    width: float,
) -> int:  # pragma: no cover - compiled
    """Take the pulse nearest to the expected time to be the trigger's, where its own time is vague.

    If it is within its error and the channel's resolution of the expected time, that is one more
    measurement of its position, with which its height is correlated: the weighted mean of both,
    which is within the same number of resolutions as the pulse was of both together. Pulses with
    an error well below the resolution are left as they are.

    Returns
    -------
    Number of the pulse; -1 if there was none
    """
    chosen, least = -1, _COMPATIBLE
    for j in range(number):
        late = errors[1, j]
        away = abs(positions[j] - expected) / np.sqrt(width * width + late * late)
        if late < np.inf and away < least:
            chosen, least = j, away
    if chosen < 0 or errors[1, chosen] < _VAGUE * width:
        return -1
    late, shared = errors[1, chosen], errors[2, chosen]
    both = late * late + width * width
    pull = (expected - positions[chosen]) / both
    height = amplitudes[chosen] + shared * pull
    if height <= 0.0:
        return -1
    amplitudes[chosen] = height
    positions[chosen] += late * late * pull
    errors[0, chosen] = np.sqrt(max(errors[0, chosen] ** 2 - shared * shared / both, 0.0))
    errors[1, chosen] = late * width / np.sqrt(both)
    return chosen


@njit(cache=True, nogil=True, error_model="numpy")
def _weigh(
    weight: Array, heights: Array, amplitude: float, sigma: float, shape_error: float
) -> None:  # pragma: no cover - compiled
    """Weights from noise and from how well the pulse shape is known, of one pulse.

    Shapes differ most in their tails: variances go with the height, not with its square.
    """
    scale = shape_error * amplitude
    for i in range(len(weight)):
        if weight[i] > 0.0:
            weight[i] = 1.0 / (sigma * sigma + scale * scale * abs(heights[0, i]))


@njit(cache=True, nogil=True, error_model="numpy")
def _expected(
    y: Array,
    weight: Array,
    expected: float,
    table: PulseTable,
    amplitudes: Array,
    positions: Array,
    errors: Array,
    room: Room,
) -> tuple[int, float, bool]:  # pragma: no cover - compiled
    """Height at the expected time, kept if it is no fluctuation of the noise."""
    height = room.height[0]
    pulse_at(table, expected, height, room.slope[0])
    tt = yt = yy = 0.0
    for i in range(len(y)):
        wt = weight[i] * height[i]
        tt += wt * height[i]
        yt += wt * y[i]
        yy += weight[i] * y[i] * y[i]
    if not (tt > 0.0 and yt > KEPT * np.sqrt(tt)):
        return 0, yy, True
    amplitudes[0], positions[0] = yt / tt, expected
    errors[0, 0], errors[1, 0], errors[2, 0] = 1.0 / np.sqrt(tt), np.inf, 0.0
    return 1, yy - yt * yt / tt, True


@njit(cache=True, nogil=True, error_model="numpy")
def _more(
    y: Array,
    weight: Array,
    usable: int,
    number: int,
    chi2: float,
    shape_error: float,
    table: PulseTable,
    amplitudes: Array,
    positions: Array,
    errors: Array,
    room: Room,
) -> tuple[int, float]:  # pragma: no cover - compiled
    """Add pulses as long as each lowers chi2 by enough."""
    length = len(y)
    residual = np.empty(length)
    try_amplitudes, try_positions = amplitudes.copy(), positions.copy()
    try_errors, other_errors = errors.copy(), errors.copy()
    other_amplitudes, other_positions = amplitudes.copy(), positions.copy()
    while number < MAX_PULSES:
        freedom = usable - 2.0 * number
        if freedom < 3.0 or chi2 < freedom + _SUSPECT * np.sqrt(2.0 * freedom):
            break
        for j in range(number):
            pulse_at(table, positions[j], room.height[j], room.slope[j])
        for i in range(length):
            value = y[i]
            for j in range(number):
                value -= amplitudes[j] * room.height[j, i]
            residual[i] = value
        where, gain = look_for(residual, weight, table, number, table.first, table.last, room)
        if gain < 0.5 * GAIN:
            break
        after = _try(
            where,
            y,
            residual,
            weight,
            number,
            table,
            amplitudes,
            positions,
            try_amplitudes,
            try_positions,
            try_errors,
            room,
        )
        # Close to another pulse a candidate may be on the wrong side of it: try the other one.
        near = positions[0]
        for j in range(1, number):
            near = positions[j] if abs(positions[j] - where) < abs(near - where) else near
        if abs(where - near) < _NEAR:
            low, high = (near + 0.25, near + _NEAR) if where < near else (near - _NEAR, near - 0.25)
            low, high = max(low, table.first), min(high, table.last)
            for j in range(number):
                pulse_at(table, positions[j], room.height[j], room.slope[j])
            other, gain = look_for(residual, weight, table, number, low, high, room)
            if gain > 0.1 * GAIN:
                chi2_there = _try(
                    other,
                    y,
                    residual,
                    weight,
                    number,
                    table,
                    amplitudes,
                    positions,
                    other_amplitudes,
                    other_positions,
                    other_errors,
                    room,
                )
                if chi2_there < after:
                    after = chi2_there
                    try_amplitudes[:] = other_amplitudes
                    try_positions[:] = other_positions
                    try_errors[:] = other_errors
        largest = 0.0
        for j in range(number + 1):
            largest = max(largest, try_amplitudes[j])
        sound = after < chi2 - GAIN
        for j in range(number + 1):
            sound &= try_amplitudes[j] > FOUND * try_errors[0, j]
            sound &= try_amplitudes[j] > 3.0 * shape_error * largest
        if not sound:
            break
        number += 1
        chi2 = after
        for j in range(number):
            amplitudes[j], positions[j] = try_amplitudes[j], try_positions[j]
            for k in range(3):
                errors[k, j] = try_errors[k, j]
    return number, chi2


@njit(cache=True, nogil=True, error_model="numpy")
def _try(
    where: float,
    y: Array,
    residual: Array,
    weight: Array,
    number: int,
    table: PulseTable,
    amplitudes: Array,
    positions: Array,
    new_amplitudes: Array,
    new_positions: Array,
    new_errors: Array,
    room: Room,
) -> float:  # pragma: no cover - compiled
    """Fit the pulses found so far and one more that begins at `where`; chi2."""
    for j in range(number):
        new_amplitudes[j], new_positions[j] = amplitudes[j], positions[j]
    new_amplitudes[number] = _height(residual, weight, table, where, room)
    new_positions[number] = where
    return fit_together(
        y, weight, table, new_amplitudes, new_positions, number + 1, new_errors, _TOGETHER, room
    )


@njit(cache=True, nogil=True, error_model="numpy")
def _height(
    residual: Array, weight: Array, table: PulseTable, where: float, room: Room
) -> float:  # pragma: no cover - compiled
    """First height of a candidate."""
    height = room.trial[0]
    pulse_at(table, where, height, room.trial[1])
    tt = yt = 0.0
    for i in range(len(residual)):
        tt += weight[i] * height[i] * height[i]
        yt += weight[i] * height[i] * residual[i]
    return max(yt / tt, 1e-3) if tt > 0.0 else 1e-3
