"""All parts of a setup in the order in which the beam meets them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from na64reco.setup.model import Calorimeter, Setup

__all__ = ["TECHNOLOGIES", "PlacedPart", "list_parts"]

TECHNOLOGIES: Final = {
    "mm": "Micromegas",
    "gem": "GEM",
    "straw": "straws",
    "bms": "beam momentum station",
}
"""What the technologies of stations are called."""


@dataclass(frozen=True)
class PlacedPart:
    """One part; the beam is the nominal one."""

    name: str
    kind: str
    z: float
    """Front face of a calorimeter's section, centre of anything else, mm."""
    x: float
    """Centre (there), mm."""
    beam_x: float
    """Of the beam there, mm."""
    width: float | None
    """In x, mm; of a magnet the gap; None: not limited (material)."""
    height: float | None
    """In y, mm; None: as the width."""
    thickness_x0: float | None
    """Radiation lengths; None: vacuum, or not given by the setup."""


def list_parts(setup: Setup) -> tuple[PlacedPart, ...]:
    """Sorted along the beam.

    >>> from na64reco.setup import load_setup
    >>> [part.name for part in list_parts(load_setup("2022-electron"))][:4]
    ['S1', 'V1', 'MM1', 'MM2']
    """
    return tuple(sorted(_parts(setup), key=lambda part: part.z))


def _parts(setup: Setup) -> Iterator[PlacedPart]:
    at = setup.beam_x
    for name, m in setup.magnets.items():
        kind = f"magnet, {m.field:g} T over {m.length * 1e-3:g} m"
        yield PlacedPart(name, kind, m.z, m.x, at(m.z), m.gap_x, m.gap_y, None)
    for name, s in setup.stations.items():
        kind = f"{TECHNOLOGIES[s.technology]} {''.join(s.projections)}"
        size = 2 * s.half_width
        yield PlacedPart(name, kind, s.z, s.x, at(s.z), size, size, s.thickness_x0)
    for name, c in setup.counters.items():
        kind = "counter" if not c.hole else f"counter, hole of {c.hole:g} mm"
        yield PlacedPart(name, kind, c.z, c.x, at(c.z), c.width, c.height, c.thickness_x0)
    for name, p in setup.passive.items():
        yield PlacedPart(name, "material", p.z, at(p.z), at(p.z), None, None, p.thickness_x0)
    if (srd := setup.srd) is not None:
        width = srd.modules * srd.module_width
        kind = f"synchrotron radiation, {srd.modules} modules"
        yield PlacedPart("SRD", kind, srd.z, srd.x, at(srd.z), width, srd.module_height, None)
    if (veto := setup.veto) is not None:
        height = veto.bars * veto.bar_height
        kind = f"plastic scintillator, {veto.bars} bars"
        yield PlacedPart("VETO", kind, veto.z, veto.x, at(veto.z), veto.bar_length, height, None)
    yield from _sections("ECAL", setup.ecal, setup, whole=True)
    yield from _sections("HCAL", setup.hcal, setup, whole=False)
    if setup.vhcal is not None:
        yield from _sections("VHCAL", setup.vhcal, setup, whole=False)


def _sections(name: str, c: Calorimeter, setup: Setup, *, whole: bool) -> Iterator[PlacedPart]:
    """One part for each section; ``whole``: the setup gives the depth of all of them together."""
    z, x, slope = c.z, c.x, c.slope_x
    layers = sum(section.layers for section in c.sections.values())
    for key, section in c.sections.items():
        z = z if section.z is None else section.z
        x = x if section.x is None else section.x
        tilt = slope if section.slope_x is None else section.slope_x
        depth = c.radiation_lengths * (section.layers / layers if whole else 1.0)
        yield PlacedPart(
            name if len(c.sections) == 1 else f"{name} {key}",
            f"{c.sampling.absorber}/scintillator, {c.nx} x {c.ny} cells",
            z,
            x,
            setup.beam_x(z),
            c.nx * c.cell_x,
            c.ny * c.cell_y,
            depth,
        )
        length = section.layers * c.layer_thickness
        z, x = z + length, x + tilt * length
