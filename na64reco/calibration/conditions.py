"""The conditions of one run: what turns amplitudes and times into energies and positions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from na64reco.calibration.drift import Drift

__all__ = [
    "Alignment",
    "CellConditions",
    "Conditions",
    "NearestConditionsWarning",
    "StrawConditions",
    "StripConditions",
    "WaveformConditions",
]


class NearestConditionsWarning(UserWarning):
    """No conditions cover the run; those of the nearest covered run are in use."""


@dataclass(frozen=True, eq=False)
class CellConditions:
    """Constants of amplitude-and-time channels.

    The arrays have the shape (sections, nx, ny) for ECAL, HCAL and VHCAL, (modules,) for the SRD,
    (2 * bars,) for the VETO, (16,) indexed by `Counter_id` for the counters. Where there is no
    channel (holes, counters the setup lacks): scale 0, time 0, width 1, threshold infinite.
    """

    scale: NDArray[np.float64]
    """GeV per ADC count, factors applied."""
    time: NDArray[np.float64]
    """Mean time of an in-time hit relative to master_time, ns."""
    time_width: NDArray[np.float64]
    """Its rms, ns."""
    threshold: NDArray[np.float64]
    """A channel's in-time energy below this counts as 0, GeV."""


@dataclass(frozen=True, eq=False)
class WaveformConditions:
    """How a detector's pulses look in its samples.

    The arrays of channels have the shape of the detector's :class:`CellConditions`.
    """

    pedestal: NDArray[np.float64]
    """ADC counts, shape (2, ...): even and odd samples."""
    noise: NDArray[np.float64]
    """rms of a sample, ADC counts."""
    saturation: float
    """Samples from here on are clipped, ADC counts with the pedestal in them."""
    start: float
    """Time of the first value of `pulse`, ns; 0 is the time of the pulse."""
    step: float
    """Between values of `pulse`, ns."""
    pulse: NDArray[np.float64]
    """Mean pulse, its maximum 1."""
    shape_error: float | NDArray[np.float64] = 0.0
    """rms by which single pulses differ from their channel's, relative to the height times the
    square root of the shape; one for all channels or one for each."""
    modes: NDArray[np.float64] | None = None
    """In what pulses of channels differ from the mean one, shape (modes, values of `pulse`)."""
    coefficients: NDArray[np.float64] | None = None
    """A channel's pulse is `pulse` + sum over k of coefficients[k] modes[k], scaled to the maximum
    1, shape (modes, ...)."""
    delay: NDArray[np.float64] | None = None
    """By which the pulse of a channel is later than `start` says, ns, shape (...)."""


@dataclass(frozen=True)
class StripConditions:
    """Constants of one strip plane: a station's projection, Micromegas or GEM."""

    min_charge: float
    """ADC; strips below are noise."""
    time: float
    """Mean time of an in-time hit relative to master_time, ns."""
    time_width: float
    """Its rms, ns."""
    resolution: float
    """Of a cluster's position, mm."""
    dead: tuple[int, ...] = ()
    """Strips to ignore."""


@dataclass(frozen=True)
class StrawConditions:
    """Constants of one layer of straws."""

    t0: float
    """Drift time of a hit on the wire, ns."""
    time_max: float
    """Drift times in [t0, t0 + time_max] are physical, ns."""
    rt: tuple[float, ...]
    """Distance from the wire = sum of rt[k] * ((t - t0) / time_max)**k, mm."""
    resolution: float
    """mm."""


@dataclass(frozen=True)
class Alignment:
    """Where one plane is, relative to where the setup says it is.

    True position = position by the setup + shift; true angle = angle by the setup + rotation.
    """

    shift: float
    """Along the direction the plane measures, mm."""
    rotation: float
    """About the beam, mrad."""


@dataclass(frozen=True, eq=False)
class Conditions:
    """All constants of one run of one setup."""

    setup: str
    """Name of the setup."""
    runs: tuple[int, int]
    """First and last run for which this very combination is valid."""
    ecal: CellConditions
    hcal: CellConditions
    srd: CellConditions
    veto: CellConditions
    counters: CellConditions
    mm: Mapping[tuple[int, int], StripConditions]
    """By (station number, projection index)."""
    gem: Mapping[tuple[int, int], StripConditions]
    """By (station number, projection index)."""
    straw: Mapping[tuple[int, int, int], StrawConditions]
    """By (station number, projection index, layer)."""
    alignment: Mapping[tuple[str, int, int], Alignment]
    """By (technology, station number, projection index)."""
    bad_runs: frozenset[int]
    bad_spills: frozenset[tuple[int, int]]
    """(run, spill)."""
    shower_profile: Mapping[str, float]
    """Parameters of the expected ECAL shower profile: the `profile.NAME=` keys of ecal.txt."""
    digest: str
    """sha256 of the text of all files used."""
    vhcal: CellConditions | None = field(default=None)
    waveform: Mapping[str, WaveformConditions] = field(default_factory=dict)
    """By collection, from waveform.txt; empty where the folder has no such file."""
    drift: Mapping[str, Drift] = field(default_factory=dict)
    """By collection, from drift.txt; empty where the folder has no such file."""
