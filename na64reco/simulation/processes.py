"""Processes: which particles an event consists of, and where they went.

An event is one beam particle, what its process adds to it, and pile-up of the same beam. The
process `beam` draws all of them at their rates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from na64reco.events.schema import PROCESSES as PROCESS_CODES
from na64reco.simulation.beam import beam_composition, pile_up, primaries
from na64reco.simulation.flight import decays_in_flight
from na64reco.simulation.secondaries import dimuons, nuclear_interactions, upstream_interactions
from na64reco.simulation.signal import missing_share
from na64reco.simulation.tracks import ELECTRON, KINDS, Tracks
from na64reco.simulation.transport import (
    Beamline,
    Paths,
    bremsstrahlung_photons,
    propagate,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.setup.model import Setup

__all__ = ["PROCESSES", "Generated", "Source", "follow", "follow_others"]

PROCESSES = (*PROCESS_CODES, "beam")
"""What can be simulated; `beam` is everything at its rate."""

RARE = {"dimuon": 2e-5, "upstream": 2e-4}
"""Share of the electrons in the process `beam` that undergo each, assumed."""


@dataclass(frozen=True, eq=False)
class Source:
    """Where events come from."""

    setup: Setup
    line: Beamline
    process: str
    """One of `PROCESSES`."""
    intensity: float
    """Beam particles per spill."""
    model: str
    """Of the signal."""
    mass: float
    """GeV."""


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
        )


def follow(rng: np.random.Generator, source: Source, events: int) -> Generated:
    """Beam particles, pile-up and secondaries of a batch, followed through the setup."""
    setup, line = source.setup, source.line
    first, code = _primaries(rng, source, events)
    composition, charge = _pile_up_beam(source)
    others = pile_up(
        rng, setup, events, intensity=source.intensity, composition=composition, charge=charge
    )
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
        taken = missing_share(
            rng, len(rows), model=source.model, mass=source.mass, energy=setup.beam.momentum
        )
        share = tracks.share.copy()
        share[rows] = 1 - taken
        tracks = tracks.with_(share=share)
        arrived = ~np.isnan(paths.x[rows, line.surface("ecal")])
        missing[tracks.event[rows]] = np.where(arrived, taken * paths.momentum[rows], 0)
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
    share, hadrons = nuclear_interactions(rng, setup, line, tracks, paths)
    tracks = tracks.with_(share=share)
    added.append(hadrons)

    tracks, paths = _with_secondaries(rng, line, tracks, paths, added)
    return Generated(
        tracks=tracks,
        paths=paths,
        code=code,
        missing=missing,
        pileup=np.bincount(others.event, minlength=events),
    )


def follow_others(
    rng: np.random.Generator, source: Source, events: int, *, between: tuple[float, float]
) -> tuple[Tracks, Paths]:
    """Pile-up within other times than those of `follow`, with its secondaries.

    Parameters
    ----------
    between
        Times relative to the trigger, ns.
    """
    composition, charge = _pile_up_beam(source)
    tracks = pile_up(
        rng,
        source.setup,
        events,
        intensity=source.intensity,
        composition=composition,
        charge=charge,
        between=between,
    )
    paths = propagate(rng, source.line, tracks)
    share, hadrons = nuclear_interactions(rng, source.setup, source.line, tracks, paths)
    decayed = decays_in_flight(rng, source.line, tracks, paths)
    added = [bremsstrahlung_photons(tracks, paths), decayed, hadrons]
    return _with_secondaries(rng, source.line, tracks.with_(share=share), paths, added)


def _with_secondaries(
    rng: np.random.Generator, line: Beamline, tracks: Tracks, paths: Paths, added: list[Tracks]
) -> tuple[Tracks, Paths]:
    """All rows in the order of events; secondaries are followed, and decay, here."""
    secondaries = Tracks.join(added)
    their_paths = propagate(rng, line, secondaries)
    last = decays_in_flight(rng, line, secondaries, their_paths)
    parts = [tracks, secondaries, last]
    order = np.argsort(np.concatenate([part.event for part in parts]), kind="stable")
    all_paths = [paths, their_paths, propagate(rng, line, last)]
    return Tracks.join(parts), Paths.join(all_paths, order)


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
) -> tuple[Tracks, NDArray[np.uint8]]:
    """One beam particle per event, and the code of what it does."""
    setup, process = source.setup, source.process
    if process == "beam":
        return _mixed(rng, setup, beam_composition(setup), events)
    particle = process if process in KINDS else setup.beam.particle
    code = np.full(events, PROCESS_CODES.index(process), dtype=np.uint8)
    return primaries(rng, setup, particle, events), code


def _mixed(
    rng: np.random.Generator, setup: Setup, composition: dict[str, float], events: int
) -> tuple[Tracks, NDArray[np.uint8]]:
    """Primaries of all kinds at their rates."""
    rare = RARE if setup.beam.particle in {"electron", "positron"} else {}
    names = [*composition, *rare]
    shares = np.array([*composition.values(), *rare.values()])
    shares[names.index(setup.beam.particle)] -= sum(rare.values())
    drawn = rng.choice(len(names), size=events, p=shares)
    kinds = [KINDS.get(name, ELECTRON) for name in names]
    first = primaries(rng, setup, setup.beam.particle, events)
    codes = np.array([PROCESS_CODES.index(name) for name in names], dtype=np.uint8)
    return first.with_(kind=np.array(kinds, dtype=np.int8)[drawn]), codes[drawn]
