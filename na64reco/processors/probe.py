"""What an input file is: entries, size, checksum, branches; compared with what was promised."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from na64reco.errors import FileFormatError
from na64reco.events import open_file
from na64reco.events.remote import is_remote
from na64reco.events.schema import TREE
from na64reco.processors.checksums import Promise, checksums, keep_promise, mismatch

if TYPE_CHECKING:
    from collections.abc import Callable

    from na64reco.events import HitFile
    from na64reco.processors.fileset import InputFile

__all__ = ["FileFacts", "catalogued", "probe"]


@dataclass(frozen=True)
class FileFacts:
    """What is in an input file."""

    entries: int
    size: int | None
    """Bytes; None for a remote file of which the server does not say."""
    xxh3: str | None
    """None for a remote file, or where only the SHA-256 is known."""
    sha256: str | None
    """None where nobody asked for it."""
    format: Literal["ttree", "rntuple"]
    branches: tuple[str, ...]
    """As they are named in the file."""
    scalars: tuple[str, ...]
    """The branches and what the mapping makes of them; all scalars of the schema are here."""
    adler32: str | None = None
    """What an XRootD server finds for its file."""

    @property
    def simulated(self) -> bool:
        """Whether it holds the truth of a simulation (MC_process)."""
        return "MC_process" in self.scalars

    @property
    def promise(self) -> Promise:
        """What the file must still be when its events are read."""
        return Promise(self.size, self.xxh3, self.sha256, self.adler32)


def catalogued(file: InputFile, *, mapping: Any = None) -> FileFacts | None:
    """The facts as the fileset gives them, without opening the file; None if it lacks some.

    A local file that is not there or has another size is probed, to learn what is wrong. Servers
    are not asked: ten thousand answers over a long way would take minutes.

    Raises
    ------
    MappingError
        If it lacks branches of the mapping.
    """
    if (
        not file.entries
        or file.size is None
        or (file.xxh3 is None and file.sha256 is None and file.adler32 is None)
        or not file.branches
        or file.container is None
    ):
        return None
    if not is_remote(file.path):
        try:
            if Path(file.path).stat().st_size != file.size:
                return None
        except (OSError, ValueError):
            return None
    return FileFacts(
        entries=file.entries,
        size=file.size,
        xxh3=file.xxh3,
        sha256=file.sha256,
        format=file.container,
        branches=file.branches,
        scalars=_scalars(file, file.branches, mapping),
        adler32=file.adler32,
    )


def probe(
    file: InputFile,
    *,
    mapping: Any = None,
    sha256: bool = False,
    keep: Callable[[HitFile, FileFacts], bool] | None = None,
) -> FileFacts:
    """Open a file, take its facts and compare them with those that the fileset gives.

    Parameters
    ----------
    sha256
        Find the SHA-256 too, if the fileset does not give it.
    keep
        Gets the open file of which all is well, and says whether it stays open.

    Raises
    ------
    FileFormatError
        If it cannot be opened, or is not the file that the fileset describes.
    MappingError
        If it lacks branches of the mapping.
    """
    tree = TREE if mapping is None else mapping.tree
    # The cheap checks come first; the checksum before any content is believed.
    found = Promise()
    if is_remote(file.path) or Path(file.path).is_file():
        promise = Promise(file.size, file.xxh3, file.sha256, file.adler32)
        found = keep_promise(file.path, promise)
        if sha256 and found.sha256 is None and not is_remote(file.path):
            found = checksums(file.path, sha256=True)
    opened = open_file(file.path, tree=tree)
    kept = False
    try:
        facts = _facts(file, opened, found, mapping)
        kept = keep is not None and keep(opened, facts)
    finally:
        if not kept:
            opened.directory.close()
    return facts


def _facts(file: InputFile, opened: HitFile, found: Promise, mapping: Any) -> FileFacts:
    entries, branches, kind = opened.entries, opened.branches, opened.format
    for key, promised, value, unit in (
        ("entries", file.entries, entries, "events"),
        ("container", file.container, kind, ""),
    ):
        if promised is not None and promised != value:
            raise mismatch(file.path, key, promised, value, unit)
    _compare_branches(file, branches)
    scalars = _scalars(file, branches, mapping)
    if not entries:
        tree = TREE if mapping is None else mapping.tree
        msg = f"{file.path}: {tree!r} holds no events. Leave the file out, or make it again."
        raise FileFormatError(msg)
    return FileFacts(
        entries=entries,
        size=found.size,
        xxh3=found.xxh3,
        sha256=found.sha256 or file.sha256,
        format=kind,
        branches=branches,
        scalars=scalars,
        adler32=found.adler32,
    )


def _scalars(file: InputFile, branches: tuple[str, ...], mapping: Any) -> tuple[str, ...]:
    if mapping is None:
        return branches
    mapping.check(branches, source=file.path)
    return tuple({**dict.fromkeys(branches), **mapping.scalars})


def _compare_branches(file: InputFile, branches: tuple[str, ...]) -> None:
    if file.branches is None:
        return
    lacking = [b for b in file.branches if b not in set(branches)]
    new = [b for b in branches if b not in set(file.branches)]
    if lacking or new:
        what = f"branch {lacking[0]!r} is missing" if lacking else f"branch {new[0]!r} is new"
        msg = (
            f"{file.path} is not the file that the fileset describes: {what}. It was damaged or "
            "changed; restore it, or make the catalogue again."
        )
        raise FileFormatError(msg)
