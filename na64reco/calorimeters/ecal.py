"""Electromagnetic calorimeter: energies, position and shape of the shower."""

# ruff: noqa: PLR0917 - kernels take flat arrays

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from na64reco.calorimeters.cells import TIME_WINDOW, HitArrays, fill_event, prepare_cells
from na64reco.calorimeters.hidden import ENERGIES, hidden_energy
from na64reco.calorimeters.moments import MOMENTS, event_moments
from na64reco.calorimeters.position import PositionTable, event_position, position_table
from na64reco.calorimeters.profile import REFERENCE_ENERGY, ShowerProfile
from na64reco.calorimeters.shape import Expectation, Room, event_shape, expectation, make_room

if TYPE_CHECKING:
    from collections.abc import Iterable

    from na64reco.calibration import Conditions
    from na64reco.events import Hits
    from na64reco.setup import Setup

__all__ = ["reconstruct_ecal"]

Array = NDArray[np.float64]

_VALUES: Final = (
    "ecal.energy",
    "ecal.energy_out",
    "ecal.main",
    "prs.energy",
    "prs.energy_out",
    "ecal.missing",
    "ecal.x",
    "ecal.y",
    "ecal.fraction3x3",
    "ecal.lateral",
    "ecal.chi2",
    "ecal.time",
    "ecal.hidden",
    "ecal.fraction5x5",
    "ecal.width_x",
    "ecal.width_y",
    "prs.fraction",
    "prs.late",
)
"""Rows that the kernel fills, in its order."""


def reconstruct_ecal(
    hits: Hits,
    setup: Setup,
    conditions: Conditions,
    *,
    impact_x: NDArray[np.floating[Any]] | None = None,
    impact_y: NDArray[np.floating[Any]] | None = None,
    window: float = TIME_WINDOW,
    wanted: Iterable[str] | None = None,
) -> dict[str, NDArray[Any]]:
    """Columns `ecal.*` and `prs.*` of :data:`na64reco.reconstruction.COLUMNS`.

    Parameters
    ----------
    hits
        Collection `ECAL` with section, ix, iy, amplitude, time.
    setup, conditions
        Geometry and constants of the run.
    impact_x, impact_y
        Where the track enters, mm in the ECAL's frame, shape (events,). Where it is NaN, or
        without it, the shower's own position serves for the shape.
    window
        Half width of the time window in units of the channels' time resolutions.
    wanted
        Columns that are needed; without it, all. The position of a shower is found only where it
        is among them or serves for the shape.

    Raises
    ------
    ConditionsError
        If the conditions lack parameters of the shower profile.
    DataError
        If conditions and setup differ in their cells.
    """
    ecal = setup.ecal
    profile = ShowerProfile.from_conditions(conditions.shower_profile)
    expected = expectation(profile, ecal, conditions.ecal.threshold)
    arrays, constants = prepare_cells(
        hits, conditions.ecal, ecal.shape, window=window, stride=expected.threshold.shape[1]
    )
    events = len(hits.offsets) - 1
    if impact_x is None or impact_y is None:
        impact_x = impact_y = np.full(events, np.nan)
    needed = set(_VALUES) if wanted is None else set(wanted)
    values = np.empty((len(_VALUES), events), dtype=np.float32)
    cell = np.empty((3, events), dtype=np.int16)
    _reconstruct(
        arrays,
        ecal.shape,
        constants,
        position_table(profile, ecal.cell_x),
        position_table(profile, ecal.cell_y),
        expected,
        make_room(expected),
        np.asarray(impact_x, dtype=np.float64),
        np.asarray(impact_y, dtype=np.float64),
        profile.track_error,
        profile.shower_error,
        setup.beam.momentum,
        hidden_energy(profile, ecal, conditions.ecal.threshold),
        bool(needed & {"ecal.x", "ecal.y"}),
        values,
        cell,
    )
    beam_cell = ecal.beam_cell or (-1, -1)
    return {
        **{n: v for n, v in zip(_VALUES, values, strict=True) if n in needed},
        "ecal.cell_ix": cell[0],
        "ecal.cell_iy": cell[1],
        "ecal.in_beam_cell": (cell[0] == beam_cell[0]) & (cell[1] == beam_cell[1]),
        "ecal.cells": cell[2],
    }


_LOG_FIRST: Final = float(np.log(ENERGIES[0]))
_LOG_STEP: Final = float(np.log(ENERGIES[1] / ENERGIES[0]))


@njit(cache=True, nogil=True, inline="always", error_model="numpy")
def _hidden(energy: float, table: Array) -> float:  # pragma: no cover - compiled
    """Interpolated in the logarithm of the energy; in proportion to it below the table."""
    if energy <= 0.0:
        return 0.0
    place = (np.log(energy) - _LOG_FIRST) / _LOG_STEP
    if place <= 0.0:
        return float(table[0] * energy / ENERGIES[0])
    if place >= len(table) - 1:
        return float(table[-1])
    index = int(place)
    return float(table[index] + (place - index) * (table[index + 1] - table[index]))


# One pass over the hits: the cells of an event stay in the processor's cache until all is known.
@njit(cache=True, nogil=True, error_model="numpy")
def _reconstruct(
    hits: HitArrays,
    shape: tuple[int, int, int],
    constants: Array,
    along_x: PositionTable,
    along_y: PositionTable,
    expected: Expectation,
    room: Room,
    impact_x: Array,
    impact_y: Array,
    track_error: float,
    shower_error: float,
    momentum: float,
    hidden_table: Array,
    position: bool,
    values: NDArray[np.float32],
    cell: NDArray[np.int16],
) -> None:  # pragma: no cover - compiled
    """Fill `values`, rows as in _VALUES, and `cell`: most energetic cell, number of cells hit."""
    sections, nx, ny = shape
    moments = np.empty(MOMENTS)
    in_time, out_of_time = np.zeros(constants.shape[1]), np.zeros(constants.shape[1])
    cells = in_time.reshape(sections, -1)
    outside = out_of_time.reshape(sections, -1)
    for event in range(values.shape[1]):
        time, _ = fill_event(event, hits, shape, constants, in_time, out_of_time)
        ix, iy, hit = event_moments(cells, nx, ny, expected.cell_x, expected.cell_y, moments)
        prs, main = moments[0], moments[1]
        prs_out, main_out = outside[0].sum(), outside[1:].sum()
        total = prs + main
        hidden = _hidden(total, hidden_table)
        at_x, at_y = impact_x[event], impact_y[event]
        error = track_error
        tracked = np.isfinite(at_x) and np.isfinite(at_y)
        x = y = np.nan
        if position or not tracked:
            x, y = event_position(cells, nx, ny, along_x, along_y)
        if not tracked:
            at_x, at_y = x, y
            error = shower_error * np.sqrt(REFERENCE_ENERGY / max(total, 1.0))
        chi2, _, late = event_shape(cells, at_x, at_y, error, expected, room)
        values[0, event] = total + hidden
        values[1, event] = prs_out + main_out
        values[2, event] = main
        values[3, event] = prs
        values[4, event] = prs_out
        values[5, event] = momentum - total - hidden
        values[6, event] = x
        values[7, event] = y
        values[8, event] = moments[2]
        values[9, event] = 1.0 - moments[2] if total > 0.0 else 0.0
        values[10, event] = chi2
        values[11, event] = time
        values[12, event] = hidden
        values[13, event] = moments[3]
        values[14, event] = moments[4]
        values[15, event] = moments[5]
        values[16, event] = prs / total if total > 0.0 else 0.0
        values[17, event] = late
        cell[0, event], cell[1, event], cell[2, event] = ix, iy, hit
