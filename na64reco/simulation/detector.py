"""The true detector: gains, noise, time offsets, misalignments that no setup file states.

They are drawn once from a generator seeded by the setup's name, so that every simulated file of a
setup comes from the same detector. The scales are those of flash ADCs that hold the largest signal
of each channel; spreads and noise levels are `assumed` throughout, since no source gives them.
Calibration has to find these values: nothing that reconstructs reads them.

Times in hit files are relative to ``master_time``; a channel's in-time pulse has the time
``time_offset`` +- ``time_resolution`` there.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from na64reco.simulation.sampling import SampledChannels, sampled_channels

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from na64reco.setup.model import Calorimeter, Setup, Srd, Station, Veto

__all__ = ["Channels", "Detector", "StrawPlane", "StripPlane", "load_detector"]

PROJECTION_INDEX = {"X": 0, "Y": 1, "U": 2, "V": 3}
"""Value of `NAME_projection` in the hit file."""

COUNTER_SLOTS = 16
"""Length of the counter arrays, which are indexed by `Counter_id`."""


@dataclass(frozen=True, eq=False)
class Channels:
    """Amplitude-and-time channels.

    Arrays of shape (sections, nx, ny) for calorimeters, (modules,) for the SRD, (2 * bars,) for
    the VETO, (16,) indexed by `Counter_id` for counters. Channels that do not exist have gain 0.
    """

    gain: NDArray[np.float64]
    """ADC counts per GeV; in calorimeters of electromagnetic-scale energy: the whole ECAL shows
    the energy of an electron that hits the centre of the beam cell."""
    noise: NDArray[np.float64]
    """rms, GeV."""
    time_offset: NDArray[np.float64]
    """Mean time of an in-time pulse relative to master_time, ns."""
    time_resolution: NDArray[np.float64]
    """rms, ns."""
    zero_suppression: NDArray[np.float64]
    """Pulses below are not read out, GeV."""


@dataclass(frozen=True, eq=False)
class StripPlane:
    """One strip plane: a projection of a Micromegas or GEM station.

    A particle at (x, y) crosses it at u = (x - X) cos(a) + (y - Y) sin(a) with the *true* angle
    a = setup's angle + ``rotation``; strip i lies at u = (i - (channels - 1) / 2) * pitch +
    ``shift``.
    """

    shift: float
    """mm along the measured direction: true position - position by the setup."""
    rotation: float
    """mrad: true angle - angle by the setup."""
    efficiency: float
    """Of a charged particle to leave a cluster [22m: inefficiency ~2 %]."""
    gain: NDArray[np.float64]
    """Of every strip relative to the plane's mean; 0 = dead. Shape (channels,)."""
    charge: float
    """Most probable charge of a minimum-ionising particle's whole cluster, ADC counts."""
    noise: float
    """rms of a strip's charge, ADC counts."""
    noise_strips: float
    """Mean number of strips per event above threshold by noise alone."""
    threshold: float
    """Strips below are not read out, ADC counts."""
    diffusion: float
    """rms of the charge cloud at the strips, mm."""
    position_spread: float
    """rms by which a cloud's centre misses the particle (ionisation statistics), mm."""
    time_offset: float
    """Mean time of an in-time strip relative to master_time, ns."""
    time_resolution: float
    """rms of a strip's time, ns."""

    @property
    def dead(self) -> tuple[int, ...]:
        """Strips that never fire."""
        return tuple(int(i) for i in np.flatnonzero(self.gain == 0))


@dataclass(frozen=True, eq=False)
class StrawPlane:
    """One layer of straws of a projection of a station; geometry as for `StripPlane`.

    True relation of drift time and distance r from the wire, R = pitch / 2, s = r / R:
    t = t0 + time_max * ((1 - curvature) * s + curvature * s**2).
    """

    shift: float
    """mm along the measured direction: true position - position by the setup."""
    rotation: float
    """mrad: true angle - angle by the setup."""
    efficiency: float
    """In the middle of the straw; falls to nothing at its wall."""
    t0: float
    """Time of a hit on the wire, ns."""
    time_max: float
    """Drift time from the wall, ns."""
    curvature: float
    """Of the relation of drift time and distance."""
    time_resolution: float
    """rms, ns."""
    noise_hits: float
    """Mean number of accidental hits per event."""
    crosstalk: float
    """Chance that a hit fires a neighbouring wire too."""
    radius: float
    """mm."""

    def drift_time(self, distance: NDArray[np.float64]) -> NDArray[np.float64]:
        """True mean time at a distance from the wire, mm -> ns."""
        s = np.abs(distance) / self.radius
        return self.t0 + self.time_max * s * (1 - self.curvature + self.curvature * s)


