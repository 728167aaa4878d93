"""Starting numba and scipy without what they do not need here, and compiling nothing twice.

Before its first kernel numba loads the extensions that other libraries register with it: awkward's
and vector's, so that kernels may take their arrays. Ours take numpy's only, and loading them costs
0.4 s of every command and worker, more than the rest of numba.

scipy looks at every name of numpy when it is loaded itself, and with that loads what numpy would
load at its first use only: a compiler of Fortran, tools for tests. That costs 0.06 s.

Processes that start together (workers, tests) come to the same kernels at the same time. Before
any of them is in the cache, each process would compile all, for a minute; here the others wait for
the first one and load what it has made.
"""

from __future__ import annotations

import fcntl
import importlib.util
import os
import sys
import tempfile
import threading
import zlib
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["compile_once", "lean_numba", "lean_start", "numpy_as_needed"]

_LATER = ("ctypeslib", "f2py", "testing")
"""Parts of numpy that it loads when they are used."""


def lean_start() -> None:
    """All of the following, for processes that are ours alone (commands, workers)."""
    numpy_as_needed()
    lean_numba()
    compile_once()


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


@cache
def compile_once() -> None:
    """Compile a kernel that is not in the cache in one process at a time.

    For processes that are ours alone, as numba has no public way to do that.
    """
    from numba.core.caching import Cache
    from numba.core.dispatcher import Dispatcher

    compile_now: Any = Dispatcher.compile
    load: Any = Cache.load_overload
    # Of this thread: the kernel that it compiles, and what it holds until that is done.
    inside = threading.local()

    def compile_and_let_go(self: Any, signature: Any) -> Any:
        code, outer = self.py_func.__code__, getattr(inside, "kernel", None)
        with ExitStack() as held:
            # Kernels that it calls are compiled meanwhile.
            held.callback(setattr, inside, "kernel", outer)
            inside.kernel = f"{code.co_filename}:{code.co_firstlineno}", held
            return compile_now(self, signature)

    def load_or_wait(self: Any, signature: Any, context: Any) -> Any:
        found = load(self, signature, context)
        kernel = getattr(inside, "kernel", None)
        if found is None and kernel is not None:
            name, held = kernel
            held.enter_context(_only_here(f"{self.cache_path} {name}"))
            # Who was inside before has left it here.
            found = load(self, signature, context)
        return found

    Dispatcher.compile = compile_and_let_go  # type: ignore[method-assign, assignment]
    Cache.load_overload = load_or_wait  # type: ignore[method-assign]


@contextmanager
def _only_here(name: str) -> Iterator[None]:
    """Wait until no other process of this user is inside with the same name."""
    file = _lock_file()
    # A lock on one byte for each name: it ends with its process, and where processes wait for
    # each other in a circle, the system says so.
    place = zlib.crc32(name.encode())
    locked = False
    if file is not None:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX, 1, place)
            locked = True
        except OSError:  # a circle, or a file system without locks: compiled twice, and as well
            pass
    try:
        yield
    finally:
        if file is not None and locked:
            fcntl.lockf(file, fcntl.LOCK_UN, 1, place)


@cache
def _lock_file() -> int | None:
    """Open for as long as the process lives: to close it would end all its locks."""
    path = Path(tempfile.gettempdir()) / f"na64reco-{os.getuid()}.lock"
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError:
        return None
