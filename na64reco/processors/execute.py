"""Run chunks of files anywhere, in order, and account for every event.

A file is the unit that counts: its chunks are joined first, and only when all of them are good
are they added to the dataset, file after file in the order of the fileset. The result is the same
for any number of workers, and a file that turns out bad in its last chunk leaves no trace.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from dataclasses import replace
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from na64reco.errors import DataError, MappingError
from na64reco.events import LostServerError
from na64reco.processors.chunks import BAD_FILE, BadFile, Chunk, probe_file, process_chunk
from na64reco.processors.intervals import SeenEvents
from na64reco.processors.kept import Nothing
from na64reco.processors.ledger import ChunkOutcome, FileOutcome, Ledger
from na64reco.processors.pools import Lost, WorkerError
from na64reco.processors.probe import FileFacts, catalogued
from na64reco.processors.processor import (
    Result,
    SelectionProcessor,
    SkimBlocks,
    mixed_message,
)
from na64reco.processors.results import add_results

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from na64reco.processors.fileset import InputFile
    from na64reco.processors.pools import Pool
    from na64reco.processors.spool import Spool

    Accept = Callable[[str, Result, Iterable[dict[str, NDArray[Any]]]], None]

__all__ = ["add_results", "probe_files", "process_files"]

_LOG = logging.getLogger(__name__)


def probe_files(
    files: Sequence[InputFile], pool: Pool, *, mapping: Any = None, skip_bad_files: bool = False
) -> list[FileFacts | BadFile]:
    """Open every file that no catalogue describes, before any event counts.

    Files with all facts in the fileset are believed for the time being: each process checks them
    against the file itself before it reads an event.

    Raises
    ------
    FileFormatError, DataError, MappingError
        For the first bad file in the order of the fileset, unless `skip_bad_files`; if a dataset
        mixes data with simulation; and for a server that does not answer.
    """
    facts: list[FileFacts | BadFile | None] = [_believed(file, mapping) for file in files]
    open_first = [(file,) for file, known in zip(files, facts, strict=True) if known is None]
    probed = pool.ordered(partial(probe_file, mapping), open_first) if open_first else iter(())
    for i, known in enumerate(facts):
        found = known
        if known is None:
            (file,), found = next(probed)
            if isinstance(found, Lost):
                found = _killed(file.path, "while it was opened", found)
            facts[i] = found
        if isinstance(found, BadFile) and (
            not skip_bad_files or issubclass(found.kind, LostServerError)
        ):
            raise found.error()
    complete = [found for found in facts if found is not None]
    _refuse_mixtures(files, complete)
    return complete


def _believed(file: InputFile, mapping: Any) -> FileFacts | BadFile | None:
    try:
        return catalogued(file, mapping=mapping)
    except MappingError as error:
        return BadFile.of(error, file.path)


def _killed(path: str, where: str, lost: Lost) -> BadFile:
    return BadFile(
        WorkerError,
        f"{path} takes down the process that reads it, {where}: {lost.reason}. Leave the file out "
        "(--skip-bad-files), or try a smaller --chunk-size or more --memory.",
    )


def process_files(
    files: Sequence[InputFile],
    facts: Sequence[FileFacts | BadFile],
    processor: SelectionProcessor,
    pool: Pool,
    *,
    accept: Accept,
    spool: Spool,
    kept: Nothing | None = None,
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
    kept
        Results of an earlier run, and where to put those of this one.
    progress
        Called with the number of events done or skipped and the number of all events.

    Raises
    ------
    FileFormatError, DataError, MappingError
        For the first bad file in the order of the fileset, unless `skip_bad_files`; and for a
        server that does not answer.
    """
    book = _Book(files, facts, accept, spool, skip_bad_files=skip_bad_files)
    total = sum(f.entries for f in facts if isinstance(f, FileFacts))
    work = partial(process_chunk, processor, mapping)
    started = time.perf_counter()
    for chunk, result in _results(book.chunks(chunk_size), work, pool, kept or Nothing()):
        book.enter(chunk, result)
        if book.is_last(chunk):
            now = time.perf_counter()
            _LOG.info("%s: %d events in %.2f s", chunk.path, chunk.stop, now - started)
            started = now
        if progress is not None:
            progress(book.entries_before(chunk.file) + chunk.stop, total)
    if progress is not None:
        progress(total, total)
    return book.ledger()


def _results(
    chunks: Iterable[Chunk],
    work: Callable[[Chunk], Result | BadFile],
    pool: Pool,
    kept: Nothing,
) -> Iterator[tuple[Chunk, Result | BadFile]]:
    """Results in the order of the chunks: those that are kept, and the others from the pool."""
    order: deque[Chunk] = deque()

    def missing() -> Iterator[tuple[Chunk]]:
        for chunk in chunks:
            order.append(chunk)
            if not kept.find(chunk):
                yield (chunk,)

    for (chunk,), result in pool.ordered(work, missing()):
        while order[0] is not chunk:
            known = order.popleft()
            yield known, kept.load(known) or work(known)
        order.popleft()
        if isinstance(result, Lost):
            where = f"entries {chunk.start} to {chunk.stop}"
            yield chunk, _killed(chunk.path, where, result)
            continue
        if not isinstance(result, BadFile):
            kept.keep(chunk, result)
        yield chunk, result
    while order:
        known = order.popleft()
        yield known, kept.load(known) or work(known)


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
        self._failed: dict[int, Chunk] = {}
        self._size = 1
        self._part: Result | None = None
        self._seen: dict[str, SeenEvents] = {}

    def entries_before(self, file: int) -> int:
        """Events in the readable files before this one."""
        return self._before[file]

    def is_last(self, chunk: Chunk) -> bool:
        """Whether a file has no further chunks."""
        found = self._facts[chunk.file]
        return isinstance(found, FileFacts) and chunk.stop >= found.entries

    def chunks(self, size: int) -> Iterator[Chunk]:
        """All chunks in order, without those of files that are known to be bad by then."""
        self._size = size
        for i, (file, found) in enumerate(zip(self._files, self._facts, strict=True)):
            if not isinstance(found, FileFacts):
                continue
            for start in range(0, found.entries, size):
                if i in self._bad:
                    break
                stop = min(start + size, found.entries)
                yield Chunk(i, file.path, start, stop, found.promise)

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
            if not self._skip or isinstance(error, LostServerError):
                raise
            self._bad[chunk.file] = str(error)
            self._failed[chunk.file] = chunk
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
            xxh3=file.xxh3,
            sha256=file.sha256,
            simulated=None,
            chunks=self._chunks_of(i),
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
            xxh3=found.xxh3,
            sha256=found.sha256,
            adler32=found.adler32,
            simulated=found.simulated,
        )

    def _chunks_of(self, i: int) -> tuple[ChunkOutcome, ...]:
        found, reason, failed = self._facts[i], self._bad.get(i), self._failed.get(i)
        if isinstance(found, BadFile):
            entries = self._files[i].entries
            return () if not entries else (ChunkOutcome(0, entries, "failed", reason),)
        outcomes = []
        for start in range(0, found.entries, self._size):
            stop = min(start + self._size, found.entries)
            if failed is not None and start == failed.start:
                outcomes.append(ChunkOutcome(start, stop, "failed", reason))
            else:
                outcomes.append(ChunkOutcome(start, stop, "skipped" if reason else "ok"))
        return tuple(outcomes)
