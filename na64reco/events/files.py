"""Opening ROOT files; the one place where errors of the reading libraries get a meaning."""

from __future__ import annotations

import errno
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import uproot

from na64reco.errors import DataError, FileFormatError, Na64recoError, did_you_mean
from na64reco.events.remote import is_lost, is_remote, prepare, will_pass
from na64reco.events.schema import TREE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["HitFile", "LostServerError", "PassingError", "open_file", "reading", "touching"]

_RNTUPLE = {"ROOT::RNTuple", "ROOT::Experimental::RNTuple"}
_REMAKE = "Copy or make it again."
_MOST = 10**12
"""Events that no file holds."""


_PASSING = frozenset(
    getattr(errno, name)
    for name in (
        *("EIO", "ESTALE", "EAGAIN", "EBUSY", "EINTR", "ETIMEDOUT", "EREMOTEIO", "ENOTCONN"),
        *("ENETDOWN", "ENETUNREACH", "ENETRESET", "EHOSTDOWN", "EHOSTUNREACH"),
        *("ECONNRESET", "ECONNREFUSED", "ECONNABORTED", "EMFILE", "ENFILE"),
    )
    if hasattr(errno, name)
)


class PassingError(FileFormatError):
    """A file that cannot be read now, but perhaps a little later: an error of disk or network."""


class LostServerError(PassingError):
    """A server that does not answer: no file is to blame, and none is skipped for it."""


@dataclass(frozen=True)
class HitFile:
    """An open ROOT file with a TTree or RNTuple of events."""

    path: str
    directory: Any
    """uproot's `ReadOnlyDirectory`."""
    tree: Any
    """uproot's TTree or RNTuple."""
    format: Literal["ttree", "rntuple"]
    baskets: dict[str, Any] = field(default_factory=dict, compare=False)
    """What is known by now of a branch's baskets, see `na64reco.events.baskets`."""

    @property
    def entries(self) -> int:
        """Number of events."""
        with reading(self.path, "the number of events"):
            entries = int(self.tree.num_entries)
        if not 0 <= entries <= _MOST:
            msg = f"{self.path} claims to hold {entries} events; it is damaged. {_REMAKE}"
            raise FileFormatError(msg)
        return entries

    @property
    def branches(self) -> tuple[str, ...]:
        """Names of all branches; fields of an RNTuple's collections as `NAME.field`."""
        with reading(self.path, "the list of branches"):
            return tuple(str(name) for name in self.tree.keys())  # noqa: SIM118 - no dict

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.directory.close()


@contextmanager
def reading(source: str, what: str) -> Iterator[None]:
    """Turn whatever uproot, awkward or a decompressor raise inside into a `FileFormatError`."""
    try:
        yield
    except DataError as error:
        if str(error).startswith(source):
            raise
        msg = f"{source}: {error}"
        raise DataError(msg) from None
    except (Na64recoError, MemoryError):
        raise
    except Exception as error:
        if passing := _passing(error) or _remote(source, error):
            raise _not_now(source, passing) from error
        # Corrupt bytes surface as nearly any exception, from struct.error to RecursionError.
        reason = (
            f"{type(error).__name__}: {str(error).strip().splitlines()[0]:.200}"
            if str(error).strip()
            else type(error).__name__
        )
        msg = (
            f"{source}: {what} cannot be read; the file is damaged or not of a kind that uproot "
            f"reads ({reason}). {_REMAKE}"
        )
        raise FileFormatError(msg) from error


@contextmanager
def touching(path: str | Path) -> Iterator[None]:
    """Turn errors of the file system inside into a `FileFormatError` that names the file."""
    if is_remote(str(path)):
        with _touching_remote(str(path)):
            yield
        return
    path = Path(path)
    try:
        yield
    except FileNotFoundError:
        near = [p.name for p in path.parent.glob("*.root")] if path.parent.is_dir() else []
        msg = f"There is no file {path}." + (f" {did_you_mean(path.name, near)}" if near else "")
        raise FileFormatError(msg) from None
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        if passing := _passing(error):
            raise _not_now(str(path), passing) from error
        msg = f"{path} cannot be opened: {getattr(error, 'strerror', None) or error}."
        raise FileFormatError(msg) from None


