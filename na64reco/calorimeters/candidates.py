"""Where in a waveform a pulse may be: kernels that give fits their first positions."""

# ruff: noqa: PLR0917 - kernels take flat arrays

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit
from numpy.typing import NDArray

from na64reco.calorimeters.pulses import FAST, Room, pulse_at

if TYPE_CHECKING:
    from na64reco.calorimeters.templates import PulseTable

__all__ = ["look_for", "seed"]

Array = NDArray[np.float64]


@njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
def look_for(
    residual: Array,
    weight: Array,
    table: PulseTable,
    number: int,
    begin: float,
    end: float,
    room: Room,
) -> tuple[float, float]:  # pragma: no cover - compiled
    """Where in the residuals a further pulse would lower chi2 most.

    The candidate is made orthogonal to heights and slopes of the `number` pulses that were
    fitted (room.height, room.slope): what they could take over is not counted.

    Returns
    -------
    position, gain in chi2 (0: nowhere)
    """
    samples = len(residual)
    basis, directions = room.basis, 0
    for j in range(2 * number):
        source = room.height[j // 2] if j % 2 == 0 else room.slope[j // 2]
        row = basis[directions]
        norm = 0.0
        for i in range(samples):
            row[i] = source[i]
            norm += weight[i] * source[i] * source[i]
        left = 0.0
        for k in range(directions):
            product = 0.0
            for i in range(samples):
                product += weight[i] * row[i] * basis[k, i]
            for i in range(samples):
                row[i] -= product * basis[k, i]
        for i in range(samples):
            left += weight[i] * row[i] * row[i]
        if left > 1e-6 * norm:
            scale = 1.0 / np.sqrt(left)
            for i in range(samples):
                row[i] *= scale
            directions += 1
    best, where = 0.0, begin
    for position in range(np.int64(np.ceil(begin)), np.int64(np.floor(end)) + 1):
        candidate = table.value[0, table.zero - position : table.zero - position + samples]
        cc = rc = 0.0
        for i in range(samples):
            wc = weight[i] * candidate[i]
            cc += wc * candidate[i]
            rc += wc * residual[i]
        if not (rc > 0.0 and rc * rc > 1e-3 * best * cc):
            continue
        free = cc
        for k in range(directions):
            product = 0.0
            for i in range(samples):
                product += weight[i] * candidate[i] * basis[k, i]
            free -= product * product
        if free < 1e-4 * cc:
            continue
        gain = rc * rc / free
        if gain > best:
            best, where = gain, np.float64(position)
    return where, best


@njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
def seed(
    y: Array,
    weight: Array,
    table: PulseTable,
    begin: float,
    end: float,
    clipped: NDArray[np.bool_],
    ceiling: float,
    room: Room,
) -> float:  # pragma: no cover - compiled
    """First position of a pulse that is clipped or has its maximum outside the window.

    The position where a height of its own leaves the least chi2, such that the clipped samples
    are as high as the ceiling.
    """
    height, slope = room.trial[0], room.trial[1]
    best, where = np.inf, begin
    for step in range(np.int64(4.0 * (end - begin)) + 1):
        position = begin + 0.25 * step
        pulse_at(table, position, height, slope)
        tt = yt = yy = 0.0
        for i in range(len(y)):
            wt = weight[i] * height[i]
            tt += wt * height[i]
            yt += wt * y[i]
            yy += weight[i] * y[i] * y[i]
        if not (tt > 0.0 and yt > 0.0):
            continue
        amplitude = yt / tt
        chi2 = yy - yt * amplitude
        # Each missing count of a clipped sample counts as one sample of the noise would.
        for i in range(len(y)):
            if clipped[i] and amplitude * height[i] < ceiling:
                chi2 += (ceiling - amplitude * height[i]) ** 2
        if chi2 < best:
            best, where = chi2, position
    return where
