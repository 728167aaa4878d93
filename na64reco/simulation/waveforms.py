"""Waveforms of calorimeter cells, counters and photomultipliers, as sampling ADCs deliver them.

All energies of a channel become pulses, each with its own time, whose sum on the pedestal is
sampled with noise, rounded and clipped. Energies at the same time make one pulse. Pulses that began
before the first sample are there with their tails. A channel is read out if a sample exceeds its
pedestal by the threshold; noise alone does that in `_accidental` of the empty channels. Left out:
cross-talk, baseline shifts after large pulses, non-linearity, noise common to many samples.
"""

# ruff: noqa: PLR0917 - kernels take flat arrays
from __future__ import annotations

from math import erfc
from typing import TYPE_CHECKING, Any, Final

import numba
import numpy as np

from na64reco.events.columns import Hits
from na64reco.simulation.sampling import pulse_height

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.setup.model import Digitizer
    from na64reco.simulation.sampling import SampledChannels

__all__ = ["TAIL", "sampling_window", "waveforms"]

TAIL: Final = 300.0
"""ns: a pulse has fallen to less than a thousandth of its height."""

_POINTS: Final = 128.0
"""Of the tables of pulses, per time from start to maximum: linear between them to 1e-4."""

_LAST: Final = 10 * _POINTS
"""Where the tables end; what is behind is below 1e-5 of the height."""

_SMALL: Final = 0.3
"""Heights below this share of the noise leave no trace."""


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _fill(
    rng: Any,
    c: int,
    n: int,
    height: NDArray[np.float64],
    time: NDArray[np.float64],
    shift: float,
    rise: float,
    shape: NDArray[np.float64],
    pedestal: NDArray[np.float64],
    noise: float,
    clock: NDArray[np.float64],
    threshold: float,
    ceiling: int,
    out: NDArray[np.uint16],
) -> bool:
    """Sample n pulses; whether the zero suppression lets the channel pass."""
    passes = False
    for k in range(len(clock)):
        base = pedestal[k & 1, c]
        value = base + shift + noise * rng.standard_normal()
        for i in range(n):
            place = _POINTS * (1 + (clock[k] - time[i]) / rise)
            if 0 < place < _LAST:
                below = int(place)
                share = place - below
                value += height[i] * ((1 - share) * shape[below] + share * shape[below + 1])
        count = int(min(max(np.rint(value), 0), ceiling))
        out[k] = count
        passes |= count - base > threshold
    return passes


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _waveforms(
    rng: Any,
    first: NDArray[np.int64],
    times: NDArray[np.float64],
    energies: NDArray[np.float64],
    master: NDArray[np.float64],
    slow: NDArray[np.float64],
    gain: NDArray[np.float64],
    rise: NDArray[np.float64],
    shapes: NDArray[np.float64],
    pedestal: NDArray[np.float64],
    drift: NDArray[np.float64],
    phase: NDArray[np.float64],
    noise: NDArray[np.float64],
    threshold: NDArray[np.float64],
    offset: NDArray[np.float64],
    resolution: NDArray[np.float64],
    clock: NDArray[np.float64],
    accidental: float,
    ceiling: int,
    counts: NDArray[np.int64],
    channel: NDArray[np.int64],
    samples: NDArray[np.uint16],
) -> int:
    channels = len(gain)
    total = 0
    longest = 1
    for event in range(len(first) - 1):
        longest = max(longest, first[event + 1] - first[event])
    t = np.empty(longest)
    h = np.empty(longest)
    for event in range(len(first) - 1):
        begin = total
        for c in range(channels):
            if gain[c] <= 0:
                continue
            n = 0
            largest = 0.0
            for row in range(first[event], first[event + 1]):
                value = energies[row, c] * gain[c]
                if value <= 0:
                    continue
                # Particles of one shower come at the same time.
                k = 0
                while k < n and t[k] != times[row]:
                    k += 1
                if k == n:
                    t[k], h[k] = times[row], 0.0
                    n += 1
                h[k] += value
                largest = max(largest, h[k])
            if largest > _SMALL * noise[c]:
                for k in range(n):
                    t[k] += master[event] + offset[c] + resolution[c] * rng.standard_normal()
            elif rng.random() < accidental:
                n = -1
            else:
                continue
            shift = drift[c] * np.sin(slow[event] + phase[c])
            passes = _fill(
                rng,
                c,
                max(n, 0),
                h,
                t,
                shift,
                rise[c],
                shapes[c],
                pedestal,
                noise[c],
                clock,
                threshold[c],
                ceiling,
                samples[total],
            )
            if n < 0 and not passes:
                # The channel was chosen because one of its samples exceeds the threshold.
                k = int(rng.random() * len(clock))
                over = (
                    threshold[c] + noise[c] * noise[c] / threshold[c] * rng.standard_exponential()
                )
                samples[total, k] = int(min(np.ceil(pedestal[k & 1, c] + over), ceiling))
                passes = True
            if passes:
                channel[total] = c
                total += 1
        counts[event] = total - begin
    return total


