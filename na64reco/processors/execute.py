"""Run chunks of files anywhere, in order, and account for every event.

A file is the unit that counts: its chunks are joined first, and only when all of them are good
are they added to the dataset, file after file in the order of the fileset. The result is the same
for any number of workers, and a file that turns out bad in its last chunk leaves no trace.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from na64reco.errors import DataError, FileFormatError, MappingError, Na64recoError
from na64reco.processors.intervals import SeenEvents
from na64reco.processors.ledger import FileOutcome, Ledger
from na64reco.processors.probe import FileFacts, probe
from na64reco.processors.processor import (
    Result,
    SelectionProcessor,
    SkimBlocks,
    mixed_message,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from na64reco.processors.fileset import InputFile
    from na64reco.processors.pools import Pool
    from na64reco.processors.spool import Spool

    Accept = Callable[[str, Result, Iterable[dict[str, NDArray[Any]]]], None]

__all__ = [
    "BadFile",
    "Chunk",
    "add_results",
    "probe_files",
    "process_chunk",
    "process_files",
    "release",
]

BAD_FILE = (FileFormatError, DataError, MappingError)
"""Errors that a single file is to blame for; `--skip-bad-files` skips files that raise them."""


@dataclass(frozen=True)
class Chunk:
    """Some consecutive entries of a file."""

    file: int
    """Position in the fileset."""
    path: str
    start: int
    stop: int


@dataclass(frozen=True)
class BadFile:
    """Why a file cannot be used; sent back from a worker instead of a result."""

    kind: type[Na64recoError]
    reason: str

    def error(self) -> Na64recoError:
        """As an exception again."""
        return self.kind(self.reason)

    @classmethod
    def of(cls, error: Na64recoError, path: str) -> BadFile:
        """From an exception; the reason names the file."""
        reason = str(error)
        return cls(type(error), reason if path in reason else f"{path}: {reason}")


def process_chunk(processor: SelectionProcessor, mapping: Any, chunk: Chunk) -> Result | BadFile:
    """One chunk, in whatever process this is called.

    Everything that is wrong with the file comes back as a `BadFile`; other errors (conditions,
    selection, bugs) are raised, with a note that says where.
    """
    from na64reco.events import open_events

    try:
        events = open_events(
            chunk.path, mapping=mapping, entry_start=chunk.start, entry_stop=chunk.stop
        )
        try:
            return processor.reduce(events, source=chunk.path, entry=chunk.start)
        finally:
            release(events)
    except BAD_FILE as error:
        return BadFile.of(error, chunk.path)
    except Exception as error:
        error.add_note(f"in entries {chunk.start} to {chunk.stop} of {chunk.path}")
        raise


def release(events: Any) -> None:
    """Close the file of events that nobody needs any more, and drop what uproot cached of it.

    A tree and its file refer to each other: until Python looks for such circles, some chunks
    later, the arrays and the pages of the mapped file would stay in memory.
    """
    handle = events.attrs["@events_factory"].file_handle
    cache = handle.file.array_cache
    if cache is not None:
        cache.clear()
    handle.close()


def probe_file(mapping: Any, file: InputFile) -> FileFacts | BadFile:
    """What is in a file and whether it is what the fileset promises."""
    try:
        return probe(file, mapping=mapping)
    except BAD_FILE as error:
        return BadFile.of(error, file.path)


def probe_files(
    files: Sequence[InputFile], pool: Pool, *, mapping: Any = None, skip_bad_files: bool = False
) -> list[FileFacts | BadFile]:
    """Open every file once, before any event counts.

    Raises
    ------
    FileFormatError, DataError, MappingError
        For the first bad file in the order of the fileset, unless `skip_bad_files`; and if a
        dataset mixes data with simulation.
    """
    facts: list[FileFacts | BadFile] = []
    for _, found in pool.ordered(probe_file, ((mapping, file) for file in files)):
        if isinstance(found, BadFile) and not skip_bad_files:
            raise found.error()
        facts.append(found)
    _refuse_mixtures(files, facts)
    return facts


def process_files(
    files: Sequence[InputFile],
    facts: Sequence[FileFacts | BadFile],
    processor: SelectionProcessor,
    pool: Pool,
    *,
    accept: Accept,
    spool: Spool,
    mapping: Any = None,
    chunk_size: int = 50_000,
    skip_bad_files: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Ledger:
    """Process all files; what is good goes to ``accept``, file by file in order.

    Parameters
    ----------
    facts
        From `probe_files`.
    accept
        Called with dataset, joined result and blocks of selected events of a file.
    spool
        Keeps the selected events of the file in work.
    progress
        Called with the number of events done or skipped and the number of all events.

    Raises
    ------
    FileFormatError, DataError, MappingError
        For the first bad file in the order of the fileset, unless `skip_bad_files`.
    """
    book = _Book(files, facts, accept, spool, skip_bad_files=skip_bad_files)
    total = sum(f.entries for f in facts if isinstance(f, FileFacts))
    tasks = ((processor, mapping, chunk) for chunk in book.chunks(chunk_size))
    for (_, _, chunk), result in pool.ordered(process_chunk, tasks):
        book.enter(chunk, result)
        if progress is not None:
            progress(book.entries_before(chunk.file) + chunk.stop, total)
    if progress is not None:
        progress(total, total)
    return book.ledger()


def _refuse_mixtures(files: Sequence[InputFile], facts: Sequence[FileFacts | BadFile]) -> None:
    kinds: dict[str, bool] = {}
    for file, found in zip(files, facts, strict=True):
        if (
            isinstance(found, FileFacts)
            and kinds.setdefault(file.dataset, found.simulated) != found.simulated
        ):
            raise DataError(mixed_message(file.dataset))


class _Book:
    """Which files are good so far, and the joined result of the one in work."""

    def __init__(
        self,
        files: Sequence[InputFile],
        facts: Sequence[FileFacts | BadFile],
        accept: Accept,
        spool: Spool,
        *,
        skip_bad_files: bool,
    ) -> None:
        self._files = files
        self._facts = facts
        self._accept = accept
        self._spool = spool
        self._skip = skip_bad_files
        numbers = (f.entries if isinstance(f, FileFacts) else 0 for f in facts)
        self._before = tuple(accumulate(numbers, initial=0))
        self._bad: dict[int, str] = {
            i: found.reason for i, found in enumerate(facts) if isinstance(found, BadFile)
        }
        self._read: dict[int, int] = {}
        self._part: Result | None = None
        self._seen: dict[str, SeenEvents] = {}

    def entries_before(self, file: int) -> int:
        """Events in the readable files before this one."""
        return self._before[file]

    def chunks(self, size: int) -> Iterator[Chunk]:
        """All chunks in order, without those of files that are known to be bad by then."""
        for i, (file, found) in enumerate(zip(self._files, self._facts, strict=True)):
            if not isinstance(found, FileFacts):
                continue
            for start in range(0, found.entries, size):
                if i in self._bad:
                    break
                yield Chunk(i, file.path, start, min(start + size, found.entries))

    def enter(self, chunk: Chunk, result: Result | BadFile) -> None:
        """The result of one chunk; they come in the order of `chunks`."""
        if chunk.file in self._bad:
            return
        file, found = self._files[chunk.file], self._facts[chunk.file]
        assert isinstance(found, FileFacts)
        try:
            if isinstance(result, BadFile):
                raise result.error()
            self._spool.add(result["skim"])
            result["skim"] = SkimBlocks(())
            self._part = result if self._part is None else add_results(self._part, result)
            if chunk.stop < found.entries:
                return
            part, self._part = self._part, None
            self._seen.setdefault(file.dataset, SeenEvents()).add(part["seen"][file.path])
        except BAD_FILE as error:
            if not self._skip:
                raise
            self._bad[chunk.file] = str(error)
            self._part = None
            self._spool.clear()
            return
        self._read[chunk.file] = part["events"]
        self._accept(file.dataset, part, self._spool)
        self._spool.clear()

    def ledger(self) -> Ledger:
        """The account of all files."""
        return Ledger(tuple(self._outcome(i) for i in range(len(self._files))))

    def _outcome(self, i: int) -> FileOutcome:
        file, found = self._files[i], self._facts[i]
        bad = i in self._bad
        outcome = FileOutcome(
            dataset=file.dataset,
            path=file.path,
            status="skipped" if bad else "read",
            reason=self._bad.get(i),
            entries=file.entries,
            events_read=self._read.get(i, 0),
            events_skipped=file.entries if bad else 0,
            size=file.size,
            sha256=file.sha256,
            simulated=None,
        )
        if isinstance(found, BadFile):
            # What the file holds is hearsay of the fileset, if anything at all.
            path = Path(file.path)
            return replace(outcome, size=path.stat().st_size if path.is_file() else None)
        return replace(
            outcome,
            entries=found.entries,
            events_skipped=found.entries if bad else 0,
            size=found.size,
            sha256=found.sha256,
            simulated=found.simulated,
        )


def add_results(a: Result, b: Result) -> Result:
    """Join two results of the same dataset; the histograms of the first are added to in place."""
    for name, histogram in b["histograms"].items():
        a["histograms"][name] += histogram
    seen = dict(a["seen"])
    for source, intervals in b["seen"].items():
        seen[source] = seen[source] + intervals if source in seen else intervals
    return Result(
        kind=a["kind"] + b["kind"],
        events=a["events"] + b["events"],
        cutflow=a["cutflow"] + b["cutflow"],
        counts=a["counts"] + b["counts"],
        histograms=a["histograms"],
        skim=a["skim"] + b["skim"],
        seen=seen,
        conditions=a["conditions"] | b["conditions"],
    )
