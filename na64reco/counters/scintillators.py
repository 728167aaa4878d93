"""Beam counters: in-time energies, coincidence and veto as the trigger has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from na64reco.counters.channels import TIME_WINDOW, channel_energies

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.calibration import Conditions
    from na64reco.events import Hits
    from na64reco.setup import Setup

__all__ = ["reconstruct_counters"]

_CHANNELS = 16


def reconstruct_counters(
    hits: Hits, setup: Setup, conditions: Conditions, *, window: float = TIME_WINDOW
) -> dict[str, NDArray[Any]]:
    """Columns `counters.*` of :data:`na64reco.reconstruction.COLUMNS`, of the setup's counters.

    A counter fired if its in-time energy exceeds the trigger's `counter_threshold` times its MIP.

    Parameters
    ----------
    hits
        Collection `Counter` with id, amplitude, time.
    setup, conditions
        Counters and constants of the run.
    window
        Half width of the time window in units of the channels' time resolutions.
    """
    channels = channel_energies(hits, conditions.counters, _CHANNELS, axis="id", window=window)
    events = len(channels.in_time)

    def fired(name: str) -> NDArray[np.bool_]:
        counter = setup.counters[name]
        above: NDArray[np.bool_] = (
            channels.in_time[:, counter.id] > setup.trigger.counter_threshold * counter.mip
        )
        return above

    beam = np.ones(events, dtype=np.bool_)
    for name in setup.trigger.coincidence:
        beam &= fired(name)
    veto = np.zeros(events, dtype=np.bool_)
    for name in setup.trigger.veto:
        veto |= fired(name)
    return {
        **{
            f"counters.{name.lower()}": channels.in_time[:, counter.id].astype(np.float32)
            for name, counter in setup.counters.items()
        },
        "counters.beam": beam,
        "counters.veto": veto,
    }
