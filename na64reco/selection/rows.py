"""Masks of events counted by row of a table: by run and spill."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    Array: TypeAlias = NDArray[Any]
    Mask: TypeAlias = NDArray[np.bool_]

__all__ = ["NONE", "Rows"]

NONE: Final = np.iinfo(np.int64).max
"""Smallest value of no events."""
_FEW: Final = 50
"""Stretches of events up to which counting each is faster than finding the row of each event."""


class Rows:
    """Counting masks row by row; stretches of events between `bounds` are of one row each."""

    def __init__(self, bounds: Array, of_stretch: Array, rows: int, weights: Array | None) -> None:
        self._index = np.repeat(of_stretch, np.diff(bounds))
        ends = bounds.tolist()
        self._stretches = list(zip(of_stretch.tolist(), ends[:-1], ends[1:], strict=True))
        self.rows, self._weights = rows, weights
        self.weighted = weights is not None

    def count(self, mask: Mask) -> Array:
        """Shape (rows,)."""
        if len(self._stretches) <= _FEW:
            found = np.zeros(self.rows, dtype=np.int64)
            for row, start, stop in self._stretches:
                found[row] += np.count_nonzero(mask[start:stop])
            return found
        return np.bincount(self._index[mask], minlength=self.rows).astype(np.int64)

    def counts(self, masks: Iterable[Mask]) -> Array:
        """Shape (rows, masks)."""
        return np.stack([self.count(mask) for mask in masks], axis=1)

    def sum(self, power: int, mask: Mask, factor: Array | None = None) -> Array:
        """Of a power of the weights, times a factor each, shape (rows,)."""
        assert self._weights is not None
        weights = self._weights[mask] if factor is None else (self._weights * factor)[mask]
        return np.bincount(self._index[mask], weights**power, self.rows)

    def sums(self, power: int, masks: Iterable[Mask]) -> Array:
        """Shape (rows, masks)."""
        return np.stack([self.sum(power, mask) for mask in masks], axis=1)

    def extreme(self, values: Array, *, largest: bool) -> Array:
        """Smallest or largest value of each row."""
        result = np.full(self.rows, -1 if largest else NONE)
        (np.maximum if largest else np.minimum).at(result, self._index, values.astype(np.int64))
        return result

    def total(self, values: Array, mask: Mask) -> Array:
        """Sum of integers of each row."""
        result = np.zeros(self.rows, np.int64)
        np.add.at(result, self._index[mask], values[mask].astype(np.int64))
        return result
