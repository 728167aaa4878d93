"""The readout: from energies and paths of particles to the hits of every detector."""

# ruff: noqa: PLR0917 - as the detectors' own functions
from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from na64reco.simulation.deposits import COUNTERS, Calorimetry
from na64reco.simulation.pulses import pulses
from na64reco.simulation.straws import straw_hits
from na64reco.simulation.strips import strip_hits
from na64reco.simulation.synchrotron import srd_energies

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.events.columns import Hits
    from na64reco.setup.model import Setup
    from na64reco.simulation.detector import Detector
    from na64reco.simulation.processes import Generated
    from na64reco.simulation.transport import Beamline

__all__ = ["read_out"]


def read_out(
    rng: np.random.Generator,
    setup: Setup,
    detector: Detector,
    line: Beamline,
    generated: Generated,
    counters: NDArray[np.float64],
    energies: Calorimetry,
) -> dict[str, Hits]:
    """Hits of all detectors of the setup."""
    tracks, paths = generated.tracks, generated.paths
    events = len(generated.code)
    first = np.searchsorted(tracks.event, np.arange(events + 1))

    def cells(shape: tuple[int, ...], *names: str) -> dict[str, NDArray[np.uint8]]:
        index = np.indices(shape).reshape(len(shape), -1).astype(np.uint8)
        return dict(zip(names, index, strict=True))

    found = {
        "Counter": pulses(
            rng, detector.counters, first, tracks.time, counters, cells((COUNTERS,), "id")
        ),
        "ECAL": pulses(
            rng,
            detector.ecal,
            first,
            tracks.time,
            energies.ecal,
            cells(setup.ecal.shape, "section", "ix", "iy"),
        ),
        "HCAL": pulses(
            rng,
            detector.hcal,
            first,
            tracks.time,
            energies.hcal,
            cells(setup.hcal.shape, "module", "ix", "iy"),
        ),
    }
    if setup.srd and detector.srd:
        srd = srd_energies(rng, setup, tracks, paths)
        index = cells((setup.srd.modules,), "ix")
        found["SRD"] = pulses(rng, detector.srd, first, tracks.time, srd, index)
    if setup.veto and detector.veto:
        index = cells((2 * setup.veto.bars,), "ix")
        found["VETO"] = pulses(rng, detector.veto, first, tracks.time, energies.veto, index)
    for technology, name in (("mm", "MM"), ("gem", "GEM")):
        if setup.stations_of(technology):
            found[name] = strip_hits(rng, setup, detector, technology, line, first, tracks, paths)
    if setup.stations_of("straw"):
        found["ST"] = straw_hits(rng, setup, detector, line, first, tracks, paths)
    return found
