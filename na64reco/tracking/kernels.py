"""How the small kernels of an event are compiled."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

__all__ = ["ALLOCATING", "BORROWING", "ZERO"]

BORROWING: Final[dict[str, Any]] = {
    "cache": True,
    "nogil": True,
    "error_model": "numpy",
    "_nrt": False,
}
"""For functions that are called for every event and allocate nothing.

Their caller owns the arrays. Without the run time for memory they do not count references to them,
which would take longer than what they do: one atomic operation at least for each array, at each
entry and exit. Where such a function allocates nevertheless, numba refuses to compile it.
"""

ALLOCATING: Final[dict[str, Any]] = BORROWING | {"_nrt": True}
"""For functions that allocate and are called by such ones, rarely: options are inherited."""

ZERO: Final = np.int64(0)
"""What counters start from that are handed over, and what is said in the place of a literal 0.

To numba, a literal is of a type of its own: a kernel that takes it is compiled once more.
"""
