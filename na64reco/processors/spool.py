"""Selected events of a file that is not accepted yet: in memory, beyond a limit on disk."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from na64reco.processors.processor import SkimBlocks

__all__ = ["Spool"]

MEMORY = 8_000_000
"""Bytes that are kept in memory by default."""


class Spool:
    """Blocks of columns in the order in which they were added.

    Parameters
    ----------
    folder
        For what does not fit; made when needed, removed by `clear`.
    limit
        Bytes to keep in memory.
    """

    def __init__(self, folder: Path, *, limit: int | None = None) -> None:
        self._folder = folder
        self._limit = MEMORY if limit is None else limit
        self._files: list[Path] = []
        self._memory: list[dict[str, NDArray[Any]]] = []
        self._bytes = 0

    def add(self, skim: SkimBlocks) -> None:
        """Append blocks."""
        for _, _, columns in skim.blocks:
            self._memory.append(columns)
            self._bytes += sum(values.nbytes for values in columns.values())
        if self._bytes > self._limit:
            self._spill()

    def __iter__(self) -> Iterator[dict[str, NDArray[Any]]]:
        for path in self._files:
            with np.load(path, allow_pickle=False) as stored:
                yield {name: stored[name] for name in stored.files}
        yield from self._memory

    def clear(self) -> None:
        """Forget everything."""
        self._files, self._memory, self._bytes = [], [], 0
        shutil.rmtree(self._folder, ignore_errors=True)

    def _spill(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        for columns in self._memory:
            path = self._folder / f"{len(self._files)}.npz"
            np.savez(path, allow_pickle=False, **columns)
            self._files.append(path)
        self._memory, self._bytes = [], 0
