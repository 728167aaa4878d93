"""Which files on an XRootD server a URL with wildcards, or that of a folder, stands for."""

from __future__ import annotations

import importlib
import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from na64reco.events import touching
from na64reco.events.remote import is_xrootd, prepare
from na64reco.processors.fileset import FilesetError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["is_list", "remote_files"]

_URL = re.compile(r"(?P<server>[^:]+://[^/]*)/(?P<path>[^?]*)(?P<query>\?.*)?", re.DOTALL)
_NOT_FOUND = re.compile(r"\[3011\]|not a directory")
_SHOWN = 3


def is_list(url: str) -> bool:
    """Whether a URL may stand for other files than itself: wildcards, or no ``.root`` at its end.

    What follows a question mark is for the server; it is no wildcard in a URL.
    """
    parts = _URL.fullmatch(url)
    if parts is None:
        return False
    path = parts["path"]
    return _is_pattern(path) or (is_xrootd(url) and not path.endswith(".root"))


def remote_files(url: str) -> tuple[str, ...]:
    """URLs of the files that a URL stands for, sorted; the URL itself where that is a file.

    Wildcards are those of local paths, ``*``, ``[...]`` and ``**``. A folder stands for all its
    ``*.root``.

    Raises
    ------
    FilesetError
        If there are none.
    FileFormatError
        If a folder cannot be listed: files of which nobody knows would be lost in silence.
    PassingError
        If the server does not answer.
    """
    parts = _URL.fullmatch(url)
    if parts is None:
        return (url,)
    if not is_xrootd(url):
        msg = f"{url} cannot be listed: wildcards are for root:// and local paths. Name the files."
        raise FilesetError(msg)
    with touching(url):
        return _expanded(url, parts["server"], parts["path"], parts["query"] or "")


def _expanded(url: str, server: str, path: str, query: str) -> tuple[str, ...]:
    lister = _Lister(server, query)
    is_folder = lister.is_folder(path.rstrip("/"))
    if is_folder is False and not path.endswith("/"):
        return (url,)
    if is_folder:
        folder, parts = path.rstrip("/"), ["*.root"]
    elif _is_pattern(path):
        folder, parts = _split(path)
    else:
        msg = f"There is no {'folder' if path.endswith('/') else 'file or folder'} {url}."
        raise FilesetError(msg)
    where = f"{server}/{folder}"
    if not lister.is_folder(folder):
        msg = f"No file matches {url}: there is no folder {where}."
        raise FilesetError(msg)
    found = sorted(f"{server}/{place}{query}" for place in lister.matches(folder, parts))
    if not found:
        hint = f" What follows the question mark, {query!r}, is no part of a name." if query else ""
        msg = (
            f"No file matches {url}: nothing in {where} fits {'/'.join(parts)!r}; "
            f"{_shown(lister.names(folder))}.{hint}"
        )
        raise FilesetError(msg)
    return tuple(found)


def _shown(names: Iterable[str]) -> str:
    names = list(names)
    few = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
    return f"it holds {len(names)} names ({few})" if names else "it is empty"


def _is_pattern(path: str) -> bool:
    return "*" in path or "[" in path


def _split(path: str) -> tuple[str, list[str]]:
    """The folder in front of the first wildcard, and the parts of the path behind."""
    parts = path.split("/")
    first = next(i for i, part in enumerate(parts) if _is_pattern(part))
    return "/".join(parts[:first]), [part for part in parts[first:] if part]


class _Lister:
    """Folders of a server.

    Parameters
    ----------
    server
        The beginning of its URLs, or of those of the redirector of many.
    query
        What goes to the server with each path (a token, for instance).
    """

    # Not fsspec: its `glob` leaves out what cannot be listed without a word, and its `ls` asks one
    # of the servers behind a redirector for the files of all.
    def __init__(self, server: str, query: str) -> None:
        prepare(f"{server}/")
        client: Any = importlib.import_module("XRootD.client")
        self._flags: Any = importlib.import_module("XRootD.client.flags")
        self._files = client.FileSystem(server)
        if not self._files.url.is_valid():
            msg = "there is no name of a server in it"
            raise ValueError(msg)
        self._query = query

    def is_folder(self, path: str) -> bool | None:
        """Whether it is a folder; None if nothing is there."""
        status, found = self._files.stat((path or "/") + self._query)
        if status.ok:
            return bool(found.flags & self._flags.StatInfoFlags.IS_DIR)
        if _NOT_FOUND.search(status.message):
            return None
        raise OSError(status.message)

    def names(self, folder: str) -> dict[str, bool]:
        """What is in a folder, sorted, and whether each is a folder itself."""
        flags = self._flags.DirListFlags
        status, found = self._files.dirlist(
            (folder or "/") + self._query, flags.STAT | flags.LOCATE | flags.MERGE
        )
        if not status.ok:
            raise OSError(status.message)
        if status.code:
            msg = f"[FATAL] only some of the servers list {folder or '/'}"
            raise OSError(msg)
        directory = self._flags.StatInfoFlags.IS_DIR
        names = {str(e.name): bool(e.statinfo.flags & directory) for e in found}
        return {name: names[name] for name in sorted(names)}

    def matches(self, folder: str, parts: list[str]) -> Iterator[str]:
        """Paths below a folder that fit a pattern, given part by part."""
        head, *rest = parts
        if head == "**":
            yield from self.matches(folder, rest or ["*"])
        for name, is_folder in self.names(folder).items():
            if name.startswith(".") and not head.startswith("."):
                continue
            place = f"{folder}/{name}"
            if head == "**":
                if is_folder:
                    yield from self.matches(place, parts)
            elif fnmatchcase(name, head):
                if not rest:
                    yield place
                elif is_folder:
                    yield from self.matches(place, rest)
