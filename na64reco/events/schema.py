"""The hit-file schema as data: every scalar, collection and field with type, unit and meaning.

Amplitudes are pedestal-subtracted ADC counts, times ns relative to `master_time`.

Waveforms are raw ADC counts, pedestal included. Sample k is taken (k - presamples) * 12.5 ns after
the trigger's nominal time; the trigger itself was at master_time - (its nominal value), both from
the setup (`Digitizer`, `Trigger.master_time`). A time relative to `master_time` is therefore

    t(k) = (k - presamples) * 12.5 ns - (master_time - nominal)

which differs from event to event by the phase of the trigger in the sampling clock. Which instant
of a pulse is its time, maximum or half height, is a matter of calibration: time offsets of channels
take it up. Even and odd samples have pedestals of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "COLLECTIONS",
    "COUNTER_IDS",
    "PROCESSES",
    "PROJECTIONS",
    "REQUIRED_SCALARS",
    "SAMPLES",
    "SAMPLE_PERIOD",
    "SCALARS",
    "TREE",
    "TRIGGER_BITS",
    "Column",
    "branch_column",
    "branch_name",
    "schema_table",
]

TREE: Final = "Events"
"""Name of the TTree or RNTuple."""

SAMPLES: Final = 32
"""Samples of a raw waveform."""

SAMPLE_PERIOD: Final = 12.5
"""ns between two samples of a raw waveform."""


@dataclass(frozen=True)
class Column:
    """Type, unit and meaning of one scalar or of one field of a collection."""

    dtype: np.dtype[Any]
    unit: str
    """Empty for numbers and codes."""
    meaning: str
    shape: tuple[int, ...] = ()
    """Of one value; not empty for waveforms only."""

    @property
    def type_name(self) -> str:
        """As in `uint16[32]`."""
        return f"{self.dtype.name}{''.join(f'[{n}]' for n in self.shape)}"


def _column(dtype: str, unit: str, meaning: str) -> Column:
    return Column(np.dtype(dtype), unit, meaning)


SCALARS: Final[Mapping[str, Column]] = MappingProxyType(
    {
        "run": _column("uint32", "", "run number"),
        "spill": _column("uint32", "", "spill number in the run"),
        "event": _column("uint64", "", "event number, unique in the run"),
        "trigger": _column("uint32", "", "bits: 1 physics, 2 beam (no ECAL threshold), 4 random"),
        "master_time": _column("float32", "ns", "trigger time reference"),
        "spill_time": _column("float32", "s", "time since the beginning of the spill, optional"),
        "scaler": _column(
            "uint64", "", "beam coincidences since the run began, up to this event, optional"
        ),
        "scaler_live": _column(
            "uint64", "", "those of them during which a trigger could be accepted, optional"
        ),
        "prescale": _column("uint32", "", "prescale factor of the beam trigger, optional"),
        "MC_process": _column("uint8", "", "simulated process, a code of PROCESSES"),
        "MC_weight": _column(
            "float32", "", "events of an unbiased run for which this one stands, sum of powers of 2"
        ),
        "MC_momentum": _column("float32", "GeV/c", "true momentum where the magnets begin"),
        "MC_x": _column("float32", "mm", "true x at the ECAL front face, global frame"),
        "MC_y": _column("float32", "mm", "true y at the ECAL front face, global frame"),
        "MC_ecal_energy": _column(
            "float32", "GeV", "true energy deposited in the ECAL, electromagnetic scale"
        ),
        "MC_missing_energy": _column("float32", "GeV", "energy carried off by a dark particle"),
        "MC_pileup": _column("uint8", "", "other beam particles in the readout window"),
    }
)
"""One value per event. Those that begin with `MC_` are in simulated files only."""

REQUIRED_SCALARS: Final = ("run", "spill", "event", "trigger", "master_time")
"""Scalars that every hit file has."""

_TIME = _column("float32", "ns", "time relative to master_time")
_AMPLITUDE = _column("float32", "ADC", "pulse height above pedestal")
_CHARGE = _column("float32", "ADC", "charge on the strip above pedestal")
_STATION = _column("uint8", "", "station number")
_PROJECTION = _column("uint8", "", "0 = X, 1 = Y, 2 = U, 3 = V")
_SAMPLES = Column(
    np.dtype("uint16"),
    "ADC",
    f"raw waveform, {SAMPLE_PERIOD} ns a sample; replaces amplitude and time",
    (SAMPLES,),
)


def _calorimeter(*segments: tuple[str, str]) -> Mapping[str, Column]:
    """Fields of a detector that is read out by flash ADCs."""
    fields = {name: _column("uint8", "", meaning) for name, meaning in segments}
    fields |= {"amplitude": _AMPLITUDE, "time": _TIME, "samples": _SAMPLES}
    return MappingProxyType(fields)


_STRIPS: Final[Mapping[str, Column]] = MappingProxyType(
    {
        "station": _STATION,
        "projection": _PROJECTION,
        "strip": _column("uint16", "", "strip number in the plane"),
        "charge": _CHARGE,
        "time": _TIME,
    }
)

_IX = ("ix", "cell in x")
_IY = ("iy", "cell in y")

COLLECTIONS: Final[Mapping[str, Mapping[str, Column]]] = MappingProxyType(
    {
        "Counter": _calorimeter(("id", "S0..S4 = 0..4, Smu = 5, V0..V2 = 8..10")),
        "ECAL": _calorimeter(("section", "0 = preshower, 1 = main"), _IX, _IY),
        "HCAL": _calorimeter(("module", "module along the beam"), _IX, _IY),
        "VHCAL": _calorimeter(_IX, _IY),
        "SRD": _calorimeter(("ix", "module")),
        "VETO": _calorimeter(("ix", "photomultiplier: 2 b and 2 b + 1 read bar b")),
        "MM": _STRIPS,
        "GEM": _STRIPS,
        "ST": MappingProxyType(
            {
                "station": _STATION,
                "projection": _PROJECTION,
                "layer": _column("uint8", "", "layer of the plane"),
                "wire": _column("uint16", "", "wire number in the layer"),
                "time": _column("float32", "ns", "drift time"),
            }
        ),
        "BMS": MappingProxyType(
            {
                "station": _STATION,
                "channel": _column("uint16", "", "channel number in the station"),
                "time": _TIME,
            }
        ),
    }
)
"""Ragged collections: any number of entries per event. Fields by name.