def sampling_window(digitizer: Digitizer) -> tuple[float, float]:
    """Times relative to the trigger, ns, between which particles can leave a trace in samples."""
    start = -digitizer.presamples * digitizer.interval
    return start - TAIL, start + (digitizer.samples + 2) * digitizer.interval


def waveforms(
    rng: np.random.Generator,
    channels: SampledChannels,
    digitizer: Digitizer,
    first: NDArray[np.int64],
    times: NDArray[np.float64],
    energies: NDArray[np.float64],
    indices: dict[str, NDArray[np.uint8]],
    *,
    phase: NDArray[np.float64],
    slow: NDArray[np.float64],
) -> Hits:
    """Waveforms of one detector.

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
    phase
        Of the trigger in the sampling clock, ns, shape (events,).
    slow
        Where the slow movement of the pedestals is, rad, shape (events,).
    """
    number = len(channels.gain)
    flat = np.ascontiguousarray(energies.reshape(len(energies), number))
    events = len(first) - 1
    counts = np.zeros(events, dtype=np.int64)
    # Memory that no channel fills is never touched.
    channel = np.empty(events * number, dtype=np.int64)
    samples = np.empty((events * number + 1, digitizer.samples), dtype=np.uint16)
    clock = digitizer.interval * (np.arange(0.0, digitizer.samples) - digitizer.presamples)
    existing = channels.gain > 0
    # Rounding adds its own noise to that of a sample.
    noise = np.hypot(channels.noise, np.sqrt(1 / 12))
    excess = float(np.median((channels.threshold / noise)[existing]))
    total = _waveforms(
        rng,
        first,
        times,
        flat,
        phase,
        slow,
        channels.gain,
        channels.rise,
        _shapes(channels),
        channels.pedestal,
        channels.drift,
        channels.phase,
        channels.noise,
        channels.threshold,
        channels.time_offset,
        channels.time_resolution,
        clock,
        _accidental(excess, digitizer.samples),
        2**digitizer.bits - 1,
        counts,
        channel,
        samples,
    )
    offsets = np.concatenate((np.zeros(1, dtype=np.int64), np.cumsum(counts)))
    columns: dict[str, NDArray[Any]] = {
        name: values[channel[:total]] for name, values in indices.items()
    }
    # A copy, so that the room for all channels is given back.
    columns["samples"] = samples[:total].copy()
    return Hits(offsets, columns)


def _shapes(channels: SampledChannels) -> NDArray[np.float64]:
    """Tables of the channels' pulses from their start on, shape (channels, points)."""
    since = np.arange(_LAST + 1) / _POINTS
    time = (since - 1) * channels.rise[:, None]
    return pulse_height(time, channels.rise[:, None], channels.width[:, None])


def _accidental(excess: float, samples: int) -> float:
    """Chance that noise exceeds `excess` times its rms in any of the samples."""
    return 1 - (1 - 0.5 * erfc(excess / np.sqrt(2))) ** samples
