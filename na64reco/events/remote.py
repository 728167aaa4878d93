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
    "answers",
    "blocks_of",
    "is_lost",
    "is_remote",
    "is_xrootd",
    "prepare",
    "reconnect",
    "remote_identity",
    "server_checksum",
    "will_pass",
]

_PATIENCE: Final = {
    "XRD_CONNECTIONWINDOW": "10",
    "XRD_CONNECTIONRETRY": "2",
    "XRD_STREAMERRORWINDOW": "2",
    "XRD_REQUESTTIMEOUT": "120",
}
"""Seconds (and times) after which XRootD's client gives up, where the user has not said otherwise:
by itself it waits for half an hour."""
_LOST: Final = re.compile(r"\[FATAL\]|expired|[Tt]imed? ?out|[Ss]ocket|[Cc]onnection|closed file")
"""In the text of an error of XRootD's client: the server does not answer."""
_PASSING: Final = re.compile(
    rf"{_LOST.pattern}|\[30(07|08|12|24)\]"  # server: input or output, memory, internal, overloaded
)
_CLIENT: Final = ("fsspec_xrootd", "XRootD")
_BLOCK: Final = 1 << 22


def is_remote(path: str) -> bool:
    """Whether it is a URL."""
    return "://" in path


def is_xrootd(path: str) -> bool:
    """Whether it lies on an XRootD server."""
    return path.startswith("root://")


def prepare(path: str) -> None:
    """Before a remote file is touched.

    Raises
    ------
    FileFormatError
        If there is no XRootD client for it.
    """
    if not is_xrootd(path):
        return
    lacking = [name for name in _CLIENT if importlib.util.find_spec(name) is None]
    if lacking:
        msg = (
            f"{path} cannot be opened: there is no XRootD client here (Python module "
            f"{lacking[0]}). Install it with `pip install 'na64reco[xrootd]'`."
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


def is_lost(reason: str) -> bool:
    """Whether a server did not answer at all, by the text of an error of `will_pass`."""
    return _LOST.search(reason) is not None


def answers(path: str) -> bool:
    """Whether the server of a file says anything, if only that something is not allowed."""
    try:
        system, _ = _system(path)
        system.invalidate_cache()
        system.info(system.root_marker)
    except (OSError, ValueError) as error:
        return not (is_lost(str(error)) or isinstance(error, TimeoutError | ConnectionError))
    return True


def reconnect() -> None:
    """Forget the files that XRootD's client has open: after an error they stay closed."""
    module = sys.modules.get("fsspec_xrootd.xrootd")
    if module is not None:
        module.XRootDFileSystem.clear_instance_cache()


def _system(path: str) -> tuple[Any, str]:
    """The file system (of fsspec) of a URL, and the path in it.

    Raises
    ------
    FileFormatError
        If there is no client for it.
    """
    import fsspec

    prepare(path)
    try:
        found: tuple[Any, str] = fsspec.url_to_fs(path)
    except ImportError as error:
        msg = f"{path} cannot be opened: there is no client for it here ({error})."
        raise FileFormatError(msg) from None
    return found


def remote_identity(path: str) -> tuple[int | None, str]:
    """Bytes of a file (None where the server does not say), and what else tells versions apart.

    Raises
    ------
    FileFormatError
        If it is a folder.
    OSError, ValueError
        Of the client.
    """
    system, place = _system(path)
    system.invalidate_cache()
    found = system.info(place)
    if found.get("type") == "directory":
        msg = f"{path} is a folder, but a ROOT file was expected. Name the files in it."
        raise FileFormatError(msg)
    size = found.get("size")
    changed = {
        key: found[key] for key in ("mtime", "ctime", "ETag", "LastModified") if key in found
    }
    return None if size is None else int(size), repr(changed)


def server_checksum(path: str) -> str | None:
    """Adler-32 that an XRootD server finds for its file, 8 hexadecimal digits; None without it."""
    if not is_xrootd(path):
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
