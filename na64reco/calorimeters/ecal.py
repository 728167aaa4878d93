"""Electromagnetic calorimeter: energies, position and shape of the shower."""

# ruff: noqa: PLR0917 - kernels take flat arrays

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from na64reco.calorimeters.cells import TIME_WINDOW, HitArrays, fill_in_time, prepare_cells
from na64reco.calorimeters.hidden import ENERGIES, hidden_energy
from na64reco.calorimeters.moments import event_core, event_sums, event_widths
from na64reco.calorimeters.position import PositionTable, event_position, position_table
from na64reco.calorimeters.profile import REFERENCE_ENERGY, ShowerProfile
from na64reco.calorimeters.shape import (
    Expectation,
    Room,
    event_shape,
    expectation,
    lateness,
    make_room,
)
from na64reco.calorimeters.shares import aligned

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from na64reco.calibration import Conditions
    from na64reco.events import Hits
    from na64reco.setup import Calorimeter, Setup

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
_CELL: Final = ("ecal.cell_ix", "ecal.cell_iy", "ecal.cells", "ecal.in_beam_cell")


class Needs(NamedTuple):
    """What the kernel is to do."""

    beside: bool
    """Time, and energies out of time."""
    hidden: bool
    """What is made from the energy that cells below threshold hide."""
    core: bool
    """The most energetic cell and what is about it."""
    widths: bool
    position: bool
    late: bool
    shape: bool


