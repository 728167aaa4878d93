"""Whether what was read is possible: cells of the setup, finite numbers, no event twice.

Minima and maxima of flat columns; more is looked at only to name what is wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

from na64reco.errors import DataError, FileFormatError, did_you_mean
from na64reco.events.plane_limits import all_exist
from na64reco.events.read import has_collection, has_field, read_hits, read_scalar, source_of
from na64reco.events.schema import COLLECTIONS, PROJECTIONS, branch_name

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.events.columns import Hits
    from na64reco.setup import Setup

__all__ = ["check_branches", "check_events", "event_problems", "find_duplicates"]

_TECHNOLOGY = {"MM": "mm", "GEM": "gem", "ST": "straw", "BMS": "bms"}
_CHANNEL = {"MM": "strip", "GEM": "strip", "ST": "wire", "BMS": "channel"}
_MEND = "Make the file again, or leave it out (--skip-bad-files)."


def check_branches(
    events: Any,
    *,
    scalars: Iterable[str] = (),
    collections: Mapping[str, Iterable[str]] | None = None,
) -> None:
    """See that all branches that are needed are there; reads nothing.

    Raises
    ------
    FileFormatError
        If some are not; the message names all of them and the nearest existing names.
    """
    known = [f for f in events.fields if f not in COLLECTIONS]
    for name in events.fields:
        if name in COLLECTIONS:
            known += [branch_name(name, field) for field in events[name].fields]
    needed = [
        *scalars,
        *(branch_name(name, f) for name, fields in (collections or {}).items() for f in fields),
    ]
    missing = [branch for branch in needed if branch not in known]
    if missing:
        lines = [f"  {branch!r}. {did_you_mean(branch, known)}" for branch in missing]
        msg = (
            f"{source_of(events)}: branches that are needed are not there:\n"
            + "\n".join(lines)
            + "\nA file with other names can be read with a mapping (--mapping)."
        )
        raise FileFormatError(msg)


def check_events(
    events: Any,
    setup: Setup,
    *,
    source: str | None = None,
    collections: Iterable[str] | Mapping[str, Iterable[str]] | None = None,
) -> None:
    """See that events are possible in a setup.

    Cells, modules, strips, wires and counters must exist in the setup, amplitudes, charges and
    times must be finite, samples within the range of the setup's digitiser, and no (run, event)
    may be there twice among these events. Where all collections are looked at, those of sampled
    detectors must have amplitudes or samples.

    Parameters
    ----------
    source
        Name of the file, for messages; default: where the events were read from.
    collections
        Names to look at (with fields as well, in a mapping); default: all in the file. What is
        looked at is read, so name only what is needed anyway.

    Raises
    ------
    DataError
        For the first problem; the message names branch, run, event, value and allowed range.
    FileFormatError
        If a branch cannot be read.
    """
    for problem in event_problems(events, setup, collections=collections):
        msg = f"{source or source_of(events)}: {problem}. {_MEND}"
        raise DataError(msg)


def event_problems(
    events: Any,
    setup: Setup | None,
    *,
    collections: Iterable[str] | Mapping[str, Iterable[str]] | None = None,
) -> Iterator[str]:
    """One sentence per problem of `check_events`, at most one per branch.

    Without a setup, only finiteness and duplicates are looked at.
    """
    run, event = read_scalar(events, "run"), read_scalar(events, "event")
    twice = find_duplicates(run, event)
    if len(twice):
        first = twice[0]
        yield (
            f"branches 'run' and 'event': run {run[first]}, event {event[first]} is there more "
            f"than once ({len(twice)} such entries), but event numbers are unique in a run"
        )
    if "master_time" in events.fields:
        yield from _not_finite(
            "master_time", read_scalar(events, "master_time"), _Where(run, event)
        )
    if collections is None:
        collections = [name for name in COLLECTIONS if has_collection(events, name)]
    for name in collections:
        if isinstance(collections, Mapping):
            fields = [f for f in collections[name] if f != "samples"]
        else:
            known = COLLECTIONS.get(name, {})
            fields = [f for f in known if f != "samples" and has_field(events, name, f)]
            yield from _nothing_measured(events, name)
        hits = read_hits(events, name, fields)
        where = _Where(run, event, hits)
        for field in fields:
            if COLLECTIONS[name][field].dtype.kind == "f":
                yield from _not_finite(branch_name(name, field), hits[field], where)
        if setup is not None and hits.size:
            yield from _outside(name, hits, setup, where)
        wanted = "samples" in collections[name] if isinstance(collections, Mapping) else True
        if wanted and setup is not None and has_field(events, name, "samples"):
            yield from _beyond_range(read_hits(events, name, ["samples"]), name, setup, where)


def find_duplicates(run: NDArray[Any], event: NDArray[Any]) -> NDArray[np.int64]:
    """Indices of entries whose (run, event) was there before, shape (duplicates,).

    >>> find_duplicates(np.array([1, 1, 2, 1]), np.array([5, 6, 5, 5])).tolist()
    [3]
    """
    if len(run) < 2:
        return np.empty(0, dtype=np.int64)
    # Mostly events come in order, and then no sorting is needed.
    same = run[1:] == run[:-1]
    if bool(np.all((run[1:] > run[:-1]) | (same & (event[1:] > event[:-1])))):
        return np.empty(0, dtype=np.int64)
    order = np.lexsort((event, run))
    ordered_run, ordered_event = run[order], event[order]
    again = (ordered_run[1:] == ordered_run[:-1]) & (ordered_event[1:] == ordered_event[:-1])
    return np.sort(order[1:][again]).astype(np.int64, copy=False)


@dataclass(frozen=True)
class _Where:
    """To which event an entry belongs: of a collection, or of a scalar if hits is None."""

    run: NDArray[Any]
    event: NDArray[Any]
    hits: Hits | None = None

    def problem(
        self, branch: str, values: NDArray[Any], bad: NDArray[np.bool_], allowed: str
    ) -> str:
        first, number = int(np.argmax(bad)), int(np.count_nonzero(bad))
        entry = first
        if self.hits is not None:
            entry = int(np.searchsorted(self.hits.offsets, first, "right")) - 1
        more = f" (the first of {number})" if number > 1 else ""
        return (
            f"branch {branch!r} has the value {values[first]} in run {self.run[entry]}, event "
            f"{self.event[entry]}{more}; allowed is {allowed}"
        )


def _not_finite(branch: str, values: NDArray[Any], where: _Where) -> Iterator[str]:
    if values.dtype == np.float32 and values.flags.c_contiguous:
        sound = _all_finite(values.reshape(-1).view(np.uint32))
    else:
        # NaN goes through both minimum and maximum: two passes, no array in between.
        sound = values.size == 0 or bool(np.isfinite(values.min()) & np.isfinite(values.max()))
    if sound:
        return
    yield where.problem(branch, values, ~np.isfinite(values), "a finite number")


@njit(cache=True, nogil=True)
def _all_finite(bits: NDArray[np.uint32]) -> bool:
    """Whether none of these float32 has the exponent of NaN and infinities, in one pass."""
    # Counted to the end, since loops that may end early are not vectorised.
    others = 0
    for i in range(len(bits)):
        others += (bits[i] & np.uint32(0x7F800000)) == np.uint32(0x7F800000)
    return others == 0


def _nothing_measured(events: Any, name: str) -> Iterator[str]:
    """A detector with channels, but neither amplitudes nor samples."""
    if "samples" in COLLECTIONS.get(name, {}) and not any(
        has_field(events, name, field) for field in ("amplitude", "samples")
    ):
        yield (
            f"collection {name} has neither {branch_name(name, 'amplitude')!r} nor "
            f"{branch_name(name, 'samples')!r}, so it says nothing about energies; one of them is "
            "needed"
        )


def _beyond_range(hits: Hits, name: str, setup: Setup, where: _Where) -> Iterator[str]:
    """Samples above the largest value of the digitiser: of another digitiser, or not samples."""
    if setup.digitizer is None:
        yield (
            f"collection {name} has samples, but setup {setup.name} has no `digitizer` that says "
            "how they were made; add one"
        )
        return
    samples, largest = hits["samples"], 2**setup.digitizer.bits - 1
    if samples.size and int(samples.max()) > largest:
        top = samples.max(axis=1)
        allowed = f"0 to {largest} ({setup.digitizer.bits} bits) in setup {setup.name}"
        yield where.problem(branch_name(name, "samples"), top, top > largest, allowed)


def _outside(name: str, hits: Hits, setup: Setup, where: _Where) -> Iterator[str]:
    """Problems with the geometry of one collection."""
    inside = f"in setup {setup.name} (is it the right one for this file?)"

    def report(field: str, bad: NDArray[np.bool_], allowed: str) -> str:
        branch = branch_name(name, field)
        return where.problem(branch, hits[field], bad, f"{allowed} {inside}")

    if name in _TECHNOLOGY:
        yield from _outside_planes(name, hits, setup, report)
        return
    limits, holes = _cells(name, setup)
    if limits is None:
        yield f"collection {name} has {hits.size} hits, but there is no such detector {inside}"
        return
    sound = True
    for field, number in limits.items():
        if field in hits.columns and int(hits[field].max()) >= number:
            sound = False
            yield report(field, hits[field] >= number, f"0 to {number - 1}")
    if name == "Counter" and sound and "id" in hits.columns:
        known = {counter.id: label for label, counter in setup.counters.items()}
        exists = np.zeros(limits["id"], dtype=np.bool_)
        exists[list(known)] = True
        bad = ~exists[hits["id"]]
        if bad.any():
            listed = ", ".join(f"{i} ({known[i]})" for i in sorted(known))
            yield report("id", bad, listed)
    if holes and sound and {"ix", "iy"} <= set(hits.columns):
        exists = np.ones((limits["ix"], limits["iy"]), dtype=np.bool_)
        exists[tuple(np.array(holes).T)] = False
        bad = ~exists[hits["ix"], hits["iy"]]
        if bad.any():
            yield report("ix", bad, f"any cell but the hole {sorted(holes)} (ix, iy)")


def _cells(name: str, setup: Setup) -> tuple[dict[str, int] | None, tuple[tuple[int, int], ...]]:
    """Numbers of cells by field, None if the setup has no such detector; and the hole."""
    if name == "Counter":
        return {"id": max((c.id for c in setup.counters.values()), default=-1) + 1}, ()
    if name == "SRD":
        return (None if setup.srd is None else {"ix": setup.srd.modules}), ()
    if name == "VETO":
        return (None if setup.veto is None else {"ix": 2 * setup.veto.bars}), ()
    calorimeter = {"ECAL": setup.ecal, "HCAL": setup.hcal, "VHCAL": setup.vhcal}[name]
    if calorimeter is None:
        return None, ()
    sections, nx, ny = calorimeter.shape
    return {"section": sections, "module": sections, "ix": nx, "iy": ny}, calorimeter.hole


def _planes_exist(name: str, hits: Hits, limits: NDArray[np.int32]) -> bool:
    """Whether all planes and channels exist; False also if columns are lacking to tell."""
    none = np.zeros(1, dtype=np.uint8)
    plane = none if name == "BMS" else hits.columns.get("projection")
    layer = hits.columns.get("layer", none)
    channel = hits.columns.get(_CHANNEL[name])
    if plane is None or channel is None:
        return False
    return all_exist(hits["station"], plane, layer, channel, limits)


def _outside_planes(name: str, hits: Hits, setup: Setup, report: Any) -> Iterator[str]:
    stations = setup.stations_of(_TECHNOLOGY[name])
    if not stations:
        yield (
            f"collection {name} has {hits.size} hits, but there is no such detector in setup "
            f"{setup.name} (is it the right one for this file?)"
        )
        return
    # By station and projection; 0 where there is no such plane.
    limits = np.zeros((256, 257), dtype=np.int32)
    channels, layers = limits[:, :256], limits[:, 256]
    for station in stations.values():
        planes = [PROJECTIONS.index(p) for p in station.projections]
        channels[station.number, planes if name != "BMS" else 0] = station.readout_channels
        layers[station.number] = station.layers
    if "station" not in hits.columns or _planes_exist(name, hits, limits):
        return
    number = hits["station"]
    if not (layers[number] > 0).all():
        known = ", ".join(f"{s.number} ({label})" for label, s in stations.items())
        yield report("station", layers[number] == 0, known)
        return
    projection = np.zeros(1, dtype=np.uint8) if name == "BMS" else hits.columns.get("projection")
    if projection is not None:
        available = channels[number, projection]
        if not (available > 0).all():
            listed = "; ".join(
                f"{label}: {', '.join(f'{PROJECTIONS.index(p)} ({p})' for p in s.projections)}"
                for label, s in stations.items()
            )
            yield report("projection", available == 0, listed)
            return
        channel = hits.columns.get(_CHANNEL[name])
        if channel is not None and not (channel < available).all():
            listed = ", ".join(
                f"0 to {s.readout_channels - 1} ({label})" for label, s in stations.items()
            )
            yield report(_CHANNEL[name], channel >= available, listed)
    if "layer" in hits.columns and not (hits["layer"] < layers[number]).all():
        listed = ", ".join(f"0 to {s.layers - 1} ({label})" for label, s in stations.items())
        yield report("layer", hits["layer"] >= layers[number], listed)
