"""What a hit file holds and whether it is sound, for `na64reco inspect`."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from na64reco.errors import Na64recoError
from na64reco.events.check import event_problems, find_duplicates
from na64reco.events.files import HitFile, open_file, reading
from na64reco.events.read import has_field, has_scalar, open_events, read_hits, read_scalar
from na64reco.events.schema import (
    COLLECTIONS,
    REQUIRED_SCALARS,
    TREE,
    TRIGGER_BITS,
    branch_column,
    branch_name,
)
from na64reco.events.write import METADATA

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from na64reco.events.mapping import Mapping
    from na64reco.setup import Setup

__all__ = ["BranchReport", "FileReport", "WaveformReport", "file_metadata", "inspect_file"]

_CHUNK = 100_000
_WAVEFORM_CHUNK = 10_000
"""Events at a time; 60 channels of 64 bytes each are 4 kB of an event."""
_FAR = 20.0
"""rms of the jitter; a wrong unit is hundreds, a setting that was moved a few."""
_DETECTORS = {"SRD": "srd", "ECAL": "ecal", "VETO": "veto", "HCAL": "hcal", "VHCAL": "vhcal"}
_STATIONS = {"MM": "mm", "GEM": "gem", "ST": "straw", "BMS": "bms"}


@dataclass(frozen=True)
class BranchReport:
    """One branch of a file."""

    name: str
    """In the file."""
    schema: str
    """In the schema (`ECAL_time`); empty if the schema does not have it."""
    type: str
    """As uproot names it."""
    unit: str
    meaning: str
    compressed: int
    """Bytes in the file."""
    uncompressed: int
    """Bytes in memory."""


@dataclass(frozen=True)
class WaveformReport:
    """Waveforms of one collection."""

    number: int = 0
    clipped: int = 0
    """That reach the largest value of the setup's digitiser; 0 without a setup."""
    empty: int = 0
    """All samples 0: a dead ADC, or one that was not read."""


@dataclass(frozen=True)
class FileReport:
    """What `inspect_file` found."""

    path: str
    size: int
    """Bytes of the file."""
    format: str = ""
    """`ttree`, `rntuple`, or empty if it could not be opened."""
    tree: str = TREE
    entries: int = 0
    """Events."""
    compression: str = ""
    """As uproot names it, with level: `ZSTD(3)`."""
    runs: dict[int, int] = field(default_factory=dict)
    """Events by run."""
    spills: int = 0
    """Number of different (run, spill)."""
    triggers: dict[str, int] = field(default_factory=dict)
    """Events by trigger bit."""
    simulated: bool = False
    """Whether there is truth."""
    hits: dict[str, float] = field(default_factory=dict)
    """Mean hits per event by collection."""
    waveforms: dict[str, WaveformReport] = field(default_factory=dict)
    """By collection that has samples."""
    branches: tuple[BranchReport, ...] = ()
    missing: tuple[str, ...] = ()
    """Schema branches that are expected and not there."""
    unknown: tuple[str, ...] = ()
    """Branches that are not in the schema; they are left alone."""
    metadata: dict[str, str] = field(default_factory=dict)
    """What the writer noted: seed, command, setup."""
    problems: tuple[str, ...] = ()
    """Why the file cannot be used, or which content is impossible."""

    @property
    def sound(self) -> bool:
        """Whether nothing was found wrong."""
        return not self.problems


def inspect_file(
    path: str | Path, setup: Setup | None = None, mapping: Mapping | None = None
) -> FileReport:
    """Look through a whole hit file; whatever is wrong ends up in the report's `problems`.

    Parameters
    ----------
    setup
        Also look for cells, strips and wires that it does not have, and for missing detectors.
    mapping
        For foreign branch names, see `load_mapping`.
    """
    name = str(path)
    local = Path(name)
    size = local.stat().st_size if local.is_file() else 0
    tree = TREE if mapping is None else mapping.tree
    try:
        with open_file(path, tree=tree) as file:
            report = _structure(file, size, tree, mapping)
    except Na64recoError as error:
        return FileReport(name, size, tree=tree, problems=(_without(str(error), name),))
    problems = list(report.pop("problems"))
    content: dict[str, Any] = {}
    if not problems:
        try:
            branches = [b.schema for b in report["branches"]]
            content = _content(path, setup, mapping, report["entries"], branches)
            problems += content.pop("problems")
        except Na64recoError as error:
            problems.append(_without(str(error), name))
    return FileReport(**report, **content, problems=tuple(problems))


def _without(message: str, path: str) -> str:
    """A message without the file's name at its start: the report says it once."""
    return message.removeprefix(f"{path}: ")


