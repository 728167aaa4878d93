"""Calorimeters as slabs that particles cross, where a setup looks behind its ECAL.

One slab for each ECAL section, the VHCAL, each HCAL module; `target` follows particles through.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

from na64reco.cascade.muon_tables import MuonTables, make_muon_tables
from na64reco.cascade.stack import Stack as Plates
from na64reco.simulation.geometry import Frame, section_frame

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from na64reco.setup.model import Calorimeter, Setup

__all__ = [
    "DEPTH",
    "IONISED",
    "MOMENTUM",
    "NUCLEAR",
    "NUCLEAR_DEPTH",
    "NUCLEAR_IN_ECAL",
    "PORTION",
    "RADIATED",
    "Slab",
    "muon_tables",
    "slab_table",
    "slabs_of",
]

PORTION: Final = 0.03
"""GeV; a muon's smaller losses are part of the ionisation."""
_MOST: Final = 300.0
X, Y, TX, TY, MOMENTUM, IONISED, RADIATED, DEPTH, NUCLEAR, NUCLEAR_DEPTH = range(10)
"""Columns of `Paths.inside`: place (mm), slopes and momentum (GeV/c) at the slab's face, NaN where
the particle does not hit it; energy of ionisation and what showers, GeV, of muons; the share of
the slab at which a hadron interacts, above 1 where it does not; the muon's hardest nuclear
interaction, GeV, and at which share of the slab."""

_NAMES: Final = {"Pb": "lead", "Fe": "iron", "Cu": "copper"}
NUCLEAR_IN_ECAL: Final = 0.8


@dataclass(frozen=True)
class Slab:
    """A part of a calorimeter that particles cross as a whole."""

    of: str
    """``ecal``, ``vhcal`` or ``hcal``."""
    number: int
    """Of the section."""
    part: Calorimeter
    frame: Frame
    layers: int
    share: float
    """Of the radiation and interaction lengths and MIP that the setup states."""
    start: float
    """Share of the whole calorimeter in front of it."""

    @property
    def length(self) -> float:
        """mm."""
        return self.layers * self.part.layer_thickness

    @property
    def hole(self) -> tuple[float, float, float, float]:
        """Cells that do not exist: from x, to x, from y, to y, mm, in the frame."""
        if not self.part.hole:
            return 0.0, 0.0, 0.0, 0.0
        cells = np.array(self.part.hole)
        low = (cells.min(axis=0) - np.array([self.part.nx, self.part.ny]) / 2).tolist()
        high = (cells.max(axis=0) + 1 - np.array([self.part.nx, self.part.ny]) / 2).tolist()
        cell = self.part.cell_x, self.part.cell_y
        return low[0] * cell[0], high[0] * cell[0], low[1] * cell[1], high[1] * cell[1]


def slabs_of(setup: Setup) -> tuple[Slab, ...]:
    """All slabs along the beam."""
    found = []
    done = 0
    ecal = setup.ecal
    layers = sum(s.layers for s in ecal.sections.values())
    front = section_frame(ecal)
    for number, section in enumerate(ecal.sections.values()):
        depth = done * ecal.layer_thickness
        frame = replace(front, z=front.z + depth, x=front.x + depth * ecal.slope_x)
        share = section.layers / layers
        found.append(Slab("ecal", number, ecal, frame, section.layers, share, done / layers))
        done += section.layers
    for of, part in (("vhcal", setup.vhcal), ("hcal", setup.hcal)):
        for number, (name, section) in enumerate(part.sections.items() if part else ()):
            assert part is not None
            frame = section_frame(part, name)
            found.append(Slab(of, number, part, frame, section.layers, 1.0, 0.0))
    return tuple(sorted(found, key=lambda slab: slab.frame.z))


@lru_cache(maxsize=4)
def muon_tables(absorber: str) -> MuonTables:
    """Losses above `PORTION` in plates of an absorber and of scintillator."""
    plates = Plates.sandwich([(_NAMES[absorber], 1.0), ("polystyrene", 1.0)])
    return make_muon_tables(plates, cut=PORTION, most=_MOST)


def slab_table(slabs: tuple[Slab, ...], absorbers: Sequence[str]) -> NDArray[np.float64]:
    """What `target` wants to know of each, shape (slabs, 20).

    z, x, y, slope, half x, half y, hole, length, X0, cm of absorber and scintillator, share of
    nuclear interactions seen, interaction lengths, start, share, place in `absorbers`, MIP.
    """
    rows = []
    for slab in slabs:
        part, frame = slab.part, slab.frame
        plates = part.sampling
        rows.append(
            (
                *(frame.z, frame.x, frame.y, frame.slope_x, frame.half_x, frame.half_y),
                *slab.hole,
                slab.length,
                part.radiation_lengths * slab.share,
                slab.layers * plates.absorber_thickness / 10,
                slab.layers * plates.scintillator_thickness / 10,
                NUCLEAR_IN_ECAL if slab.of == "ecal" else 1.0,
                part.interaction_lengths * slab.share,
                slab.start,
                slab.share if slab.of == "ecal" else 0.0,
                absorbers.index(plates.absorber),
                part.mip * slab.share,
            )
        )
    return np.array(rows)
