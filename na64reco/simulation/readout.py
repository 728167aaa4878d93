"""The readout: from energies and paths of particles to the hits of every detector."""

# ruff: noqa: PLR0917 - as the detectors' own functions
from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from na64reco.errors import SetupError
from na64reco.simulation.deposits import (
    COUNTERS,
    Calorimetry,
    calorimeter_energies,
    counter_energies,
)
from na64reco.simulation.hodoscopes import hodoscope_hits
from na64reco.simulation.pulses import pulses
from na64reco.simulation.straws import straw_hits
from na64reco.simulation.strips import strip_hits
from na64reco.simulation.synchrotron import srd_energies
from na64reco.simulation.waveforms import waveforms

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from na64reco.events.columns import Hits
    from na64reco.setup.model import Setup
    from na64reco.simulation.detector import Channels, Detector
    from na64reco.simulation.tracks import Tracks
    from na64reco.simulation.transport import Beamline, Paths

__all__ = ["Deposits", "deposits", "read_out", "sample"]


@dataclass(frozen=True, eq=False)
class Deposits:
    """Particles and what they leave in the channels of calorimeters and counters."""

    tracks: Tracks
    energies: dict[str, NDArray[np.float64]]
    """By collection: GeV, shape (rows, *channels)."""


def read_out(
    rng: np.random.Generator,
    setup: Setup,
    detector: Detector,
    line: Beamline,
    events: int,
    tracks: Tracks,
    paths: Paths,
    counters: NDArray[np.float64],
    energies: Calorimetry,
) -> tuple[dict[str, Hits], Deposits]:
    """Hits of all detectors, calorimeters with amplitude and time; and the energies in these."""
    first = np.searchsorted(tracks.event, np.arange(events + 1))
    found, seen = {}, {}
    # One after the other: the energies in the SRD are drawn when it is its turn.
    for name, channels, of_rows in _energies(
        rng, setup, detector, tracks, paths, counters, energies
    ):
        seen[name] = of_rows
        found[name] = pulses(rng, channels, first, tracks.time, of_rows, _cells(setup, name))
    for technology, name in (("mm", "MM"), ("gem", "GEM")):
        if setup.stations_of(technology):
            found[name] = strip_hits(rng, setup, detector, technology, line, first, tracks, paths)
    if setup.stations_of("straw"):
        found["ST"] = straw_hits(rng, setup, detector, line, first, tracks, paths)
    if setup.stations_of("bms"):
        found["BMS"] = hodoscope_hits(rng, setup, line, first, tracks, paths)
    return found, Deposits(tracks, seen)


def deposits(
    rng: np.random.Generator,
    setup: Setup,
    detector: Detector,
    line: Beamline,
    tracks: Tracks,
    paths: Paths,
) -> Deposits:
    """What particles leave that no trigger has looked at before."""
    counters = counter_energies(rng, setup, line, tracks, paths)
    energies = calorimeter_energies(rng, setup, detector, line, tracks, paths)
    found = _energies(rng, setup, detector, tracks, paths, counters, energies)
    return Deposits(tracks, {name: values for name, _, values in found})


def sample(
    rng: np.random.Generator,
    setup: Setup,
    detector: Detector,
    parts: Sequence[Deposits],
    *,
    phase: NDArray[np.float64],
    slow: NDArray[np.float64],
) -> dict[str, Hits]:
    """Waveforms of calorimeters and counters.

    Parameters
    ----------
    parts
        All particles, in any order.
    phase
        Of the trigger in the sampling clock, ns, shape (events,).
    slow
        Where the slow movement of the pedestals is, rad, shape (events,).

    Raises
    ------
    SetupError
        If the setup has no digitiser.
    """
    if setup.digitizer is None:
        msg = f"The setup {setup.name!r} has no `digitizer`, so nothing can be sampled. Add one."
        raise SetupError(msg)
    event = np.concatenate([part.tracks.event for part in parts])
    order = np.argsort(event, kind="stable")
    times = np.concatenate([part.tracks.time for part in parts])[order]
    first = np.searchsorted(event[order], np.arange(len(phase) + 1))
    return {
        name: waveforms(
            rng,
            detector.waveforms[name],
            setup.digitizer,
            first,
            times,
            np.concatenate([part.energies[name] for part in parts])[order],
            _cells(setup, name),
            phase=phase,
            slow=slow,
        )
        for name in parts[0].energies
    }


def _energies(
    rng: np.random.Generator,
    setup: Setup,
    detector: Detector,
    tracks: Tracks,
    paths: Paths,
    counters: NDArray[np.float64],
    energies: Calorimetry,
) -> Iterator[tuple[str, Channels, NDArray[np.float64]]]:
    """Collections with their channels and energies."""
    yield "Counter", detector.counters, counters
    yield "ECAL", detector.ecal, energies.ecal
    yield "HCAL", detector.hcal, energies.hcal
    if setup.srd and detector.srd:
        yield "SRD", detector.srd, srd_energies(rng, setup, tracks, paths)
    if setup.veto and detector.veto:
        yield "VETO", detector.veto, energies.veto
    if setup.vhcal and detector.vhcal:
        yield "VHCAL", detector.vhcal, energies.vhcal


def _cells(setup: Setup, name: str) -> dict[str, NDArray[np.uint8]]:
    """Columns that name the channels of a collection, flat."""
    shape: tuple[int, ...]
    names: tuple[str, ...]
    if name == "Counter":
        shape, names = (COUNTERS,), ("id",)
    elif name == "ECAL":
        shape, names = setup.ecal.shape, ("section", "ix", "iy")
    elif name == "HCAL":
        shape, names = setup.hcal.shape, ("module", "ix", "iy")
    elif name == "VHCAL" and setup.vhcal:
        shape, names = setup.vhcal.shape[1:], ("ix", "iy")
    elif name == "SRD" and setup.srd:
        shape, names = (setup.srd.modules,), ("ix",)
    else:
        shape, names = (2 * setup.veto.bars if setup.veto else 0,), ("ix",)
    index = np.indices(shape).reshape(len(shape), -1).astype(np.uint8)
    return dict(zip(names, index, strict=True))
