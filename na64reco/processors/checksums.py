"""Checksums of input files, and whether a file is still the one that was meant.

Compression does not notice damage: a flipped bit in a zstd or lz4 basket is decompressed to other
numbers without a word. So every process compares the checksum of a file with the promised one
before it believes any content, once as long as the file's size and times stay as they are.
"""

from __future__ import annotations

import hashlib
import stat
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xxhash

from na64reco.errors import FileFormatError
from na64reco.events import touching
from na64reco.events.remote import blocks_of, is_remote, remote_identity, server_checksum

if TYPE_CHECKING:
    from collections.abc import Iterator
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
    adler32: str | None = None
    """What an XRootD server finds for its file, 8 hexadecimal digits."""


def checksums(path: str | Path, *, sha256: bool = False) -> Promise:
    """Size and checksums of a file's bytes, read once.

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
    with touching(path):
        for block in blocks_of(str(path)) if is_remote(str(path)) else _blocks(Path(path)):
            size += len(block)
            fast.update(block)
            if sha256:
                slow.update(block)
    return Promise(size, fast.hexdigest(), slow.hexdigest() if sha256 else None)


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb", buffering=0) as file:
        while block := file.read(_BLOCK):
            yield block


_known: dict[str, tuple[tuple[int | str | None, ...], Promise]] = {}
"""Path -> (what the file system says of the file, its checksums), of this process."""


def _identity(status: stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def keep_promise(path: str, promise: Promise) -> Promise:
    """Compare a file with what is promised of it; what it is comes back.

    A remote file is known by the Adler-32 that its server finds; its bytes come over the network
    for a checksum only where the promise has none but those.

    Raises
    ------
    FileFormatError
        If it is another file than the one that was meant, or cannot be read.
    """
    if is_remote(path):
        return _keep_remote(path, promise)
    with touching(path):
        status = Path(path).stat()
    if not stat.S_ISREG(status.st_mode):
        msg = f"{path} is no regular file, but a ROOT file was expected."
        raise FileFormatError(msg)
    if promise.size is not None and promise.size != status.st_size:
        raise mismatch(path, "size", promise.size, status.st_size, "bytes")
    identity = _identity(status)
    wants_sha256 = promise.sha256 is not None and promise.xxh3 is None
    found = _remembered(path, identity)
    if found is None or (wants_sha256 and found.sha256 is None):
        found = _remember(path, identity, checksums(path, sha256=wants_sha256))
    if promise.xxh3 is not None and promise.xxh3 != found.xxh3:
        raise mismatch(path, "xxh3", promise.xxh3, found.xxh3)
    if wants_sha256 and promise.sha256 != found.sha256:
        raise mismatch(path, "sha256", promise.sha256, found.sha256)
    return found


def _remembered(path: str, identity: tuple[int | str | None, ...]) -> Promise | None:
    before = _known.get(path)
    return before[1] if before is not None and before[0] == identity else None


def _remember(path: str, identity: tuple[int | str | None, ...], found: Promise) -> Promise:
    if len(_known) >= _REMEMBERED:
        _known.clear()
    _known[path] = (identity, found)
    return found


def _keep_remote(path: str, promise: Promise) -> Promise:
    with touching(path):
        size, version = remote_identity(path)
        if promise.size is not None and size is not None and promise.size != size:
            raise mismatch(path, "size", promise.size, size, "bytes")
        found = _remembered(path, (size, version))
        if found is None:
            found = Promise(size, adler32=server_checksum(path))
    if promise.adler32 is not None and found.adler32 is not None:
        if promise.adler32 != found.adler32:
            raise mismatch(path, "adler32", promise.adler32, found.adler32)
    elif (promise.xxh3 or promise.sha256) and found.xxh3 is None:
        read = checksums(path, sha256=promise.sha256 is not None)
        found = replace(read, adler32=found.adler32)
    for key in ("xxh3", "sha256"):
        promised, value = getattr(promise, key), getattr(found, key)
        if promised is not None and value is not None and promised != value:
            raise mismatch(path, key, promised, value)
    return _remember(path, (size, version), found)


def mismatch(path: str, key: str, promised: Any, found: Any, unit: str = "") -> FileFormatError:
    """The error of a file that is not what is promised."""
    return FileFormatError(
        f"{path} is not the file that the fileset describes: `{key}` should be "
        f"{promised}, found {found} {unit}".rstrip()
        + ". It was damaged or changed; restore it, or make the catalogue again."
    )
