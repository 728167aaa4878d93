"""Times of channels: the peak of pulses in time over a flat background of others.

Pile-up, noise and other triggers come at any time, the beam particle's pulse at one. So the times
of a channel's pulses follow a normal distribution plus a constant, fitted by maximum likelihood
(expectation-maximisation: A. P. Dempster, N. M. Laird, D. B. Rubin, J. R. Stat. Soc. B 39 (1977)
1); errors from the scatter of the scores.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

if TYPE_CHECKING:
    from na64reco.events import Hits

__all__ = ["TimeFit", "channel_index", "fit_times"]

Array = NDArray[np.float64]

FEWEST: Final = 50
"""Pulses in time that a channel needs."""
_WINDOW: Final = 5.0
"""Half of the range that is fitted, in the widths to start from."""
_NARROWEST: Final = 1e-3
"""ns; pulses that are all at one time have not been measured."""


@dataclass(frozen=True, eq=False)
class TimeFit:
    """Times of channels; NaN where a channel has too few pulses. All have the channels' shape."""

    time: Array
    """Mean of the pulses in time, ns."""
    time_error: Array
    time_width: Array
    """Their standard deviation, ns."""
    time_width_error: Array
    entries: NDArray[np.int64]
    """Pulses in time, rounded."""
    background: Array
    """Share of other pulses in the range fitted."""

    @property
    def known(self) -> NDArray[np.bool_]:
        """Channels with enough pulses."""
        return np.isfinite(self.time)


def channel_index(hits: Hits, shape: tuple[int, ...], axes: tuple[str, ...]) -> NDArray[np.int64]:
    """Flat number of each hit's channel; -1 for hits outside the detector or not finite.

    Parameters
    ----------
    shape
        Of the detector's channels.
    axes
        Columns of the hits along it, such as ("section", "ix", "iy").
    """
    index = np.zeros(hits.size, np.int64)
    inside = np.isfinite(hits["amplitude"]) & np.isfinite(hits["time"])
    for axis, length in zip(axes, shape, strict=True):
        number = hits[axis].astype(np.int64)
        inside &= number < length
        index = index * length + number
    return np.where(inside, index, -1)


def fit_times(
    channel: NDArray[np.int64],
    time: NDArray[np.floating[Any]],
    start_width: Array,
    *,
    start_time: Array | None = None,
    search: float = 100.0,
) -> TimeFit:
    """Fit the times of all channels.

    Parameters
    ----------
    channel
        Flat number of each pulse's channel, negative ones are left out, shape (pulses,).
    time
        ns relative to master_time, shape (pulses,).
    start_width
        About the resolution, ns, of the channels' shape.
    start_time
        Where to look for the peak, ns; 0 by default.
    search
        How far from there it may be, ns.
    """
    shape, size = start_width.shape, start_width.size
    around = np.zeros(size) if start_time is None else start_time.ravel()
    chosen = channel >= 0
    chosen[chosen] &= np.abs(time[chosen] - around[channel[chosen]]) < search
    order = np.argsort(channel[chosen], kind="stable")
    sorted_time = time[chosen][order].astype(np.float64)
    first = np.searchsorted(channel[chosen][order], np.arange(size + 1))
    values = np.full((6, size), np.nan)
    for number in range(size):
        own = np.sort(sorted_time[first[number] : first[number + 1]])
        if len(own) >= FEWEST:
            width = float(start_width.ravel()[number])
            _fit(own, width, _WINDOW * width, values[:, number])
    values[:, ~(values[4] >= FEWEST)] = np.nan
    entries = np.nan_to_num(np.rint(values[4])).astype(np.int64)
    time_, time_error, width_, width_error = (values[i].reshape(shape) for i in range(4))
    return TimeFit(
        time=time_,
        time_error=time_error,
        time_width=width_,
        time_width_error=width_error,
        entries=entries.reshape(shape),
        background=values[5].reshape(shape),
    )


@njit(cache=True, nogil=True)
def _densest(ordered: Array, width: float) -> float:  # pragma: no cover - compiled
    """Middle of the interval of some width that holds the most values."""
    most, place, last = 0, 0.0, 0
    for first in range(len(ordered)):
        while last < len(ordered) and ordered[last] - ordered[first] <= width:
            last += 1
        if last - first > most:
            most, place = last - first, 0.5 * (ordered[first] + ordered[last - 1])
    return place


@njit(cache=True, nogil=True, error_model="numpy")
def _fit(ordered: Array, width: float, half: float, result: Array) -> None:  # pragma: no cover
    """Fill mean, its error, width, its error, pulses in the peak, share of the background."""
    middle = _densest(ordered, 2 * width)
    begin = np.searchsorted(ordered, middle - half)
    end = np.searchsorted(ordered, middle + half)
    values = ordered[begin:end]
    mean, sigma, signal = middle, width, 0.5
    flat = 1 / (2 * half)
    root = np.sqrt(2 * np.pi)
    for _ in range(500):
        s0 = s1 = s2 = 0.0
        for t in values:
            peak = signal * np.exp(-0.5 * ((t - mean) / sigma) ** 2) / (root * sigma)
            share = peak / (peak + (1 - signal) * flat)
            s0 += share
            s1 += share * (t - mean)
            s2 += share * (t - mean) ** 2
        if s0 < 1.0:
            return
        step = s1 / s0
        new = np.sqrt(max(s2 / s0 - step * step, _NARROWEST**2))
        moved = abs(step) + abs(new - sigma) + sigma * abs(s0 / len(values) - signal)
        mean, sigma, signal = mean + step, new, s0 / len(values)
        if moved < 1e-5 * sigma:
            break
    if sigma < 2 * _NARROWEST:
        return
    information = np.zeros((3, 3))
    score = np.empty(3)
    for t in values:
        z = (t - mean) / sigma
        peak = np.exp(-0.5 * z * z) / (root * sigma)
        density = signal * peak + (1 - signal) * flat
        share = signal * peak / density
        score[0] = share * z / sigma
        score[1] = share * (z * z - 1) / sigma
        score[2] = (peak - flat) / density
        for i in range(3):
            for j in range(3):
                information[i, j] += score[i] * score[j]
    # Without any background its share is at its bound, and nothing else depends on it.
    size = 3 if signal < 1 - 1e-6 else 2
    covariance = np.linalg.inv(information[:size, :size])
    result[0], result[1] = mean, np.sqrt(covariance[0, 0])
    result[2], result[3] = sigma, np.sqrt(covariance[1, 1])
    result[4], result[5] = signal * len(values), 1 - signal
