"""Memory of arrays that nobody looks at any more, for the next ones.

What is freed goes back to the system, and memory that comes from there is filled with zeros first,
page by page when it is written to. It is for arrays of one size that come and go many times within
a chunk. Columns as read stay as long as the chunk, whose other arrays then use the memory of those
of the chunk before: with theirs kept apart, a chunk took 5 % longer.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["SPARE", "SpareMemory"]

_SMALLEST: Final = 1 << 16
"""Bytes below which memory comes from the allocator, which keeps small blocks itself."""
_MOST: Final = 150_000_000
"""Bytes that may lie unused: as much as is read at a time."""
_STEPS: Final = 8
"""Blocks have sizes of which so many lie between a power of two and the next."""


class SpareMemory:
    """Gives arrays whose memory comes back when the last view of them is gone.

    Parameters
    ----------
    most
        Bytes that may lie unused; the oldest go first.
    """

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        # By address. Changed in single steps instead of under a lock: what comes back may come at
        # any time, also while the same thread is here.
        self._free: dict[int, NDArray[np.uint8]] = {}

    def empty(self, length: int, dtype: np.dtype[Any]) -> NDArray[Any]:
        """As `numpy.empty`, shape (length,)."""
        size = length * dtype.itemsize
        if size < _SMALLEST:
            return np.empty(length, dtype=dtype)
        step = 1 << (size.bit_length() - _STEPS.bit_length())
        block = -(-size // step) * step
        memory = self._take(block)
        if memory is None:
            try:
                memory = np.empty(block, dtype=np.uint8)
            except MemoryError:
                self.clear()
                memory = np.empty(block, dtype=np.uint8)
        loan = _Loan(memory)
        weakref.finalize(loan, self._give_back, loan.address, memory).atexit = False
        return np.asarray(loan)[:size].view(dtype)

    def clear(self) -> None:
        """Give back what lies unused."""
        self._free.clear()

    @property
    def unused(self) -> int:
        """Bytes that lie unused."""
        return sum(map(len, list(self._free.values())))

    def _take(self, block: int) -> NDArray[np.uint8] | None:
        for address, memory in list(self._free.items()):
            if block <= len(memory) <= block + block // 4:
                taken = self._free.pop(address, None)  # unless another thread was faster
                if taken is not None:
                    return taken
        return None

    def _give_back(self, address: int, memory: NDArray[np.uint8]) -> None:
        self._free[address] = memory
        for oldest in list(self._free):
            if self.unused <= self._most:
                return
            self._free.pop(oldest, None)


class _Loan:
    """What an array and all its views refer to; with the last of them it goes."""

    __slots__ = ("__array_interface__", "__weakref__")

    def __init__(self, memory: NDArray[np.uint8]) -> None:
        self.__array_interface__ = memory.__array_interface__

    @property
    def address(self) -> int:
        """Of the first byte."""
        return int(self.__array_interface__["data"][0])


SPARE: Final = SpareMemory()
"""That of this process."""
