"""Pulses of calorimeter cells, counters and photomultipliers, as the electronics delivers them.

Energies that reach one channel closer than `MERGE` in time make one pulse (sum of the energies,
energy-weighted mean time), others pulses of their own. A pulse gets the channel's noise, time
offset and resolution; below the zero suppression it is lost. Noise alone gives further pulses
anywhere in the window, as often as a normal distribution exceeds the zero suppression in
`INDEPENDENT` independent samples. Left out: pulse shapes (long tails under later pulses), ADC
saturation, cross-talk.
"""

# ruff: noqa: PLR0917 - kernels take flat arrays
from __future__ import annotations

from math import erfc
from typing import TYPE_CHECKING, Any, Final

import numba
import numpy as np

from na64reco.events.columns import Hits
from na64reco.simulation.beam import WINDOW

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.simulation.detector import Channels

__all__ = ["INDEPENDENT", "MERGE", "pulses"]

MERGE: Final = 30.0
"""Pulses closer than this cannot be told apart, ns."""

INDEPENDENT: Final = 16
"""Independent samples of the noise in the readout window."""


@numba.njit(cache=True, nogil=True)
def _pulses(
    rng: Any,
    first: NDArray[np.int64],
    times: NDArray[np.float64],
    energies: NDArray[np.float64],
    gain: NDArray[np.float64],
    noise: NDArray[np.float64],
    offset: NDArray[np.float64],
    resolution: NDArray[np.float64],
    threshold: NDArray[np.float64],
    accidental: NDArray[np.float64],
    window: float,
    merge: float,
    counts: NDArray[np.int64],
    channel: NDArray[np.int64],
    amplitude: NDArray[np.float32],
    time: NDArray[np.float32],
) -> int:
    channels = len(gain)
    total = 0
    cumulative = np.cumsum(accidental)
    longest = 1
    for event in range(len(first) - 1):
        longest = max(longest, first[event + 1] - first[event])
    t = np.empty(longest)
    e = np.empty(longest)
    for event in range(len(first) - 1):
        begin = total
        for c in range(channels):
            if gain[c] <= 0:
                continue
            n = 0
            for row in range(first[event], first[event + 1]):
                value = energies[row, c]
                if value > 0.1 * noise[c]:
                    # Insertion sort by time: n is 1 or 2 nearly always.
                    k = n
                    while k > 0 and t[k - 1] > times[row]:
                        t[k], e[k] = t[k - 1], e[k - 1]
                        k -= 1
                    t[k], e[k] = times[row], value
                    n += 1
            k = 0
            while k < n:
                energy, weighted, last = e[k], e[k] * t[k], t[k]
                k += 1
                while k < n and t[k] - last < merge:
                    energy += e[k]
                    weighted += e[k] * t[k]
                    last = t[k]
                    k += 1
                seen = energy + noise[c] * rng.standard_normal()
                when = weighted / energy + resolution[c] * rng.standard_normal()
                if seen > threshold[c] and abs(when) < window and total < len(channel):
                    channel[total] = c
                    amplitude[total] = seen * gain[c]
                    time[total] = when + offset[c]
                    total += 1
        for _ in range(rng.poisson(cumulative[-1])):
            c = min(np.searchsorted(cumulative, rng.random() * cumulative[-1]), channels - 1)
            if gain[c] <= 0 or total >= len(channel):
                continue
            when = window * (2 * rng.random() - 1)
            # One pulse per channel and time: noise under a pulse is in the pulse already.
            free = True
            for other in range(begin, total):
                if channel[other] == c and abs(time[other] - offset[c] - when) < merge:
                    free = False
            if free:
                tail = noise[c] * noise[c] / threshold[c] * rng.standard_exponential()
                channel[total] = c
                amplitude[total] = (threshold[c] + tail) * gain[c]
                time[total] = when + offset[c]
                total += 1
        counts[event] = total - begin
    return total


def pulses(
    rng: np.random.Generator,
    channels: Channels,
    first: NDArray[np.int64],
    times: NDArray[np.float64],
    energies: NDArray[np.float64],
    indices: dict[str, NDArray[np.uint8]],
) -> Hits:
    """Hits of one detector.

    Parameters
    ----------
    first
        Event i has the rows first[i]:first[i + 1], shape (events + 1,).
    times
        ns relative to the trigger, shape (rows,).
    energies
        GeV, shape (rows, *channels).
    indices
        By column of the hit file: the value for each channel, flat, shape (channels,).
    """
    flat = np.ascontiguousarray(energies.reshape(len(energies), channels.gain.size))
    noise = channels.noise.ravel()
    sigma = np.divide(
        channels.zero_suppression.ravel(), noise, out=np.full(len(noise), np.inf), where=noise > 0
    )
    accidental = np.array([INDEPENDENT * 0.5 * erfc(s / np.sqrt(2)) for s in sigma])
    events = len(first) - 1
    room = int((flat > 0.1 * noise).sum() + events * (accidental.sum() + 2) * 2 + 1000)
    counts = np.zeros(events, dtype=np.int64)
    channel = np.empty(room, dtype=np.int64)
    amplitude = np.empty(room, dtype=np.float32)
    time = np.empty(room, dtype=np.float32)
    total = _pulses(
        rng,
        first,
        times,
        flat,
        channels.gain.ravel(),
        noise,
        channels.time_offset.ravel(),
        channels.time_resolution.ravel(),
        channels.zero_suppression.ravel(),
        accidental,
        WINDOW,
        MERGE,
        counts,
        channel,
        amplitude,
        time,
    )
    offsets = np.concatenate((np.zeros(1, dtype=np.int64), np.cumsum(counts)))
    columns: dict[str, NDArray[Any]] = {
        name: values[channel[:total]] for name, values in indices.items()
    }
    columns["amplitude"], columns["time"] = amplitude[:total], time[:total]
    return Hits(offsets, columns)
