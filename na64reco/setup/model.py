"""What a setup consists of: beam, trigger, magnets, tracking planes, calorimeters, counters.

Global frame: z along the beam before the magnets, x horizontal, y vertical, all in mm; z = 0 is
the centre between the spectrometer magnets. A magnet's field By > 0 bends an electron to +x.

A calorimeter has a frame of its own: its origin is the centre of its front face, its axis has
the slope ``slope_x`` = dx/dz in the global frame. Cell (ix, iy) of a calorimeter with nx x ny
cells covers local x from (ix - nx/2) * cell_x to (ix + 1 - nx/2) * cell_x, and y likewise.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray  # noqa: TC002 - pydantic reads annotations at run time
from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = [
    "Beam",
    "Calorimeter",
    "Counter",
    "Magnet",
    "Passive",
    "Sampling",
    "Section",
    "Setup",
    "Spectrometer",
    "Srd",
    "Station",
    "Trigger",
    "Veto",
]

Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Beam(_Part):
    """The beam at z = ``z``, in front of all detectors."""

    particle: Literal["electron", "positron", "muon"]
    momentum: Positive
    """GeV/c."""
    momentum_spread: Fraction
    """Relative rms."""
    z: float
    """Where position and direction are given, mm."""
    x: float = 0.0
    """mm."""
    y: float = 0.0
    """mm."""
    spot_x: Positive
    """rms, mm."""
    spot_y: Positive
    """rms, mm."""
    divergence: NonNegative
    """rms per projection, mrad."""
    contamination: dict[Literal["pion", "kaon", "proton", "muon"], Fraction]
    """Share of the beam before tagging; charges have the sign of the beam particle."""
    intensity: Positive
    """Particles per spill at nominal intensity."""
    spill_length: Positive
    """s."""

    @property
    def charge(self) -> int:
        """In units of the positron's."""
        return 1 if self.particle == "positron" else -1

    @property
    def rate(self) -> float:
        """Mean particles per ns during a spill at nominal intensity."""
        return self.intensity / (self.spill_length * 1e9)


class Trigger(_Part):
    """The physics trigger; the beam (calibration) trigger is the same without the ECAL."""

    coincidence: tuple[str, ...]
    """Counters that must fire."""
    veto: tuple[str, ...]
    """Counters that must not."""
    counter_threshold: Positive
    """In units of the counter's MIP."""
    prs_min: NonNegative
    """In-time preshower energy, GeV."""
    ecal_max: Positive
    """Whole ECAL energy, GeV."""
    master_time: float
    """Mean of the trigger time reference, ns."""
    master_time_jitter: Positive
    """rms, ns."""


class Counter(_Part):
    """A plastic-scintillator counter, centred at (x, y, z)."""

    id: Annotated[int, Field(ge=0, le=15)]
    """Value of `Counter_id` in the hit file."""
    z: float
    x: float = 0.0
    y: float = 0.0
    width: Positive
    """mm in x."""
    height: Positive
    """mm in y."""
    hole: NonNegative = 0.0
    """Diameter of a round hole about the centre, mm; 0 = none."""
    mip: Positive
    """Most probable energy of a minimum-ionising particle, GeV."""
    thickness_x0: NonNegative
    """Radiation lengths."""


class Magnet(_Part):
    """A dipole: a field By uniform over its length, with hard or linear edges, or a field map.

    With a map, ``length`` and ``field`` are those of the uniform dipole that bends as much; what
    needs only the bending (the nominal beam, seeds of tracks) uses them.
    """

    z: float
    """Centre, mm."""
    length: Positive
    """mm."""
    field: float
    """By, T."""
    gap_x: Positive
    """Free width, mm."""
    gap_y: Positive
    """Free height, mm."""
    ramp: NonNegative = 0.0
    """Length over which By rises linearly at either end, half of it outside, mm; 0 = hard edge."""
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


