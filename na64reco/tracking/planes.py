"""The strip planes of a setup as flat arrays, along the beam, with their conditions.

A plane is one projection of one station. Kernels know planes by their index in these arrays.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from na64reco.errors import ConditionsError, SetupError, did_you_mean

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.calibration import Conditions
    from na64reco.setup import Setup
    from na64reco.setup.spectrometer import Spectrometer

__all__ = ["PROJECTIONS", "TECHNOLOGIES", "Planes", "choose_spectrometer", "strip_planes"]

PROJECTIONS: Final = ("X", "Y", "U", "V")
"""By their number in the hit file."""
TECHNOLOGIES: Final = ("mm", "gem")
"""Strip detectors, by the number used in `Planes.technology`."""

_MAX_STATIONS: Final = 256  # MM_station is a uint8


class Planes(NamedTuple):
    """Strip planes in the order along the beam, each array of shape (planes,) unless said."""

    technology: NDArray[np.int64]
    """Index in `TECHNOLOGIES`."""
    station: NDArray[np.int64]
    projection: NDArray[np.int64]
    z: NDArray[np.float64]
    """mm."""
    cos: NDArray[np.float64]
    """Cosine of the angle of the measured direction to x, alignment rotation included."""
    sin: NDArray[np.float64]
    origin: NDArray[np.float64]
    """Global x cos + y sin of the station's centre, mm: add it to a station-frame position."""
    shift: NDArray[np.float64]
    """Alignment along the measured direction, mm; part of every cluster's position."""
    pitch: NDArray[np.float64]
    """mm."""
    channels: NDArray[np.int64]
    resolution: NDArray[np.float64]
    """mm."""
    min_charge: NDArray[np.float64]
    """ADC counts."""
    time: NDArray[np.float64]
    """Mean time of an in-time hit, ns."""
    time_width: NDArray[np.float64]
    """ns."""
    dead: NDArray[np.bool_]
    """Shape (planes, largest number of channels)."""
    lookup: NDArray[np.int64]
    """Plane index by [technology, station, projection]; -1 where there is none."""


def strip_planes(setup: Setup, conditions: Conditions) -> Planes:
    """Planes of all Micromegas and GEM stations of a setup.

    Raises
    ------
    ConditionsError
        Where the conditions lack a plane of the setup.
    """
    entries = [
        (station.projection_z(p), technology, station, p)
        for technology in TECHNOLOGIES
        for station in setup.stations_of(technology).values()
        for p in station.projections
    ]
    entries.sort(key=lambda e: e[0])
    n = len(entries)
    ints = np.zeros((4, n), np.int64)
    reals = np.zeros((10, n))
    dead = np.zeros((n, max((e[2].channels for e in entries), default=1)), np.bool_)
    lookup = np.full((len(TECHNOLOGIES), _MAX_STATIONS, len(PROJECTIONS)), -1, np.int64)
    for i, (z, technology, station, projection) in enumerate(entries):
        number = PROJECTIONS.index(projection)
        key = (station.number, number)
        known = conditions.mm if technology == "mm" else conditions.gem
        if key not in known:
            have = ", ".join(f"{s}{PROJECTIONS[p]}" for s, p in sorted(known)) or "none"
            msg = (
                f"conditions of {conditions.setup}: no {technology} block for station "
                f"{station.number} projection {projection}, which setup {setup.name} has "
                f"(there are: {have}); add it to {technology}.txt"
            )
            raise ConditionsError(msg)
        strip = known[key]
        alignment = conditions.alignment.get((technology, *key))
        shift, rotation = (alignment.shift, alignment.rotation) if alignment else (0.0, 0.0)
        angle = math.radians(station.angles[projection]) + rotation * 1e-3
        ints[:, i] = TECHNOLOGIES.index(technology), station.number, number, station.channels
        reals[:, i] = (
            z,
            math.cos(angle),
            math.sin(angle),
            station.x * math.cos(angle) + station.y * math.sin(angle),
            shift,
            station.pitch,
            strip.resolution,
            strip.min_charge,
            strip.time,
            strip.time_width,
        )
        for channel in strip.dead:
            if 0 <= channel < station.channels:
                dead[i, channel] = True
        lookup[TECHNOLOGIES.index(technology), station.number, number] = i
    return Planes(
        technology=ints[0],
        station=ints[1],
        projection=ints[2],
        z=reals[0],
        cos=reals[1],
        sin=reals[2],
        origin=reals[3],
        shift=reals[4],
        pitch=reals[5],
        channels=ints[3],
        resolution=reals[6],
        min_charge=reals[7],
        time=reals[8],
        time_width=reals[9],
        dead=dead,
        lookup=lookup,
    )


def choose_spectrometer(setup: Setup, name: str) -> Spectrometer:
    """Spectrometer of a setup by name.

    Raises
    ------
    SetupError
        Where there is none of that name.
    """
    if name not in setup.spectrometers:
        msg = (
            f"setup {setup.name} has no spectrometer {name!r}. "
            f"{did_you_mean(name, setup.spectrometers)}"
        )
        raise SetupError(msg)
    return setup.spectrometers[name]