@dataclass(frozen=True, eq=False)
class Detector:
    """The truth about the channels of a setup."""

    setup: str
    """Name of the setup."""
    ecal: Channels
    hcal: Channels
    counters: Channels
    ecal_nonuniformity: NDArray[np.float64]
    """Light-collection amplitude of every ECAL cell (relative), shape (nx, ny)."""
    strips: Mapping[tuple[str, int, int], StripPlane]
    """By (technology, station number, projection index)."""
    straws: Mapping[tuple[int, int, int], StrawPlane]
    """By (station number, projection index, layer)."""
    srd: Channels | None = None
    veto: Channels | None = None
    vhcal: Channels | None = None
    veto_attenuation: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    """Attenuation length of every bar, mm."""
    waveforms: Mapping[str, SampledChannels] = field(default_factory=dict)
    """By collection; empty if the setup has no digitiser."""


def _generator(setup: str, *parts: str) -> np.random.Generator:
    """A stream of its own for each part: a new detector does not change the others."""
    digest = hashlib.sha256("/".join(("detector", setup, *parts)).encode()).digest()
    return np.random.default_rng(np.frombuffer(digest, dtype=np.uint32))


def _channels(
    rng: np.random.Generator,
    gain: NDArray[np.float64],
    *,
    noise_counts: float,
    time_resolution: float,
    gain_spread: float = 0.12,
    time_spread: float = 2.0,
) -> Channels:
    """Scatter nominal gains (0 = no channel); noise is given in ADC counts."""
    shape = gain.shape
    clipped = np.clip(rng.standard_normal(shape), -2.5, 2.5)
    true_gain = gain * (1 + gain_spread * clipped)
    exists = gain > 0
    counts = noise_counts * rng.uniform(0.8, 1.3, shape)
    noise = np.divide(counts, true_gain, out=np.zeros(shape), where=exists)
    return Channels(
        gain=true_gain,
        noise=noise,
        time_offset=np.where(exists, np.clip(rng.standard_normal(shape), -3, 3) * time_spread, 0),
        time_resolution=time_resolution * rng.uniform(0.85, 1.15, shape),
        zero_suppression=3.5 * noise,
    )


def _ecal(name: str, ecal: Calorimeter) -> Channels:
    gain = np.empty(ecal.shape)
    for number, section in enumerate(ecal.sections):
        # 16383 counts (14 bits) hold 20 GeV in a preshower cell, 100 GeV in a main one; the noise
        # of a fitted pulse is a fraction of a count. Thresholds must lie low: at 10 GeV, 3 % of a
        # shower is spread over twenty cells around the inner nine.
        gain[number] = 600.0 if section == "prs" else 120.0
    return _channels(
        _generator(name, "ecal"),
        _without_holes(gain, ecal),
        noise_counts=0.35,
        time_resolution=1.5,
        gain_spread=0.15,
    )


def _hcal(name: str, part: str, hcal: Calorimeter) -> Channels:
    # The analyses' time resolution of an HCAL cell is 5.5 ns [pub].
    return _channels(
        _generator(name, part),
        _without_holes(np.full(hcal.shape, 30.0), hcal),
        noise_counts=0.9,
        time_resolution=5.5,
        gain_spread=0.15,
    )


def _without_holes(gain: NDArray[np.float64], part: Calorimeter) -> NDArray[np.float64]:
    for ix, iy in part.hole:
        gain[:, ix, iy] = 0
    return gain


def _srd(name: str, srd: Srd) -> Channels:
    # 20 counts per MeV: 200 MeV in full range.
    return _channels(
        _generator(name, "srd"), np.full(srd.modules, 2e4), noise_counts=1.0, time_resolution=2.0
    )


def _veto(name: str, veto: Veto) -> Channels:
    # A minimum-ionising particle gives 300 counts at each photomultiplier.
    gain = np.full(2 * veto.bars, 300.0 / veto.mip)
    return _channels(_generator(name, "veto"), gain, noise_counts=4.0, time_resolution=2.0)


def _counters(setup: Setup) -> Channels:
    gain = np.zeros(COUNTER_SLOTS)
    for counter in setup.counters.values():
        gain[counter.id] = 250.0 / counter.mip
    return _channels(
        _generator(setup.name, "counters"), gain, noise_counts=4.0, time_resolution=1.0
    )