def _passing(error: BaseException | None) -> OSError | None:
    """The error of disk or network in a chain of errors that may not come again."""
    for _ in range(10):
        if error is None:
            return None
        if isinstance(error, OSError) and (
            error.errno in _PASSING or isinstance(error, TimeoutError | ConnectionError)
        ):
            return error
        error = error.__cause__ or error.__context__
    return None


def _remote(source: str, error: BaseException) -> BaseException | None:
    return error if will_pass(source, error) else None


@contextmanager
def _touching_remote(source: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        if passing := _passing(error) or _remote(source, error):
            raise _not_now(source, passing) from error
        reason = " ".join(str(error).split()) or type(error).__name__
        msg = f"{source} cannot be opened: {reason}. Is the URL right?"
        raise FileFormatError(msg) from None


def _not_now(source: str, error: BaseException) -> PassingError:
    reason = " ".join(
        str(getattr(error, "strerror", None) or error or type(error).__name__).split()
    )
    lost = isinstance(error, TimeoutError | ConnectionError) or is_lost(reason)
    kind = LostServerError if lost and is_remote(source) else PassingError
    return kind(
        f"{source} cannot be read at the moment: {reason}. Disk or network failed; try again."
    )


def open_file(path: str | Path, *, tree: str = TREE) -> HitFile:
    """Open a hit file and find its TTree or RNTuple.

    Raises
    ------
    FileFormatError
        If it does not exist, is empty, truncated, no ROOT file, or lacks the tree.
    """
    name = str(path)
    if not is_remote(name):
        _check_container(Path(name))
    with reading(name, "its table of contents"):
        if is_remote(name):
            prepare(name)
            directory = uproot.open(name)
        else:
            # uproot's own choice goes through fsspec's event loop: 20-30 % of the reading time.
            directory = uproot.open({name: None}, handler=uproot.MemmapSource)
        classes = directory.classnames(cycle=False)
    try:
        kind = _kind(name, tree, classes)
        with reading(name, f"{tree!r}"):
            return HitFile(name, directory, directory[tree], kind)
    except BaseException:
        directory.close()
        raise


def _kind(name: str, tree: str, classes: Mapping[str, str]) -> Literal["ttree", "rntuple"]:
    kind = classes.get(tree)
    if kind is None:
        found = [n for n, c in classes.items() if c == "TTree" or c in _RNTUPLE]
        msg = (
            f"{name}: there is no {tree!r} in this file. {did_you_mean(tree, found or classes)} "
            f"Events are read from a TTree or RNTuple named {TREE!r}; for another name, give a "
            "mapping with the key 'tree'."
        )
        raise FileFormatError(msg)
    if kind == "TTree":
        return "ttree"
    if kind in _RNTUPLE:
        return "rntuple"
    msg = f"{name}: {tree!r} is a {kind}, but a TTree or RNTuple was expected. Is this a hit file?"
    raise FileFormatError(msg)


def _check_container(path: Path) -> None:
    """Size and header: what can be said without reading any object."""
    with touching(path):
        size = path.stat().st_size
        if not path.is_file():
            kind = "a folder" if path.is_dir() else "no regular file"
            msg = f"{path} is {kind}, but a ROOT file was expected. Name the files in it."
            raise FileFormatError(msg)
        with path.open("rb") as file:
            header = file.read(20)
    if size == 0:
        msg = f"{path} is empty (0 bytes). {_REMAKE}"
        raise FileFormatError(msg)
    if header[:4] != b"root":
        msg = (
            f"{path} is not a ROOT file: it begins with {header[:8]!r}, not with b'root'. "
            "Hit files are ROOT files with a TTree or RNTuple named 'Events'."
        )
        raise FileFormatError(msg)
    version = int.from_bytes(header[4:8], "big")
    # Versions from 1000000 on are files of more than 2 GB, with 64-bit addresses.
    end = int.from_bytes(header[12:20] if version >= 1_000_000 else header[12:16], "big")
    if size < max(end, 20):
        msg = f"{path} is truncated: it has {size} of {end} bytes. {_REMAKE}"
        raise FileFormatError(msg)
