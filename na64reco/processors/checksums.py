"""Checksums of input files, and whether a file is still the one that was meant.

Compression does not notice damage: a flipped bit in a zstd or lz4 basket is decompressed to other
numbers without a word. So every process compares the checksum of a file with the promised one
before it believes any content, once as long as the file's size and times stay as they are.
"""

from __future__ import annotations

import hashlib
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xxhash

from na64reco.errors import FileFormatError
from na64reco.events import touching

if TYPE_CHECKING:
    from os import stat_result

__all__ = ["Promise", "checksums", "keep_promise", "mismatch"]

_BLOCK = 1 << 20
_REMEMBERED = 1000


@dataclass(frozen=True)
class Promise:
    """What a file must be; None where nothing is promised."""

    size: int | None = None
    """Bytes."""
    xxh3: str | None = None
    """128-bit xxh3 of the bytes, 32 hexadecimal digits."""
    sha256: str | None = None


def checksums(path: str | Path, *, sha256: bool = False) -> Promise:
    """Size and checksums of a local file's bytes, read once.

    Parameters
    ----------
    sha256
        Also SHA-256, some thirty times the work of xxh3.

    Raises
    ------
    FileFormatError
        If it cannot be read.
    """
    fast, slow, size = xxhash.xxh3_128(), hashlib.sha256(), 0
    with touching(path), Path(path).open("rb", buffering=0) as file:
        while block := file.read(_BLOCK):
            size += len(block)
            fast.update(block)
            if sha256:
                slow.update(block)
    return Promise(size, fast.hexdigest(), slow.hexdigest() if sha256 else None)


_known: dict[str, tuple[tuple[int, ...], Promise]] = {}
"""Path -> (what the file system says of the file, its checksums), of this process."""


def _identity(status: stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def keep_promise(path: str, promise: Promise) -> Promise:
    """Compare a local file with what is promised of it; what it is comes back.

    Raises
    ------
    FileFormatError
        If it is another file than the one that was meant, or cannot be read.
    """
    with touching(path):
        status = Path(path).stat()
    if not stat.S_ISREG(status.st_mode):
        msg = f"{path} is no regular file, but a ROOT file was expected."
        raise FileFormatError(msg)
    if promise.size is not None and promise.size != status.st_size:
        raise mismatch(path, "size", promise.size, status.st_size, "bytes")
    identity = _identity(status)
    before = _known.get(path)
    wants_sha256 = promise.sha256 is not None and promise.xxh3 is None
    if before is None or before[0] != identity or (wants_sha256 and before[1].sha256 is None):
        if len(_known) >= _REMEMBERED:
            _known.clear()
        before = (identity, checksums(path, sha256=wants_sha256))
        _known[path] = before
    found = before[1]
    if promise.xxh3 is not None and promise.xxh3 != found.xxh3:
        raise mismatch(path, "xxh3", promise.xxh3, found.xxh3)
    if wants_sha256 and promise.sha256 != found.sha256:
        raise mismatch(path, "sha256", promise.sha256, found.sha256)
    return found


def mismatch(path: str, key: str, promised: Any, found: Any, unit: str = "") -> FileFormatError:
    """The error of a file that is not what is promised."""
    return FileFormatError(
        f"{path} is not the file that the fileset describes: `{key}` should be "
        f"{promised}, found {found} {unit}".rstrip()
        + ". It was damaged or changed; restore it, or make the catalogue again."
    )