class Station(_Part):
    """A tracking station: one strip or wire plane per projection, all about (x, y, z).

    The plane of projection P measures u = (x_hit - x) cos(a) + (y_hit - y) sin(a) with the angle
    a = angles[P]. Strip i is centred at u = (i - (channels - 1) / 2) * pitch; wire i of straw
    layer l at u = (i - (channels - 1) / 2 + l / 2) * pitch.
    """

    technology: Literal["mm", "gem", "straw", "bms"]
    number: Annotated[int, Field(ge=0, le=31)]
    """Value of `NAME_station` in the hit file."""
    z: float
    x: float = 0.0
    y: float = 0.0
    angles: dict[Projection, float]
    """Degrees, for every projection that is read out."""
    spacing: NonNegative = 0.0
    """Distance in z between the planes of two projections, mm; the station's z is their middle."""
    channels: Annotated[int, Field(gt=0, le=65535)]
    """Strips or wires per layer."""
    multiplexing: Annotated[int, Field(ge=1, le=16)] = 1
    """Strips on each readout channel; above 1, hits hold channels (see `channel_of_strip`)."""
    multiplexing_step: Annotated[int, Field(ge=1)] = 6
    """m of `channel_of_strip`."""
    pitch: Positive
    """mm."""
    layers: Annotated[int, Field(ge=1, le=4)] = 1
    """Staggered straw layers per projection."""
    layer_spacing: NonNegative = 0.0
    """Distance in z between straw layers, mm."""
    thickness_x0: NonNegative
    """Radiation lengths of the whole station."""

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
    def channel_of_strip(self) -> NDArray[np.int64]:
        """Readout channel of each strip, shape (channels,); themselves without multiplexing.

        channel = strip (floor(strip / n) m + 1) mod n with n channels: D. Banerjee et al., Nucl.
        Instrum. Meth. A 881 (2018) 72, after S. Procureur et al., Nucl. Instrum. Meth. A 729
        (2013) 888. Two channels are neighbours only once, up to the ends of the blocks of n
        strips. That every station follows this rule, with this m, is assumed.
        """
        strip = np.arange(self.channels, dtype=np.int64)
        n = self.channels // self.multiplexing
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


class Spectrometer(_Part):
    """Stations before and after the magnets that measure one momentum."""

    upstream: tuple[str, ...]
    magnets: tuple[str, ...]
    downstream: tuple[str, ...]


class Passive(_Part):
    """Material in the beam that measures nothing: windows, air, vacuum vessel."""

    z: float
    thickness_x0: NonNegative
    interaction_lengths: NonNegative


class Sampling(_Part):
    """The sandwich of a sampling calorimeter."""

    absorber: Literal["Pb", "Fe", "Cu"]
    absorber_thickness: Positive
    """mm per layer."""
    scintillator_thickness: Positive
    """mm per layer."""
    layers: Annotated[int, Field(gt=0)]


class Section(_Part):
    """A part of a calorimeter that is read out separately: ECAL section, HCAL module."""

    layers: Annotated[int, Field(gt=0)]
    z: float | None = None
    """Front face, mm, where it is not simply behind the section before."""
    x: float | None = None
    """Where it differs from the calorimeter's, mm."""
    y: float | None = None
    slope_x: float | None = None


class Calorimeter(_Part):
    """A calorimeter of nx x ny cells in one or more sections (see the module for its frame)."""

    z: float
    """Front face, mm."""
    x: float = 0.0
    """Centre of the front face, mm."""
    y: float = 0.0
    slope_x: float = 0.0
    """dx/dz of its axis."""
    nx: Annotated[int, Field(gt=0)]
    ny: Annotated[int, Field(gt=0)]
    cell_x: Positive
    """mm."""
    cell_y: Positive
    """mm."""
    sampling: Sampling
    sections: dict[str, Section]
    """By name, in the order of their number in the hit file."""
    beam_cell: tuple[int, int] | None = None
    """(ix, iy) of the cell that the beam hits."""
    hole: tuple[tuple[int, int], ...] = ()
    """Cells that do not exist."""
    mip: Positive
    """Mean energy (electromagnetic scale) of a minimum-ionising particle in the whole
    calorimeter (ECAL) or in one section (HCAL, VHCAL), GeV."""
    stochastic: NonNegative
    """Resolution a / sqrt(E / GeV)."""
    constant: NonNegative
    """Constant term of the resolution."""
    radiation_lengths: NonNegative
    """Whole depth."""
    interaction_lengths: NonNegative
    """Whole depth (ECAL) or of one section (HCAL, VHCAL)."""

    @model_validator(mode="after")
    def _check(self) -> Calorimeter:
        if self.beam_cell is not None:
            ix, iy = self.beam_cell
            if not (0 <= ix < self.nx and 0 <= iy < self.ny):
                msg = f"beam_cell {self.beam_cell} lies outside the {self.nx} x {self.ny} cells"
                raise ValueError(msg)
        layers = sum(s.layers for s in self.sections.values())
        per_section = {s.layers for s in self.sections.values()}
        if layers != self.sampling.layers and per_section != {self.sampling.layers}:
            msg = (
                f"the sections have {layers} layers in all, the sampling {self.sampling.layers}: "
                "they must agree in sum or each"
            )
            raise ValueError(msg)
        return self

    @property
    def shape(self) -> tuple[int, int, int]:
        """(sections, nx, ny) of the dense array."""
        return len(self.sections), self.nx, self.ny

    @property
    def layer_thickness(self) -> float:
        """mm of one absorber plate and one scintillator tile."""
        return self.sampling.absorber_thickness + self.sampling.scintillator_thickness

    @property
    def x_centres(self) -> NDArray[np.float64]:
        """Local x of the cell centres, shape (nx,), mm."""
        return (np.arange(self.nx, dtype=np.float64) + 0.5 - self.nx / 2) * self.cell_x

    @property
    def y_centres(self) -> NDArray[np.float64]:
        """Local y of the cell centres, shape (ny,), mm."""
        return (np.arange(self.ny, dtype=np.float64) + 0.5 - self.ny / 2) * self.cell_y