`samples` is optional in each collection that has it."""

PROCESSES: Final = (
    "electron",
    "positron",
    "pion",
    "kaon",
    "proton",
    "muon",
    "dimuon",
    "upstream",
    "signal",
)
"""Names of the codes in `MC_process`."""

TRIGGER_BITS: Final[Mapping[str, int]] = MappingProxyType({"physics": 1, "beam": 2, "random": 4})
"""Values of the bits in `trigger`."""

COUNTER_IDS: Final[Mapping[str, int]] = MappingProxyType(
    {"S0": 0, "S1": 1, "S2": 2, "S3": 3, "S4": 4, "Smu": 5, "V0": 8, "V1": 9, "V2": 10}
)
"""Values of `Counter_id`."""

PROJECTIONS: Final = ("X", "Y", "U", "V")
"""Names of the codes in `projection`."""


def branch_name(collection: str, field: str) -> str:
    """Name of a field's branch in a TTree.

    >>> branch_name("ECAL", "time")
    'ECAL_time'
    """
    return f"{collection}_{field}"


def branch_column(branch: str) -> Column | None:
    """Schema entry of a branch, None if the schema does not have it.

    >>> branch_column("ECAL_time").unit
    'ns'
    """
    if branch in SCALARS:
        return SCALARS[branch]
    collection, _, field = branch.partition("_")
    return COLLECTIONS.get(collection, {}).get(field)


def schema_table() -> str:
    """The whole schema as a Markdown table."""
    rows = ["| branch | type | unit | meaning |", "|---|---|---|---|"]
    rows += [f"| {n} | {c.type_name} | {c.unit} | {c.meaning} |" for n, c in SCALARS.items()]
    for collection, fields in COLLECTIONS.items():
        rows += [
            f"| {branch_name(collection, n)} | {c.type_name} per hit | {c.unit} | {c.meaning} |"
            for n, c in fields.items()
        ]
    return "\n".join(rows) + "\n"
