"""Which columns each of a setup's ten conditions files has."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from na64reco.calibration.sdc import Column, SdcFormat

if TYPE_CHECKING:
    from na64reco.setup import Calorimeter, Setup

__all__ = ["PROJECTIONS", "file_formats"]

PROJECTIONS: Final = ("X", "Y", "U", "V")
"""By their number in the hit file."""

_CHANNEL: Final = (
    Column("scale", "float", "GeV per ADC count, before factors", limit="positive"),
    Column("time", "float", "mean time of an in-time hit relative to master_time, ns"),
    Column("time_width", "float", "rms of that time, ns", limit="positive"),
    Column("threshold", "float", "GeV; in-time energy below counts as 0", limit="not negative"),
)
_STATION: Final = (
    Column("station", "text", "name of the station in the setup"),
    Column("projection", "text", "X, Y, U or V"),
)
_STRIP: Final = (
    Column("min_charge", "float", "ADC; strips below are noise", limit="not negative"),
    Column("time", "float", "mean time of an in-time hit relative to master_time, ns"),
    Column("time_width", "float", "rms of that time, ns", limit="positive"),
    Column("resolution", "float", "of a cluster's position, mm", limit="positive"),
    Column("dead", "ints", "strips to ignore, comma-separated, - if none", default=()),
)
_STRAW: Final = (
    Column("t0", "float", "drift time of a hit on the wire, ns"),
    Column("time_max", "float", "longest drift after t0, ns", limit="positive"),
    Column("rt", "floats", "coefficients r0,r1,..: distance/mm = sum r_k ((t - t0)/time_max)^k"),
    Column("resolution", "float", "of the distance, mm", limit="positive"),
)
_ALIGNMENT: Final = (
    Column("shift", "float", "true minus nominal position along the measured direction, mm"),
    Column("rotation", "float", "true minus nominal angle about the beam, mrad", default=0.0),
)
_QUALITY: Final = (
    Column("run", "int", "run with a problem", limit="not negative"),
    Column("spill", "text", "number of the bad spill, * if the whole run is bad"),
    Column("reason", "text", "in one word_or_more", default="unknown"),
)


def file_formats(setup: Setup) -> dict[str, SdcFormat]:
    """Format of each file that the setup needs, by file name.

    >>> from na64reco.setup import load_setup
    >>> sorted(file_formats(load_setup("2022-electron")))[:4]
    ['alignment.txt', 'counters.txt', 'ecal.txt', 'gem.txt']
    """
    formats = {"ecal.txt": _cells("ECAL", setup.ecal, numbers=("profile",))}
    formats["hcal.txt"] = _cells("HCAL", setup.hcal)
    if setup.vhcal is not None:
        formats["vhcal.txt"] = _cells("VHCAL", setup.vhcal)
    if setup.srd is not None:
        module = Column("module", "int", "number of the module", limit="not negative")
        formats["srd.txt"] = SdcFormat((module,), _CHANNEL, factors=("SRD",))
    if setup.veto is not None:
        tube = Column("photomultiplier", "int", "2 bar (-x), 2 bar + 1 (+x)", limit="not negative")
        formats["veto.txt"] = SdcFormat((tube,), _CHANNEL, factors=("VETO",))
    counter = Column("counter", "text", "name of the counter in the setup")
    formats["counters.txt"] = SdcFormat((counter,), _CHANNEL, factors=("COUNTERS",))
    for technology in ("mm", "gem"):
        if setup.stations_of(technology):
            formats[f"{technology}.txt"] = SdcFormat(_STATION, _STRIP)
    if setup.stations_of("straw"):
        layer = Column("layer", "int", "number of the layer", limit="not negative")
        formats["straw.txt"] = SdcFormat((*_STATION, layer), _STRAW)
    formats["alignment.txt"] = SdcFormat(_STATION, _ALIGNMENT)
    formats = {name: _with_errors(fmt) for name, fmt in formats.items()}
    formats["quality.txt"] = SdcFormat(_QUALITY[:2], _QUALITY[2:])
    return formats


def _with_errors(fmt: SdcFormat) -> SdcFormat:
    """What a calibration may add for its readers; conditions do not use it."""
    errors = tuple(
        Column(
            f"{c.name}_error",
            "float",
            f"standard deviation of {c.name}, 0 if not known",
            default=0.0,
            limit="not negative",
        )
        for c in fmt.values
        if c.kind == "float"
    )
    entries = Column(
        "entries", "int", "events, tracks or hits it is from", default=0, limit="not negative"
    )
    return replace(fmt, values=(*fmt.values, *errors, entries))


def _cells(detector: str, calorimeter: Calorimeter, numbers: tuple[str, ...] = ()) -> SdcFormat:
    keys = (
        Column("section", "text", "name of the section or module in the setup"),
        Column("ix", "int", "cell number along x", limit="not negative"),
        Column("iy", "int", "cell number along y", limit="not negative"),
    )
    factors = (detector, *(f"{detector}.{section}" for section in calorimeter.sections))
    return SdcFormat(keys, _CHANNEL, numbers=numbers, factors=factors)
