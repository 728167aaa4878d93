"""Hits of rows of channels (photomultipliers, modules, counters) to energies.

A row of channels is a calorimeter of one section and one cell in y, and the rules are the same:
pulses of a channel add up, inside and outside its time window; an in-time sum below the threshold
is 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from na64reco.calibration import CellConditions
from na64reco.calorimeters.cells import TIME_WINDOW, HitArrays, cell_energies, prepare_cells
from na64reco.errors import DataError
from na64reco.events.columns import Hits

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["TIME_WINDOW", "ChannelEnergies", "channel_energies", "prepare_channels"]


@dataclass(frozen=True, eq=False)
class ChannelEnergies:
    """Energies of all channels of one detector."""

    in_time: NDArray[np.float64]
    """GeV, shape (events, channels); sums below the channel's threshold are 0."""
    out_of_time: NDArray[np.float64]
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
    cells = cell_energies(*_as_cells(hits, conditions, channels, axis), window=window)
    events = len(hits)
    return ChannelEnergies(
        cells.in_time.reshape(events, channels),
        cells.out_of_time.reshape(events, channels),
        cells.ignored,
    )


def prepare_channels(
    hits: Hits, conditions: CellConditions, channels: int, *, window: float = TIME_WINDOW
) -> tuple[HitArrays, NDArray[np.float64], tuple[int, int, int]]:
    """Hits, constants and shape as `na64reco.calorimeters.cells.fill_event` takes them.

    Parameters and errors are those of `channel_energies`; the channel's number is in `ix`.
    """
    arguments = _as_cells(hits, conditions, channels, "ix")
    return *prepare_cells(*arguments, window=window), arguments[2]


def _as_cells(
    hits: Hits, conditions: CellConditions, channels: int, axis: str
) -> tuple[Hits, CellConditions, tuple[int, int, int]]:
    """Hits, conditions and shape of the calorimeter that the row of channels is."""
    if conditions.scale.shape != (channels,):
        msg = (
            f"The conditions have channels of the shape {conditions.scale.shape}, the detector "
            f"has ({channels},): conditions and setup do not belong together."
        )
        raise DataError(msg)
    row = hits.columns[axis]
    columns: dict[str, NDArray[Any]] = {
        "ix": row,
        "iy": np.zeros(len(row), dtype=np.uint8),
        "amplitude": hits.columns["amplitude"],
        "time": hits.columns["time"],
    }
    shape = (1, channels, 1)
    as_cells = CellConditions(
        *(
            values.reshape(shape)
            for values in (
                conditions.scale,
                conditions.time,
                conditions.time_width,
                conditions.threshold,
            )
        )
    )
    return Hits(hits.offsets, columns), as_cells, shape