class Srd(_Part):
    """Synchrotron-radiation detector: modules side by side in x, each a Pb/Sc sandwich."""

    z: float
    x: float
    """Centre of all modules, mm."""
    y: float = 0.0
    modules: Annotated[int, Field(gt=0)]
    module_width: Positive
    """mm in x."""
    module_height: Positive
    """mm in y."""
    sampling: Sampling
    window_x0: NonNegative
    """Material in front of it that absorbs soft photons, radiation lengths."""
    resolution: NonNegative
    """Relative resolution a / sqrt(E / MeV)."""


class Veto(_Part):
    """Bars of plastic scintillator between ECAL and HCAL, read out at both ends."""

    z: float
    x: float = 0.0
    y: float = 0.0
    bars: Annotated[int, Field(gt=0)]
    """Side by side in y. Photomultipliers 2 b and 2 b + 1 (`VETO_ix`) read bar b at -x and +x."""
    bar_length: Positive
    """mm in x."""
    bar_height: Positive
    """mm in y."""
    mip: Positive
    """Energy of a minimum-ionising particle at each photomultiplier, GeV."""


class Setup(_Part):
    """One run period's detector, as read from its YAML file."""

    name: str
    title: str
    runs: tuple[int, int]
    """First and last run."""
    beam: Beam
    trigger: Trigger
    counters: dict[str, Counter]
    magnets: dict[str, Magnet]
    stations: dict[str, Station]
    spectrometers: dict[str, Spectrometer]
    """The first is the one that measures the beam particle."""
    passive: dict[str, Passive] = {}
    srd: Srd | None = None
    ecal: Calorimeter
    veto: Veto | None = None
    hcal: Calorimeter
    vhcal: Calorimeter | None = None

    @model_validator(mode="after")
    def _check(self) -> Setup:
        for name, spectrometer in self.spectrometers.items():
            for station in (*spectrometer.upstream, *spectrometer.downstream):
                if station not in self.stations:
                    msg = f"spectrometer {name}: there is no station {station!r}"
                    raise ValueError(msg)
            for magnet in spectrometer.magnets:
                if magnet not in self.magnets:
                    msg = f"spectrometer {name}: there is no magnet {magnet!r}"
                    raise ValueError(msg)
        for counter in (*self.trigger.coincidence, *self.trigger.veto):
            if counter not in self.counters:
                msg = f"trigger: there is no counter {counter!r}"
                raise ValueError(msg)
        keys = [(s.technology, s.number) for s in self.stations.values()]
        if len(set(keys)) != len(keys):
            msg = f"two stations share a technology and number: {sorted(keys)}"
            raise ValueError(msg)
        if self.runs[0] > self.runs[1]:
            msg = f"runs {self.runs}: the first is above the last"
            raise ValueError(msg)
        return self

    def field_integral(self, spectrometer: str | None = None) -> float:
        """Integral of By along z of a spectrometer's magnets (default: the first), T mm."""
        chosen = self.spectrometers[spectrometer or next(iter(self.spectrometers))]
        return sum(self.magnets[m].field * self.magnets[m].length for m in chosen.magnets)

    def stations_of(self, technology: str) -> dict[str, Station]:
        """Stations of one technology by name, sorted along the beam."""
        found = [(n, s) for n, s in self.stations.items() if s.technology == technology]
        return dict(sorted(found, key=lambda item: item[1].z))

    def beam_x(self, z: float) -> float:
        """x of the nominal beam particle at z, mm: circles inside magnets, else straight."""
        x, slope, here = self.beam.x, 0.0, self.beam.z
        for magnet in sorted(self.magnets.values(), key=lambda m: m.z):
            if magnet.start >= z:
                break
            x += slope * (magnet.start - here)
            step = min(z, magnet.end) - magnet.start
            # dp_x/dz = -q c B: an electron in By > 0 goes to +x.
            sine = math.sin(math.atan(slope))
            curvature = -self.beam.charge * 0.299792458e-3 * magnet.field / self.beam.momentum
            sine_out = sine + curvature * step
            cosine, cosine_out = math.sqrt(1 - sine**2), math.sqrt(1 - sine_out**2)
            x += (cosine - cosine_out) / curvature if curvature else slope * step
            slope, here = sine_out / cosine_out, magnet.start + step
        return x + slope * max(0.0, z - here)

    def beam_slope(self, z: float) -> float:
        """dx/dz of the nominal beam particle at z."""
        half = 0.5
        return (self.beam_x(z + half) - self.beam_x(z - half)) / (2 * half)
