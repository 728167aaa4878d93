"""Events as flat columns: content and offsets, which is what kernels work on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from na64reco.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["EventBatch", "Hits", "cast", "concatenate"]

Array = NDArray[Any]


@dataclass(frozen=True)
class Hits:
    """One ragged collection: event i owns content[offsets[i]:offsets[i + 1]] of every column.

    Raises
    ------
    ValueError
        If the offsets do not begin with 0 or do not fit the columns.
    """

    offsets: NDArray[np.int64]
    """Shape (events + 1,)."""
    columns: dict[str, Array]
    """Field name -> flat content, shape (hits,), or (hits, samples) of waveforms."""

    def __post_init__(self) -> None:
        offsets = self.offsets
        if offsets.ndim != 1 or len(offsets) == 0 or offsets[0] != 0:
            msg = f"offsets must be one-dimensional and begin with 0, found {offsets!r:.60}"
            raise ValueError(msg)
        for name, column in self.columns.items():
            if len(column) != offsets[-1]:
                msg = (
                    f"column {name!r} has {len(column)} entries, but the offsets end at "
                    f"{offsets[-1]}; both must agree"
                )
                raise ValueError(msg)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, name: str) -> Array:
        """Flat content of one field, shape (hits,)."""
        return self.columns[name]

    @property
    def size(self) -> int:
        """Number of hits in all events."""
        return int(self.offsets[-1])

    @property
    def counts(self) -> NDArray[np.int64]:
        """Hits per event, shape (events,)."""
        return np.diff(self.offsets)

    def event_index(self) -> NDArray[np.int64]:
        """Event that each hit belongs to, shape (hits,)."""
        return np.repeat(np.arange(len(self), dtype=np.int64), self.counts)

    def slice(self, start: int, stop: int) -> Hits:
        """Events start .. stop - 1; the columns are views."""
        start, stop, _ = slice(start, stop).indices(len(self))
        stop = max(start, stop)
        first, last = int(self.offsets[start]), int(self.offsets[stop])
        return Hits(
            self.offsets[start : stop + 1] - first,
            {name: column[first:last] for name, column in self.columns.items()},
        )

    def select(self, events: NDArray[np.bool_] | NDArray[np.integer[Any]]) -> Hits:
        """Events chosen by a mask, shape (events,), or by their indices, in that order."""
        chosen = _indices(events, len(self))
        counts = self.counts[chosen]
        offsets = np.zeros(len(chosen) + 1, dtype=np.int64)
        np.cumsum(counts, out=offsets[1:])
        take = np.arange(offsets[-1]) + np.repeat(self.offsets[chosen] - offsets[:-1], counts)
        return Hits(offsets, {name: column[take] for name, column in self.columns.items()})


@dataclass(frozen=True)
class EventBatch:
    """Some events as columns: what the simulation makes and the writer takes.

    Raises
    ------
    ValueError
        If scalars and collections differ in their number of events.
    """

    scalars: dict[str, Array]
    """Name -> values, shape (events,)."""
    collections: dict[str, Hits] = field(default_factory=dict)

    def __post_init__(self) -> None:
        lengths = {name: len(values) for name, values in self.scalars.items()}
        lengths |= {name: len(hits) for name, hits in self.collections.items()}
        if len(set(lengths.values())) > 1:
            msg = f"scalars and collections differ in their number of events: {lengths}"
            raise ValueError(msg)

    def __len__(self) -> int:
        for values in self.scalars.values():
            return len(values)
        for hits in self.collections.values():
            return len(hits)
        return 0

    def slice(self, start: int, stop: int) -> EventBatch:
        """Events start .. stop - 1, as views."""
        return EventBatch(
            {name: values[start:stop] for name, values in self.scalars.items()},
            {name: hits.slice(start, stop) for name, hits in self.collections.items()},
        )

    def select(self, events: NDArray[np.bool_] | NDArray[np.integer[Any]]) -> EventBatch:
        """Events chosen by a mask, shape (events,), or by their indices, in that order."""
        chosen = _indices(events, len(self))
        return EventBatch(
            {name: values[chosen] for name, values in self.scalars.items()},
            {name: hits.select(chosen) for name, hits in self.collections.items()},
        )


def concatenate(batches: Sequence[EventBatch]) -> EventBatch:
    """All batches, one after the other.

    Raises
    ------
    ValueError
        If there is none, or they differ in their scalars, collections or fields.
    """
    if not batches:
        msg = "there is no batch to concatenate"
        raise ValueError(msg)
    first = batches[0]
    layout = _layout(first)
    for number, batch in enumerate(batches):
        if _layout(batch) != layout:
            msg = (
                f"batch {number} has columns {_layout(batch)}, the first has {layout}; "
                "they must be the same"
            )
            raise ValueError(msg)
    if len(batches) == 1:
        return first
    collections = {}
    for name, hits in first.collections.items():
        parts = [batch.collections[name] for batch in batches]
        shifts = np.cumsum([0] + [part.size for part in parts[:-1]])
        offsets = [part.offsets[1:] + shift for part, shift in zip(parts, shifts, strict=True)]
        collections[name] = Hits(
            np.concatenate([np.zeros(1, dtype=np.int64), *offsets]),
            {key: np.concatenate([part.columns[key] for part in parts]) for key in hits.columns},
        )
    scalars = {name: np.concatenate([b.scalars[name] for b in batches]) for name in first.scalars}
    return EventBatch(scalars, collections)


def cast(values: Array, dtype: np.dtype[Any], *, branch: str, source: str = "") -> Array:
    """Values in another type, without copying if it is the same already.

    Raises
    ------
    DataError
        If a number does not fit into the type: 256 or 0.5 into uint8.
    """
    if values.dtype == dtype:
        return np.ascontiguousarray(values)
    if dtype.kind in "iu" and values.dtype.kind not in "iub":
        msg = (
            f"{source + ': ' if source else ''}branch {branch!r} holds {values.dtype.name}, but "
            f"{dtype.name} is expected. Convert it before."
        )
        raise DataError(msg)
    if dtype.kind in "iu" and values.dtype.kind in "iu" and values.size:
        bounds = np.iinfo(dtype)
        low, high = int(values.min()), int(values.max())
        if low < bounds.min or high > bounds.max:
            msg = (
                f"{source + ': ' if source else ''}branch {branch!r} has the value "
                f"{low if low < bounds.min else high}, which does not fit into {dtype.name} "
                f"({bounds.min} to {bounds.max}) as the schema has it. Check how it was filled."
            )
            raise DataError(msg)
    return np.ascontiguousarray(values, dtype=dtype)


def _indices(events: Array, length: int) -> NDArray[np.int64]:
    if events.dtype == np.bool_:
        if len(events) != length:
            msg = f"the mask has {len(events)} entries for {length} events"
            raise ValueError(msg)
        return np.flatnonzero(events).astype(np.int64, copy=False)
    return events.astype(np.int64, copy=False)


def _layout(batch: EventBatch) -> tuple[set[str], dict[str, set[str]]]:
    return set(batch.scalars), {n: set(h.columns) for n, h in batch.collections.items()}
