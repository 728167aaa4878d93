"""Synchrotron-radiation detector: in-time energy of its modules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from na64reco.counters.channels import TIME_WINDOW, channel_energies

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
    channels = channel_energies(hits, conditions.srd, setup.srd.modules, window=window)
    columns: dict[str, NDArray[Any]] = {
        "srd.energy": channels.in_time.sum(axis=1),
        "srd.energy_out": channels.out_of_time.sum(axis=1),
        **{f"srd.module{i}": channels.in_time[:, i] for i in range(setup.srd.modules)},
    }
    return {
        **{name: values.astype(np.float32) for name, values in columns.items()},
        "srd.modules": np.count_nonzero(channels.in_time, axis=1).astype(np.int16),
    }
