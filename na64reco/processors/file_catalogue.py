"""A catalogue of input files: what each holds, to be checked whenever it is opened again."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from na64reco.errors import OutputExistsError
from na64reco.events import open_events, read_scalar
from na64reco.events.remote import is_remote
from na64reco.processors.checksums import Promise, read_whole
from na64reco.processors.chunks import persistent, release
from na64reco.processors.probe import FileFacts, probe

if TYPE_CHECKING:
    from collections.abc import Callable

    from na64reco.processors.fileset import Fileset, InputFile

__all__ = ["CatalogueEntry", "as_fileset", "catalogue", "check_absent", "write_catalogue"]

_HEADER = """\
# Input files of na64reco (`na64reco catalogue`): checked whenever a file is opened.
# coffea reads this form too: {dataset: {files: {path: facts}}}. Paths count from this folder.
"""


@dataclass(frozen=True)
class CatalogueEntry:
    """One file of a catalogue."""

    dataset: str
    path: str
    facts: FileFacts
    runs: tuple[int, ...]
    """Run numbers in it."""
    spills: int
    """Number of different (run, spill)."""


def catalogue(
    fileset: Fileset,
    *,
    mapping: Any = None,
    read: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[CatalogueEntry, ...]:
    """Look into every file.

    Parameters
    ----------
    read
        Read all bytes of remote files for their checksums, even where the server finds one.

    Raises
    ------
    FileFormatError
        For a file that cannot be read, or differs from what a given fileset says of it.
    """
    entries = []
    for i, file in enumerate(fileset.files):
        entries.append(persistent(partial(_entry, file, mapping, read=read)))
        if progress is not None:
            progress(i + 1, len(fileset.files))
    return tuple(entries)


def _entry(file: InputFile, mapping: Any, *, read: bool) -> CatalogueEntry:
    facts = probe(file, mapping=mapping, sha256=True)
    if is_remote(file.path) and facts.xxh3 is None and (read or facts.adler32 is None):
        known = Promise(facts.size, sha256=facts.sha256, adler32=facts.adler32)
        whole = read_whole(file.path, known, sha256=True)
        facts = replace(
            facts, size=whole.size, xxh3=whole.xxh3, sha256=whole.sha256, adler32=whole.adler32
        )
    events = open_events(file.path, mapping=mapping)
    run, spill = read_scalar(events, "run"), read_scalar(events, "spill")
    release(events)
    pairs = np.unique((run.astype(np.uint64) << np.uint64(32)) | spill.astype(np.uint64))
    runs = tuple(int(r) for r in np.unique(run))
    return CatalogueEntry(file.dataset, file.path, facts, runs, len(pairs))


def as_fileset(
    entries: tuple[CatalogueEntry, ...], *, folder: Path | None = None
) -> dict[str, Any]:
    """``{dataset: {treename:, files: {path: facts}}}``.

    Paths are absolute, but for files in ``folder`` or below it, where the catalogue will stand:
    such a folder can be moved as a whole.
    """
    content: dict[str, Any] = {}
    shared: dict[tuple[str, ...], list[str]] = {}  # YAML writes the same list once
    for entry in entries:
        dataset = content.setdefault(entry.dataset, {"treename": "Events", "files": {}})
        dataset["files"][_written_path(entry.path, folder)] = {
            "object_path": "Events",
            "entries": entry.facts.entries,
            "num_entries": entry.facts.entries,
            "size": entry.facts.size,
            "xxh3": entry.facts.xxh3,
            "sha256": entry.facts.sha256,
            **({} if entry.facts.adler32 is None else {"adler32": entry.facts.adler32}),
            "container": entry.facts.format,
            "simulated": entry.facts.simulated,
            "runs": list(entry.runs),
            "spills": entry.spills,
            "branches": shared.setdefault(entry.facts.branches, list(entry.facts.branches)),
        }
    return content


def _written_path(path: str, folder: Path | None) -> str:
    if "://" in path:
        return path
    full = Path(path).resolve()
    if folder is not None and full.is_relative_to(folder.resolve()):
        return str(full.relative_to(folder.resolve()))
    return str(full)


def check_absent(path: Path, *, overwrite: bool) -> None:
    """Raise :class:`OutputExistsError` if a catalogue is there and not to be overwritten."""
    if path.exists() and not overwrite:
        msg = f"The catalogue {path} exists. Choose another name (-o), or use --overwrite."
        raise OutputExistsError(msg)


def write_catalogue(
    entries: tuple[CatalogueEntry, ...], path: Path, *, overwrite: bool = False
) -> None:
    """Write a fileset as YAML, or as JSON if the name ends so.

    Raises
    ------
    OutputExistsError
        If the file is there and not to be overwritten.
    """
    check_absent(path, overwrite=overwrite)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    content = as_fileset(entries, folder=path.parent)
    if path.suffix == ".json":
        text = json.dumps(content, indent=1)
    else:
        text = _HEADER + yaml.dump(
            content,
            Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper),
            sort_keys=False,
            default_flow_style=None,
            width=100,
        )
    with partial.open("w", encoding="utf-8") as file:
        file.write(text + "\n" if path.suffix == ".json" else text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
