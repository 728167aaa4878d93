"""Memory that was freed is used again for the next chunk instead of given back between.

glibc gives large blocks back to the system as soon as they are freed. The columns of the next chunk
then have to be faulted in and filled with zeros once more, page by page: a twentieth of the time of
a run. What a process holds at most becomes larger by a tenth, since what is free is in pieces; the
largest blocks, which would leave the largest holes, are given back as before.

It is for workers, which keep nothing of a chunk. Where results stay between the chunks, as in the
process that collects them, the pieces become more and more: 80 MB with every million events.
"""

from __future__ import annotations

import ctypes
import sys
from functools import cache
from typing import Final

__all__ = ["keep_freed_memory"]

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_LARGEST: Final = 4 << 20
"""Bytes of a block up to which glibc may be told to keep it; larger ones are given back."""
_KEPT: Final = 256 << 20
"""Bytes that may be free before some are given back."""


@cache
def keep_freed_memory() -> bool:
    """Tell the allocator of this process so; False where it is another one than glibc's."""
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # musl
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _LARGEST) and mallopt(_M_TRIM_THRESHOLD, _KEPT))
