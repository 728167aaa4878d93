"""What an input file is: entries, size, checksum, branches; compared with what was promised."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from na64reco.errors import FileFormatError
from na64reco.events import open_file
from na64reco.events.schema import TREE

if TYPE_CHECKING:
    from na64reco.processors.fileset import InputFile

__all__ = ["FileFacts", "checksum", "probe"]


@dataclass(frozen=True)
class FileFacts:
    """What was found in an input file."""

    entries: int
    size: int | None
    """Bytes; None for a remote file."""
    sha256: str | None
    """None for a remote file."""
    format: Literal["ttree", "rntuple"]
    branches: tuple[str, ...]
    """As they are named in the file."""
    scalars: tuple[str, ...]
    """The branches and what the mapping makes of them; all scalars of the schema are here."""

    @property
    def simulated(self) -> bool:
        """Whether it holds the truth of a simulation (MC_process)."""
        return "MC_process" in self.scalars


def checksum(path: str | Path) -> str:
    """SHA-256 of a file's bytes, hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def probe(file: InputFile, *, mapping: Any = None) -> FileFacts:
    """Open a file, take its facts and compare them with those that the fileset gives.

    Raises
    ------
    FileFormatError
        If it cannot be opened, or is not the file that the fileset describes.
    MappingError
        If it lacks branches of the mapping.
    """
    tree = TREE if mapping is None else mapping.tree
    # The cheap checks come first; the checksum before any content is believed.
    local = Path(file.path) if "://" not in file.path else None
    size = sha256 = None
    if local is not None and local.is_file():
        size = local.stat().st_size
        _compare(file, "size", file.size, size, "bytes")
        if size:
            sha256 = checksum(local)
            _compare(file, "sha256", file.sha256, sha256, "")
    with open_file(file.path, tree=tree) as opened:
        entries, branches, kind = opened.entries, opened.branches, opened.format
    _compare(file, "entries", file.entries, entries, "events")
    if mapping is not None:
        mapping.check(branches, source=file.path)
    if not entries:
        msg = f"{file.path}: {tree!r} holds no events. Leave the file out, or make it again."
        raise FileFormatError(msg)
    return FileFacts(
        entries=entries,
        size=size,
        sha256=sha256,
        format=kind,
        branches=branches,
        scalars=tuple({**dict.fromkeys(branches), **(mapping.scalars if mapping else {})}),
    )


def _compare(file: InputFile, key: str, promised: Any, found: Any, unit: str) -> None:
    if promised is None or promised == found:
        return
    msg = (
        f"{file.path} is not the file that the fileset describes: `{key}` should be "
        f"{promised}, found {found} {unit}".rstrip()
        + ". It was damaged or changed; restore it, or make the catalogue again."
    )
    raise FileFormatError(msg)
