"""Input files and the dataset each belongs to: from files, folders, globs or a fileset YAML.

A fileset is ``{dataset: {files: {path: facts}}}``, the form that coffea reads too; the facts that
are present (``entries``, ``size``, ``xxh3``, ``sha256``, ``branches``, ``container``) are checked
before an event of the file counts.
"""

from __future__ import annotations

import glob
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import yaml

from na64reco.errors import Na64recoError, did_you_mean
from na64reco.events.remote import is_remote
from na64reco.yaml_text import read_yaml

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["DEFAULT_DATASET", "Fileset", "FilesetError", "InputFile", "resolve_inputs"]

DEFAULT_DATASET = "events"
"""Dataset of files that are given without a name."""

_YAML = {".yaml", ".yml", ".json"}
_FACTS = {
    "entries",
    "num_entries",  # coffea's name for entries
    "sha256",
    "xxh3",
    "adler32",
    "size",
    "branches",
    "runs",
    "spills",
    "simulated",
    "container",
    # written by coffea's own tools
    "object_path",
    "steps",
    "uuid",
    "format",
    "lfn",
    "pfn",
    "saved_form",
}
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.+-]*")
_DIGITS = {"xxh3": 32, "sha256": 64, "adler32": 8}
_REMOTE = ("root", "http", "https", "s3")
"""What may stand before `://`; fsspec knows more, down to running commands on other machines."""


class FilesetError(Na64recoError):
    """Input files that are named twice, match nothing, or a fileset that is malformed."""


@dataclass(frozen=True)
class InputFile:
    """One input file; the facts are None where nothing promises them."""

    dataset: str
    """Name of the dataset that it belongs to."""
    path: str
    """Local, or a URL."""
    entries: int | None = None
    """Events in it."""
    size: int | None = None
    """Bytes."""
    sha256: str | None = None
    """SHA-256 of its bytes, 64 hexadecimal digits."""
    xxh3: str | None = None
    """XXH3-128 of its bytes, 32 hexadecimal digits."""
    adler32: str | None = None
    """Adler-32 of its bytes, 8 hexadecimal digits; XRootD servers find it."""
    branches: tuple[str, ...] | None = None
    """Names of its branches."""
    container: Literal["ttree", "rntuple"] | None = None
    """How events are kept in it."""


@dataclass(frozen=True)
class Fileset:
    """Input files in the order in which their events are written."""

    files: tuple[InputFile, ...]

    @property
    def datasets(self) -> tuple[str, ...]:
        """Names in order of first appearance."""
        return tuple(dict.fromkeys(f.dataset for f in self.files))

    def for_coffea(self) -> dict[str, dict[str, Any]]:
        """The mapping that coffea's Runner takes."""
        return {
            name: {"treename": "Events", "files": [f.path for f in self.files if f.dataset == name]}
            for name in self.datasets
        }


def resolve_inputs(
    inputs: str | Path | Sequence[str | Path] | Mapping[str, Any],
    *,
    dataset: str = DEFAULT_DATASET,
) -> Fileset:
    """Files and datasets of what a user typed.

    Parameters
    ----------
    inputs
        Paths of hit files, of folders (all their ``*.root``), globs, fileset YAMLs, or a fileset
        as a mapping; ``NAME=PATH`` puts what PATH stands for into the dataset NAME. ``root://``
        URLs may be folders and globs too: the server is asked.
    dataset
        The dataset of everything that has no name.

    Raises
    ------
    FilesetError
        If something matches nothing, a file is named twice, or a fileset is malformed. Whether a
        file is there and readable is found out later, file by file.
    FileFormatError
        If a server cannot be asked for what matches.
    """
    if isinstance(inputs, str | Path):
        inputs = [inputs]
    _check_dataset(dataset, "--dataset")
    files: list[InputFile] = []
    if isinstance(inputs, (list, tuple)):
        for given in inputs:
            files += _expand(given, dataset)
    else:
        files += _from_mapping(inputs, "the fileset", Path())
    if not files:
        msg = "No input files were given; name hit files, globs or a fileset YAML."
        raise FilesetError(msg)
    _refuse_repeated(files)
    return Fileset(tuple(sorted(files, key=_dataset_order(files))))