def _strip_plane(name: str, station: Station, projection: str) -> StripPlane:
    rng = _generator(name, station.technology, str(station.number), projection)
    micromegas = station.technology == "mm"
    gain = 1 + 0.05 * np.clip(rng.standard_normal(station.channels), -3, 3)
    gain[rng.choice(station.channels, size=rng.integers(0, 4), replace=False)] = 0
    return StripPlane(
        shift=float(np.clip(rng.normal(0, 0.05), -0.1, 0.1)),
        rotation=float(np.clip(rng.normal(0, 0.3), -0.8, 0.8)),
        efficiency=float(np.clip(rng.normal(0.98, 0.003), 0.97, 0.99)),
        gain=gain,
        charge=float(rng.uniform(350, 450) if micromegas else rng.uniform(250, 320)),
        noise=float(rng.uniform(5, 7)),
        noise_strips=float(rng.uniform(0.1, 0.4)),
        threshold=24.0,
        diffusion=0.22 if micromegas else 0.32,
        position_spread=0.07 if micromegas else 0.06,
        time_offset=float(rng.normal(0, 5)),
        time_resolution=float(rng.uniform(8, 10) if micromegas else rng.uniform(6, 8)),
    )


def _straw_plane(name: str, station: Station, projection: str, layer: int) -> StrawPlane:
    common = _generator(name, "straw", str(station.number), projection)
    shift = float(np.clip(common.normal(0, 0.07), -0.1, 0.1))
    rotation = float(np.clip(common.normal(0, 0.3), -0.8, 0.8))
    rng = _generator(name, "straw", str(station.number), projection, str(layer))
    return StrawPlane(
        shift=shift,
        rotation=rotation,
        efficiency=float(rng.uniform(0.96, 0.985)),
        t0=float(rng.normal(20, 4)),
        # 75 ns for the 3 mm of a 6 mm tube.
        time_max=float(rng.normal(75, 2) * station.pitch / 6),
        curvature=float(rng.uniform(0.3, 0.4)),
        time_resolution=float(rng.uniform(3.0, 4.0)),
        noise_hits=float(rng.uniform(0.03, 0.08)),
        crosstalk=0.01,
        radius=station.pitch / 2,
    )


def load_detector(setup: Setup) -> Detector:
    """The true detector of a setup: the same for every file, different for every setup's name."""
    name = setup.name
    strips: dict[tuple[str, int, int], StripPlane] = {}
    straws: dict[tuple[int, int, int], StrawPlane] = {}
    for station in setup.stations.values():
        for projection in station.projections:
            index = PROJECTION_INDEX[projection]
            if station.technology in {"mm", "gem"}:
                key = (station.technology, station.number, index)
                strips[key] = _strip_plane(name, station, projection)
            elif station.technology == "straw":
                for layer in range(station.layers):
                    straws[station.number, index, layer] = _straw_plane(
                        name, station, projection, layer
                    )
    calorimeters = {
        "ECAL": _ecal(name, setup.ecal),
        "HCAL": _hcal(name, "hcal", setup.hcal),
        "Counter": _counters(setup),
        "SRD": _srd(name, setup.srd) if setup.srd else None,
        "VETO": _veto(name, setup.veto) if setup.veto else None,
        "VHCAL": _hcal(name, "vhcal", setup.vhcal) if setup.vhcal else None,
    }
    waveforms = {
        key: sampled_channels(_generator(name, key, "samples"), key, channels, setup.digitizer)
        for key, channels in calorimeters.items()
        if channels is not None and setup.digitizer is not None
    }
    nonuniform = _generator(name, "ecal", "light")
    bars = _generator(name, "veto", "attenuation")
    return Detector(
        setup=name,
        ecal=_ecal(name, setup.ecal),
        hcal=_hcal(name, "hcal", setup.hcal),
        counters=_counters(setup),
        waveforms=waveforms,
        ecal_nonuniformity=nonuniform.uniform(0.01, 0.025, setup.ecal.shape[1:]),
        strips=strips,
        straws=straws,
        srd=_srd(name, setup.srd) if setup.srd else None,
        veto=_veto(name, setup.veto) if setup.veto else None,
        vhcal=_hcal(name, "vhcal", setup.vhcal) if setup.vhcal else None,
        veto_attenuation=bars.normal(2500, 150, setup.veto.bars) if setup.veto else np.empty(0),
    )
