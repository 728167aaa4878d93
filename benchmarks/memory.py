"""Peak memory of `run` over files of different sizes, in fresh processes.

By default files of 100 000 and 1 000 000 physics events (0.4 GB of disk). The full measurement,
1 and 10 million events (4.5 GB of disk, some minutes), is `python -m benchmarks.memory full`.
Each is run in one process and, under a limit of data that the larger file does not fit into by
far, in a pool with one worker.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.chain import SELECTION, write_physics

EVENTS = (100_000, 1_000_000)
FULL = (1_000_000, 10_000_000)
LIMIT = 1_500_000_000
"""Bytes of data that a process may hold in the run with a limit: `run`'s default."""

_RUN = """
import resource, sys, tempfile, threading
from pathlib import Path
from na64reco.numba_start import lean_numba

def peak(process):
    words = Path(f"/proc/{process}/status").read_text().split()
    return int(words[words.index("VmHWM:") + 1]) / 1024

def children():
    return [p.name for p in Path("/proc").glob("[0-9]*") if group(p) == GROUP]

def group(path):
    try:
        return path.joinpath("stat").read_text().rpartition(")")[2].split()[2]
    except OSError:
        return None

def watch(done, peaks):
    while not done.wait(0.1):
        for process in children():
            try:
                peaks[process] = max(peaks.get(process, 0.0), peak(process))
            except (OSError, ValueError):
                pass

if __name__ == "__main__":
    import os
    GROUP = str(os.getpgid(0))
    lean_numba()
    from na64reco.processors import run
    path, executor, limit = sys.argv[1], sys.argv[2], int(sys.argv[3])
    if limit:
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    done, peaks = threading.Event(), {}
    watcher = threading.Thread(target=watch, args=(done, peaks))
    watcher.start()
    try:
        with tempfile.TemporaryDirectory() as folder:
            run("SELECTION", path, Path(folder) / "out", executor=executor, workers=1)
    finally:
        done.set()
        watcher.join()
    print(max([peak("self"), *peaks.values()]))
"""


def peak_memory(path: Path, executor: str, limit: int) -> float:
    """Largest resident size in MB of any process of a run."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "measure.py"
        script.write_text(_RUN.replace("SELECTION", SELECTION))
        # In a group of its own, so that its workers are found.
        done = subprocess.run(
            [sys.executable, str(script), str(path), executor, str(limit)],
            check=True,
            capture_output=True,
            text=True,
            start_new_session=True,
        )
    return round(float(done.stdout.split()[-1]), 1)


def uncompressed_bytes(path: Path) -> int:
    import uproot

    with uproot.open(path) as file:
        return sum(int(branch.uncompressed_bytes) for branch in file["Events"].branches)


def measure(sizes: tuple[int, int] = EVENTS) -> dict[str, Any]:
    peaks: dict[str, list[float]] = {"iterative": [], "futures": []}
    volumes = []
    for events in sizes:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "physics.root"
            write_physics(path, events)
            volumes.append(uncompressed_bytes(path))
            for executor, found in peaks.items():
                found.append(peak_memory(path, executor, LIMIT))
    return {
        "events": list(sizes),
        "uncompressed_GB": [round(volume / 1e9, 2) for volume in volumes],
        "limit_GB": LIMIT / 1e9,
        "peak_MB": peaks,
        "ratio": {name: round(found[1] / found[0], 3) for name, found in peaks.items()},
    }


if __name__ == "__main__":
    json.dump(measure(FULL if "full" in sys.argv[1:] else EVENTS), sys.stdout, indent=2)
    print()
