"""What the acquisition counts and what it misses.

A run takes physics triggers and every `prescale`-th beam trigger (by chance). After each recorded
event it is busy for the setup's `dead_time`; with the recorded events' rate r of the moment it is
ready for the share 1 / (1 + r t) of the beam particles (a busy time that does not extend itself:
W. R. Leo, Techniques for Nuclear and Particle Physics Experiments, eq. 5.5). Since a file holds a
sample of a spill's particles, this is a chance for each trigger, not a time since the last one.

The scaler counts coincidences of the beam counters, `live` the expected number of those that came
while the acquisition was ready. Left out: random triggers, busy times that depend on the event.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.setup.model import Setup

__all__ = ["PRESCALE", "live_share", "prescaled"]

PRESCALE: Final = 1000
"""Of the beam trigger in a run, unless another is asked for."""


def prescaled(
    rng: np.random.Generator, beam: NDArray[np.bool_], prescale: int
) -> NDArray[np.bool_]:
    """Beam triggers that the prescaler lets through, shape (events,); none if it is 0."""
    chance = 1 / prescale if prescale else 0.0
    passed: NDArray[np.bool_] = beam & (rng.random(len(beam)) < chance)
    return passed


def live_share(
    setup: Setup, rate: NDArray[np.float64], *, intensity: float, recorded: float
) -> NDArray[np.float64]:
    """Chance that the acquisition is ready, shape (events,).

    Parameters
    ----------
    rate
        Beam particles of the moment over the mean rate, shape (events,).
    intensity
        Mean beam particles per spill.
    recorded
        Share of the beam particles of which an event would be recorded.
    """
    per_ns = rate * intensity / (1e9 * setup.beam.spill_length)
    return np.asarray(1 / (1 + recorded * per_ns * setup.trigger.dead_time))
