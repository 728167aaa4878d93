"""Commands start quickly: what they load, and the CPU time of fresh processes.

Times are compared with that of importing numpy, numba, uproot and awkward in the same minute: a
busy machine is slow for both.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from na64reco.cli.app import _LIGHT

SAMPLE = Path(__file__).parents[2] / "data_samples" / "physics.root"
BARE = "import numpy, numba, uproot, awkward"
RUN = ("run", "electron-invisible-2022", str(SAMPLE), "--overwrite", "-o")
COMMAND = "import sys; from na64reco.cli import main; sys.argv[0] = 'na64reco'; main()"

# Never for nothing: half a second and more.
HEAVY = (
    "coffea",
    "dask",
    "distributed",
    "matplotlib",
    "mplhep",
    "pandas",
    "iminuit",
    "pyhf",
    "notebook",
)
SCIPY = ("scipy.stats", "scipy.optimize", "scipy.interpolate", "scipy.integrate", "scipy.sparse")
FOR_NOTHING = {
    "awkward._connect.numba.arrayview",
    "vector.backends._numba_object",
    "numpy.f2py.crackfortran",
    "numpy.testing._private",
}
LIBRARIES = ("numpy", "scipy", "numba", "awkward", "uproot", "hist", "coffea", "pydantic")


def loaded(code, *arguments):
    """Modules that a fresh process has at its end."""
    report = (
        "import atexit, json, sys; atexit.register(lambda: print(json.dumps(list(sys.modules)))); "
    )
    done = subprocess.run(
        [sys.executable, "-c", report + code, *arguments],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_help_loads_no_library_that_computes():
    assert not loaded(COMMAND, "--help") & {*HEAVY, *LIBRARIES}


def test_the_package_alone_loads_nothing():
    assert not loaded("import na64reco") & {*HEAVY, *LIBRARIES, "typer"}


def test_a_run_loads_what_it_needs(tmp_path):
    found = loaded(COMMAND, *RUN, str(tmp_path / "out"))
    assert {"numba", "uproot"} <= found
    assert not found & {*HEAVY, *SCIPY, *FOR_NOTHING}


def test_commands_start_numba_without_the_extensions_of_others(tmp_path):
    """Where a kernel is called; `run` is above."""
    simulate = ("simulate", "2022-electron", "electron", "-n", "5", "-o", str(tmp_path / "x.root"))
    for arguments in (simulate, ("inspect", str(SAMPLE))):
        found = loaded(COMMAND, *arguments)
        # With these numba begins its first kernel.
        assert {"numba.np.arrayobj", "numba.np.linalg"} <= found
        assert not found & FOR_NOTHING


@pytest.mark.parametrize("name", ["selections", "setups"])
def test_commands_that_compute_nothing_load_no_compiler(name):
    assert name in _LIGHT
    assert not loaded(COMMAND, name) & {*HEAVY, "numba", "uproot", "awkward"}


def test_what_a_lean_start_leaves_out_is_there_when_it_is_used():
    code = """
from na64reco.numba_start import lean_start
lean_start()
import scipy.special, numpy as np
assert not {m for m in sys.modules if m.startswith(("numpy.testing.", "numpy.f2py."))}
from numpy.testing import assert_allclose
assert_allclose(scipy.special.gammainc(1.0, 1.0), 1 - np.exp(-1.0))
assert "numpy.testing._private" in sys.modules
assert np.f2py.get_include().endswith("src")
assert np.ctypeslib.as_ctypes_type("f8").__name__ == "c_double"
"""
    loaded(code)


def cpu_seconds(code, *arguments):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "NUMBA_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    subprocess.run(
        [sys.executable, "-c", code, *arguments],
        check=True,
        stdout=subprocess.DEVNULL,
        env=environment,
        timeout=300,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.parametrize(
    ("code", "arguments", "most"),
    [
        # On an idle machine importing those four takes 0.55 s; `run` took 8.5 times that once.
        ("import na64reco", (), 0.3),
        (COMMAND, ("--help",), 0.8),
        (COMMAND, RUN, 4.0),
    ],
    ids=["import", "help", "run"],
)
def test_warm_start(code, arguments, most, tmp_path):
    if arguments == RUN:
        arguments = (*RUN, str(tmp_path / "out"))
    cpu_seconds(code, *arguments)  # compiles, if nothing has before
    # Alternating, and the quietest of each: what others do in between only adds.
    times = [(cpu_seconds(code, *arguments), cpu_seconds(BARE)) for _ in range(2)]
    mine, bare = (min(column) for column in zip(*times, strict=True))
    assert mine / bare < most, times
