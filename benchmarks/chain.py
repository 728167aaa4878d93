"""The whole chain, hits to histograms, against only reading the same branches with uproot.

Both are timed in the CPU seconds of one process, alternating, so that a busy machine moves both;
the figure to watch is their ratio. Memory is the peak resident size of a fresh process.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

SELECTION = "electron-invisible-2022"
SETUP = "2022-electron"
EVENTS = 100_000
REPEATS = 5


def cpu_seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def write_run(path: Path, events: int) -> None:
    """Write a run of beam-trigger electrons at nominal intensity: every event is reconstructed."""
    from na64reco.setup import load_setup
    from na64reco.simulation import write_simulation

    write_simulation(path, load_setup(SETUP), "electron", events, seed=1, trigger="beam")


def run_chain(path: Path, out: Path) -> dict[str, Any]:
    from na64reco.processors import run

    return run(SELECTION, [path], out, overwrite=True)


def read_branches(path: Path, branches: list[str]) -> None:
    import uproot

    with uproot.open(path) as file:
        file["Events"].arrays(branches, library="ak")


def needed_branches(path: Path) -> list[str]:
    """Branches that the chain reads, as the chain itself tells."""
    from na64reco.processors import needed_branches

    return needed_branches(SELECTION, path)


def peak_memory(path: Path) -> float:
    """Peak resident size in MB of one `run` over the file, in a process of its own."""
    # VmHWM, not ru_maxrss: the latter begins with the size of the process that forked.
    code = (
        "import sys, tempfile; from pathlib import Path; from benchmarks import chain;"
        "t = tempfile.mkdtemp(); chain.run_chain(Path(sys.argv[1]), Path(t) / 'out');"
        "status = Path('/proc/self/status').read_text().split();"
        "print(int(status[status.index('VmHWM:') + 1]) / 1024)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], check=True, capture_output=True, text=True
    )
    return float(done.stdout.split()[-1])


def measure() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        short, long = Path(folder) / "short.root", Path(folder) / "long.root"
        write_run(short, EVENTS)
        write_run(long, 4 * EVENTS)
        branches = needed_branches(short)
        out = Path(folder) / "out"
        run_chain(short, out)  # compile
        read_branches(short, branches)
        pairs = [
            (
                cpu_seconds(lambda: run_chain(short, out)),
                cpu_seconds(lambda: read_branches(short, branches)),
            )
            for _ in range(REPEATS)
        ]
        chain = statistics.median(p[0] for p in pairs)
        reading = statistics.median(p[1] for p in pairs)
        memory = {
            "events": [EVENTS, 4 * EVENTS],
            "peak_MB": [peak_memory(short), peak_memory(long)],
        }
        return {
            "events": EVENTS,
            "branches_read": len(branches),
            "file_bytes_per_event": round(short.stat().st_size / EVENTS),
            "events_per_cpu_second": round(EVENTS / chain),
            "reading_events_per_cpu_second": round(EVENTS / reading),
            "chain_over_reading": round(statistics.median(c / r for c, r in pairs), 2),
            "memory": memory,
            "memory_ratio": round(memory["peak_MB"][1] / memory["peak_MB"][0], 3),
        }
