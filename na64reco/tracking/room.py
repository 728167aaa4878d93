"""Memory of arrays that is used again for the next block of events.

What is freed goes back to the system, and memory that comes from there is filled with zeros first,
page by page when it is written to: for clusters and candidates that takes longer than a fit.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

__all__ = ["Room"]


class Room:
    """Arrays by name. One is lost when its name is asked for again."""

    def __init__(self) -> None:
        self._kept: dict[str, NDArray[Any]] = {}

    def empty(self, name: str, *shape: int, dtype: DTypeLike = np.float64) -> NDArray[Any]:
        """As `numpy.empty`; a name always has the same dtype."""
        size = math.prod(shape)
        kept = self._kept.get(name)
        if kept is None or len(kept) < size:
            # An eighth more: blocks are of about the same size.
            kept = self._kept[name] = np.empty(size + size // 8, dtype)
        return kept[:size].reshape(shape)
