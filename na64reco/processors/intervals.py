"""Which events have been seen, compactly: intervals of consecutive event numbers per run.

A run file usually holds consecutive event numbers, so a few intervals stand for millions of
events; that is what makes it affordable to find an event that is in two files of a dataset.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from na64reco.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    _Numbers = NDArray[np.uint64]

__all__ = ["EventIntervals", "SeenEvents", "intervals_of"]


@dataclass(frozen=True)
class EventIntervals:
    """Events of one file; adding two of the same file joins them."""

    source: str
    """The file, for messages."""
    run: NDArray[np.uint32]
    """Shape (intervals,), sorted by run, then first."""
    first: NDArray[np.uint64]
    """First event number."""
    last: NDArray[np.uint64]
    """Last event number, included."""

    def __add__(self, other: EventIntervals) -> EventIntervals:
        """Join; an event in both is a :class:`DataError`."""
        run = np.concatenate((self.run, other.run))
        first = np.concatenate((self.first, other.first))
        last = np.concatenate((self.last, other.last))
        order = np.lexsort((first, run))
        run, first, last = run[order], first[order], last[order]
        same_run = run[1:] == run[:-1]
        clash = np.flatnonzero(same_run & (first[1:] <= last[:-1]))
        if len(clash):
            one = int(clash[0]) + 1
            msg = (
                f"{self.source}: event {first[one]} of run {run[one]} is in the file more than "
                "once. Event numbers must be unique in a run; remove the duplicates."
            )
            raise DataError(msg)
        starts = np.ones(len(run), dtype=bool)
        starts[1:] = ~(same_run & (first[1:] == last[:-1] + np.uint64(1)))
        index = np.flatnonzero(starts)
        ends = np.append(index[1:], len(run)) - 1 if len(index) else index
        return EventIntervals(self.source, run[index], first[index], last[ends])

    @property
    def runs(self) -> tuple[int, ...]:
        """Distinct run numbers."""
        return tuple(int(r) for r in np.unique(self.run))


def intervals_of(
    run: NDArray[np.uint32], event: NDArray[np.uint64], *, source: str
) -> EventIntervals:
    """Intervals of the events of one chunk, shape (events,) each.

    Raises
    ------
    DataError
        If a (run, event) pair occurs twice; the message names it and the source.
    """
    run = np.asarray(run, dtype=np.uint32)
    event = np.asarray(event, dtype=np.uint64)
    # Most files are in order already: find the breaks first and sort only the intervals.
    starts = np.ones(len(run), dtype=bool)
    starts[1:] = (run[1:] != run[:-1]) | (event[1:] != event[:-1] + np.uint64(1))
    index = np.flatnonzero(starts)
    ends = np.append(index[1:], len(run)) - 1 if len(index) else index
    unsorted = EventIntervals(source, run[index], event[index], event[ends])
    nothing = np.empty(0, dtype=np.uint64)
    return unsorted + EventIntervals(source, nothing.astype(np.uint32), nothing, nothing)


@dataclass
class SeenEvents:
    """All events of a dataset so far; finds the first that comes again in another file."""

    _sources: list[str] = field(default_factory=list)
    _by_run: dict[int, tuple[_Numbers, _Numbers, NDArray[np.intp]]] = field(default_factory=dict)
    """Run: first, last and position in `_sources` of disjoint intervals in ascending order."""

    def add(self, new: EventIntervals) -> None:
        """Register a file.

        Raises
        ------
        DataError
            If one of its events is in a file registered before; nothing is registered then.
        """
        parts = {run: self._part(new, run) for run in new.runs}
        for run, (first, last) in parts.items():
            if run not in self._by_run:
                continue
            known_first, known_last, source = self._by_run[run]
            # The last known interval that starts at or before each new one's end.
            where = np.searchsorted(known_first, last, side="right") - 1
            hit = np.flatnonzero((where >= 0) & (known_last[np.maximum(where, 0)] >= first))
            if len(hit):
                one, other = int(hit[0]), int(where[hit[0]])
                event = max(int(first[one]), int(known_first[other]))
                msg = (
                    f"Event {event} of run {run} is both in {self._sources[source[other]]} and in "
                    f"{new.source}. An event counts once in a dataset: leave one of the files "
                    "out, or put them into different datasets."
                )
                raise DataError(msg)
        self._sources.append(new.source)
        for run, (first, last) in parts.items():
            source = np.full(len(first), len(self._sources) - 1, dtype=np.intp)
            if run in self._by_run:
                known_first, known_last, known_source = self._by_run[run]
                at = np.searchsorted(known_first, first)
                first = np.insert(known_first, at, first)  # noqa: PLW2901
                last = np.insert(known_last, at, last)  # noqa: PLW2901
                source = np.insert(known_source, at, source)
            self._by_run[run] = first, last, source

    @staticmethod
    def _part(new: EventIntervals, run: int) -> tuple[_Numbers, _Numbers]:
        start, stop = np.searchsorted(new.run, [run, run + 1])
        return new.first[start:stop], new.last[start:stop]

    @classmethod
    def check(cls, files: Iterable[EventIntervals]) -> None:
        """Raise :class:`DataError` if two of the files share an event."""
        seen = cls()
        for intervals in files:
            seen.add(intervals)
