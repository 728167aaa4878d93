"""What a setup consists of: beam, trigger, counters; the rest is in `spectrometer`, `calorimeter`.

Global frame: z along the beam before the magnets, x horizontal, y vertical, all in mm; z = 0 is
the centre between the spectrometer magnets. A magnet's field By > 0 bends an electron to +x.
A calorimeter has a frame of its own (`na64reco.setup.calorimeter`).
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from na64reco.setup.calorimeter import Calorimeter, Sampling, Section
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
    """Of the particles of the beam."""
    spot: Positive
    """rms per projection, mm."""
    divergence: NonNegative
    """rms per projection, mrad."""
    softest: Positive
    """Momenta are uniform from here to that of the beam, GeV/c."""


class Beam(Part):
    """The beam at z = ``z``, in front of all detectors."""

    particle: Literal["electron", "positron", "muon"]
    """What it consists of."""
    momentum: Positive
    """Mean momentum, GeV/c."""
    momentum_spread: Fraction
    """Relative rms of the momentum."""
    z: float
    """Where position and direction are given, mm."""
    x: float = 0.0
    """Mean position there, mm."""
    y: float = 0.0
    """Mean position there, mm."""
    spot_x: Positive
    """rms of x, mm."""
    spot_y: Positive
    """rms of y, mm."""
    divergence: NonNegative
    """rms per projection, mrad."""
    contamination: dict[Literal["pion", "kaon", "proton", "muon"], Fraction]
    """Share of the beam before tagging; charges have the sign of the beam particle."""
    intensity: Positive
    """Particles per spill at nominal intensity."""
    spill_length: Positive
    """Duration of a spill, s."""
    halo: Halo | None = None
    """Muons around the beam; none where it is left out."""

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
    """Smallest in-time energy in the preshower, GeV."""
    ecal_max: Positive
    """Largest energy in the whole ECAL, GeV."""
    master_time: float
    """Mean of the trigger time reference, ns."""
    master_time_jitter: Positive
    """rms of the trigger time reference, ns."""
    dead_time: NonNegative = 0.0
    """After every recorded event, ns."""


class Counter(Part):
    """A plastic-scintillator counter, centred at (x, y, z)."""

    id: Annotated[int, Field(ge=0, le=15)]
    """Value of `Counter_id` in the hit file."""
    z: float
    """Centre, mm."""
    x: float = 0.0
    """Centre, mm."""
    y: float = 0.0
    """Centre, mm."""
    width: Positive
    """In x, mm."""
    height: Positive
    """In y, mm."""
    hole: NonNegative = 0.0
    """Diameter of a round hole about the centre (0: none), mm."""
    mip: Positive
    """Most probable energy of a minimum-ionising particle, GeV."""
    thickness_x0: NonNegative
    """Thickness, radiation lengths."""
    efficiency: Fraction = 1.0
    """Chance that a particle through it gives light."""


class Passive(Part):
    """Material in the beam that measures nothing: windows, air, vacuum vessel."""

    z: float
    """Centre, mm."""
    thickness_x0: NonNegative
    """Thickness, radiation lengths."""
    interaction_lengths: NonNegative
    """Thickness, interaction lengths."""


class Srd(Part):
    """Synchrotron-radiation detector: modules side by side in x, each a Pb/Sc sandwich."""

    z: float
    """Front face, mm."""
    x: float
    """Centre of all modules, mm."""
    y: float = 0.0
    """Centre of all modules, mm."""
    modules: Annotated[int, Field(gt=0)]
    """Number of modules."""
    module_width: Positive
    """In x, mm."""
    module_height: Positive
    """In y, mm."""
    sampling: Sampling
    """What a layer consists of."""
    window_x0: NonNegative
    """Material in front of it that absorbs soft photons, radiation lengths."""
    resolution: NonNegative
    """Relative resolution a / sqrt(E / MeV): a."""


class Veto(Part):
    """Bars of plastic scintillator between ECAL and HCAL, read out at both ends."""

    z: float
    """Centre, mm."""
    x: float = 0.0
    """Centre, mm."""
    y: float = 0.0
    """Centre of all bars, mm."""
    bars: Annotated[int, Field(gt=0)]
    """Side by side in y. Photomultipliers 2 b and 2 b + 1 (`VETO_ix`) read bar b at -x and +x."""
    bar_length: Positive
    """In x, mm."""
    bar_height: Positive
    """In y, mm."""
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
    """Between samples, ns. The MSADC of COMPASS and NA64 samples at 80 MHz by two ADCs of
    40 MHz."""
    samples: Annotated[int, Field(gt=0)] = 32
    """Number of samples."""
    presamples: Annotated[int, Field(ge=0)] = 8
    """Samples before the trigger's nominal time, assumed: 100 ns, the mean of master_time."""
    bits: Annotated[int, Field(gt=0, le=16)] = 14
    """The largest value is 2**bits - 1. Assumed: 14, so that the samples of all detectors have the
    scale of the amplitudes in hit files. 12 (as the MSADC has) leave the ECAL a quarter of it."""


class Setup(Part):
    """One run period's detector, as read from its YAML file."""

    name: str
    """How it is called; default: the name of the file."""
    title: str
    """What it is, for people."""
    runs: tuple[int, int]
    """First and last run, both included."""
    beam: Beam
    """The particles that come in."""
    trigger: Trigger
    """What makes an event."""
    counters: dict[str, Counter]
    """Plastic-scintillator counters by name."""
    magnets: dict[str, Magnet]
    """Dipoles by name."""
    stations: dict[str, Station]
    """Tracking stations by name."""
    spectrometers: dict[str, Spectrometer]
    """The first is the one that measures the beam particle."""
    passive: dict[str, Passive] = Field(default_factory=dict)
    """Material that measures nothing, by name."""
    srd: Srd | None = None
    """Synchrotron-radiation detector, where there is one."""
    ecal: Calorimeter
    """Electromagnetic calorimeter; the active dump of the electron mode."""
    veto: Veto | None = None
    """Counter between ECAL and HCAL, where there is one."""
    hcal: Calorimeter
    """Hadronic calorimeter."""
    vhcal: Calorimeter | None = None
    """Veto hadronic calorimeter, where there is one."""
    digitizer: Digitizer | None = Field(default_factory=Digitizer)
    """How waveforms are sampled; `null`: there are no waveforms."""

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
