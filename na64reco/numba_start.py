"""Starting numba without what it does not need here.

Before its first kernel numba loads the extensions that other libraries register with it: awkward's
and vector's, so that kernels may take their arrays. Ours take numpy's only, and loading them costs
0.4 s of every command and worker, more than the rest of numba.
"""

from __future__ import annotations

from numba.core import entrypoints

__all__ = ["lean_numba"]


def lean_numba() -> None:
    """Leave out numba's extensions in this process; whoever needs one registers it himself.

    For processes that are ours alone (commands, workers), never for a library that others import:
    their kernels may take awkward arrays.
    """
    # There is no public way. A numba without this name starts slowly, and just as well.
    entrypoints._already_initialized = True  # noqa: SLF001
