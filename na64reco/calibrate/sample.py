"""Events of calibration runs: good spills only, run by run, in pieces that fit into memory."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from na64reco.calibration import LAST_RUN, load_conditions
from na64reco.errors import ConditionsError, DataError
from na64reco.events import has_collection, has_field, has_scalar, open_events, open_file, read_hits
from na64reco.events import read_scalar as _read_scalar
from na64reco.events.schema import TREE
from na64reco.reconstruction import reconstruct_columns
from na64reco.reconstruction.samples import fit_samples, read_pulses

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from na64reco.calibrate.task import Task
    from na64reco.calibration import Conditions
    from na64reco.events import Hits
    from na64reco.setup import Setup

__all__ = ["STRAW_FIELDS", "STRIP_FIELDS", "Part", "Tally", "read_parts", "require_same"]

STRIP_FIELDS: Final = ("station", "projection", "strip", "charge", "time")
STRAW_FIELDS: Final = ("station", "projection", "layer", "wire", "time")

STEP: Final = 50_000
"""Events that are read at once."""


@dataclass(frozen=True, eq=False)
class Part:
    """Good events of one run: those of no bad run or spill of the starting conditions."""

    run: int
    conditions: Conditions
    """To start from, of this run."""
    setup: Setup
    _events: Any = field(repr=False)
    _chosen: NDArray[np.int64] = field(repr=False)

    def __len__(self) -> int:
        return len(self._chosen)

    def has(self, name: str) -> bool:
        """Whether the file has a collection or a scalar."""
        return has_collection(self._events, name) or has_scalar(self._events, name)

    def has_samples(self, collection: str) -> bool:
        """Whether a collection has waveforms."""
        return has_field(self._events, collection, "samples")

    def hits(self, collection: str, fields: Sequence[str]) -> Hits:
        """Of the good events; errors as `read_hits`."""
        hits = read_hits(self._events, collection, tuple(fields))
        return hits if self._all else hits.select(self._chosen)

    def pulses(self, collection: str, fields: Sequence[str]) -> Hits:
        """As `hits`, with amplitudes and times fitted to the samples where there are samples."""
        if not self.has_samples(collection):
            return self.hits(collection, fields)
        read = read_pulses(self._events, collection, tuple(fields))
        times = _read_scalar(self._events, "master_time")
        hits = fit_samples(collection, read, self.setup, self.conditions, times)
        return hits if self._all else hits.select(self._chosen)

    def scalar(self, name: str) -> NDArray[Any]:
        """Shape (events,); errors as `read_scalar`."""
        return self._of_chosen(_read_scalar(self._events, name))

    def columns(self, names: Iterable[str]) -> dict[str, NDArray[Any]]:
        """Reconstructed columns by the starting conditions; errors as `reconstruct_columns`."""
        found = reconstruct_columns(
            self._events, self.setup, columns=names, conditions=self.conditions
        )
        return {name: self._of_chosen(values) for name, values in found.items()}

    @property
    def _all(self) -> bool:
        return len(self._chosen) == len(self._events)

    def _of_chosen(self, values: NDArray[Any]) -> NDArray[Any]:
        return values if self._all else values[self._chosen]


@dataclass
class Tally:
    """Counts what `read_parts` goes through, and says for which runs the result is valid."""

    runs: set[int] = field(default_factory=set)
    """With good events."""
    events: int = 0
    """Good ones."""
    dropped: int = 0
    """Events of bad runs and spills."""

    @property
    def text(self) -> str:
        """Such as "20000 events of runs 6100 to 6103"."""
        first, last = min(self.runs, default=0), max(self.runs, default=0)
        runs = f"run {first}" if first == last else f"runs {first} to {last}"
        return f"{self.events} events of {runs}"

    def validity(self, task: Task) -> tuple[int, int]:
        """First and last run for which constants from these events are valid.

        Raises
        ------
        DataError
            If there was no good event.
        ConditionsError
            If the validity that was asked for leaves out runs of the files.
        """
        if not self.runs:
            msg = (
                f"{', '.join(task.files[:3])}: no events to calibrate with; {self.dropped} are in "
                f"bad runs or spills of {task.source / 'quality.txt'}. Give other files, or a "
                "starting folder (--calib) whose quality.txt keeps them"
            )
            raise DataError(msg)
        first, last = min(self.runs), max(self.runs)
        if task.runs is None:
            return first, max(last, min(task.setup.runs[1], LAST_RUN))
        if not task.runs[0] <= first <= last <= task.runs[1]:
            msg = (
                f"the constants would be valid for runs {task.runs[0]} to {task.runs[1]}, but the "
                f"files hold runs {first} to {last}; let the validity include them"
            )
            raise ConditionsError(msg)
        return task.runs


def read_parts(
    task: Task,
    tally: Tally,
    *,
    files: Sequence[str] | None = None,
    step: int = STEP,
    label: str = "",
) -> Iterator[Part]:
    """Go through the files of a task (or others), at most its ``max_events`` events.

    Each part is of one run; a run comes in several parts where it is large. ``tally`` counts along.
    To go through the events twice, ask twice. With a ``label`` a progress bar is shown.

    Raises
    ------
    FileFormatError, MappingError
        If a file cannot be read.
    ConditionsError
        If the starting conditions do not cover a run.
    """
    tree = TREE if task.mapping is None else task.mapping.tree
    pieces = []
    left = task.max_events
    for path in task.files if files is None else files:
        entries = open_file(path, tree=tree).entries
        entries = entries if left is None else min(entries, left)
        left = None if left is None else left - entries
        pieces += [(path, first, min(first + step, entries)) for first in range(0, entries, step)]
    with task.progress(label, "events") if label else nullcontext() as update:
        done, total = 0, sum(last - first for _, first, last in pieces)
        for path, first, last in pieces:
            events = open_events(path, mapping=task.mapping, entry_start=first, entry_stop=last)
            yield from _runs(events, task, tally)
            done += last - first
            if update is not None:
                update(done, total)


def require_same(first: Part, part: Part, names: Sequence[str], task: Task) -> None:
    """That two runs start from the same conditions of these detectors.

    Raises
    ------
    DataError
        If they do not.
    """
    if any(getattr(part.conditions, n) != getattr(first.conditions, n) for n in names):
        msg = (
            f"the conditions of {', '.join(names)} in {task.source} are others for run {part.run} "
            f"than for run {first.run}; calibrate the two periods one by one"
        )
        raise DataError(msg)


def _runs(events: Any, task: Task, tally: Tally) -> Iterator[Part]:
    run = _read_scalar(events, "run").astype(np.int64)
    for number in np.unique(run).tolist():
        conditions = load_conditions(task.setup, number, folder=task.source)
        of_run = run == number
        bad = [spill for bad_run, spill in conditions.bad_spills if bad_run == number]
        if number in conditions.bad_runs:
            chosen = np.empty(0, np.int64)
        elif bad:
            spill = _read_scalar(events, "spill").astype(np.int64)
            chosen = np.flatnonzero(of_run & ~np.isin(spill, bad))
        else:
            chosen = np.flatnonzero(of_run)
        tally.dropped += int(of_run.sum()) - len(chosen)
        if len(chosen):
            tally.runs.add(number)
            tally.events += len(chosen)
            yield Part(number, conditions, task.setup, events, chosen)