def _structure(file: HitFile, size: int, tree: str, mapping: Mapping | None) -> dict[str, Any]:
    """What can be said without reading events."""
    problems = []
    if file.entries == 0:
        problems.append(f"{tree!r} holds no events")
    names: dict[str, str] = {}
    if mapping is not None:
        problems += [f"mapping: {line}" for line in mapping.missing(file.branches)]
        # "scalars.run" -> "run", "collections.ECAL.time" -> "ECAL_time"
        names = {
            branch: "_".join(key.split(".")[1:])
            for key, branch in mapping.branches()
            if not key.startswith("counters.")
        }
    with reading(file.path, f"the list of branches of {tree!r}"):
        branches = tuple(_branches(file, names))
    # What holds a collection together is not a column of its own.
    counters = {b.name.partition(".")[0] for b in branches if "." in b.name}
    counters |= {f"n{b.name.partition('_')[0]}" for b in branches if "_" in b.name}
    if mapping is not None:
        counters |= set(mapping.counters.values())
    schema = {b.schema for b in branches}
    missing = [s for s in REQUIRED_SCALARS if s not in schema and not _constant(mapping, s)]
    if mapping is None:
        problems += [f"there is no branch {s!r}, which every hit file has" for s in missing]
    for collection, fields in COLLECTIONS.items():
        present = {f for f in fields if branch_name(collection, f) in schema}
        needed = set(fields) - {"samples"}
        if "samples" in present:
            needed -= {"amplitude", "time"}
        if present:
            missing += [
                branch_name(collection, f)
                for f in fields
                if f in needed - present and not _constant(mapping, collection, f)
            ]
    return {
        "path": file.path,
        "size": size,
        "format": file.format,
        "tree": tree,
        "entries": file.entries,
        "compression": str(file.directory.file.compression or "none"),
        "simulated": any(s.startswith("MC_") for s in schema),
        "branches": branches,
        "missing": tuple(missing),
        "unknown": tuple(b.name for b in branches if not b.schema and b.name not in counters),
        "metadata": file_metadata(file),
        "problems": problems,
    }


def _constant(mapping: Mapping | None, *keys: str) -> bool:
    if mapping is None:
        return False
    sources: Any = mapping.scalars if len(keys) == 1 else mapping.collections.get(keys[0], {})
    source = sources.get(keys[-1])
    return source is not None and source.branch is None


def file_metadata(file: HitFile) -> dict[str, str]:
    """What na64reco wrote into a file about it (setup, process, seed, ...); empty for others'."""
    try:
        content = json.loads(str(file.directory[METADATA]))
        found = {"written_by": content["written_by"], **content["metadata"]}
    except Exception:
        # Files of other programs have none, and what they have under that name is not ours.
        return {}
    return {str(key): str(value) for key, value in found.items()}


def _branches(file: HitFile, names: dict[str, str]) -> Iterator[BranchReport]:
    sizes = _rntuple_sizes(file.tree) if file.format == "rntuple" else {}
    for name, branch in file.tree.items():
        if file.format == "rntuple":
            compressed, uncompressed = sizes.get(branch.field_id, (0, 0))
        else:
            compressed, uncompressed = branch.compressed_bytes, branch.uncompressed_bytes
        schema = names.get(name, name.replace(".", "_", 1))
        column = branch_column(schema)
        yield BranchReport(
            name=name,
            schema=schema if column is not None else "",
            type=str(branch.typename),
            unit=column.unit if column is not None else "",
            meaning=column.meaning if column is not None else "",
            compressed=int(compressed),
            uncompressed=int(uncompressed),
        )


def _rntuple_sizes(tree: Any) -> dict[int, tuple[int, int]]:
    """Bytes in the file and in memory by field, those of nameless inner fields with the outer."""
    ntuple = tree.ntuple
    sizes: dict[int, tuple[int, int]] = {}
    fields = ntuple.field_records
    for number, column in enumerate(ntuple.column_records):
        stored = memory = 0
        for cluster in ntuple.page_link_list:
            for page in cluster[number].pages:
                stored += page.locator.num_bytes
                memory += abs(page.num_elements) * column.nbits // 8
        owner = column.field_id
        while fields[owner].field_name.startswith("_") and fields[owner].parent_field_id != owner:
            owner = fields[owner].parent_field_id
        before = sizes.get(owner, (0, 0))
        sizes[owner] = (before[0] + stored, before[1] + memory)
    return sizes


