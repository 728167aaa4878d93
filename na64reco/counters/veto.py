"""VETO: energies of bars that photomultipliers read at both ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from na64reco.calorimeters.cells import HitArrays, fill_event
from na64reco.counters.channels import TIME_WINDOW, prepare_channels

if TYPE_CHECKING:
    from na64reco.calibration import Conditions
    from na64reco.events import Hits
    from na64reco.setup import Setup

__all__ = ["UNBALANCED", "bar_energy", "reconstruct_veto"]

UNBALANCED: Final = 0.3
"""Below this ratio of the two photomultipliers the larger counts (public NA64 analysis code)."""

Array = NDArray[np.float64]


@njit(cache=True, nogil=True, error_model="numpy")
def _bar(left: float, right: float) -> float:  # pragma: no cover - compiled
    left, right = max(left, 0.0), max(right, 0.0)
    larger, smaller = max(left, right), min(left, right)
    return larger if smaller < UNBALANCED * larger else float(np.sqrt(left * right))


def bar_energy(left: Array, right: Array) -> Array:
    """Energy of a bar from its two ends: sqrt(left * right), free of the attenuation in the bar.

    Where one is below 0.3 of the other, one of them missed the particle or saw another: the larger
    counts. The rule of public NA64 analysis code.

    Parameters
    ----------
    left, right
        GeV, any shape, the same; negative energies count as 0.

    Examples
    --------
    >>> import numpy as np
    >>> bar_energy(np.array([4.0, 4.0]), np.array([9.0, 1.0])).tolist()
    [6.0, 4.0]
    """
    energy = np.empty(np.shape(left))
    _bars(np.ravel(left), np.ravel(right), energy.reshape(-1))
    return energy


@njit(cache=True, nogil=True)
def _bars(left: Array, right: Array, energy: Array) -> None:  # pragma: no cover - compiled
    for i in range(len(energy)):
        energy[i] = _bar(left[i], right[i])


def reconstruct_veto(
    hits: Hits, setup: Setup, conditions: Conditions, *, window: float = TIME_WINDOW
) -> dict[str, NDArray[Any]]:
    """Columns `veto.*` of :data:`na64reco.reconstruction.COLUMNS`; none if the setup has no VETO.

    Parameters
    ----------
    hits
        Collection `VETO` with ix, amplitude, time.
    setup, conditions
        Geometry and constants of the run.
    window
        Half width of the time window in units of the channels' time resolutions.
    """
    if setup.veto is None:
        return {}
    bars = setup.veto.bars
    arrays, constants, shape = prepare_channels(hits, conditions.veto, 2 * bars, window=window)
    values = np.empty((bars + 2, len(hits)), dtype=np.float32)
    _reconstruct(arrays, shape, constants, values)
    return {
        "veto.energy": values[bars],
        "veto.energy_out": values[bars + 1],
        **{f"veto.bar{i}": values[i] for i in range(bars)},
    }


@njit(cache=True, nogil=True, error_model="numpy")
def _reconstruct(
    hits: HitArrays,
    shape: tuple[int, int, int],
    constants: Array,
    values: NDArray[np.float32],
) -> None:  # pragma: no cover - compiled
    """Fill `values`: rows of the bars, the largest of them, the largest out of time."""
    channels = shape[1]
    bars = channels // 2
    in_time, out_of_time = np.zeros(channels), np.zeros(channels)
    for event in range(values.shape[1]):
        if hits.offsets[event] == hits.offsets[event + 1]:
            for row in range(len(values)):
                values[row, event] = 0.0
            continue
        fill_event(event, hits, shape, constants, in_time, out_of_time)
        largest = outside = 0.0
        for bar in range(bars):
            energy = _bar(in_time[2 * bar], in_time[2 * bar + 1])
            values[bar, event] = energy
            largest = max(largest, energy)
            outside = max(outside, _bar(out_of_time[2 * bar], out_of_time[2 * bar + 1]))
        values[bars, event] = largest
        values[bars + 1, event] = outside
