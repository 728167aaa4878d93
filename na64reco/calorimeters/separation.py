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
    # One place for each call: what is inlined twice is compiled twice.
    length = len(y)
    low = high = position = 0.0
    if usable < length:
        begin, end = -1, 0
        for i in range(length):
            if clipped[i]:
                begin = i if begin < 0 else begin
                end = i
        low, high = begin - 3.0 - table.peak, end + 1.0 - table.peak
    elif top == 0:
        low, high = table.first, 1.0 - table.peak
    elif top == length - 1:
        low, high = length - 3.0 - table.peak, table.last
    else:
        left, right = y[top] - y[top - 1], y[top] - y[top + 1]
        position = top + 0.5 * (left - right) / max(left + right, 1e-9) - table.peak
    if high > low:
        low, high = max(low, table.first), min(high, table.last)
        position = seed(y, weight, table, low, high, clipped, ceiling, room)
    position = min(max(position, table.first), table.last)
    amplitude = chi2 = 0.0
    for again in range(2):
        steps = np.int64(_STEPS)
        amplitude, position, chi2 = fit_one(y, weight, table, position, steps, errors, room)
        if again or not shape_error * amplitude > 0.3 * sigma:
            break
        _weigh(weight, room.height, amplitude, sigma, shape_error)
    amplitudes[0], positions[0] = amplitude, position
    outside = not 0.0 <= position + table.peak <= length - 1.0
    number = 1 if amplitude > 0.0 else 0
    if (outside and number) or _suspicious(chi2, usable, number):
        number, chi2 = _more(
            y,
            weight,
            usable,
            number,
            outside,
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
    outside: bool,
    chi2: float,
    shape_error: float,
    table: PulseTable,
    amplitudes: Array,
    positions: Array,
    errors: Array,
    room: Room,
) -> tuple[int, float]:  # pragma: no cover - compiled
    """Add pulses as long as each lowers chi2 by enough.

    There are MAX_PULSES at most. A first one whose maximum is outside the window is fitted again
    with its position held.
    """
    length = len(y)
    residual = np.empty(length)
    new_amplitudes, new_positions = amplitudes.copy(), positions.copy()
    new_errors = errors.copy()
    best_amplitudes, best_positions = amplitudes.copy(), positions.copy()
    best_errors = errors.copy()
    alone = outside and number == 1
    while number < MAX_PULSES:
        if not (alone or _suspicious(chi2, usable, number)):
            break
        best = np.inf
        low, high = table.first, table.last
        for attempt in range(2):
            for j in range(number):
                pulse_at(table, positions[j], room.height[j], room.slope[j])
                new_amplitudes[j], new_positions[j] = amplitudes[j], positions[j]
            total = np.int64(number)
            where = low
            if not alone:
                for i in range(length):
                    value = y[i]
                    for j in range(number):
                        value -= amplitudes[j] * room.height[j, i]
                    residual[i] = value
                where, gain = look_for(residual, weight, table, number, low, high, room)
                if gain < (0.1 if attempt else 0.5) * GAIN:
                    break
                new_amplitudes[number] = _height(residual, weight, table, where, room)
                new_positions[number] = where
                total += 1
            after = fit_together(
                y,
                weight,
                table,
                new_amplitudes,
                new_positions,
                total,
                new_errors,
                np.int64(_TOGETHER),
                room,
            )
            if after < best:
                best = after
                # Element by element: assigning slices costs seconds of compilation.
                for j in range(total):
                    best_amplitudes[j], best_positions[j] = new_amplitudes[j], new_positions[j]
                    for k in range(3):
                        best_errors[k, j] = new_errors[k, j]
            if alone or number == 0:
                break
            # Close to another pulse a candidate may be on the wrong side: try the other one.
            near = positions[0]
            for j in range(1, number):
                near = positions[j] if abs(positions[j] - where) < abs(near - where) else near
            if abs(where - near) >= _NEAR:
                break
            low = near + 0.25 if where < near else near - _NEAR
            high = low + _NEAR - 0.25
            low, high = max(low, table.first), min(high, table.last)
        found = number + (0 if alone else 1)
        if not alone:
            largest = 0.0
            for j in range(found):
                largest = max(largest, best_amplitudes[j])
            sound = best < chi2 - GAIN
            for j in range(found):
                sound &= best_amplitudes[j] > FOUND * best_errors[0, j]
                sound &= best_amplitudes[j] > 3.0 * shape_error * largest
            if not sound:
                break
        chi2, number, alone = best, found, False
        for j in range(number):
            amplitudes[j], positions[j] = best_amplitudes[j], best_positions[j]
            for k in range(3):
                errors[k, j] = best_errors[k, j]
    return number, chi2


@njit(cache=True, nogil=True, error_model="numpy")
def _suspicious(chi2: float, usable: int, number: int) -> bool:  # pragma: no cover - compiled
    """Whether pulses are missing in the description of a waveform."""
    freedom = usable - 2.0 * number
    return freedom >= 3.0 and chi2 > freedom + _SUSPECT * np.sqrt(2.0 * freedom)


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
