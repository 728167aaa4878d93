"""Hits to energies of cells: calibration, time windows, thresholds.

One pass over the flat hits of a collection gives dense arrays (event, section, ix, iy).
"""

# ruff: noqa: PLR0917 - kernels take flat arrays

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from na64reco.errors import DataError
from na64reco.events.columns import Hits

if TYPE_CHECKING:
    from na64reco.calibration import CellConditions

__all__ = [
    "TIME_WINDOW",
    "CellEnergies",
    "HitArrays",
    "apply_drift",
    "cell_energies",
    "fill_event",
    "fill_in_time",
    "prepare_cells",
]

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
    arrays, constants = prepare_cells(hits, conditions, shape, window=window)
    events = len(hits.offsets) - 1
    in_time, out_of_time = np.empty((events, *shape)), np.empty((events, *shape))
    time = np.empty(events)
    rows = (events, constants.shape[1])
    ignored = _fill(
        arrays, shape, constants, in_time.reshape(rows), out_of_time.reshape(rows), time
    )
    return CellEnergies(in_time, out_of_time, time, int(ignored))


def apply_drift(hits: Hits, factors: Array) -> Hits:
    """Hits with each event's amplitudes multiplied by its factor for the drift of gains.

    Parameters
    ----------
    hits
        With `amplitude`.
    factors
        Shape (events,), see `na64reco.calibration.Drift.factors`.
    """
    amplitude = hits["amplitude"] * np.repeat(factors.astype(np.float32), hits.counts)
    return Hits(hits.offsets, {**hits.columns, "amplitude": amplitude})


class HitArrays(NamedTuple):
    """Hits of one calorimeter, flat, for kernels."""

    offsets: NDArray[np.int64]
    section: NDArray[np.uint8]
    ix: NDArray[np.uint8]
    iy: NDArray[np.uint8]
    amplitude: NDArray[np.float32]
    time: NDArray[np.float32]


def prepare_cells(
    hits: Hits,
    conditions: CellConditions,
    shape: tuple[int, int, int],
    *,
    window: float = TIME_WINDOW,
    stride: int | None = None,
) -> tuple[HitArrays, Array]:
    """Hits and constants as `fill_event` takes them.

    Parameters
    ----------
    stride
        Length of a section's row of cells; by default nx * ny. What is beyond is never filled.

    Returns
    -------
    The hits, and the constants of the cells, shape (4, sections * stride): GeV per count,
    expected time, half width of the time window, threshold

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
    columns = hits.columns
    section: NDArray[Any] | None = columns.get("section", columns.get("module"))
    if section is None:
        section = np.zeros(len(columns["amplitude"]), dtype=np.uint8)
    arrays = HitArrays(
        hits.offsets, section, columns["ix"], columns["iy"], columns["amplitude"], columns["time"]
    )
    cells = shape[1] * shape[2]
    constants = np.zeros((4, shape[0], stride or cells))
    for row, values in zip(
        constants,
        (
            conditions.scale,
            conditions.time,
            window * conditions.time_width,
            conditions.threshold,
        ),
        strict=True,
    ):
        row[:, :cells] = values.reshape(shape[0], cells)
    return arrays, constants.reshape(4, -1)


@njit(cache=True, nogil=True, error_model="numpy")
def fill_event(
    event: int,
    hits: HitArrays,
    shape: tuple[int, int, int],
    constants: Array,
    in_time: Array,
    out_of_time: Array,
) -> tuple[float, int]:  # pragma: no cover - compiled
    """Energies of all cells in one event, flat: (section, ix, iy), sections a stride apart.

    Returns the energy-weighted mean lateness and the number of hits that were ignored.
    """
    sections, nx, ny = shape
    stride, row = np.uint64(len(in_time) // sections), np.uint64(ny)
    for cell in range(len(in_time)):
        in_time[cell] = out_of_time[cell] = 0.0
    weighted, weight, ignored = 0.0, 0.0, 0
    for hit in range(hits.offsets[event], hits.offsets[event + 1]):
        i, j, k = hits.section[hit], hits.ix[hit], hits.iy[hit]
        amplitude, time = np.float64(hits.amplitude[hit]), np.float64(hits.time[hit])
        # One test for both: NaN and infinities times zero are not zero.
        finite = 0.0 * amplitude + 0.0 * time == 0.0
        if not (finite and 0 <= i < sections and 0 <= j < nx and 0 <= k < ny):
            ignored += 1
            continue
        # Unsigned: numba would look for negative indices otherwise.
        place = np.uint64(i) * stride + np.uint64(j) * row + np.uint64(k)
        energy = constants[0, place] * amplitude
        late = time - constants[1, place]
        # Without a branch: pile-up makes it one that cannot be predicted.
        punctual = abs(late) < constants[2, place]
        inside = energy if punctual else 0.0
        in_time[place] += inside
        out_of_time[place] += 0.0 if punctual else energy
        positive = inside if inside > 0.0 else 0.0
        weighted += positive * late
        weight += positive
    for cell in range(len(in_time)):
        in_time[cell] = 0.0 if in_time[cell] < constants[3, cell] else in_time[cell]
    return (weighted / weight if weight > 0.0 else np.nan), ignored


class Beside(NamedTuple):
    """What one event has besides the in-time energies of its cells."""

    time: float
    """Energy-weighted mean lateness, ns; NaN without in-time energy."""
    out_of_time: float
    """GeV, all sections."""
    out_first: float
    """GeV, the first section."""


@njit(cache=True, nogil=True, error_model="numpy")
def fill_in_time(
    event: int,
    hits: HitArrays,
    shape: tuple[int, int, int],
    constants: Array,
    in_time: Array,
    beside: bool,
) -> Beside:  # pragma: no cover - compiled
    """As `fill_event`, with sums in place of the cells out of time, and these only if `beside`."""
    sections, nx, ny = shape
    stride, row = np.uint64(len(in_time) // sections), np.uint64(ny)
    for cell in range(len(in_time)):
        in_time[cell] = 0.0
    weighted = weight = out_of_time = out_first = 0.0
    for hit in range(hits.offsets[event], hits.offsets[event + 1]):
        i, j, k = hits.section[hit], hits.ix[hit], hits.iy[hit]
        amplitude, time = np.float64(hits.amplitude[hit]), np.float64(hits.time[hit])
        finite = 0.0 * amplitude + 0.0 * time == 0.0
        if not (finite and 0 <= i < sections and 0 <= j < nx and 0 <= k < ny):
            continue
        place = np.uint64(i) * stride + np.uint64(j) * row + np.uint64(k)
        energy = constants[0, place] * amplitude
        late = time - constants[1, place]
        inside = energy if abs(late) < constants[2, place] else 0.0
        in_time[place] += inside
        if beside:
            outside = energy - inside
            out_of_time += outside
            out_first += outside if place < stride else 0.0
            positive = inside if inside > 0.0 else 0.0
            weighted += positive * late
            weight += positive
    for cell in range(len(in_time)):
        in_time[cell] = 0.0 if in_time[cell] < constants[3, cell] else in_time[cell]
    return Beside(weighted / weight if weight > 0.0 else np.nan, out_of_time, out_first)


@njit(cache=True, nogil=True)
def _fill(
    hits: HitArrays,
    shape: tuple[int, int, int],
    constants: Array,
    in_time: Array,
    out_of_time: Array,
    time: Array,
) -> int:  # pragma: no cover - compiled
    ignored = 0
    for event in range(len(time)):
        mean, bad = fill_event(event, hits, shape, constants, in_time[event], out_of_time[event])
        time[event] = mean
        ignored += bad
    return ignored
