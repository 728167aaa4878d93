"""What every worker process begins with; imported by the process that they are forked from.

Libraries are loaded and numba is started once for all workers: half a second of each.
"""

from __future__ import annotations

from numba import njit

import na64reco.processors.chunks  # noqa: F401 - for the workers
from na64reco.numba_start import lean_numba

__all__: list[str] = []


@njit(cache=True)
def _nothing() -> int:
    return 0


lean_numba()
# The first call of any kernel starts numba; none of these begins a thread, which forks would lose.
_nothing()