def _content(
    path: str | Path,
    setup: Setup | None,
    mapping: Mapping | None,
    entries: int,
    branches: list[str],
) -> dict[str, Any]:
    """What only the events tell; read in chunks, so that memory does not grow with the file."""
    problems: dict[str, str] = {}
    runs: list[NDArray[Any]] = []
    numbers: list[NDArray[Any]] = []
    times: list[NDArray[Any]] = []
    spills: set[tuple[int, int]] = set()
    triggers = np.zeros(3, dtype=np.int64)
    hits: dict[str, int] = {}
    waveforms: dict[str, WaveformReport] = {}
    names: list[str] = []
    size = _CHUNK
    if any(b.endswith("samples") for b in branches):
        size = _WAVEFORM_CHUNK
    for start in range(0, entries, size):
        events = open_events(
            path, mapping=mapping, entry_start=start, entry_stop=min(start + size, entries)
        )
        names = [n for n in COLLECTIONS if n in events.fields]
        for problem in event_problems(events, setup):
            # One per branch: the first is enough to see what kind it is.
            problems.setdefault(problem.split(" has the value ")[0].split(":")[0], problem)
        runs.append(read_scalar(events, "run"))
        numbers.append(read_scalar(events, "event"))
        if has_scalar(events, "master_time"):
            times.append(read_scalar(events, "master_time"))
        if has_scalar(events, "spill"):
            pairs = np.unique(np.stack([runs[-1], read_scalar(events, "spill")]), axis=1)
            spills |= set(zip(*pairs.tolist(), strict=True))
        if has_scalar(events, "trigger"):
            bits = read_scalar(events, "trigger")
            triggers += [np.count_nonzero(bits & bit) for bit in TRIGGER_BITS.values()]
        for name in names:
            hits[name] = hits.get(name, 0) + _number_of_hits(events, name)
            if has_field(events, name, "samples"):
                waveforms[name] = _waveforms(
                    events, name, setup, waveforms.get(name, WaveformReport())
                )
    run, event = np.concatenate(runs), np.concatenate(numbers)
    twice = find_duplicates(run, event)
    if len(twice) and not any("more than once" in p for p in problems.values()):
        first = twice[0]
        problems["duplicates"] = (
            f"branches 'run' and 'event': run {run[first]}, event {event[first]} is there more "
            f"than once ({len(twice)} such entries), but event numbers are unique in a run"
        )
    if setup is not None:
        problems |= {line: line for line in (*_lacking(setup, names), *_untimely(setup, times))}
    values, counts = np.unique(run, return_counts=True)
    return {
        "runs": dict(zip(values.tolist(), counts.tolist(), strict=True)),
        "spills": len(spills),
        "triggers": dict(zip(TRIGGER_BITS, triggers.tolist(), strict=True)),
        "hits": {name: number / entries for name, number in hits.items()},
        "waveforms": waveforms,
        "problems": list(problems.values()),
    }


def _untimely(setup: Setup, times: list[NDArray[Any]]) -> Iterator[str]:
    """Whether most events are so far from the setup's trigger time that no jitter explains it."""
    trigger = setup.trigger
    middle = float(np.median(np.concatenate(times))) if times else trigger.master_time
    if abs(middle - trigger.master_time) > _FAR * trigger.master_time_jitter:
        yield (
            f"master_time is {middle:.4g} ns (median), but {trigger.master_time:g} ns in setup "
            f"{setup.name}: is the file's unit another one? A mapping takes a `factor`"
        )


def _waveforms(
    events: Any, name: str, setup: Setup | None, before: WaveformReport
) -> WaveformReport:
    """Tally of a chunk added to that of the chunks before."""
    samples = read_hits(events, name, ["samples"])["samples"]
    top = samples.max(axis=1) if len(samples) else np.zeros(0, dtype=np.uint16)
    clipped = 0
    if setup is not None and setup.digitizer is not None:
        clipped = int(np.count_nonzero(top >= 2**setup.digitizer.bits - 1))
    return WaveformReport(
        before.number + len(top),
        before.clipped + clipped,
        before.empty + int(np.count_nonzero(top == 0)),
    )


def _number_of_hits(events: Any, name: str) -> int:
    known = [f for f in COLLECTIONS[name] if has_field(events, name, f)]
    return read_hits(events, name, known[:1]).size


def _lacking(setup: Setup, names: list[str]) -> Iterator[str]:
    expected = {n for n, key in _DETECTORS.items() if getattr(setup, key) is not None}
    expected |= {n for n, technology in _STATIONS.items() if setup.stations_of(technology)}
    if setup.counters:
        expected.add("Counter")
    for name in COLLECTIONS:
        if name in expected and name not in names:
            yield f"there is no collection {name}, but setup {setup.name} has that detector"
