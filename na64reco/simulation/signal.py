"""Signal: a beam particle or its shower makes a dark boson in the ECAL, which carries energy away.

`na64reco.darksector.generation` draws it from the cascade's track lengths - electrons and positrons
from pairs too, each where it has which energy - and from the exact spectra, by strahlung and
annihilation in proportion to their yields. Energies are relative to the beam's: a particle that
arrives with less has a boson of less. Bosons below `LOWEST` of the beam's energy are not made.

What is left of an electron's energy showers from the ECAL's face on, as that of any electron of
this energy. Of a muon a softer one is left. It recoils against the boson (the nucleus takes no
transverse momentum) and leaves from the ECAL's face, so that it scatters a little too much.

Left out: decays of the boson into what is visible, the depth of the emission.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

from na64reco.constants import MUON_MASS
from na64reco.darksector.acceptance import Acceptance
from na64reco.darksector.dump import load_dump
from na64reco.darksector.generation import Generator
from na64reco.darksector.generic import load_model, model_names
from na64reco.darksector.yields import DumpYield
from na64reco.errors import ModelError
from na64reco.setup.layers import ecal_stack
from na64reco.simulation.tracks import MUON, Tracks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.cascade.stack import Stack
    from na64reco.darksector.generation import Produced
    from na64reco.setup.model import Setup
    from na64reco.simulation.transport import Beamline, Paths

__all__ = ["COUPLING", "LOWEST", "MODELS", "Boson", "Emitted", "draw_bosons", "emit"]

MODELS: Final = model_names()
"""Models that can be simulated, besides the user's files."""

COUPLING: Final = 1e-4
"""Where none is given. It matters where several channels compete for the width."""

LOWEST: Final = 0.3
"""Of the beam's energy; far below what a box in missing energy begins with."""

_BEHIND: Final = 1e-3
"""mm behind the ECAL's face, where secondaries begin."""


@dataclass(frozen=True)
class Boson:
    """What is made."""

    model: str = "dark-photon"
    """Name, or path of a YAML file."""
    mass: float = 0.01
    """GeV."""
    coupling: float = COUPLING


@dataclass(frozen=True, eq=False)
class Emitted:
    """What becomes of the rows that made a boson."""

    tracks: Tracks
    """All rows."""
    missing: NDArray[np.float64]
    """Energy of the bosons, GeV; 0 where the particle did not reach the ECAL, shape (rows,)."""
    muons: Tracks
    """What is left of muons."""


@lru_cache(maxsize=8)
def _generator(stack: Stack, particle: str, energy: float, boson: Boson) -> Generator:
    dump = load_dump(stack, energy, particle)
    least = LOWEST * energy
    model = load_model(boson.model)
    return Generator(DumpYield(dump, Acceptance(least)), model, boson.mass, boson.coupling, least)


def draw_bosons(rng: np.random.Generator, setup: Setup, size: int, boson: Boson) -> Produced:
    """Bosons of beam particles with the beam's nominal energy.

    Raises
    ------
    ValueError
        For an unknown model, a mass or a beam energy outside the tables, or where nothing
        invisible is made.
    """
    try:
        source = _generator(ecal_stack(setup), setup.beam.particle, setup.beam.momentum, boson)
        return source.draw(rng, size)
    except ModelError as error:
        raise ValueError(str(error)) from error


def emit(  # noqa: PLR0917 - one call
    rng: np.random.Generator,
    setup: Setup,
    line: Beamline,
    tracks: Tracks,
    paths: Paths,
    rows: NDArray[np.int64],
    boson: Boson,
) -> Emitted:
    """Let beam particles make bosons in the ECAL.

    Parameters
    ----------
    tracks, paths
        All particles at the ECAL's face.
    rows
        Those that make a boson.

    Raises
    ------
    ValueError
        As `draw_bosons`.
    """
    drawn = draw_bosons(rng, setup, len(rows), boson)
    face = line.surface("ecal")
    taken = drawn.energy / setup.beam.momentum
    arrived = ~np.isnan(paths.x[rows, face])
    missing = np.where(arrived, taken * paths.momentum[rows], 0.0)
    muon = (tracks.kind[rows] == MUON) & arrived
    share = tracks.share.copy()
    share[rows] = np.where(muon, 1.0, 1 - taken)
    z_end = tracks.z_end.copy()
    z_end[rows[muon]] = setup.ecal.z - _BEHIND
    left = _scattered(rng, setup, face, tracks, paths, rows[muon], taken[muon], drawn.angle[muon])
    return Emitted(tracks.with_(share=share, z_end=z_end), missing, left)


def _scattered(  # noqa: PLR0917 - one call
    rng: np.random.Generator,
    setup: Setup,
    face: int,
    tracks: Tracks,
    paths: Paths,
    rows: NDArray[np.int64],
    taken: NDArray[np.float64],
    angle: NDArray[np.float64],
) -> Tracks:
    """Muons behind their emission, at the ECAL's face."""
    energy = np.maximum(paths.momentum[rows] * (1 - taken), 1.05 * MUON_MASS)
    momentum = np.sqrt(energy**2 - MUON_MASS**2)
    recoil = np.minimum(paths.momentum[rows] * taken * angle / momentum, 0.3)
    azimuth = rng.uniform(0.0, 2 * np.pi, len(rows))
    return Tracks.make(
        len(rows),
        event=tracks.event[rows],
        time=tracks.time[rows],
        kind=MUON,
        charge=tracks.charge[rows],
        momentum=momentum,
        x=paths.x[rows, face],
        y=paths.y[rows, face],
        tx=paths.tx[rows, face] + recoil * np.cos(azimuth),
        ty=paths.ty[rows, face] + recoil * np.sin(azimuth),
        z_start=setup.ecal.z + _BEHIND,
        ecal_depth=1e-9,
    )
