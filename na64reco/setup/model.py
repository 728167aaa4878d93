"""What a setup consists of: beam, trigger, calorimeters, counters; the rest is in `spectrometer`.

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
from pydantic import Field, model_validator

from na64reco.setup.spectrometer import (
    Fraction,
    Magnet,
    NonNegative,
    Part,
    Positive,
    Spectrometer,
    Station,
)

__all__ = [
    "Beam",
    "Calorimeter",
    "Counter",
    "Digitizer",
    "Halo",
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


class Halo(Part):
    """Muons around the beam: wider, of any lower momentum."""

    share: Fraction
    """Of the beam."""
    spot: Positive
    """rms per projection, mm."""
    divergence: NonNegative
    """rms per projection, mrad."""
    softest: Positive
    """GeV/c; momenta are uniform from here to that of the beam."""


class Beam(Part):
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
    halo: Halo | None = None
    """Of the muons in the beam."""

    @property
    def charge(self) -> int:
        """In units of the positron's."""
        return 1 if self.particle == "positron" else -1

    @property
    def rate(self) -> float:
        """Mean particles per ns during a spill at nominal intensity."""
        return self.intensity / (self.spill_length * 1e9)


class Trigger(Part):
    """The physics trigger; the beam (calibration) trigger is the same without the ECAL."""

    coincidence: tuple[str, ...]
    """Counters that must fire."""
    calibration: tuple[str, ...] | None = None
    """Counters that must fire for the beam trigger, where these are others."""
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
    dead_time: NonNegative = 0.0
    """After every recorded event, ns."""


class Counter(Part):
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
    efficiency: Fraction = 1.0
    """Chance that a particle through it gives light."""


class Passive(Part):
    """Material in the beam that measures nothing: windows, air, vacuum vessel."""

    z: float
    thickness_x0: NonNegative
    interaction_lengths: NonNegative


class Sampling(Part):
    """The sandwich of a sampling calorimeter."""

    absorber: Literal["Pb", "Fe", "Cu"]
    absorber_thickness: Positive
    """mm per layer."""
    scintillator_thickness: Positive
    """mm per layer."""
    layers: Annotated[int, Field(gt=0)]


class Section(Part):
    """A part of a calorimeter that is read out separately: ECAL section, HCAL module."""

    layers: Annotated[int, Field(gt=0)]
    z: float | None = None
    """Front face, mm, where it is not simply behind the section before."""
    x: float | None = None
    """Where it differs from the calorimeter's, mm."""
    y: float | None = None
    slope_x: float | None = None


class Calorimeter(Part):
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
    """Most probable energy (electromagnetic scale) of a minimum-ionising particle in the whole
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


class Srd(Part):
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


class Veto(Part):
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


class Digitizer(Part):
    """How waveforms (`NAME_samples`) of calorimeters and counters are sampled.

    Sample k is taken at t = (k - presamples) * interval on a clock on which the trigger is at
    `master_time` - `Trigger.master_time`: relative to master_time, as hits have their times, it is
    the sample of (k - presamples) * interval - (master_time - `Trigger.master_time`).
    Two ADCs take turns: the pedestals of even and odd k differ.
    """

    interval: Positive = 12.5
    """ns; the MSADC of COMPASS and NA64 samples at 80 MHz by two ADCs of 40 MHz."""
    samples: Annotated[int, Field(gt=0)] = 32
    presamples: Annotated[int, Field(ge=0)] = 8
    """Samples before the trigger's nominal time, assumed: 100 ns, the mean of master_time."""
    bits: Annotated[int, Field(gt=0, le=16)] = 14
    """The largest value is 2**bits - 1. Assumed: 14, so that the samples of all detectors have the
    scale of the amplitudes in hit files. 12 (as the MSADC has) leave the ECAL a quarter of it."""


class Setup(Part):
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
    passive: dict[str, Passive] = Field(default_factory=dict)
    srd: Srd | None = None
    ecal: Calorimeter
    veto: Veto | None = None
    hcal: Calorimeter
    vhcal: Calorimeter | None = None
    digitizer: Digitizer | None = Field(default_factory=Digitizer)
    """None: there are no waveforms."""

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
        calibration = self.trigger.calibration or ()
        for counter in (*self.trigger.coincidence, *calibration, *self.trigger.veto):
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
