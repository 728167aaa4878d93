"""Hadronic calorimeter: energies of its modules, along the beam and at zero degrees."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from na64reco.calorimeters.cells import TIME_WINDOW, cell_energies

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.calibration import Conditions
    from na64reco.events import Hits
    from na64reco.setup import Calorimeter, Setup

__all__ = ["beam_modules", "reconstruct_hcal"]


def beam_modules(hcal: Calorimeter) -> NDArray[np.bool_]:
    """Which modules stand in the deflected beam: those that share the calorimeter's slope.

    Returns
    -------
    shape (modules,); False for a zero-degree module
    """
    slopes = [section.slope_x for section in hcal.sections.values()]
    return np.array([slope is None or slope == hcal.slope_x for slope in slopes])


def reconstruct_hcal(
    hits: Hits, setup: Setup, conditions: Conditions, *, window: float = TIME_WINDOW
) -> dict[str, NDArray[Any]]:
    """Columns `hcal.*` of :data:`na64reco.reconstruction.COLUMNS`.

    Parameters
    ----------
    hits
        Collection `HCAL` with module, ix, iy, amplitude, time.
    setup, conditions
        Geometry and constants of the run.
    window
        Half width of the time window in units of the channels' time resolutions.

    Raises
    ------
    DataError
        If conditions and setup differ in their cells.
    """
    hcal = setup.hcal
    cells = cell_energies(hits, conditions.hcal, hcal.shape, window=window)
    along = beam_modules(hcal)
    modules = cells.in_time.sum(axis=(2, 3))
    out_of_time = cells.out_of_time.sum(axis=(2, 3))
    ix, iy = hcal.beam_cell or (hcal.nx // 2, hcal.ny // 2)
    energy = modules[:, along].sum(axis=1)
    central = cells.in_time[:, along, ix, iy].sum(axis=1)
    columns = {
        "hcal.energy": energy,
        "hcal.energy_out": out_of_time[:, along].sum(axis=1),
        "hcal.ratio": np.divide(
            energy - central, energy, out=np.zeros_like(energy), where=energy > 0
        ),
        **{f"hcal.module{i}": modules[:, i] for i in range(modules.shape[1])},
    }
    if not along.all():
        columns["hcal.zero_degree"] = modules[:, ~along].sum(axis=1)
    return {name: values.astype(np.float32) for name, values in columns.items()}
