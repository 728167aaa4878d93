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
    assert not found & {*HEAVY, *SCIPY, "vector.backends._numba_object"}


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
