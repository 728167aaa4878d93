"""Veto hadronic calorimeter of the muon setups: one section of cells about a hole for the beam."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from na64reco.calorimeters.cells import TIME_WINDOW, cell_energies

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.calibration import Conditions
    from na64reco.events import Hits
    from na64reco.setup import Setup

__all__ = ["reconstruct_vhcal"]


def reconstruct_vhcal(
    hits: Hits, setup: Setup, conditions: Conditions, *, window: float = TIME_WINDOW
) -> dict[str, NDArray[Any]]:
    """Columns `vhcal.*` of :data:`na64reco.reconstruction.COLUMNS`; none without a VHCAL.

    Parameters
    ----------
    hits
        Collection `VHCAL` with ix, iy, amplitude, time.
    setup, conditions
        Geometry and constants of the run.
    window
        Half width of the time window in units of the channels' time resolutions.

    Raises
    ------
    DataError
        If conditions and setup differ in their cells.
    """
    if setup.vhcal is None or conditions.vhcal is None:
        return {}
    cells = cell_energies(hits, conditions.vhcal, setup.vhcal.shape, window=window)
    in_time = cells.in_time.sum(axis=1)
    return {
        "vhcal.energy": in_time.sum(axis=(1, 2)).astype(np.float32),
        "vhcal.energy_out": cells.out_of_time.sum(axis=(1, 2, 3)).astype(np.float32),
        "vhcal.cell": in_time.max(axis=(1, 2)).astype(np.float32),
        "vhcal.cells": np.count_nonzero(in_time, axis=(1, 2)).astype(np.int16),
    }
