"""Synchrotron-radiation detector: in-time energy of its modules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

from na64reco.calorimeters.cells import HitArrays, fill_event
from na64reco.counters.channels import TIME_WINDOW, prepare_channels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.calibration import Conditions
    from na64reco.events import Hits
    from na64reco.setup import Setup

__all__ = ["reconstruct_srd"]


def reconstruct_srd(
    hits: Hits, setup: Setup, conditions: Conditions, *, window: float = TIME_WINDOW
) -> dict[str, NDArray[Any]]:
    """Columns `srd.*` of :data:`na64reco.reconstruction.COLUMNS`; none if the setup has no SRD.

    Parameters
    ----------
    hits
        Collection `SRD` with ix, amplitude, time.
    setup, conditions
        Geometry and constants of the run.
    window
        Half width of the time window in units of the channels' time resolutions.
    """
    if setup.srd is None:
        return {}
    modules = setup.srd.modules
    arrays, constants, shape = prepare_channels(hits, conditions.srd, modules, window=window)
    values = np.empty((modules + 2, len(hits)), dtype=np.float32)
    above = np.empty(len(hits), dtype=np.int16)
    _reconstruct(arrays, shape, constants, values, above)
    return {
        "srd.energy": values[modules],
        "srd.energy_out": values[modules + 1],
        **{f"srd.module{i}": values[i] for i in range(modules)},
        "srd.modules": above,
    }


@njit(cache=True, nogil=True, error_model="numpy")
def _reconstruct(
    hits: HitArrays,
    shape: tuple[int, int, int],
    constants: NDArray[np.float64],
    values: NDArray[np.float32],
    above: NDArray[np.int16],
) -> None:  # pragma: no cover - compiled
    """Fill `values`: rows of the modules, their sum, that out of time; and modules with energy."""
    modules = shape[1]
    in_time, out_of_time = np.zeros(modules), np.zeros(modules)
    for event in range(len(above)):
        fill_event(event, hits, shape, constants, in_time, out_of_time)
        energy, outside, number = 0.0, 0.0, 0
        for module in range(modules):
            values[module, event] = in_time[module]
            energy += in_time[module]
            outside += out_of_time[module]
            number += 1 if in_time[module] != 0.0 else 0
        values[modules, event] = energy
        values[modules + 1, event] = outside
        above[event] = number
