"""Checksums of input files, and whether a file is still the one that was meant.

Compression does not notice damage: a flipped bit in a zstd or lz4 basket is decompressed to other
numbers without a word. So every process compares the checksum of a file with the promised one
before it believes any content, once as long as the file's size and times stay as they are.
"""

from __future__ import annotations

import hashlib
import stat
import zlib
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

__all__ = ["Promise", "checksums", "keep_promise", "mismatch", "read_whole"]

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
    """Adler-32, 8 hexadecimal digits; XRootD servers find it."""


def checksums(path: str | Path, *, sha256: bool = False, adler32: bool = False) -> Promise:
    """Size and checksums of a file's bytes, read once.

    Parameters
    ----------
    sha256
        Also SHA-256, some thirty times the work of xxh3.
    adler32
        Also Adler-32, some ten times the work of xxh3.

    Raises
    ------
    FileFormatError
        If it cannot be read.
    """
    fast, slow, size, sums = xxhash.xxh3_128(), hashlib.sha256(), 0, 1
    with touching(path):
        for block in blocks_of(str(path)) if is_remote(str(path)) else _blocks(Path(path)):
            size += len(block)
            fast.update(block)
            if sha256:
                slow.update(block)
            if adler32:
                sums = zlib.adler32(block, sums)
    return Promise(
        size,
        fast.hexdigest(),
        slow.hexdigest() if sha256 else None,
        f"{sums:08x}" if adler32 else None,
    )


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
    for a checksum only where xxh3 or SHA-256 are promised, or the server finds none.

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
    key = _compared(promise)
    found = _remembered(path, identity)
    if found is None or getattr(found, key) is None:
        made = checksums(path, sha256=key == "sha256", adler32=key == "adler32")
        found = _remember(path, identity, made)
    _compare(path, promise, found, key)
    return found


def _compared(promise: Promise) -> str:
    """The checksum to be compared: the one that takes least time of those that tell most."""
    return next((k for k in ("xxh3", "sha256", "adler32") if getattr(promise, k)), "xxh3")


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
    if found.adler32 is not None:
        _compare(path, promise, found, "adler32")
    key = _compared(promise)
    if getattr(promise, key) is not None and getattr(found, key) is None:
        found = read_whole(path, found, sha256=key == "sha256")
    _compare(path, promise, found, key)
    return _remember(path, (size, version), found)


def read_whole(path: str, known: Promise, *, sha256: bool = False) -> Promise:
    """Checksums of a remote file's bytes, compared with what its server says of it.

    Raises
    ------
    FileFormatError
        If these are not the bytes that the server means, or cannot be read.
    """
    found = checksums(path, sha256=sha256, adler32=True)
    for key, unit in (("size", "bytes"), ("adler32", "")):
        meant, value = getattr(known, key), getattr(found, key)
        if meant is not None and meant != value:
            msg = (
                f"{path} is damaged: its server says that `{key}` is {meant}, but of the bytes "
                f"that it sends it is {value} {unit}".rstrip()
                + ". Restore the file."
            )
            raise FileFormatError(msg)
    return replace(found, sha256=found.sha256 or known.sha256)


def _compare(path: str, promise: Promise, found: Promise, key: str) -> None:
    promised, value = getattr(promise, key), getattr(found, key)
    if promised is not None and promised != value:
        raise mismatch(path, key, promised, value)


def mismatch(path: str, key: str, promised: Any, found: Any, unit: str = "") -> FileFormatError:
    """The error of a file that is not what is promised."""
    return FileFormatError(
        f"{path} is not the file that the fileset describes: `{key}` should be "
        f"{promised}, found {found} {unit}".rstrip()
        + ". It was damaged or changed; restore it, or make the catalogue again."
    )
