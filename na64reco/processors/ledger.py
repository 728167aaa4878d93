"""The account of a run: every input file, every chunk of it, and what became of the events."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

from na64reco.errors import Na64recoError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ChunkOutcome", "FileOutcome", "Ledger", "LedgerError"]


class LedgerError(Na64recoError):
    """Events that are neither counted nor accounted for; an error of the program."""


@dataclass(frozen=True)
class ChunkOutcome:
    """What became of some consecutive entries of a file."""

    start: int
    stop: int
    status: Literal["ok", "skipped", "failed"]
    """``failed``: the reason lies here; ``skipped``: the file is left out for another chunk."""
    reason: str | None = None


@dataclass(frozen=True)
class FileOutcome:
    """What became of one input file."""

    dataset: str
    path: str
    status: Literal["read", "skipped"]
    reason: str | None
    """Why it was skipped."""
    entries: int | None
    """Events in it; None if it could not even be opened and no catalogue tells."""
    events_read: int
    events_skipped: int | None
    """None where the number of events is unknown."""
    size: int | None
    """Bytes."""
    xxh3: str | None
    sha256: str | None
    simulated: bool | None
    adler32: str | None = None
    """Of a file on an XRootD server."""
    chunks: tuple[ChunkOutcome, ...] = ()
    """In order, from the first entry to the last."""

    def to_json(self) -> dict[str, Any]:
        """For ledger.json."""
        return {
            "dataset": self.dataset,
            "path": self.path,
            "status": self.status,
            "reason": self.reason,
            "entries": self.entries,
            "chunks": [[c.start, c.stop, c.status, c.reason] for c in self.chunks],
        }

    def problem(self) -> str | None:
        """What does not add up, if anything."""
        if self.entries is None:
            balanced = self.events_read == 0 and self.events_skipped is None
        else:
            balanced = self.events_read + (self.events_skipped or 0) == self.entries
        if not balanced:
            return (
                f"{self.path}: {self.events_read} events read and {self.events_skipped} skipped do "
                f"not make the {self.entries} in the file"
            )
        if self.entries is None:
            return None
        edges = [0, *(c.stop for c in self.chunks)]
        if [c.start for c in self.chunks] != edges[:-1] or edges[-1] != self.entries:
            return f"{self.path}: its chunks do not cover its {self.entries} events"
        if any(a >= b for a, b in pairwise(edges)):
            return f"{self.path}: one of its chunks is empty"
        good = sum(c.stop - c.start for c in self.chunks if c.status == "ok")
        if self.status == "read" and good != self.events_read:
            return f"{self.path}: {good} events in good chunks, {self.events_read} read"
        if self.status == "skipped" and all(c.status != "failed" for c in self.chunks):
            return f"{self.path}: skipped, but none of its chunks failed"
        if any((c.status == "failed") != (c.reason is not None) for c in self.chunks):
            return f"{self.path}: a chunk failed for no reason"
        return None


@dataclass(frozen=True)
class Ledger:
    """Every input file and what became of it.

    Raises
    ------
    LedgerError
        If it does not balance.
    """

    files: tuple[FileOutcome, ...]

    def __post_init__(self) -> None:
        for file in self.files:
            problem = file.problem()
            if problem is not None:
                msg = f"{problem}. The account of the run is wrong; please report this."
                raise LedgerError(msg)

    def check_results(self, events: Mapping[str, int]) -> None:
        """Compare with the numbers of events by dataset that the results themselves hold.

        Raises
        ------
        LedgerError
            If they differ.
        """
        for dataset in {f.dataset for f in self.files}:
            read = sum(f.events_read for f in self.files if f.dataset == dataset)
            if events.get(dataset, 0) != read:
                msg = (
                    f"The results of dataset {dataset!r} hold {events.get(dataset, 0)} events, but "
                    f"{read} were read. The account of the run is wrong; please report this."
                )
                raise LedgerError(msg)

    @property
    def skipped(self) -> tuple[FileOutcome, ...]:
        """The files that do not count."""
        return tuple(f for f in self.files if f.status == "skipped")

    @property
    def events_read(self) -> int:
        """Events that count."""
        return sum(f.events_read for f in self.files)

    @property
    def events_skipped(self) -> int | None:
        """Events in skipped files; None if one of them could not even be opened."""
        numbers = [f.events_skipped for f in self.files]
        return None if None in numbers else sum(n for n in numbers if n is not None)

    @property
    def events_in_files(self) -> int | None:
        """All events; None if a file could not be opened."""
        numbers = [f.entries for f in self.files]
        return None if None in numbers else sum(n for n in numbers if n is not None)

    def to_json(self) -> dict[str, Any]:
        """For ledger.json: all files, and their chunks as [start, stop, status, reason]."""
        chunks = [c for f in self.files for c in f.chunks]
        return {
            "events": {
                "in_files": self.events_in_files,
                "read": self.events_read,
                "skipped": self.events_skipped,
            },
            "chunks": {
                status: sum(c.status == status for c in chunks)
                for status in ("ok", "skipped", "failed")
            },
            "files": [f.to_json() for f in self.files],
        }
