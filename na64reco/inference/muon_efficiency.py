"""Efficiency of the muon mode for signal: trigger by mass, positions of its counters, cuts.

A muon that makes a boson fires the trigger if it is deflected far enough, so that the efficiency
rises with the boson's mass (arXiv:2110.15111, Fig. 2). Efficiencies count bosons that leave the
muon no more than the box's momentum (80 of 160 GeV), of muons that fired the calibration trigger:
muons on target are counted by that one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from na64reco.errors import InferenceError
from na64reco.selection import apply
from na64reco.simulation.deposits import counter_energies
from na64reco.simulation.generate import Production
from na64reco.simulation.processes import follow
from na64reco.simulation.trigger import beam_trigger, coincidence

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from numpy.typing import NDArray

    from na64reco.selection import Selection
    from na64reco.setup import Setup

__all__ = [
    "MODEL",
    "Share",
    "displacement",
    "mip_systematic",
    "share_passing",
    "trigger_efficiency",
]

MODEL: Final = "lmutau-vanilla"
"""The Z' that only couples to muons, taus and their neutrinos."""

_BATCH: Final = 5000
_HALF: Final = 0.5
"""Of the beam's momentum: the largest that is left to the muon."""


@dataclass(frozen=True)
class Share:
    """Some of a number of events."""

    passed: int
    total: int

    @property
    def value(self) -> float:
        """The efficiency."""
        return self.passed / self.total

    @property
    def error(self) -> float:
        """Binomial standard deviation (of one event more either way where none or all pass)."""
        mean = (self.passed + 0.5) / (self.total + 1)
        return float(np.sqrt(mean * (1 - mean) / self.total))


def _fired(  # noqa: PLR0917 - one call
    setup: Setup, shifts: tuple[float, ...], mass: float, events: int, seed: int, model: str
) -> tuple[int, NDArray[np.int64]]:
    """Bosons that count, and those that fire the trigger with S4 and Smu moved by each shift."""
    source = Production.of(
        setup, "signal", 1, seed=seed, model=model, mass=mass, intensity=0
    ).job.source
    names = [n for n in setup.trigger.coincidence if n not in (setup.trigger.calibration or ())]
    total, fired = 0, np.zeros(len(shifts), np.int64)
    for batch in range(-(-events // _BATCH)):
        size = min(_BATCH, events - batch * _BATCH)
        generated = follow(np.random.default_rng((seed, batch)), source, size, rate=np.ones(size))
        tracks = generated.tracks
        hard = generated.missing > (1 - _HALF) * setup.beam.momentum
        for number, shift in enumerate(shifts):
            counters = {
                n: c.model_copy(update={"x": c.x + shift}) if n in names else c
                for n, c in setup.counters.items()
            }
            moved = setup.model_copy(update={"counters": counters})
            # The same random numbers at every place: differences are those of the places alone.
            rng = np.random.default_rng((seed, batch, 1))
            energies = counter_energies(rng, moved, source.line, tracks, generated.paths)
            seen = (tracks.event, tracks.time, energies, size)
            good = hard & beam_trigger(moved, *seen)
            fired[number] += np.count_nonzero(
                good & coincidence(moved, setup.trigger.coincidence, *seen)
            )
            total += int(np.count_nonzero(good)) if number == 0 else 0
    return total, fired


def trigger_efficiency(
    setup: Setup, mass: float, events: int, *, seed: int = 1, model: str = MODEL
) -> Share:
    """Share of the bosons that count whose muon fires the physics trigger.

    Parameters
    ----------
    mass
        MeV.
    events
        Simulated muons that make a boson.

    Raises
    ------
    InferenceError
        If the setup has no calibration trigger of its own.
    """
    if not setup.trigger.calibration:
        msg = (
            f"The setup {setup.name!r} has no calibration trigger (`trigger: calibration:`), so "
            "there is nothing that its physics trigger could be a share of."
        )
        raise InferenceError(msg)
    total, fired = _fired(setup, (0.0,), mass, events, seed, model)
    return Share(int(fired[0]), total)


def displacement(
    setup: Setup, mass: float, events: int, distance: float, *, seed: int = 1, model: str = MODEL
) -> float:
    """Largest relative change of the trigger efficiency when S4 and Smu move sideways together.

    Parameters
    ----------
    mass
        MeV.
    distance
        mm, to either side.
    """
    _, fired = _fired(setup, (0.0, -distance, distance), mass, events, seed, model)
    return float(np.max(np.abs(fired[1:] / fired[0] - 1)))


def share_passing(selection: Selection, columns: Mapping[str, NDArray[Any]], region: str) -> Share:
    """Simulated events that pass all cuts and lie in a region, of all those given."""
    outcome = apply(selection, columns, simulated=True)
    return Share(int(np.count_nonzero(outcome.region(region))), len(outcome.visible))


_SCALED: Final = (
    "ecal.energy",
    "vhcal.energy",
    "hcal.energy",
    "hcal.module0",
    "hcal.module1",
    "hcal.expected0",
    "hcal.expected1",
)


def mip_systematic(
    selection: Selection, columns: Mapping[str, NDArray[Any]], region: str, difference: float
) -> float:
    """Largest relative change of the efficiency when the calorimeters' peaks move.

    Parameters
    ----------
    columns
        Of simulated signal.
    difference
        Of the peak of minimum-ionising particles between data and simulation, relative; energies
        are scaled by it, up and down.
    """
    nominal = share_passing(selection, columns, region).passed
    if not nominal:
        msg = f"None of these events passes {selection.name!r} into {region!r}: nothing to compare."
        raise InferenceError(msg)
    changed = []
    for factor in (1 - difference, 1 + difference):
        moved = {n: c * np.float32(factor) if n in _SCALED else c for n, c in columns.items()}
        changed.append(share_passing(selection, moved, region).passed / nominal - 1)
    return float(np.max(np.abs(changed)))
