"""Files on other machines: what they are, and which of their errors may pass.

They are read through fsspec; for `root://` that is the client of XRootD, an optional dependency.
"""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from typing import TYPE_CHECKING, Any, Final

from na64reco.errors import FileFormatError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "blocks_of",
    "is_remote",
    "prepare",
    "reconnect",
    "remote_identity",
    "server_checksum",
    "will_pass",
]

_XROOTD: Final = re.compile(r"x?roots?://")
_PATIENCE: Final = {
    "XRD_CONNECTIONWINDOW": "10",
    "XRD_CONNECTIONRETRY": "2",
    "XRD_STREAMERRORWINDOW": "2",
    "XRD_REQUESTTIMEOUT": "120",
}
"""Seconds (and times) after which XRootD's client gives up, where the user has not said otherwise:
by itself it waits for half an hour."""
_PASSING: Final = re.compile(
    r"\[FATAL\]|expired|[Tt]imed? ?out|[Ss]ocket|[Cc]onnection|closed file|"
    r"\[30(07|08|12|24)\]"  # server: input or output, memory, internal, overloaded
)
_BLOCK: Final = 1 << 22


def is_remote(path: str) -> bool:
    """Whether it is a URL."""
    return "://" in path


def prepare(path: str) -> None:
    """Before a remote file is touched.

    Raises
    ------
    FileFormatError
        If there is no XRootD client for it.
    """
    if not _XROOTD.match(path):
        return
    if importlib.util.find_spec("fsspec_xrootd") is None:
        msg = (
            f"{path} cannot be opened: there is no XRootD client here. Install it with "
            "`pip install 'na64reco[xrootd]'`."
        )
        raise FileFormatError(msg)
    for name, value in _PATIENCE.items():
        os.environ.setdefault(name, value)


def will_pass(source: str, error: BaseException) -> bool:
    """Whether an error of a remote file is one of network or server, by its text.

    XRootD's errors have no number that says so.
    """
    return (
        is_remote(source)
        and isinstance(error, OSError | ValueError)
        and _PASSING.search(str(error)) is not None
    )


def reconnect() -> None:
    """Forget the files that XRootD's client has open: after an error they stay closed."""
    module = sys.modules.get("fsspec_xrootd.xrootd")
    if module is not None:
        module.XRootDFileSystem.clear_instance_cache()


def _system(path: str) -> tuple[Any, str]:
    import fsspec

    prepare(path)
    found: tuple[Any, str] = fsspec.url_to_fs(path)
    return found


def remote_identity(path: str) -> tuple[int | None, str]:
    """Bytes of a file (None where the server does not say), and what else tells versions apart."""
    system, place = _system(path)
    system.invalidate_cache()
    found = system.info(place)
    size = found.get("size")
    changed = {
        key: found[key] for key in ("mtime", "ctime", "ETag", "LastModified") if key in found
    }
    return None if size is None else int(size), repr(changed)


def server_checksum(path: str) -> str | None:
    """Adler-32 that an XRootD server finds for its file, 8 hexadecimal digits; None without it."""
    if not _XROOTD.match(path):
        return None
    system, place = _system(path)
    try:
        kind, value = system.checksum(place)
    except (OSError, NotImplementedError) as error:
        if will_pass(path, error):
            raise
        return None
    return str(value).lower().zfill(8) if str(kind).lower() == "adler32" else None


def blocks_of(path: str) -> Iterator[bytes]:
    """All bytes of a remote file, in order."""
    system, place = _system(path)
    with system.open(place, "rb") as file:
        while block := file.read(_BLOCK):
            yield block
