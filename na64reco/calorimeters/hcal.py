"""Hadronic calorimeter: energies of its modules, along the beam and at zero degrees."""

# ruff: noqa: PLR0917 - kernels take flat arrays

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numba import njit

from na64reco.calorimeters.cells import TIME_WINDOW, HitArrays, fill_event, prepare_cells

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.calibration import Conditions
    from na64reco.events import Hits
    from na64reco.setup import Calorimeter, Setup

__all__ = ["MIP_EDGES", "beam_modules", "reconstruct_hcal"]

MIP_EDGES: Final = (0.5, 1.67, 3.33)
"""Energy of a module in minimum-ionising particles: below it is none, one, two; above, more. Two
are 4 to 8 GeV in public NA64 analyses of dimuons, at 2.4 GeV each."""

_MOST_MUONS: Final = 2
_SUMS: Final = ("hcal.energy", "hcal.energy_out", "hcal.ratio", "hcal.zero_degree")


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
    along = beam_modules(hcal)
    arrays, constants = prepare_cells(hits, conditions.hcal, hcal.shape, window=window)
    ix, iy = hcal.beam_cell or (hcal.nx // 2, hcal.ny // 2)
    modules = len(along)
    values = np.empty((modules + 4, len(hits.offsets) - 1), dtype=np.float32)
    _reconstruct(arrays, hcal.shape, constants, along, ix * hcal.ny + iy, values)
    columns = {f"hcal.module{i}": values[i] for i in range(modules)}
    columns |= dict(zip(_SUMS, values[modules:], strict=True))
    mips = np.searchsorted(MIP_EDGES, values[:modules] / hcal.mip, side="right").astype(np.int16)
    columns |= {f"hcal.mips{i}": mips[i] for i in range(modules)}
    columns["hcal.muons"] = _muons(mips[along])
    if along.all():
        del columns["hcal.zero_degree"]
    return columns


def _muons(mips: NDArray[np.int16]) -> NDArray[np.int16]:
    """The one number of minimum-ionising particles, 1 or 2, that all modules show; else 0."""
    first = mips[0]
    alike = (mips == first).all(axis=0) & (first <= _MOST_MUONS)
    return np.where(alike, first, 0).astype(np.int16)


@njit(cache=True, nogil=True, error_model="numpy")
def _reconstruct(
    hits: HitArrays,
    shape: tuple[int, int, int],
    constants: NDArray[np.float64],
    along: NDArray[np.bool_],
    centre: int,
    values: NDArray[np.float32],
) -> None:  # pragma: no cover - compiled
    """Fill `values`: rows of the modules, then those of _SUMS."""
    modules, cells = shape[0], shape[1] * shape[2]
    in_time, out_of_time = np.zeros(modules * cells), np.zeros(modules * cells)
    for event in range(values.shape[1]):
        if hits.offsets[event] == hits.offsets[event + 1]:
            values[:, event] = 0.0
            continue
        fill_event(event, hits, shape, constants, in_time, out_of_time)
        energy = outside = central = zero_degree = 0.0
        for module in range(modules):
            total = 0.0
            for cell in range(module * cells, (module + 1) * cells):
                total += in_time[cell]
                outside += out_of_time[cell] if along[module] else 0.0
            values[module, event] = total
            if along[module]:
                energy += total
                central += in_time[module * cells + centre]
            else:
                zero_degree += total
        values[modules, event] = energy
        values[modules + 1, event] = outside
        values[modules + 2, event] = (energy - central) / energy if energy > 0.0 else 0.0
        values[modules + 3, event] = zero_degree
