"""What every worker process begins with; imported by the process that they are forked from.

Libraries are loaded and numba is started once for all workers: half a second of each.
"""

from __future__ import annotations

import numba

from na64reco.numba_start import lean_start

lean_start()
import na64reco.processors.chunks  # noqa: E402, F401 - for the workers

__all__: list[str] = []


@numba.njit(cache=True)
def _nothing() -> int:
    return 0


# The first call of any kernel starts numba; none of these begins a thread, which forks would lose.
_nothing()
