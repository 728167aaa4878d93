"""Parts of a spectrometer: magnets and tracking stations, and the base of all parts."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray  # noqa: TC002 - pydantic reads annotations at run time
from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = [
    "Fraction",
    "Magnet",
    "NonNegative",
    "Part",
    "Positive",
    "Projection",
    "Spectrometer",
    "Station",
]

Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]


class Part(BaseModel):
    """Anything in a setup: frozen, and every key must be known."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Magnet(Part):
    """A dipole: a field By uniform over its length, with hard or linear edges, or a field map.

    With a map, ``length`` and ``field`` are those of the uniform dipole that bends as much; what
    needs only the bending (the nominal beam, seeds of tracks) uses them.
    """

    z: float
    """Centre, mm."""
    x: float = 0.0
    """Centre of the gap, mm. Without a map, only the gap depends on it."""
    length: Positive
    """Of the field, mm."""
    field: float
    """By, T."""
    gap_x: Positive
    """Free width, mm."""
    gap_y: Positive
    """Free height, mm."""
    ramp: NonNegative = 0.0
    """Length over which By rises linearly at either end, half of it outside (0: hard edge), mm."""
    map: str | None = None
    """File with the field on a grid about the magnet's centre: text, or ROOT histograms."""
    scale: float = 1.0
    """Factor of the map."""

    @model_validator(mode="after")
    def _check(self) -> Magnet:
        if self.ramp > self.length:
            msg = f"ramp {self.ramp} mm is longer than the magnet, {self.length} mm"
            raise ValueError(msg)
        if self.map is not None and self.ramp:
            msg = f"a magnet has either a map ({self.map}) or a ramp ({self.ramp} mm), not both"
            raise ValueError(msg)
        if self.map is None and self.scale != 1.0:
            msg = f"scale {self.scale} without a map: it is the factor of a map; change `field`"
            raise ValueError(msg)
        if self.map is not None and self.x:
            msg = f"a magnet with a map ({self.map}) stands at x = 0, not at {self.x}"
            raise ValueError(msg)
        return self

    @property
    def start(self) -> float:
        """z of the entrance, mm."""
        return self.z - self.length / 2

    @property
    def end(self) -> float:
        """z of the exit, mm."""
        return self.z + self.length / 2


Projection = Literal["X", "Y", "U", "V"]


class Station(Part):
    """A tracking station: one strip or wire plane per projection, all about (x, y, z).

    The plane of projection P measures u = (x_hit - x) cos(a) + (y_hit - y) sin(a) with the angle
    a = angles[P]. Strip i is centred at u = (i - (channels - 1) / 2) * pitch; wire i of straw
    layer l at u = (i - (channels - 1) / 2 + l / 2) * pitch.
    """

    technology: Literal["mm", "gem", "straw", "bms"]
    """Micromegas, GEM, straw tubes or the slabs of a beam momentum station."""
    number: Annotated[int, Field(ge=0, le=31)]
    """Value of `NAME_station` in the hit file."""
    z: float
    """Middle of all its planes, mm."""
    x: float = 0.0
    """Centre, mm."""
    y: float = 0.0
    """Centre, mm."""
    angles: dict[Projection, float]
    """Of what each projection that is read out measures, degrees."""
    spacing: NonNegative = 0.0
    """Distance in z between the planes of two projections, mm."""
    channels: Annotated[int, Field(gt=0, le=65535)]
    """Strips or wires per layer."""
    multiplexing: Annotated[int, Field(ge=1, le=16)] = 1
    """Strips on each readout channel. Above 1, `MM_strip` of a hit file holds the channel of the
    electronics, 0 to `readout_channels` - 1, with the charge of all its strips, as it is written
    to disk; which strips were hit is for the reconstruction to find. At 1 it holds the strip: the
    setting of files in which somebody else has resolved the channels."""
    multiplexing_step: Annotated[int, Field(ge=1)] = 6
    """m of `channel_of_strip`."""
    pitch: Positive
    """Distance of neighbouring strips or wires, mm."""
    layers: Annotated[int, Field(ge=1, le=4)] = 1
    """Staggered straw layers per projection."""
    layer_spacing: NonNegative = 0.0
    """Distance in z between straw layers, mm."""
    thickness_x0: NonNegative
    """Of the whole station, radiation lengths."""

    @model_validator(mode="after")
    def _check(self) -> Station:
        if self.multiplexing == 1:
            return self
        if self.technology != "mm":
            msg = f"multiplexing {self.multiplexing} of a {self.technology} station: only mm has it"
            raise ValueError(msg)
        n, rest = divmod(self.channels, self.multiplexing)
        if rest:
            msg = f"{self.channels} strips cannot be read {self.multiplexing} to a channel evenly"
            raise ValueError(msg)
        steps = [(b * self.multiplexing_step + 1) % n for b in range(self.multiplexing)]
        folded = {min(d, n - d) for d in steps}
        if any(math.gcd(d, n) > 1 for d in steps) or len(folded) < len(steps):
            msg = (
                f"multiplexing_step {self.multiplexing_step}: strips are not told apart by their "
                f"neighbours, since neighbouring strips are {steps} channels apart in the blocks "
                f"of {n} strips; these must be different and prime to {n}"
            )
            raise ValueError(msg)
        return self

    @property
    def readout_channels(self) -> int:
        """Strips, wires, slabs or, where strips share them, channels that hits are numbered by."""
        return self.channels // self.multiplexing

    @property
    def channel_of_strip(self) -> NDArray[np.int64]:
        """Readout channel of each strip, shape (channels,); themselves without multiplexing.

        channel = strip (floor(strip / n) m + 1) mod n with n channels: D. Banerjee et al., Nucl.
        Instrum. Meth. A 881 (2018) 72, after S. Procureur et al., Nucl. Instrum. Meth. A 729
        (2013) 888. Two channels are neighbours only once, up to the ends of the blocks of n
        strips. That every station follows this rule, with this m, is assumed.
        """
        strip = np.arange(self.channels, dtype=np.int64)
        n = self.readout_channels
        return (strip * (strip // n * self.multiplexing_step + 1)) % n

    @property
    def projections(self) -> tuple[Projection, ...]:
        """In the order in which the beam meets them."""
        return tuple(self.angles)

    def projection_z(self, projection: Projection) -> float:
        """z of the plane of one projection (middle of its layers), mm."""
        order = self.projections
        return self.z + (order.index(projection) - (len(order) - 1) / 2) * self.spacing

    @property
    def half_width(self) -> float:
        """Half of the sensitive width, mm."""
        return self.channels * self.pitch / 2


class Spectrometer(Part):
    """Stations before and after the magnets that measure one momentum."""

    upstream: tuple[str, ...]
    """Stations before the magnets."""
    magnets: tuple[str, ...]
    """Magnets that bend between them."""
    downstream: tuple[str, ...]
    """Stations behind the magnets."""
