"""Results of finished chunks, kept until the run is complete, so that it can be resumed.

A result is found again under a key of everything that it depends on: the checksum of its file, the
entries, the selection, the setup, the text of all conditions, the mapping and the code. Whatever
of that changes, the key does, and the chunk is done again. Each file carries its own checksum: one
that power loss left half written is no result.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import io
import json
import os
import platform
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cramjam
import numpy as np
import xxhash

import na64reco
from na64reco.processors.fileset import DEFAULT_DATASET
from na64reco.processors.intervals import EventIntervals
from na64reco.processors.processor import Kind, Result, SkimBlocks
from na64reco.resources import shipped_folder
from na64reco.selection import Counts, Cutflow
from na64reco.selection.histograms import _empty, _instances
from na64reco.version import __version__

if TYPE_CHECKING:
    import hist
    from numpy.typing import NDArray

    from na64reco.processors.chunks import Chunk
    from na64reco.processors.processor import SelectionProcessor
    from na64reco.selection import Selection

__all__ = ["KeptChunks", "Nothing", "code_digest", "decode", "encode", "job_digest"]

_MAGIC = b"na64reco chunk 2\n"
_LIBRARIES = ("awkward", "coffea", "hist", "numba", "numpy", "uproot")
_APART = {"cli", "report", "inference", "calibrate", "simulation"}
"""Packages on which no result depends."""
_SOURCES = {".py", ".yaml", ".json", ".npz", ".txt"}


def encode(result: Result) -> bytes:
    """A result as bytes, without the paths of its files."""
    arrays: dict[str, NDArray[Any]] = {}
    histograms: dict[str, str] = {}
    for i, (name, histogram) in enumerate(result["histograms"].items()):
        histograms[name] = f"h{i}"
        arrays[f"h{i}"] = np.asarray(histogram.view(flow=True))
    (seen,) = result["seen"].values()
    arrays |= {"run": seen.run, "first": seen.first, "last": seen.last}
    blocks = []
    for i, (_, entry, columns) in enumerate(result["skim"].blocks):
        blocks.append([entry, {name: f"s{i}.{j}" for j, name in enumerate(columns)}])
        arrays |= {f"s{i}.{j}": values for j, values in enumerate(columns.values())}
    head = {
        "simulated": result["kind"].simulated,
        "events": result["events"],
        "cutflow": result["cutflow"].to_json(),
        "counts": result["counts"].to_json(),
        "conditions": sorted(result["conditions"]),
        "histograms": histograms,
        "skim": blocks,
        "arrays": list(arrays),
    }
    text = json.dumps(head, allow_nan=True).encode()
    buffer = io.BytesIO()
    # One behind the other: an archive of them (savez) and zlib took 10 ms for each chunk.
    for array in (np.frombuffer(text, np.uint8), *arrays.values()):
        np.lib.format.write_array(buffer, array, allow_pickle=False)
    body = bytes(cramjam.zstd.compress(buffer.getbuffer(), 1))
    return _MAGIC + xxhash.xxh3_128(body).digest() + body


def is_whole(content: bytes) -> bool:
    """Whether bytes are those that `encode` gave."""
    start = len(_MAGIC) + 16
    return (
        content[: len(_MAGIC)] == _MAGIC
        and xxhash.xxh3_128(content[start:]).digest() == content[len(_MAGIC) : start]
    )


def decode(content: bytes, selection: Selection, *, source: str) -> Result:
    """The inverse of `encode`, for a file of which the path may be another one now."""
    buffer = io.BytesIO(bytes(cramjam.zstd.decompress(content[len(_MAGIC) + 16 :])))

    def stored() -> NDArray[Any]:
        array: NDArray[Any] = np.lib.format.read_array(buffer, allow_pickle=False)
        return array

    head = json.loads(stored().tobytes())
    arrays = {name: stored() for name in head["arrays"]}
    simulated = bool(head["simulated"])
    blocks = tuple(
        (source, entry, {name: arrays[key] for name, key in columns.items()})
        for entry, columns in head["skim"]
    )
    seen = EventIntervals(source, arrays["run"], arrays["first"], arrays["last"])
    return Result(
        kind=Kind(DEFAULT_DATASET, simulated),
        events=head["events"],
        cutflow=Cutflow.from_json(head["cutflow"]),
        counts=Counts.from_json(head["counts"]),
        histograms=_histograms(head["histograms"], arrays, selection, weighted=simulated),
        skim=SkimBlocks(blocks),
        seen={source: seen},
        conditions={(number, digest) for number, digest in head["conditions"]},
    )


def _histograms(
    names: dict[str, str],
    arrays: dict[str, NDArray[Any]],
    selection: Selection,
    *,
    weighted: bool,
) -> dict[str, hist.Hist[Any]]:
    described = {name: (histogram, stage) for name, histogram, stage in _instances(selection)}
    found = {}
    for name, key in names.items():
        histogram, stage = described[name]
        found[name] = _empty(name, histogram, stage, weighted=weighted)
        found[name].view(flow=True)[...] = arrays[key]
    return found


@cache
def code_digest() -> str:
    """SHA-256 of the code as it is installed, and of the versions of what it computes with."""
    digest = hashlib.sha256()
    root = Path(na64reco.__file__).parent
    for path in sorted(p for p in root.rglob("*") if p.suffix in _SOURCES):
        name = path.relative_to(root)
        if name.parts[0] in _APART:
            continue
        digest.update(f"{name}\0".encode())
        digest.update(xxhash.xxh3_128(path.read_bytes()).digest())
    versions = [f"{name} {importlib.metadata.version(name)}" for name in _LIBRARIES]
    digest.update("\0".join([__version__, platform.python_version(), *versions]).encode())
    return digest.hexdigest()


def job_digest(processor: SelectionProcessor, mapping: Any = None) -> str:
    """SHA-256 of all that a result depends on beside the file and the entries."""
    folder = processor.calib or shipped_folder("calib") / processor.setup.name
    files = sorted(p for p in Path(folder).glob("*") if p.is_file())
    box = processor.unblind
    content = {
        "code": code_digest(),
        "selection": processor.selection.model_dump(mode="json", by_alias=True),
        "setup": processor.setup.model_dump(mode="json"),
        "conditions": {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in files},
        "nearest": processor.nearest,
        "columns": processor.columns,
        "sequential": processor.sequential,
        "unblind": None if box is None else {k: str(v) for k, v in asdict(box).items()},
        "mapping": None if mapping is None else mapping.model_dump(mode="json"),
    }
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


class Nothing:
    """Keeps nothing."""

    def find(self, chunk: Chunk) -> bool:  # noqa: ARG002
        """Whether the result of a chunk is here."""
        return False

    def load(self, chunk: Chunk) -> Result | None:  # noqa: ARG002
        """A result that is here."""
        return None

    def keep(self, chunk: Chunk, result: Result) -> None:
        """Remember a result."""


class KeptChunks(Nothing):
    """A folder of results.

    Parameters
    ----------
    job
        From `job_digest`.
    use
        Whether results that are already there may be used.
    """

    def __init__(self, folder: Path, job: str, selection: Selection, *, use: bool) -> None:
        self._folder = folder
        self._job = job
        self._selection = selection
        self._use = use
        self.found = 0
        """Number of results that were there."""

    def find(self, chunk: Chunk) -> bool:
        """Whether the whole result of a chunk is here."""
        if not self._use:
            return False
        path = self._path(chunk)
        try:
            return path is not None and is_whole(path.read_bytes())
        except OSError:
            return False

    def load(self, chunk: Chunk) -> Result | None:
        """The result of a chunk, or None if it is not here after all."""
        path = self._path(chunk)
        try:
            content = b"" if path is None else path.read_bytes()
        except OSError:
            return None
        if not is_whole(content):
            return None
        self.found += 1
        return decode(content, self._selection, source=chunk.path)

    def keep(self, chunk: Chunk, result: Result) -> None:
        """Remember a result; it is there as a whole or not at all.

        Raises
        ------
        OSError
            If there is no room.
        """
        path = self._path(chunk)
        if path is None:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}")
        try:
            partial.write_bytes(encode(result))
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)

    def _path(self, chunk: Chunk) -> Path | None:
        """None for a file of which no checksum is known: nobody could tell whether it changed."""
        promise = chunk.promise
        checksum = promise.xxh3 or promise.sha256 or promise.adler32
        if checksum is None:
            return None
        key = f"{self._job} {checksum} {promise.size} {chunk.start} {chunk.stop}"
        name = xxhash.xxh3_128(key.encode()).hexdigest()
        return self._folder / name[:2] / name
