"""One chunk of one file: checked, read and reduced, in whatever process this is called."""

from __future__ import annotations

import mmap
import time
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from na64reco.errors import DataError, FileFormatError, MappingError, Na64recoError
from na64reco.events import HitFile, LostServerError, PassingError, open_entries, open_file
from na64reco.events.remote import answers, is_remote, reconnect
from na64reco.events.schema import TREE
from na64reco.processors.checksums import Promise, keep_promise
from na64reco.processors.pieces import pieces_of
from na64reco.processors.pools import WorkerError
from na64reco.processors.probe import FileFacts, probe
from na64reco.processors.results import add_results

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from na64reco.processors.fileset import InputFile
    from na64reco.processors.processor import Result, SelectionProcessor

    T = TypeVar("T")

__all__ = [
    "BAD_FILE",
    "BadFile",
    "Chunk",
    "no_file_left_open",
    "persistent",
    "probe_file",
    "process_chunk",
    "release",
]

BAD_FILE = (FileFormatError, DataError, MappingError, WorkerError, MemoryError)
"""Errors that a single file is to blame for; `--skip-bad-files` skips files that raise them."""

WAITS = (0.5, 2.0, 8.0)
"""Seconds before a file that could not be reached is tried again."""


@dataclass(frozen=True)
class Chunk:
    """Some consecutive entries of a file."""

    file: int
    """Position in the fileset."""
    path: str
    start: int
    stop: int
    promise: Promise
    """What the file must be."""

    def __str__(self) -> str:
        return f"entries {self.start} to {self.stop} of {self.path}"


@dataclass(frozen=True)
class BadFile:
    """Why a file cannot be used; sent back from a worker instead of a result."""

    kind: type[Na64recoError]
    reason: str

    def error(self) -> Na64recoError:
        """As an exception again."""
        return self.kind(self.reason)

    @classmethod
    def of(cls, error: BaseException, path: str) -> BadFile:
        """From an exception; the reason names the file."""
        reason = str(error)
        kind = type(error) if isinstance(error, Na64recoError) else FileFormatError
        if isinstance(error, MemoryError):
            reason = (
                f"{path} needs more memory than there is ({reason or 'MemoryError'}). Try a "
                "smaller --chunk-size, or more --memory; else the file is damaged."
            )
        return cls(kind, reason if path in reason else f"{path}: {reason}")


def process_chunk(processor: SelectionProcessor, mapping: Any, chunk: Chunk) -> Result | BadFile:
    """Check the file, read a chunk of it and reduce that.

    Everything that is wrong with the file comes back as a `BadFile`; other errors (conditions,
    selection, bugs) are raised, with a note that says where.
    """
    try:
        return persistent(lambda: _reduce(processor, mapping, chunk))
    except PassingError as error:
        return _unreachable(error, chunk.path, f" (entries {chunk.start} to {chunk.stop})")
    except BAD_FILE as error:
        return BadFile.of(error, chunk.path)
    except Exception as error:
        error.add_note(f"in {chunk}")
        raise


def _reduce(processor: SelectionProcessor, mapping: Any, chunk: Chunk) -> Result:
    keep_promise(chunk.path, chunk.promise)
    with _opened(chunk, TREE if mapping is None else mapping.tree) as file:
        parts = pieces_of(file, chunk.start, chunk.stop)
        result = _piece(processor, mapping, file, *parts[0])
        for start, stop in parts[1:]:
            _forget(file)
            result = add_results(result, _piece(processor, mapping, file, start, stop))
    if result["events"] != chunk.stop - chunk.start:
        msg = (
            f"{chunk.path}: there are {result['events']} events where {chunk.stop - chunk.start} "
            f"should be (entries {chunk.start} to {chunk.stop}). Copy or make the file again."
        )
        raise FileFormatError(msg)
    return result


def _piece(
    processor: SelectionProcessor, mapping: Any, file: HitFile, start: int, stop: int
) -> Result:
    events = open_entries(file, start, stop, mapping=mapping)
    return processor.reduce(events, source=file.path, entry=start)


_open: dict[tuple[str, str, Promise], HitFile] = {}
"""The file of the last chunk of this process, if there may be more to read from it.

Before the first chunk, the first file that was probed: opening takes 8 ms.
"""


def _keep_open(mapping: Any, file: HitFile, facts: FileFacts) -> bool:
    """Keep the first file that is probed, for its chunks."""
    if _open or is_remote(file.path):
        return False
    _forget(file)
    _open[file.path, TREE if mapping is None else mapping.tree, facts.promise] = file
    return True


def _close_files() -> None:
    while _open:
        _open.popitem()[1].directory.close()


@contextmanager
def no_file_left_open() -> Iterator[None]:
    """Close what is open when a run ends, well or not: nobody reads more of it."""
    try:
        yield
    finally:
        _close_files()


@contextmanager
def _opened(chunk: Chunk, tree: str) -> Iterator[HitFile]:
    """The file of a chunk; closed after its last entry, or when another file comes, or an error."""
    key = chunk.path, tree, chunk.promise
    file = _open.pop(key, None)
    _close_files()
    if file is None:
        file = open_file(chunk.path, tree=tree)
    keep = False
    try:
        yield file
        keep = chunk.stop < file.entries and not is_remote(chunk.path)
    finally:
        _forget(file)
        if keep:
            _open[key] = file
        else:
            file.directory.close()


def _forget(file: HitFile) -> None:
    """Give back what an open file keeps in memory of what was read from it."""
    # What uproot has cached: a tree and its file refer to each other, so that it would stay.
    cache = file.directory.file.array_cache
    if cache is not None:
        cache.clear()
    # Pages of a mapped file count as memory of the process.
    mapped = getattr(getattr(file.directory.file.source, "_file", None), "_mmap", None)
    if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)


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
        keep = partial(_keep_open, mapping)
        return persistent(lambda: probe(file, mapping=mapping, keep=keep))
    except PassingError as error:
        return _unreachable(error, file.path)
    except BAD_FILE as error:
        return BadFile.of(error, file.path)


def _unreachable(error: PassingError, path: str, where: str = "") -> BadFile:
    """No file is to blame for a server that is lost; for a single one that hangs, it is."""
    lost = isinstance(error, LostServerError) and not answers(path)
    return BadFile(LostServerError if lost else PassingError, f"{error}{where}")


def persistent(work: Callable[[], T]) -> T:
    """Do it, and again after a while where disk or network failed, but not for lasting errors."""
    for wait in WAITS:
        try:
            return work()
        except PassingError:
            reconnect()
            time.sleep(wait)
    return work()
