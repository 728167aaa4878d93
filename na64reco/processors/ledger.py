"""The account of a run: every input file, and what became of its events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["FileOutcome", "Ledger"]


@dataclass(frozen=True)
class FileOutcome:
    """What became of one input file."""

    dataset: str
    path: str
    status: Literal["read", "skipped"]
    reason: str | None
    """Why it was skipped."""
    entries: int | None
    """Events in it; None if it could not even be opened."""
    events_read: int
    events_skipped: int | None
    """None where the number of events is unknown."""
    size: int | None
    """Bytes."""
    sha256: str | None
    simulated: bool | None


@dataclass(frozen=True)
class Ledger:
    """Every input file and what became of it."""

    files: tuple[FileOutcome, ...]

    def __post_init__(self) -> None:
        for file in self.files:
            if file.entries is None:
                balanced = file.events_read == 0 and file.events_skipped is None
            else:
                balanced = file.events_read + (file.events_skipped or 0) == file.entries
            if not balanced:
                msg = (
                    f"{file.path}: {file.events_read} events read and {file.events_skipped} "
                    f"skipped do not make the {file.entries} in the file. Please report this."
                )
                raise AssertionError(msg)

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
