"""The output folder: complete or not there at all, and never overwritten by accident."""

from __future__ import annotations

import json
import os
import shutil
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from na64reco.errors import OutputExistsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import hist

    from na64reco.processors.ledger import Ledger
    from na64reco.selection import Counts, Cutflow

__all__ = [
    "COUNTS",
    "CUTFLOW",
    "HISTOGRAMS",
    "LEDGER",
    "RUN",
    "SELECTED",
    "check_output",
    "chunk_folder",
    "forget_chunks",
    "output_folder",
    "write_counts",
    "write_cutflow",
    "write_histograms",
    "write_json",
    "write_ledger",
]

HISTOGRAMS = "histograms.root"
CUTFLOW = "cutflow.json"
COUNTS = "counts.json"
SELECTED = "selected.root"
RUN = "run.json"
LEDGER = "ledger.json"


def check_output(out: Path, *, overwrite: bool, mark: str = RUN) -> None:
    """See that a folder may be written.

    Parameters
    ----------
    mark
        The file by which an earlier output is known.

    Raises
    ------
    OutputExistsError
        If it exists and is not to be overwritten, or is no output of an earlier run.
    """
    if not out.exists():
        return
    if not overwrite:
        msg = (
            f"The output folder {out} exists. Choose another one (-o), or replace it with "
            "--overwrite."
        )
        raise OutputExistsError(msg)
    if not out.is_dir() or not ((out / mark).is_file() or not any(out.iterdir())):
        msg = (
            f"{out} is not the output of an earlier run (it has no {mark}), so --overwrite does "
            "not replace it. Choose another folder (-o), or remove it yourself."
        )
        raise OutputExistsError(msg)


@contextmanager
def output_folder(out: Path, *, overwrite: bool, mark: str = RUN) -> Iterator[Path]:
    """A temporary folder that takes the place of `out` when all went well.

    Raises
    ------
    OutputExistsError
        As `check_output`.
    """
    check_output(out, overwrite=overwrite, mark=mark)
    out = out.absolute()
    out.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(out)
    partial = out.with_name(f".{out.name}.{_me()}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        yield partial
        check_output(out, overwrite=overwrite, mark=mark)
        _to_disk(partial)
        _swap(partial, out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _me() -> str:
    return f"{socket.gethostname()}-{os.getpid()}"


def _remove_leftovers(out: Path) -> None:
    """Remove what killed runs of this machine have left of an unfinished output."""
    for path in out.parent.glob(f".{_escaped(out.name)}.{socket.gethostname()}-*.partial"):
        number = path.name.removesuffix(".partial").rpartition("-")[2]
        if number.isdigit() and not _runs(int(number)):
            shutil.rmtree(path, ignore_errors=True)


def _escaped(name: str) -> str:
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)


def _runs(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _to_disk(folder: Path) -> None:
    """See that the content is on the disk before the folder gets its name."""
    for path in [*(p for p in folder.rglob("*") if p.is_file()), folder]:
        number = os.open(path, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def chunk_folder(out: Path) -> Path:
    """Where finished chunks are kept until the output is complete."""
    out = out.absolute()
    return out.with_name(f".{out.name}.chunks")


def forget_chunks(out: Path) -> None:
    """Remove finished chunks, which nobody needs any more."""
    shutil.rmtree(chunk_folder(out), ignore_errors=True)


def _swap(partial: Path, out: Path) -> None:
    if not out.exists():
        partial.rename(out)
        return
    old = out.with_name(f".{out.name}.{_me()}.old")
    out.rename(old)
    try:
        partial.rename(out)
    except OSError:
        old.rename(out)
        raise
    shutil.rmtree(old)


def write_json(path: Path, content: Any) -> None:
    """Indented; numbers that JSON does not know are an error."""
    path.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def write_cutflow(path: Path, cutflows: Mapping[str, Cutflow]) -> None:
    """``{dataset: [{cut, passed, total, efficiency, low, high}, ...]}``."""
    write_json(path, {dataset: cutflow.rows() for dataset, cutflow in cutflows.items()})


def write_counts(path: Path, counts: Mapping[str, Counts]) -> None:
    """``{dataset: Counts.to_json()}``, for programs rather than for reading."""
    content = {dataset: found.to_json() for dataset, found in counts.items()}
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def write_ledger(path: Path, ledger: Ledger) -> None:
    """``{events:, chunks:, files: [{path:, chunks: [[start, stop, status, reason]]}]}``."""
    text = json.dumps(ledger.to_json(), separators=(",", ":"), allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def write_histograms(path: Path, histograms: Mapping[str, Mapping[str, hist.Hist[Any]]]) -> None:
    """Every histogram as TH1, TH2 or TH3 under ``DATASET/NAME``, titled ``DATASET, WHERE``."""
    from na64reco.processors.root_files import recreate_small
    from na64reco.processors.root_histograms import as_root

    content = {
        f"{dataset}/{name}": as_root(
            histogram, f"{dataset}, {histogram.label}" if histogram.label else dataset
        )
        for dataset, named in histograms.items()
        for name, histogram in named.items()
    }
    with recreate_small(path) as file:
        # All at once: the classes are described once for all.
        file.update(content)
