"""What columns need: detectors of the setup, branches of the file, tracks of a spectrometer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from na64reco.calorimeters import beam_modules
from na64reco.errors import FileFormatError, SelectionError, SetupError, did_you_mean
from na64reco.events import has_collection, has_field, has_scalar
from na64reco.reconstruction.columns import COLUMNS, columns_of_group, group_of
from na64reco.reconstruction.expected import EXPECTED_COLUMNS, last_spectrometer
from na64reco.reconstruction.samples import ERROR_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from na64reco.setup import Setup

__all__ = [
    "COLLECTIONS_OF_GROUPS",
    "FIELDS",
    "IMPACT",
    "OPTIONAL_SCALARS",
    "TRACKER_GROUPS",
    "available_columns",
    "costly_columns",
    "first_spectrometer",
    "trackers_of",
    "tracks_of",
    "wanted_columns",
]

_CELL: Final = ("ix", "iy", "amplitude", "time")
_STRIP: Final = ("station", "projection", "strip", "charge", "time")
FIELDS: Final = {
    "Counter": ("id", "amplitude", "time"),
    "SRD": ("ix", "amplitude", "time"),
    "ECAL": ("section", *_CELL),
    "HCAL": ("module", *_CELL),
    "VHCAL": _CELL,
    "VETO": ("ix", "amplitude", "time"),
    "MM": _STRIP,
    "GEM": _STRIP,
    "ST": ("station", "projection", "layer", "wire", "time"),
}
"""What is read of each collection; samples instead of amplitude and time where there are any."""

COLLECTIONS_OF_GROUPS: Final = {
    "counters": "Counter",
    "srd": "SRD",
    "ecal": "ECAL",
    "prs": "ECAL",
    "hcal": "HCAL",
    "vhcal": "VHCAL",
    "veto": "VETO",
    "mm": "MM",
    "gem": "GEM",
    "straw": "ST",
}
"""Collection that the columns of a group are made from."""

TRACKER_GROUPS: Final = ("mm", "gem", "straw")
"""Groups of the trackers, named after their technologies."""
_TRACKER: Final = {"mm": "MM", "gem": "GEM"}


IMPACT: Final = ("track.x_ecal", "track.y_ecal")
"""Where the track enters the ECAL: the shape of the shower is judged there."""
SHAPE: Final = "ecal.chi2"

OPTIONAL_SCALARS: Final = ("scaler", "scaler_live", "prescale")
"""Columns that are scalars of some hit files."""


def available_columns(setup: Setup) -> tuple[str, ...]:
    """Columns for which the setup has detectors, truth included."""
    none = set(columns_of_group("counters", "srd", "veto", "hcal", "vhcal", "mm", "gem", "straw"))
    none |= set(columns_of_group("track_out"))
    some = {f"counters.{name.lower()}" for name in setup.counters}
    some |= {"counters.beam", "counters.veto"}
    if setup.srd is not None:
        some |= {"srd.energy", "srd.energy_out", "srd.modules"}
        some |= {f"srd.module{i}" for i in range(setup.srd.modules)}
    if setup.veto is not None:
        some |= {"veto.energy", "veto.energy_out"}
        some |= {f"veto.bar{i}" for i in range(setup.veto.bars)}
    some |= {"hcal.energy", "hcal.energy_out", "hcal.ratio", "hcal.muons"}
    some |= {n for n in ERROR_COLUMNS if group_of(n) == "hcal"}
    some |= {"hcal.expected_ix", "hcal.expected_iy"}
    for column in ("module", "mips", "expected", "expected_mips"):
        some |= {f"hcal.{column}{i}" for i in range(len(setup.hcal.sections))}
    if setup.vhcal is not None:
        some |= set(columns_of_group("vhcal"))
    if not beam_modules(setup.hcal).all():
        some.add("hcal.zero_degree")
    if last_spectrometer(setup) != first_spectrometer(setup):
        some |= set(columns_of_group("track_out"))
    for group in TRACKER_GROUPS:
        if setup.stations_of(group):
            some |= set(columns_of_group(group))
    return tuple(name for name in COLUMNS if name not in none or name in some)


def wanted_columns(columns: Iterable[str] | None, events: Any, setup: Setup) -> tuple[str, ...]:
    """Columns that are asked for, or, without asking, all that setup and file allow.

    Raises
    ------
    SelectionError, SetupError, FileFormatError
        If a column is unknown, the setup has no detector for it, or the file lacks a branch.
    """
    available = available_columns(setup)
    if columns is None:
        return tuple(n for n in available if _missing_branch(n, events, setup) is None)
    wanted = tuple(dict.fromkeys(columns))
    for name in wanted:
        if name not in COLUMNS:
            msg = f"There is no column {name!r}. {did_you_mean(name, COLUMNS)}"
            raise SelectionError(msg)
        if name not in available:
            same = [n for n in available if group_of(n) == group_of(name)]
            have = f"It has {', '.join(same)}." if same else "It has nothing of the kind."
            msg = f"The setup {setup.name} has no detector for the column {name!r}. {have}"
            raise SetupError(msg)
        branch = _missing_branch(name, events, setup)
        if branch is not None:
            msg = (
                f"The column {name!r} needs the branch {branch!r}, which the file lacks. Leave out "
                "what uses this column, or read the file with a mapping (--mapping) if the branch "
                "has another name there."
            )
            raise FileFormatError(msg)
    return wanted


def _missing_branch(name: str, events: Any, setup: Setup) -> str | None:
    """A branch that the column needs and the file lacks."""
    group = group_of(name)
    if group == "mc":
        branch = f"MC_{name.partition('.')[2]}"
        return None if has_scalar(events, branch) else branch
    if name in OPTIONAL_SCALARS:
        return None if has_scalar(events, name) else name
    needed = [COLLECTIONS_OF_GROUPS[group]] if group in COLLECTIONS_OF_GROUPS else []
    if group == "track":
        needed = trackers_of(setup, first_spectrometer(setup))
    elif name in EXPECTED_COLUMNS or group == "track_out":
        needed += trackers_of(setup, last_spectrometer(setup))
    if name in ERROR_COLUMNS and not has_field(events, COLLECTIONS_OF_GROUPS[group], "samples"):
        return f"{COLLECTIONS_OF_GROUPS[group]}_samples"
    for collection in needed:
        if not has_collection(events, collection):
            return f"{collection}_{FIELDS[collection][0]}"
    return None


def costly_columns(wanted: Iterable[str], events: Any, setup: Setup) -> tuple[tuple[str, ...], ...]:
    """Wanted columns that take most of the time: incoming tracks, outgoing ones, shower shape.

    The shape needs where the track enters: those columns are among the tracks then.
    """
    wanted = tuple(wanted)
    trackers = trackers_of(setup, first_spectrometer(setup))
    impact = IMPACT if all(has_collection(events, name) for name in trackers) else ()
    groups = {"track", "mm", "gem"}
    names = {n for n in wanted if group_of(n) in groups}
    names |= set(impact) if SHAPE in wanted else set()
    return (
        tuple(n for n in COLUMNS if n in names),
        tuple(n for n in wanted if group_of(n) == "track_out" or n in EXPECTED_COLUMNS),
        tuple(n for n in wanted if n == SHAPE),
    )


def first_spectrometer(setup: Setup) -> str:
    """The spectrometer of the beam particle."""
    return next(iter(setup.spectrometers))


def trackers_of(setup: Setup, name: str) -> list[str]:
    """Collections of the strip planes that measure a momentum."""
    spectrometer = setup.spectrometers[name]
    used = {
        setup.stations[s].technology for s in (*spectrometer.upstream, *spectrometer.downstream)
    }
    return [collection for t, collection in _TRACKER.items() if t in used]


def tracks_of(wanted: Iterable[str], setup: Setup, given: Iterable[str] = ()) -> set[str]:
    """Spectrometers whose tracks the columns need, beside those that are given."""
    wanted, known = set(wanted), set(given)
    behind = wanted & set(EXPECTED_COLUMNS) or any(group_of(n) == "track_out" for n in wanted)
    needed = {last_spectrometer(setup)} if behind else set()
    shape = SHAPE in wanted and not known.issuperset(IMPACT)
    if shape or any(group_of(n) == "track" for n in wanted):
        needed.add(first_spectrometer(setup))
    return needed