_WIDTHS: Final = {"ecal.fraction5x5", "ecal.width_x", "ecal.width_y"}
_NEEDS: Final[dict[str, set[str]]] = {
    "beside": {"ecal.energy_out", "prs.energy_out", "ecal.time"},
    "hidden": {"ecal.energy", "ecal.missing", "ecal.hidden"},
    "core": {"ecal.fraction3x3", "ecal.lateral", *_WIDTHS, *_CELL},
    "widths": _WIDTHS,
    "position": {"ecal.x", "ecal.y"},
    "late": {"prs.late"},
    "shape": {"ecal.chi2"},
}
"""The columns for which it has to."""


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
        Columns that are needed; without it, all. Nothing else is worked out: a call for the shape
        of some events costs no more than that, and one for all else does not need the track.

    Raises
    ------
    ConditionsError
        If the conditions lack parameters of the shower profile.
    DataError
        If conditions and setup differ in their cells.
    """
    ecal = setup.ecal
    known = _prepared(conditions.shower_profile, ecal, conditions.ecal.threshold)
    expected = known.expected
    arrays, constants = prepare_cells(
        hits, conditions.ecal, ecal.shape, window=window, stride=expected.threshold.shape[1]
    )
    events = len(hits.offsets) - 1
    needed = {*_VALUES, *_CELL} if wanted is None else set(wanted)
    needs = Needs(**{name: bool(columns & needed) for name, columns in _NEEDS.items()})
    if not needs.shape or impact_x is None or impact_y is None:
        impact_x = impact_y = np.full(events if needs.shape else 0, np.nan)
    # Rows that are not filled take no memory.
    values = np.empty((len(_VALUES), events), dtype=np.float32)
    cell = np.empty((3, events if needs.core else 0), dtype=np.int16)
    _reconstruct(
        arrays,
        ecal.shape,
        constants,
        known.along_x,
        known.along_y,
        expected,
        make_room(expected),
        np.asarray(impact_x, dtype=np.float64),
        np.asarray(impact_y, dtype=np.float64),
        known.profile.track_error,
        known.profile.shower_error,
        setup.beam.momentum,
        known.hidden,
        needs,
        aligned(constants.shape[1]),
        aligned(expected.threshold.shape[1]),
        values,
        cell,
    )
    columns: dict[str, NDArray[Any]] = {
        name: row for name, row in zip(_VALUES, values, strict=True) if name in needed
    }
    if needs.core:
        beam_cell = ecal.beam_cell or (-1, -1)
        hit = (cell[0] == beam_cell[0]) & (cell[1] == beam_cell[1])
        found = zip(_CELL, (*cell, hit), strict=True)
        columns |= {name: row for name, row in found if name in needed}
    return columns


class _Prepared(NamedTuple):
    """What does not change from one chunk of a run to the next."""

    profile: ShowerProfile
    expected: Expectation
    along_x: PositionTable
    along_y: PositionTable
    hidden: Array


_remembered: dict[tuple[object, ...], _Prepared] = {}
_MOST: Final = 8


def _prepared(parameters: Mapping[str, float], ecal: Calorimeter, threshold: Array) -> _Prepared:
    """Tables for the kernel; remembered by all values that go into them, since they take 2 ms."""
    key = (
        *(ecal.nx, ecal.ny, ecal.cell_x, ecal.cell_y, ecal.beam_cell),
        *(tuple(parameters.items()), threshold.shape, threshold.tobytes()),
    )
    found = _remembered.get(key)
    if found is None:
        profile = ShowerProfile.from_conditions(parameters)
        found = _Prepared(
            profile,
            expectation(profile, ecal, threshold),
            position_table(profile, ecal.cell_x),
            position_table(profile, ecal.cell_y),
            hidden_energy(profile, ecal, threshold),
        )
        if len(_remembered) >= _MOST:
            _remembered.clear()
        _remembered[key] = found
    return found


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
    needs: Needs,
    in_time: Array,
    both: Array,
    values: NDArray[np.float32],
    cell: NDArray[np.int16],
) -> None:  # pragma: no cover - compiled
    """Fill `values`, rows as in _VALUES, and `cell`: most energetic cell, number of cells hit."""
    _, nx, ny = shape
    cells = in_time.reshape(2, -1)
    for event in range(values.shape[1]):
        beside = fill_in_time(event, hits, shape, constants, in_time, needs.beside)
        prs, main = event_sums(cells)
        total = prs + main
        values[2, event] = main
        values[3, event] = prs
        values[16, event] = prs / total if total > 0.0 else 0.0
        if needs.beside:
            values[1, event] = beside.out_of_time
            values[4, event] = beside.out_first
            values[11, event] = beside.time
        if needs.hidden:
            hidden = _hidden(total, hidden_table)
            values[0, event] = total + hidden
            values[5, event] = momentum - total - hidden
            values[12, event] = hidden
        if needs.core:
            ix, iy, near, hit = event_core(cells, nx, ny, both)
            # Rounding may not make the whole smaller than its part.
            part = min(near / total, 1.0) if ix >= 0 else 0.0
            values[8, event] = part
            values[9, event] = 1.0 - part if total > 0.0 else 0.0
            cell[0, event], cell[1, event], cell[2, event] = ix, iy, hit
            if needs.widths:
                wide, width_x, width_y = event_widths(
                    both, nx, ny, expected.cell_x, expected.cell_y, ix, iy
                )
                values[13, event] = min(wide / total, 1.0) if ix >= 0 else 0.0
                values[14, event], values[15, event] = width_x, width_y
        if needs.late:
            values[17, event] = lateness(prs, total, expected)[1] if total > 0.0 else np.nan
        x = y = np.nan
        if needs.position:
            x, y = event_position(cells, nx, ny, along_x, along_y)
            values[6, event], values[7, event] = x, y
        if needs.shape:
            at_x, at_y = impact_x[event], impact_y[event]
            error = track_error
            if not (np.isfinite(at_x) and np.isfinite(at_y)):
                if not needs.position:
                    x, y = event_position(cells, nx, ny, along_x, along_y)
                at_x, at_y = x, y
                error = shower_error * np.sqrt(REFERENCE_ENERGY / max(total, 1.0))
            chi2, _ = event_shape(cells, prs, main, at_x, at_y, error, expected, room)
            values[10, event] = chi2