def _dataset_order(files: list[InputFile]) -> Any:
    """Files of one dataset stand together, datasets in order of first appearance."""
    order = {name: i for i, name in enumerate(dict.fromkeys(f.dataset for f in files))}
    return lambda file: order[file.dataset]


def _check_dataset(name: Any, where: str) -> None:
    """Refuse what would be a path, or worse, in the output."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        msg = (
            f"{where}: {name!r} is no name for a dataset; it must begin with a letter and hold "
            "only letters, digits and _ . + -"
        )
        raise FilesetError(msg)


def _check_path(path: str, where: str) -> str:
    scheme, remote, _ = path.partition("://")
    if not path or "\0" in path or (remote and scheme not in _REMOTE):
        msg = (
            f"{where}: {path!r} is no path of a hit file; a local one was expected, or one that "
            f"begins with {', '.join(f'{s}://' for s in _REMOTE)}."
        )
        raise FilesetError(msg)
    return path


def _expand(given: str | Path, dataset: str) -> list[InputFile]:
    text = str(given)
    name, equals, rest = text.partition("=")
    if equals and not Path(text).exists() and "/" not in name:
        _check_dataset(name, repr(text))
        dataset, text = name, rest
    if is_remote(text):
        return [InputFile(dataset, p) for p in _remote(_check_path(text, "The input"))]
    path = Path(text)
    if path.suffix in _YAML:
        if equals and dataset == name:
            msg = f"{given}: a fileset names its datasets itself; give it without {name}=."
            raise FilesetError(msg)
        return _from_yaml(path)
    if path.is_dir():
        found = sorted(str(p) for p in path.glob("*.root"))
        if not found:
            msg = f"The folder {path} holds no *.root file."
            raise FilesetError(msg)
        return [InputFile(dataset, p) for p in found]
    if any(c in text for c in "*?[") and not path.exists():
        found = sorted(glob.glob(text, recursive=True))  # noqa: PTH207 - absolute patterns too
        if not found:
            msg = f"No file matches {text!r}."
            raise FilesetError(msg)
        return [InputFile(dataset, p) for p in found]
    return [InputFile(dataset, _check_path(text, "The input"))]


def _remote(url: str) -> tuple[str, ...]:
    if Path(url.partition("?")[0]).suffix in _YAML:
        msg = f"{url}: a fileset must be a local file. Copy it here first."
        raise FilesetError(msg)
    # Neither for local files: it takes time.
    from na64reco.processors.chunks import persistent
    from na64reco.processors.remote_lists import is_list, remote_files

    return persistent(lambda: remote_files(url)) if is_list(url) else (url,)


def _from_yaml(path: Path) -> list[InputFile]:
    try:
        content = read_yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        msg = f"There is no fileset {path}."
        raise FilesetError(msg) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        msg = f"The fileset {path} is not valid YAML: {error}"
        raise FilesetError(msg) from None
    return _from_mapping(content, f"The fileset {path}", path.parent)


def _from_mapping(content: Any, where: str, folder: Path) -> list[InputFile]:
    if not isinstance(content, dict) or not content:
        msg = (
            f"{where} must be a mapping {{dataset: {{files: {{path: ...}}}}}}, found "
            f"{type(content).__name__}."
        )
        raise FilesetError(msg)
    found: list[InputFile] = []
    shared: dict[int, tuple[str, ...]] = {}
    for dataset, described in content.items():
        _check_dataset(dataset, where)
        if isinstance(described, dict):
            unknown = set(described) - {"files", "metadata", "treename", "form", "format"}
            if unknown:
                key = sorted(map(str, unknown))[0]
                msg = (
                    f"{where}, dataset {dataset!r}: unknown key {key!r}. "
                    f"{did_you_mean(key, ['files', 'metadata', 'treename'])}"
                )
                raise FilesetError(msg)
            described = described.get("files")  # noqa: PLW2901
        if isinstance(described, list):
            described = dict.fromkeys(map(str, described))  # noqa: PLW2901
        if not isinstance(described, dict) or not described:
            msg = f"{where}, dataset {dataset!r}: `files` must list at least one file."
            raise FilesetError(msg)
        found += [
            _input_file(dataset, str(path), facts, where, folder, shared)
            for path, facts in described.items()
        ]
    return found


def _input_file(  # noqa: PLR0917 - all of them say where something is
    dataset: str,
    path: str,
    facts: Any,
    where: str,
    folder: Path,
    shared: dict[int, tuple[str, ...]],
) -> InputFile:
    full = _check_path(path, where)
    if "://" not in path:
        # Ten thousand times Path would be half a second.
        full = path if path.startswith("/") else str(folder / path)
    if facts is None or isinstance(facts, str):  # coffea: {path: tree name}
        return InputFile(dataset, full)
    if not isinstance(facts, dict):
        msg = f"{where}, {path}: expected a mapping of facts, found {type(facts).__name__}."
        raise FilesetError(msg)
    unknown = sorted(str(k) for k in set(facts) - _FACTS)
    if unknown:
        msg = f"{where}, {path}: unknown key {unknown[0]!r}. {did_you_mean(unknown[0], _FACTS)}"
        raise FilesetError(msg)
    numbers: dict[str, int | None] = {}
    for key in ("entries", "num_entries", "size"):
        value = facts.get(key)
        if value is not None and (
            isinstance(value, bool) or not isinstance(value, int) or value < 0
        ):
            msg = f"{where}, {path}: `{key}` must be a whole number, found {value!r}."
            raise FilesetError(msg)
        numbers[key] = value
    entries = numbers["entries"] if numbers["entries"] is not None else numbers["num_entries"]
    sums: dict[str, str | None] = {}
    for key, digits in _DIGITS.items():
        value = facts.get(key)
        if value is not None and not re.fullmatch(rf"[0-9a-f]{{{digits}}}", str(value)):
            msg = f"{where}, {path}: `{key}` must be {digits} hexadecimal digits, found {value!r}."
            raise FilesetError(msg)
        sums[key] = value
    container = facts.get("container")
    if container not in (None, "ttree", "rntuple"):
        msg = f"{where}, {path}: `container` must be ttree or rntuple, found {container!r}."
        raise FilesetError(msg)
    steps = facts.get("steps")
    if steps and entries is not None and not _is_whole(steps, entries):
        msg = (
            f"{where}, {path}: `steps` {steps} leave out some of the {entries} entries. Whole "
            "files are processed; remove `steps`."
        )
        raise FilesetError(msg)
    return InputFile(
        dataset,
        full,
        entries=entries,
        size=numbers["size"],
        **sums,
        branches=_branches(facts.get("branches"), f"{where}, {path}", shared),
        container=container,
    )


def _is_whole(steps: Any, entries: int) -> bool:
    try:
        return bool(sum(b - a for a, b in steps) == entries)
    except (TypeError, ValueError):
        return False


def _branches(names: Any, where: str, shared: dict[int, tuple[str, ...]]) -> tuple[str, ...] | None:
    """Names of branches; a list that several files share is kept once."""
    if names is None:
        return None
    if id(names) not in shared:
        if not isinstance(names, list) or not all(isinstance(n, str) for n in names):
            msg = f"{where}: `branches` must be a list of names."
            raise FilesetError(msg)
        shared[id(names)] = tuple(names)
    return shared[id(names)]


def _refuse_repeated(files: Iterable[InputFile]) -> None:
    seen: dict[str, InputFile] = {}
    for file in files:
        key = file.path if "://" in file.path else os.path.realpath(file.path)
        if key in seen:
            msg = (
                f"{file.path} is given twice (datasets {seen[key].dataset!r} and "
                f"{file.dataset!r}): its events would count twice. Name every file once."
            )
            raise FilesetError(msg)
        seen[key] = file
