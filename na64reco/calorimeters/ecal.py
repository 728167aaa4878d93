"""Electromagnetic calorimeter: energies, position and shape of the shower."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from na64reco.calorimeters.cells import TIME_WINDOW, cell_energies
from na64reco.calorimeters.position import shower_position
from na64reco.calorimeters.profile import REFERENCE_ENERGY, ShowerProfile
from na64reco.calorimeters.shape import shower_chi2

if TYPE_CHECKING:
    from na64reco.calibration import Conditions
    from na64reco.events import Hits
    from na64reco.setup import Setup

__all__ = ["reconstruct_ecal"]

Array = NDArray[np.float64]


def reconstruct_ecal(
    hits: Hits,
    setup: Setup,
    conditions: Conditions,
    *,
    impact_x: NDArray[np.floating[Any]] | None = None,
    impact_y: NDArray[np.floating[Any]] | None = None,
    window: float = TIME_WINDOW,
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

    Raises
    ------
    ConditionsError
        If the conditions lack parameters of the shower profile.
    DataError
        If conditions and setup differ in their cells.
    """
    ecal = setup.ecal
    cells = cell_energies(hits, conditions.ecal, ecal.shape, window=window)
    profile = ShowerProfile.from_conditions(conditions.shower_profile)
    events = len(cells.time)
    sums = np.empty((5, events))
    cell = np.empty((3, events), dtype=np.int16)
    _summarise(cells.in_time, cells.out_of_time, sums, cell)
    prs, main, prs_out, main_out, block = sums
    total = prs + main
    with np.errstate(invalid="ignore", divide="ignore"):
        # Rounding may not make the whole smaller than its part.
        fraction = np.where(total > 0, np.minimum(block / total, 1.0), 0.0)
    x, y = shower_position(cells.in_time, ecal, profile)
    at_x, at_y = x, y
    error = profile.shower_error * np.sqrt(REFERENCE_ENERGY / np.maximum(total, 1.0))
    if impact_x is not None and impact_y is not None:
        tracked = np.isfinite(impact_x) & np.isfinite(impact_y)
        at_x = np.where(tracked, impact_x, x)
        at_y = np.where(tracked, impact_y, y)
        error[tracked] = profile.track_error
    chi2 = shower_chi2(
        cells.in_time, at_x, at_y, profile, ecal, conditions.ecal.threshold, error=error
    )
    beam_cell = ecal.beam_cell or (-1, -1)
    single = {
        "ecal.energy": total,
        "ecal.energy_out": prs_out + main_out,
        "ecal.main": main,
        "prs.energy": prs,
        "prs.energy_out": prs_out,
        "ecal.missing": setup.beam.momentum - total,
        "ecal.x": x,
        "ecal.y": y,
        "ecal.fraction3x3": fraction,
        "ecal.lateral": np.where(total > 0, 1.0 - fraction, 0.0),
        "ecal.chi2": chi2,
        "ecal.time": cells.time,
    }
    return {
        **{name: values.astype(np.float32) for name, values in single.items()},
        "ecal.cell_ix": cell[0],
        "ecal.cell_iy": cell[1],
        "ecal.in_beam_cell": (cell[0] == beam_cell[0]) & (cell[1] == beam_cell[1]),
        "ecal.cells": cell[2],
    }


@njit(cache=True, nogil=True)
def _summarise(
    in_time: Array, out_of_time: Array, sums: Array, cell: NDArray[np.int16]
) -> None:  # pragma: no cover - compiled
    """Sums over cells: preshower, main, both out of time, 3x3; most energetic cell; cells hit."""
    events, sections, nx, ny = in_time.shape
    for event in range(events):
        prs = main = prs_out = main_out = block = 0.0
        largest, ix, iy, hit = 0.0, -1, -1, 0
        for i in range(nx):
            for j in range(ny):
                both = 0.0
                for section in range(sections):
                    energy = in_time[event, section, i, j]
                    outside = out_of_time[event, section, i, j]
                    both += energy
                    if energy != 0.0:
                        hit += 1
                    if section == 0:
                        prs += energy
                        prs_out += outside
                    else:
                        main += energy
                        main_out += outside
                if both > largest:
                    largest, ix, iy = both, i, j
        if ix >= 0:
            for i in range(max(ix - 1, 0), min(ix + 2, nx)):
                for j in range(max(iy - 1, 0), min(iy + 2, ny)):
                    for section in range(sections):
                        block += in_time[event, section, i, j]
        sums[0, event], sums[1, event] = prs, main
        sums[2, event], sums[3, event] = prs_out, main_out
        sums[4, event] = block
        cell[0, event], cell[1, event], cell[2, event] = ix, iy, hit
