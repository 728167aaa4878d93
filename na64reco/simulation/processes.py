"""Processes: which particles an event consists of, and where they went.

An event is one beam particle, what its process adds to it, and pile-up of the same beam. The
process `beam` draws all of them at their rates or with weights (`mixture`).

Pile-up within the trigger's coincidence is followed at once, the rest when the trigger has decided.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from na64reco.events.schema import PROCESSES as PROCESS_CODES
from na64reco.simulation.beam import WINDOW, beam_composition, pile_up, primaries
from na64reco.simulation.flight import decays_in_flight
from na64reco.simulation.secondaries import dimuons, nuclear_interactions, upstream_interactions
from na64reco.simulation.showers import common_factor
from na64reco.simulation.signal import emit
from na64reco.simulation.target import behind_target
from na64reco.simulation.tracks import KINDS, Tracks
from na64reco.simulation.transport import (
    Beamline,
    Paths,
    bremsstrahlung_photons,
    propagate,
)
from na64reco.simulation.trigger import COINCIDENCE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.setup.model import Setup
    from na64reco.simulation.detector import Detector
    from na64reco.simulation.mixture import Mixture
    from na64reco.simulation.signal import Boson

__all__ = ["PROCESSES", "Generated", "Source", "draw_responses", "follow", "follow_others"]

PROCESSES = (*PROCESS_CODES, "beam")
"""What can be simulated; `beam` is everything at its rate."""


@dataclass(frozen=True, eq=False)
class Source:
    """Where events come from."""

    setup: Setup
    line: Beamline
    process: str
    """One of `PROCESSES`."""
    intensity: float
    """Beam particles per spill."""
    boson: Boson
    """Of the signal."""
    mixture: Mixture | None = None
    """Of the process `beam`."""


@dataclass(frozen=True, eq=False)
class Generated:
    """Particles of a batch and where they went."""

    tracks: Tracks
    paths: Paths
    code: NDArray[np.uint8]
    """Process by event."""
    missing: NDArray[np.float64]
    """GeV by event."""
    pileup: NDArray[np.int64]
    """Other beam particles by event."""
    weight: NDArray[np.float64]
    """Beam particles for which each event stands; 0 where another part does it."""

    def with_others(self, others: Generated) -> Generated:
        """The same events with further particles."""
        order = np.argsort(np.concatenate((self.tracks.event, others.tracks.event)), kind="stable")
        return replace(
            self,
            tracks=Tracks.join([self.tracks, others.tracks]),
            paths=Paths.join([self.paths, others.paths], order),
            pileup=self.pileup + others.pileup,
        )

    def take(self, events: NDArray[np.bool_]) -> Generated:
        """Events by mask, numbered anew."""
        rows = events[self.tracks.event]
        tracks = self.tracks.take(rows)
        number = np.cumsum(events) - 1
        return Generated(
            tracks.with_(event=number[tracks.event]),
            self.paths.take(rows),
            self.code[events],
            self.missing[events],
            self.pileup[events],
            self.weight[events],
        )


def follow(
    rng: np.random.Generator, source: Source, events: int, *, rate: NDArray[np.float64]
) -> Generated:
    """Beam particles, pile-up in coincidence, secondaries of a batch, followed through the setup.

    Parameters
    ----------
    rate
        Of the moment over the mean one, shape (events,).
    """
    setup, line = source.setup, source.line
    first, code, part = _primaries(rng, source, events)
    others = _others(rng, source, rate, between=(-COINCIDENCE, COINCIDENCE))
    tracks = Tracks.join([first, others])
    paths = propagate(rng, line, tracks)

    def of(process: str) -> NDArray[np.bool_]:
        """Rows of primaries that undergo it."""
        chosen: NDArray[np.bool_] = code[tracks.event] == PROCESS_CODES.index(process)
        return chosen & tracks.primary

    added = [bremsstrahlung_photons(tracks, paths), decays_in_flight(rng, line, tracks, paths)]
    missing = np.zeros(events)
    rows = np.flatnonzero(of("signal"))
    if len(rows):
        emitted = emit(rng, setup, line, tracks, paths, rows, source.boson)
        tracks = emitted.tracks
        missing[tracks.event[rows]] = emitted.missing
        added.append(emitted.muons)
    if of("dimuon").any():
        marked = tracks.with_(primary=of("dimuon"))
        share, muons = dimuons(rng, setup, line, marked, paths)
        tracks = tracks.with_(share=share)
        added.append(muons)
    if of("upstream").any():
        marked = tracks.with_(primary=of("upstream"))
        z_end, products = upstream_interactions(rng, setup, line, marked, paths)
        paths.cut(z_end, line.z)
        added.append(products)
    weight = np.ones(events)
    if source.mixture is None:
        share, hadrons, _ = nuclear_interactions(rng, setup, line, tracks, paths)
    else:
        mixture = source.mixture
        weight = np.array(mixture.weights)[part]
        forced = tracks.primary & (part[tracks.event] == mixture.hard)
        share, hadrons, photon = nuclear_interactions(
            rng, setup, line, tracks, paths, forced=forced, least=mixture.least
        )
        own = np.flatnonzero(tracks.primary)
        weight[~mixture.stays(rng, setup, part, paths.momentum[own], photon[own])] = 0
    tracks = tracks.with_(share=share)
    added.append(hadrons)

    tracks, paths = _with_secondaries(rng, source, tracks, paths, added)
    return Generated(
        tracks=tracks,
        paths=paths,
        code=code,
        missing=missing,
        pileup=np.bincount(others.event, minlength=events),
        weight=weight,
    )


def follow_others(
    rng: np.random.Generator,
    source: Source,
    rate: NDArray[np.float64],
    *,
    between: tuple[tuple[float, float], ...] = ((-WINDOW, -COINCIDENCE), (COINCIDENCE, WINDOW)),
) -> Generated:
    """Pile-up within other times than those of `follow`, with its secondaries.

    Parameters
    ----------
    rate
        As in `follow`.
    between
        Times relative to the trigger, ns.
    """
    tracks = Tracks.join([_others(rng, source, rate, between=times) for times in between])
    events = len(rate)
    pileup = np.bincount(tracks.event, minlength=events)
    paths = propagate(rng, source.line, tracks)
    share, hadrons, _ = nuclear_interactions(rng, source.setup, source.line, tracks, paths)
    decayed = decays_in_flight(rng, source.line, tracks, paths)
    added = [bremsstrahlung_photons(tracks, paths), decayed, hadrons]
    tracks, paths = _with_secondaries(rng, source, tracks.with_(share=share), paths, added)
    none = np.zeros(events)
    return Generated(tracks, paths, none.astype(np.uint8), none, pileup, none)


def draw_responses(
    rng: np.random.Generator, setup: Setup, detector: Detector, generated: Generated
) -> Generated:
    """The same with the factors of all showers to come."""
    tracks = generated.tracks
    response = common_factor(rng, setup.ecal, detector, len(tracks))
    return replace(generated, tracks=tracks.with_(response=response))


def _others(
    rng: np.random.Generator,
    source: Source,
    rate: NDArray[np.float64],
    *,
    between: tuple[float, float],
) -> Tracks:
    composition, charge = _pile_up_beam(source)
    return pile_up(
        rng,
        source.setup,
        len(rate),
        intensity=source.intensity,
        composition=composition,
        charge=charge,
        rate=rate,
        between=between,
    )


def _with_secondaries(
    rng: np.random.Generator, source: Source, tracks: Tracks, paths: Paths, added: list[Tracks]
) -> tuple[Tracks, Paths]:
    """All rows in the order of events, behind the target, too; secondaries are followed here."""
    line = source.line
    secondaries = Tracks.join(added)
    their_paths = propagate(rng, line, secondaries)
    last = decays_in_flight(rng, line, secondaries, their_paths)
    parts = [tracks, secondaries, last]
    order = np.argsort(np.concatenate([part.event for part in parts]), kind="stable")
    all_paths = [paths, their_paths, propagate(rng, line, last)]
    joined = Tracks.join(parts)
    whole = Paths.join(all_paths, order)
    return behind_target(rng, source.setup, line, joined, whole)


def _pile_up_beam(source: Source) -> tuple[dict[str, float], int]:
    """Composition and charge of the beam in which the process is looked at."""
    beam, process = source.setup.beam, source.process
    composition = beam_composition(source.setup)
    if process in {"pion", "kaon", "proton", "muon"}:
        return {process: 1.0}, beam.charge
    if process in {"electron", "positron"}:
        share = composition.pop(beam.particle)
        return {process: share} | composition, -1 if process == "electron" else 1
    return composition, beam.charge


def _primaries(
    rng: np.random.Generator, source: Source, events: int
) -> tuple[Tracks, NDArray[np.uint8], NDArray[np.int64]]:
    """One beam particle per event, the code of what it does, and its part of a mixture."""
    setup, process, mixture = source.setup, source.process, source.mixture
    if mixture is None:
        particle = process if process in KINDS else setup.beam.particle
        code = np.full(events, PROCESS_CODES.index(process), dtype=np.uint8)
        return primaries(rng, setup, particle, events), code, np.zeros(events, dtype=np.int64)
    part = mixture.draw(rng, events)
    of_beam = KINDS[setup.beam.particle]
    kinds = np.array([KINDS.get(name, of_beam) for name in mixture.names], dtype=np.int8)
    codes = np.array([PROCESS_CODES.index(name) for name in mixture.names], dtype=np.uint8)
    return primaries(rng, setup, kinds[part], events), codes[part], part
