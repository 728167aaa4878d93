"""Uncertainty of energies that were summed from fitted pulses."""

# ruff: noqa: PLR0917 - kernels take flat arrays

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

from na64reco.calorimeters.cells import TIME_WINDOW
from na64reco.calorimeters.waveforms import channel_index

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.calibration import CellConditions
    from na64reco.events import Hits

__all__ = ["energy_errors", "pulse_energies"]


def energy_errors(
    pulses: Hits,
    cells: CellConditions,
    *,
    window: float = TIME_WINDOW,
    name: str = "the collection",
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Standard errors of the summed energies of a detector, in and out of time.

    Errors of single pulses, which know of overlaps in their channel, add in quadrature over all
    cells; those of the calibration are not in it.

    Parameters
    ----------
    pulses
        From :func:`na64reco.calorimeters.fit_waveforms`.
    cells
        Constants of the channels.
    window
        Half width of the time window, in units of the channels' time resolutions.

    Returns
    -------
    GeV, shape (events,) each; infinite where a pulse has no finite error
    """
    events = len(pulses)
    inside, outside = np.empty(events), np.empty(events)
    _add(
        pulses.offsets,
        channel_index(pulses, cells.scale.shape, name),
        pulses["time"],
        pulses["amplitude_error"],
        cells.scale.ravel(),
        cells.time.ravel(),
        window * cells.time_width.ravel(),
        inside,
        outside,
    )
    return inside, outside


def pulse_energies(
    pulses: Hits, cells: CellConditions, *, name: str = "the collection"
) -> NDArray[np.float64]:
    """Energy of all pulses of each event, whenever they were, GeV, shape (events,)."""
    scale = cells.scale.ravel()[channel_index(pulses, cells.scale.shape, name)]
    total = np.concatenate([[0.0], np.cumsum(scale * pulses["amplitude"])])
    found: NDArray[np.float64] = np.diff(total[pulses.offsets])
    return found


@njit(cache=True, nogil=True, error_model="numpy")
def _add(
    offsets: NDArray[np.int64],
    channel: NDArray[np.int32],
    time: NDArray[np.float32],
    error: NDArray[np.float32],
    scale: NDArray[np.float64],
    expected: NDArray[np.float64],
    half: NDArray[np.float64],
    inside: NDArray[Any],
    outside: NDArray[Any],
) -> None:  # pragma: no cover - compiled
    for event in range(len(inside)):
        punctual = other = 0.0
        for hit in range(offsets[event], offsets[event + 1]):
            cell = channel[hit]
            variance = (scale[cell] * error[hit]) ** 2
            if abs(time[hit] - expected[cell]) < half[cell]:
                punctual += variance
            else:
                other += variance
        inside[event], outside[event] = np.sqrt(punctual), np.sqrt(other)
