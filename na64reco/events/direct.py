"""Entries of an open file for kernels: the same columns as of NanoEvents, several times as fast.

`read_scalar` and `read_hits` take these events instead of NanoEvents; everything that is not read
straight from the baskets comes from NanoEvents of the same entries, made when they are needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from na64reco.events.baskets import Branch, NotPlain, Scratch, branch_of
from na64reco.events.columns import Hits
from na64reco.events.schema import COLLECTIONS, branch_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from na64reco.events.files import HitFile

__all__ = ["DirectEvents"]


@dataclass(frozen=True)
class _Collection:
    """What is to be known of a collection beside its values."""

    fields: tuple[str, ...]


class DirectEvents:
    """Some entries of a file in the schema's own names.

    Parameters
    ----------
    file
        Open, and open as long as this is used.
    start, stop
        Entries.
    nano
        Makes NanoEvents of the same entries.
    """

    def __init__(self, file: HitFile, start: int, stop: int, nano: Callable[[], Any]) -> None:
        self.path = file.path
        self._tree = file.tree
        self._start, self._stop = start, stop
        self._make = nano
        self._scratch = Scratch()
        self._branches: dict[str, Branch] = file.baskets
        self._scalars: dict[str, NDArray[Any]] = {}
        self._columns: dict[str, NDArray[Any]] = {}
        self._offsets: dict[str, tuple[int, NDArray[np.int64]]] = {}
        names = [str(branch.name) for branch in file.tree.branches]
        counters = {f"n{name}" for name in COLLECTIONS} & set(names)
        self._collections = {
            counter[1:]: _Collection(
                tuple(n.partition("_")[2] for n in names if n.partition("_")[0] == counter[1:])
            )
            for counter in sorted(counters)
        }
        self._fields = [
            name
            for name in names
            if name not in counters and name.partition("_")[0] not in self._collections
        ] + list(self._collections)

    def __len__(self) -> int:
        """Number of events."""
        return self._stop - self._start

    @property
    def fields(self) -> list[str]:
        """Names of scalars and collections."""
        return self._fields

    def __getitem__(self, collection: str) -> _Collection:
        """Which fields a collection has."""
        return self._collections[collection]

    @cached_property
    def nano(self) -> Any:
        """NanoEvents of these entries."""
        return self._make()

    def scalar(self, name: str) -> NDArray[Any]:
        """One value per event, as the file has it.

        Raises
        ------
        NotPlain
            If it is not read here.
        """
        if name not in self._scalars:
            self._scalars[name] = self._flat(name, self._start, self._stop)
        return self._scalars[name]

    def hits(self, collection: str, fields: Iterable[str]) -> Hits:
        """Fields of a collection, as the file has them.

        Raises
        ------
        NotPlain
            If it is not read here.
        """
        first, offsets = self._offsets_of(collection)
        start, stop = self._start, self._stop
        columns = {}
        for field in fields:
            name = branch_name(collection, field)
            if name not in self._columns:
                branch = self._branch(name, jagged=True)
                self._columns[name] = branch.hits(start, stop, offsets, first, self._scratch)
            columns[field] = self._columns[name]
        mine = offsets[start - first : stop - first + 1]
        return Hits(mine - mine[0] if mine[0] else mine, columns)

    def _offsets_of(self, collection: str) -> tuple[int, NDArray[np.int64]]:
        """First entry, and where hits begin in it and all that follow in the same baskets."""
        if collection not in self._offsets:
            if collection not in self._collections:
                raise NotPlain
            names = [branch_name(collection, f) for f in self._collections[collection].fields]
            spans = [self._branch(n, jagged=True).span(self._start, self._stop) for n in names]
            if not spans:
                raise NotPlain
            first, end = min(low for low, _ in spans), max(high for _, high in spans)
            counts = self._flat(f"n{collection}", first, end)
            if counts.dtype.kind not in "iu" or counts.min() < 0:
                raise NotPlain
            offsets = np.zeros(len(counts) + 1, dtype=np.int64)
            np.cumsum(counts, dtype=np.int64, out=offsets[1:])
            self._offsets[collection] = first, offsets
        return self._offsets[collection]

    def _flat(self, name: str, start: int, stop: int) -> NDArray[Any]:
        return self._branch(name, jagged=False).values(start, stop, self._scratch)

    def _branch(self, name: str, *, jagged: bool) -> Branch:
        if name not in self._branches:
            self._branches[name] = branch_of(self._tree[name])
        branch = self._branches[name]
        if branch.jagged != jagged:
            raise NotPlain
        return branch
