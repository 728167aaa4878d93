"""When in the spill events happen, and how intense the beam is then.

The extraction lasts the setup's spill length. Its rate rises over the first and falls over the last
tenth and has a slow wave of 15 % in between (assumed; a slow extraction is never quite flat).
Spills differ in intensity by `VARIATION` (assumed). Pile-up and dead time follow the rate of the
moment.

In a run (the process `beam`) a spill has as many beam particles as the intensity says. They come in
batches, each of which is spread over the whole spill: within a spill, events are in no order of
time. A run of fewer particles is a sample of one spill. Other processes have spills of as many
events as an acquisition records. Left out: structure at the radio frequency, trends over hours.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["VARIATION", "relative_rate", "spill_intensity", "spill_times"]

VARIATION: Final = 0.05
"""Relative rms of the intensity from spill to spill."""

_EDGE = 0.1
_WAVE = 0.15
_WAVES = 3


@cache
def _profile() -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Time as a share of the spill, rate over its mean, share of the particles before."""
    share = np.linspace(0, 1, 1001)
    edges = np.minimum(1, np.minimum(share, 1 - share) / _EDGE)
    rate = edges * (1 + _WAVE * np.sin(2 * np.pi * _WAVES * share))
    above = np.concatenate(([0.0], np.cumsum(0.5 * np.diff(share) * (rate[1:] + rate[:-1]))))
    return share, rate / above[-1], above / above[-1]


def spill_times(rng: np.random.Generator, events: int, length: float) -> NDArray[np.float64]:
    """Times of beam particles since the beginning of their spill, s, in no order.

    Parameters
    ----------
    length
        Of the spill, s.
    """
    share, _, before = _profile()
    times: NDArray[np.float64] = length * np.interp(rng.random(events), before, share)
    return times


def relative_rate(times: NDArray[np.float64], length: float) -> NDArray[np.float64]:
    """Rate of the moment over the mean one of the spill; `times` and `length` in s."""
    share, rate, _ = _profile()
    return np.asarray(np.interp(times / length, share, rate))


def spill_intensity(seed: int, spill: int) -> float:
    """Intensity of a spill over the mean one; the same for the same seed and number."""
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1 << 20, spill)))
    return float(np.clip(1 + VARIATION * rng.standard_normal(), 0.7, 1.3))
