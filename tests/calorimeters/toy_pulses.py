"""Sampled pulses of a closed form, for tests: (t / (n tau))^n exp(n - t / tau), of height 1."""

from __future__ import annotations

import numpy as np

from na64reco.calibration import CellConditions, WaveformConditions
from na64reco.events import Hits
from na64reco.setup import Digitizer

ORDER = 3


DIGITIZER = Digitizer(interval=12.5, samples=32, presamples=8, bits=12)
TIMES = (np.arange(DIGITIZER.samples) - DIGITIZER.presamples) * DIGITIZER.interval
PEDESTALS = (50.0, 55.0)
NOISE = 1.2


def pulse(times, tau=14.0):
    u = np.clip(np.asarray(times, dtype=float) / (ORDER * tau), 0, None)
    return u**ORDER * np.exp(ORDER * (1 - u))


def toy_waveform(shape=(1,), *, shape_error=0.0, start=-5.0, step=1.25, end=350.0):
    """What is known of the toy, as conditions; noise includes that of rounding."""
    return WaveformConditions(
        pedestal=np.stack([np.full(shape, p) for p in PEDESTALS]),
        noise=np.full(shape, np.sqrt(NOISE**2 + 1 / 12)),
        saturation=4095.0,
        start=start,
        step=step,
        pulse=pulse(np.arange(start, end, step)),
        shape_error=shape_error,
    )


def toy_cells(shape=(1,), *, time=0.0, width=50.0):
    """Nothing is known of times with a width as wide as this one."""
    return CellConditions(
        np.full(shape, 0.01), np.full(shape, time), np.full(shape, width), np.zeros(shape)
    )


def sampled(rng, *pulses, noise=NOISE):
    """Waveforms, each the sum of pulses (heights, times), shape (n, samples)."""
    y = np.zeros((len(pulses[0][1]), DIGITIZER.samples))
    for height, time in pulses:
        y += np.broadcast_to(height, np.shape(time))[:, None] * pulse(TIMES - time[:, None])
    y += rng.normal(0, noise, y.shape) if noise else 0.0
    y[:, 0::2] += PEDESTALS[0]
    y[:, 1::2] += PEDESTALS[1]
    return np.clip(np.rint(y), 0, 4095).astype(np.uint16)


def as_hits(samples):
    """One channel of each event."""
    n = len(samples)
    return Hits(
        np.arange(n + 1, dtype=np.int64), {"ix": np.zeros(n, dtype=np.uint8), "samples": samples}
    )
