"""VETO: energies of bars that photomultipliers read at both ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from na64reco.counters.channels import TIME_WINDOW, channel_energies

if TYPE_CHECKING:
    from na64reco.calibration import Conditions
    from na64reco.events import Hits
    from na64reco.setup import Setup

__all__ = ["UNBALANCED", "bar_energy", "reconstruct_veto"]

UNBALANCED: Final = 0.3
"""Below this ratio of the two photomultipliers the larger counts (public NA64 analysis code)."""

Array = NDArray[np.float64]


def bar_energy(left: Array, right: Array) -> Array:
    """Energy of a bar from its two ends: sqrt(left * right), free of the attenuation in the bar.

    Where one is below 0.3 of the other, one of them missed the particle or saw another: the larger
    counts. The rule of public NA64 analysis code.

    Parameters
    ----------
    left, right
        GeV, any shape; negative energies count as 0.

    Examples
    --------
    >>> import numpy as np
    >>> bar_energy(np.array([4.0, 4.0]), np.array([9.0, 1.0])).tolist()
    [6.0, 4.0]
    """
    left, right = np.maximum(left, 0.0), np.maximum(right, 0.0)
    larger, smaller = np.maximum(left, right), np.minimum(left, right)
    return np.where(smaller < UNBALANCED * larger, larger, np.sqrt(left * right))


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
    channels = channel_energies(hits, conditions.veto, 2 * setup.veto.bars, window=window)
    bars = bar_energy(channels.in_time[:, 0::2], channels.in_time[:, 1::2])
    outside = bar_energy(channels.out_of_time[:, 0::2], channels.out_of_time[:, 1::2])
    columns = {
        "veto.energy": bars.max(axis=1),
        "veto.energy_out": outside.max(axis=1),
        **{f"veto.bar{i}": bars[:, i] for i in range(setup.veto.bars)},
    }
    return {name: values.astype(np.float32) for name, values in columns.items()}
