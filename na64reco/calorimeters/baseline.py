"""Samples less their pedestals, with weights: kernels."""

# ruff: noqa: PLR0917 - kernels take flat arrays

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["prepare_samples"]

Array = NDArray[np.float64]


@njit(cache=True, nogil=True, error_model="numpy")
def prepare_samples(
    samples: NDArray[Any],
    even: float,
    odd: float,
    sigma: float,
    saturation: float,
    follow: int,
    y: Array,
    weight: Array,
    clipped: NDArray[np.bool_],
) -> tuple[int, int, float, float]:  # pragma: no cover - compiled
    """Subtract pedestals, weigh; number of usable samples, highest of them, extremes of all."""
    length = len(y)
    inverse = 1.0 / (sigma * sigma)
    lowest, highest = np.inf, -np.inf
    for i in range(length):
        raw = np.float64(samples[i])
        y[i] = raw - (even if i % 2 == 0 else odd)
        weight[i] = inverse
        lowest = min(lowest, raw)
        highest = max(highest, raw)
    usable = length
    if highest < saturation:
        clipped[:] = False
    else:
        for i in range(length):
            clipped[i] = samples[i] >= saturation
            if clipped[i]:
                usable -= 1
                weight[i] = 0.0
    if follow > 1:
        _follow(y, weight, follow, sigma)
    top = 0
    for i in range(1, length):
        if y[i] > y[top]:
            top = i
    return usable, top, lowest, highest


@njit(cache=True, nogil=True, error_model="numpy")
def _follow(
    y: Array, weight: Array, first: int, sigma: float
) -> None:  # pragma: no cover - compiled
    """Shift all samples by the mean of the first ones if these are as quiet as noise is."""
    mean = spread = rise = 0.0
    for i in range(first):
        if weight[i] == 0.0:
            return
        mean += y[i] / first
    for i in range(first):
        spread += (y[i] - mean) ** 2
        rise += (i - 0.5 * (first - 1)) * y[i]
    # The tail of an earlier pulse falls; three standard deviations of the slope of noise.
    steep = abs(rise) > 3.0 * sigma * np.sqrt(first * (first * first - 1.0) / 12.0)
    if steep or spread > sigma * sigma * (first + 4.0 * np.sqrt(2.0 * first)):
        return
    for i in range(len(y)):
        y[i] -= mean
