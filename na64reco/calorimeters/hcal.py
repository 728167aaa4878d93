"""Hadronic calorimeter: energies of its modules, along the beam and at zero degrees."""

# ruff: noqa: PLR0917 - kernels take flat arrays

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numba import njit

from na64reco.calorimeters.cells import TIME_WINDOW, HitArrays, fill_event, prepare_cells
from na64reco.calorimeters.shares import FAST

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
    hits: Hits,
    setup: Setup,
    conditions: Conditions,
    *,
    window: float = TIME_WINDOW,
    expected: NDArray[np.int64] | None = None,
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
    expected
        Cell (ix, iy) of each module that the last track enters, -1 where it enters none, shape
        (events, modules, 2). Without it there are no columns `hcal.expected*`.

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
    events = len(hits.offsets) - 1
    values = np.empty((modules + 4, events), dtype=np.float32)
    numbers, inside = np.empty((0, 0), dtype=np.int64), np.empty((0, 0), dtype=np.float32)
    if expected is not None:
        module = np.arange(modules) * hcal.nx
        numbers = (module + expected[:, :, 0]) * hcal.ny + expected[:, :, 1]
        numbers = np.where((expected >= 0).all(axis=2), numbers, -1)
        inside = np.empty((modules, events), dtype=np.float32)
    centre = ix * hcal.ny + iy
    mips = np.empty((modules + 1, events), dtype=np.int16)
    _reconstruct(
        arrays,
        hcal.shape,
        constants,
        along,
        centre,
        np.float32(hcal.mip),
        numbers,
        values,
        mips,
        inside,
    )
    columns = {f"hcal.module{i}": values[i] for i in range(modules)}
    columns |= dict(zip(_SUMS, values[modules:], strict=True))
    columns |= {f"hcal.mips{i}": mips[i] for i in range(modules)}
    columns["hcal.muons"] = mips[modules]
    if along.all():
        del columns["hcal.zero_degree"]
    if expected is not None:
        mips = np.where(numbers.T < 0, np.int16(-1), _mips(inside, hcal.mip))
        columns |= {f"hcal.expected{i}": inside[i] for i in range(modules)}
        columns |= {f"hcal.expected_mips{i}": mips[i] for i in range(modules)}
        for axis, name in enumerate(("hcal.expected_ix", "hcal.expected_iy")):
            columns[name] = expected[:, 0, axis].astype(np.int16)
    return columns


def _mips(energy: NDArray[np.float32], mip: float) -> NDArray[np.int16]:
    """Number of minimum-ionising particles."""
    return np.searchsorted(MIP_EDGES, energy / mip, side="right").astype(np.int16)


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def _reconstruct(
    hits: HitArrays,
    shape: tuple[int, int, int],
    constants: NDArray[np.float64],
    along: NDArray[np.bool_],
    centre: int,
    mip: np.float32,
    expected: NDArray[np.int64],
    values: NDArray[np.float32],
    mips: NDArray[np.int16],
    inside: NDArray[np.float32],
) -> None:  # pragma: no cover - compiled
    """Fill `values`: rows of the modules, then those of _SUMS; `inside`, of expected cells; `mips`.

    The last row of `mips` is the one number, 1 or 2, that all modules along the beam show, else 0.
    """
    modules, cells = shape[0], shape[1] * shape[2]
    in_time, out_of_time = np.zeros(modules * cells), np.zeros(modules * cells)
    for event in range(values.shape[1]):
        if hits.offsets[event] == hits.offsets[event + 1]:
            for row in range(len(values)):
                values[row, event] = 0.0
            for row in range(len(mips)):
                mips[row, event] = 0
            for module in range(len(inside)):
                inside[module, event] = np.nan if expected[event, module] < 0 else 0.0
            continue
        fill_event(event, hits, shape, constants, in_time, out_of_time)
        energy = outside = central = zero_degree = 0.0
        alike, muons = True, -1
        for module in range(modules):
            total = out = 0.0
            first = np.uint64(module * cells)
            for cell in range(cells):
                total += in_time[first + np.uint64(cell)]
                out += out_of_time[first + np.uint64(cell)]
            values[module, event] = total
            number = _count(values[module, event] / mip)
            mips[module, event] = number
            if along[module]:
                energy += total
                outside += out
                central += in_time[module * cells + centre]
                alike &= muons in (-1, number)
                muons = number
            else:
                zero_degree += total
        for module in range(len(inside)):
            cell = expected[event, module]
            inside[module, event] = np.nan if cell < 0 else in_time[cell]
        values[modules, event] = energy
        values[modules + 1, event] = outside
        values[modules + 2, event] = (energy - central) / energy if energy > 0.0 else 0.0
        values[modules + 3, event] = zero_degree
        mips[modules, event] = muons if alike and 0 < muons <= _MOST_MUONS else 0


@njit(cache=True, nogil=True, inline="always")
def _count(energy: float) -> int:  # pragma: no cover - compiled
    """Number of minimum-ionising particles of an energy in units of one's."""
    number = 0
    for edge in MIP_EDGES:
        number += 1 if energy >= edge else 0
    return number
