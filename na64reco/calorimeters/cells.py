"""Hits to energies of cells: calibration, time windows, thresholds.

One pass over the flat hits of a collection gives dense arrays (event, section, ix, iy).
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

__all__ = ["TIME_WINDOW", "CellEnergies", "cell_energies"]

TIME_WINDOW: Final = 3.0
"""Half width of the in-time window in units of the cell's time resolution (public NA64
analyses take cells within 3 sigma)."""

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class CellEnergies:
    """Energies of all cells of one calorimeter."""

    in_time: Array
    """GeV, shape (events, section, ix, iy); sums below the cell's threshold are 0."""
    out_of_time: Array
    """GeV, shape (events, section, ix, iy): all other pulses."""
    time: Array
    """Energy-weighted mean of (time - expected time) of the in-time hits, ns, shape (events,);
    NaN without any."""
    ignored: int
    """Hits left out: amplitude or time not finite, or outside the detector."""


def cell_energies(
    hits: Hits,
    conditions: CellConditions,
    shape: tuple[int, int, int],
    *,
    window: float = TIME_WINDOW,
) -> CellEnergies:
    """Sum calibrated pulses per cell, inside and outside the time window.

    A pulse is in time if abs(time - expected) < window * resolution of its cell. Several pulses
    of one cell add up. NaN and infinite values, which a sound file does not have (see
    `na64reco.events.check_events`), never enter a sum; they are counted.

    Parameters
    ----------
    hits
        With `section` or `module` (neither: a single section), `ix`, `iy`, `amplitude`, `time`.
    conditions
        Arrays of the shape `shape`.
    shape
        (sections, nx, ny).
    window
        Half width of the time window, in units of the cell's time resolution.

    Raises
    ------
    DataError
        If the conditions do not have this shape.
    """
    if conditions.scale.shape != shape:
        msg = (
            f"The conditions have cells of the shape {conditions.scale.shape}, the detector "
            f"has {shape}: conditions and setup do not belong together."
        )
        raise DataError(msg)
    amplitude = hits.columns["amplitude"]
    name = "section" if "section" in hits.columns else "module"
    section = hits.columns.get(name)
    if section is None:
        section = np.zeros(len(amplitude), dtype=np.uint8)
    events = len(hits.offsets) - 1
    in_time, out_of_time = np.zeros((events, *shape)), np.zeros((events, *shape))
    time = np.empty(events)
    ignored = _fill(
        hits.offsets,
        section,
        hits.columns["ix"],
        hits.columns["iy"],
        amplitude,
        hits.columns["time"],
        conditions.scale,
        conditions.time,
        conditions.time_width,
        conditions.threshold,
        float(window),
        in_time,
        out_of_time,
        time,
    )
    return CellEnergies(in_time, out_of_time, time, int(ignored))


@njit(cache=True, nogil=True)
def _fill(
    offsets: NDArray[np.int64],
    first: NDArray[np.uint8],
    second: NDArray[np.uint8],
    third: NDArray[np.uint8],
    amplitude: NDArray[np.float32],
    hit_time: NDArray[np.float32],
    scale: Array,
    expected: Array,
    width: Array,
    threshold: Array,
    window: float,
    in_time: Array,
    out_of_time: Array,
    time: Array,
) -> int:  # pragma: no cover - compiled
    n0, n1, n2 = scale.shape
    ignored = 0
    for event in range(len(offsets) - 1):
        weighted, weight = 0.0, 0.0
        inside = in_time[event]
        outside = out_of_time[event]
        for hit in range(offsets[event], offsets[event + 1]):
            i, j, k = first[hit], second[hit], third[hit]
            finite = np.isfinite(amplitude[hit]) and np.isfinite(hit_time[hit])
            if not finite or i >= n0 or j >= n1 or k >= n2:
                ignored += 1
                continue
            energy = scale[i, j, k] * np.float64(amplitude[hit])
            late = np.float64(hit_time[hit]) - expected[i, j, k]
            if abs(late) < window * width[i, j, k]:
                inside[i, j, k] += energy
                if energy > 0.0:
                    weighted += energy * late
                    weight += energy
            else:
                outside[i, j, k] += energy
        for i in range(n0):
            for j in range(n1):
                for k in range(n2):
                    if inside[i, j, k] < threshold[i, j, k]:
                        inside[i, j, k] = 0.0
        time[event] = weighted / weight if weight > 0.0 else np.nan
    return ignored
