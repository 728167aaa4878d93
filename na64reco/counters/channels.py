"""Hits of rows of channels (photomultipliers, modules, counters) to energies.

The rules are those of the calorimeters' cells: pulses of a channel add up, inside and outside its
time window, and an in-time sum below the threshold is 0.
"""

# ruff: noqa: PLR0917 - kernels take flat arrays

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from na64reco.errors import DataError

if TYPE_CHECKING:
    from na64reco.calibration import CellConditions
    from na64reco.events import Hits

__all__ = ["TIME_WINDOW", "ChannelEnergies", "channel_energies"]

TIME_WINDOW: Final = 3.0
"""Half width of the in-time window in units of the channel's time resolution, as for cells."""

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ChannelEnergies:
    """Energies of all channels of one detector."""

    in_time: Array
    """GeV, shape (events, channels); sums below the channel's threshold are 0."""
    out_of_time: Array
    """GeV, shape (events, channels): all other pulses."""
    ignored: int
    """Hits left out: amplitude or time not finite, or no such channel."""


def channel_energies(
    hits: Hits,
    conditions: CellConditions,
    channels: int,
    *,
    axis: str = "ix",
    window: float = TIME_WINDOW,
) -> ChannelEnergies:
    """Sum calibrated pulses per channel, inside and outside the time window.

    Parameters
    ----------
    hits
        With `amplitude`, `time` and the column `axis`.
    conditions
        Arrays of the shape (channels,).
    channels
        Number of them.
    axis
        Column of `hits` with the channel's number.
    window
        Half width of the time window, in units of the channel's time resolution.

    Raises
    ------
    DataError
        If the conditions do not have this shape.
    """
    if conditions.scale.shape != (channels,):
        msg = (
            f"The conditions have channels of the shape {conditions.scale.shape}, the detector "
            f"has ({channels},): conditions and setup do not belong together."
        )
        raise DataError(msg)
    events = len(hits.offsets) - 1
    in_time, out_of_time = np.zeros((events, channels)), np.zeros((events, channels))
    ignored = _fill(
        hits.offsets,
        hits.columns[axis],
        hits.columns["amplitude"],
        hits.columns["time"],
        conditions.scale,
        conditions.time,
        conditions.time_width,
        conditions.threshold,
        float(window),
        in_time,
        out_of_time,
    )
    return ChannelEnergies(in_time, out_of_time, int(ignored))


@njit(cache=True, nogil=True)
def _fill(
    offsets: NDArray[np.int64],
    channel: NDArray[np.uint8],
    amplitude: NDArray[np.float32],
    hit_time: NDArray[np.float32],
    scale: Array,
    expected: Array,
    width: Array,
    threshold: Array,
    window: float,
    in_time: Array,
    out_of_time: Array,
) -> int:  # pragma: no cover - compiled
    ignored = 0
    for event in range(len(offsets) - 1):
        for hit in range(offsets[event], offsets[event + 1]):
            i = channel[hit]
            if i >= len(scale) or not np.isfinite(amplitude[hit]) or not np.isfinite(hit_time[hit]):
                ignored += 1
                continue
            energy = scale[i] * np.float64(amplitude[hit])
            if abs(np.float64(hit_time[hit]) - expected[i]) < window * width[i]:
                in_time[event, i] += energy
            else:
                out_of_time[event, i] += energy
        for i in range(len(scale)):
            if in_time[event, i] < threshold[i]:
                in_time[event, i] = 0.0
    return ignored
