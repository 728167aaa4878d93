"""ROOT files whose bytes depend on their content alone: no time of day, no random number."""

from __future__ import annotations

import io
import mmap
import uuid
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

import uproot
import xxhash

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["recreate", "recreate_small", "seal", "timeless"]

_PLACEHOLDER = uuid.uuid5(uuid.NAMESPACE_DNS, "na64reco")
_DATE = uproot._util.datetime_to_code(datetime(2000, 1, 1))  # noqa: SLF001
_BLOCK = 1 << 22


@contextmanager
def timeless() -> Iterator[None]:
    """Where uproot writes the time of day into keys and directories, write a fixed date."""
    original = uproot._util.datetime_to_code  # noqa: SLF001 - there is no public way
    uproot._util.datetime_to_code = lambda _: _DATE  # noqa: SLF001
    try:
        yield
    finally:
        uproot._util.datetime_to_code = original  # noqa: SLF001


def recreate(path: Path, **options: Any) -> Any:
    """`uproot.recreate` with an identifier that `seal` replaces."""
    # A file of Python's own: uproot seeks and flushes without end, dearer through fsspec's.
    return _recreate(path.open("w+b"), **options)


@contextmanager
def recreate_small(path: Path, **options: Any) -> Iterator[Any]:
    """A file that is made in memory, and written, sealed, when it is complete."""
    memory = _Memory()
    with timeless(), _recreate(memory, **options) as file:
        yield file
    content = memory.getvalue()
    identifier = _identifier(xxhash.xxh3_128(content))
    path.write_bytes(content.replace(_PLACEHOLDER.bytes, identifier))


class _Memory(io.BytesIO):
    """Its content is wanted when uproot has closed it."""

    def close(self) -> None:
        pass


def _recreate(file: Any, **options: Any) -> Any:
    with timeless():
        return uproot.recreate(file, uuid_function=lambda: _PLACEHOLDER, **options)


def seal(path: Path) -> None:
    """Give a closed file the identifier that its content makes.

    Programs keep objects in memory under the identifier of their file: files that differ must
    not have the same.
    """
    digest = xxhash.xxh3_128()
    with path.open("r+b") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
        identifier = _identifier(digest)
        with mmap.mmap(file.fileno(), 0) as content:
            at = content.find(_PLACEHOLDER.bytes)
            while at >= 0:
                content[at : at + 16] = identifier
                at = content.find(_PLACEHOLDER.bytes, at + 16)


def _identifier(digest: xxhash.xxh3_128) -> bytes:
    return uuid.UUID(bytes=digest.digest(), version=4).bytes
