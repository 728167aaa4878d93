"""Starting numba and scipy without what they do not need here.

Before its first kernel numba loads the extensions that other libraries register with it: awkward's
and vector's, so that kernels may take their arrays. Ours take numpy's only, and loading them costs
0.4 s of every command and worker, more than the rest of numba.

scipy looks at every name of numpy when it is loaded itself, and with that loads what numpy would
load at its first use only: a compiler of Fortran, tools for tests. That costs 0.06 s.
"""

from __future__ import annotations

import importlib.util
import sys

__all__ = ["lean_numba", "lean_start", "numpy_as_needed"]

_LATER = ("ctypeslib", "f2py", "testing")
"""Parts of numpy that it loads when they are used."""


def lean_start() -> None:
    """Both, for processes that are ours alone (commands, workers)."""
    numpy_as_needed()
    lean_numba()


def lean_numba() -> None:
    """Leave out numba's extensions in this process; whoever needs one registers it himself.

    For processes that are ours alone, never for a library that others import: their kernels may
    take awkward arrays.
    """
    from numba.core import entrypoints

    # There is no public way. A numba without this name starts slowly, and just as well.
    entrypoints._already_initialized = True  # noqa: SLF001


def numpy_as_needed() -> None:
    """Load parts of numpy when something of theirs is used, not when they are looked at."""
    import numpy as np

    for part in _LATER:
        name = f"numpy.{part}"
        spec = None if name in sys.modules else importlib.util.find_spec(name)
        if spec is None or spec.loader is None:
            continue
        spec.loader = importlib.util.LazyLoader(spec.loader)
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
        setattr(np, part, module)
