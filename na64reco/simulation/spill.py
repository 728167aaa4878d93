"""When in the spill events happen.

The extraction lasts the setup's spill length. Its rate rises over the first and falls over the last
tenth and has a slow wave of 15 % in between (assumed; a slow extraction is never quite flat).
Events of a spill are numbered in time. Left out: that pile-up follows the rate.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["EVENTS_PER_SPILL", "spill_of", "spill_times"]

EVENTS_PER_SPILL = 4000
"""Recorded events of a spill, assumed."""

_EDGE = 0.1
_WAVE = 0.15
_WAVES = 3


def spill_of(number: NDArray[np.int64]) -> NDArray[np.uint32]:
    """Spill of events by their number in the run, counted from 0."""
    return (1 + number // EVENTS_PER_SPILL).astype(np.uint32)


def spill_times(
    rng: np.random.Generator, number: NDArray[np.int64], length: float
) -> NDArray[np.float64]:
    """Time since the beginning of the spill, s, shape (events,).

    Parameters
    ----------
    number
        Of the events in the run, counted from 0.
    length
        Of the spill, s.
    """
    share = np.linspace(0, 1, 1001)
    edges = np.minimum(1, np.minimum(share, 1 - share) / _EDGE)
    rate = edges * (1 + _WAVE * np.sin(2 * np.pi * _WAVES * share))
    above = np.concatenate(([0.0], np.cumsum(0.5 * (rate[1:] + rate[:-1]))))
    place = (number % EVENTS_PER_SPILL + rng.random(len(number))) / EVENTS_PER_SPILL
    times: NDArray[np.float64] = length * np.interp(place, above / above[-1], share)
    return times
