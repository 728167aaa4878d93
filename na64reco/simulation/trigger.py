"""Trigger emulation.

Beam trigger: every counter of the coincidence (or of `calibration`, where the setup has that) above
its threshold, none of the vetoes, all within `COINCIDENCE` of the trigger time. Physics trigger:
the coincidence and, in time, a preshower energy above `prs_min` and a whole ECAL energy below
`ecal_max` of the setup. The trigger's own sums are coarse: they have a resolution of 1 % (assumed).
Dead time and prescales: `acquisition`. Left out: how thresholds drift.
"""

# ruff: noqa: PLR0917 - kernels take flat arrays
from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.setup.model import Setup

__all__ = ["COINCIDENCE", "beam_trigger", "coincidence", "physics_trigger"]

COINCIDENCE: Final = 15.0
"""ns."""

_SUM_RESOLUTION = 0.01


def beam_trigger(
    setup: Setup,
    event: NDArray[np.int64],
    time: NDArray[np.float64],
    counters: NDArray[np.float64],
    events: int,
) -> NDArray[np.bool_]:
    """Whether each event fires the beam trigger, shape (events,); parameters of `coincidence`."""
    names = setup.trigger.calibration or setup.trigger.coincidence
    return coincidence(setup, names, event, time, counters, events)


def coincidence(
    setup: Setup,
    counters_wanted: tuple[str, ...],
    event: NDArray[np.int64],
    time: NDArray[np.float64],
    counters: NDArray[np.float64],
    events: int,
) -> NDArray[np.bool_]:
    """Whether all counters wanted fire in each event, and none of the vetoes, shape (events,).

    Parameters
    ----------
    event, time
        Of the particles, shape (rows,).
    counters
        GeV by `Counter_id`, shape (rows, 16).
    """
    in_time = np.abs(time) < COINCIDENCE
    fired = np.ones(events, dtype=np.bool_)
    for names, wanted in ((counters_wanted, True), (setup.trigger.veto, False)):
        for name in names:
            counter = setup.counters[name]
            energy = np.bincount(
                event[in_time], weights=counters[in_time, counter.id], minlength=events
            )
            above = energy > setup.trigger.counter_threshold * counter.mip
            fired &= above if wanted else ~above
    return fired


def physics_trigger(
    rng: np.random.Generator,
    setup: Setup,
    event: NDArray[np.int64],
    time: NDArray[np.float64],
    ecal: NDArray[np.float64],
    events: int,
) -> NDArray[np.bool_]:
    """Whether each event fulfils the ECAL conditions of the physics trigger, shape (events,).

    Parameters
    ----------
    event, time
        Of the particles, shape (rows,).
    ecal
        GeV, shape (rows, sections, nx, ny); section ``prs`` is the preshower, which is only
        needed where `prs_min` is not 0.
    """
    in_time = np.abs(time) < COINCIDENCE
    prs = list(setup.ecal.sections).index("prs") if setup.trigger.prs_min > 0 else 0
    sections = ecal[in_time].sum(axis=(2, 3))
    in_prs = np.bincount(event[in_time], weights=sections[:, prs], minlength=events)
    whole = np.bincount(event[in_time], weights=sections.sum(axis=1), minlength=events)
    coarse = 1 + _SUM_RESOLUTION * rng.standard_normal((2, events))
    fires = np.ones(events, dtype=np.bool_)
    if setup.trigger.prs_min > 0:
        fires &= in_prs * coarse[0] > setup.trigger.prs_min
    fires &= whole * coarse[1] < setup.trigger.ecal_max
    return fires
