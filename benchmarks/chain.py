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


def write_physics(path: Path, events: int) -> None:
    """Write the physics triggers of data_samples again and again, with numbers of their own."""
    import numpy as np

    from na64reco.events import (
        COLLECTIONS,
        SCALARS,
        EventBatch,
        EventWriter,
        Hits,
        has_field,
        open_events,
        read_hits,
        read_scalar,
    )

    source = open_events(Path(__file__).parents[1] / "data_samples" / "physics.root")
    scalars = {name: read_scalar(source, name) for name in SCALARS if name in source.fields}
    hits = {
        name: read_hits(source, name, [f for f in fields if has_field(source, name, f)])
        for name, fields in COLLECTIONS.items()
        if name in source.fields
    }
    number = len(scalars["run"])
    with EventWriter(path) as writer:
        for start in range(0, events, number):
            keep = min(number, events - start)
            part = {name: values[:keep] for name, values in scalars.items()}
            part["event"] = np.arange(start, start + keep, dtype=np.uint64)
            collections = {
                name: Hits(
                    found.offsets[: keep + 1],
                    {f: v[: found.offsets[keep]] for f, v in found.columns.items()},
                )
                for name, found in hits.items()
            }
            writer.write(EventBatch(part, collections))


def run_chain(path: Path, out: Path, **options: Any) -> Any:
    from na64reco.processors import run

    return run(SELECTION, [path], out, overwrite=True, **options)


def run_coffea(path: Path) -> None:
    """The same processor in coffea's own Runner."""
    from coffea import processor

    from na64reco.events import HitSchema
    from na64reco.processors import SelectionProcessor, resolve_inputs

    runner = processor.Runner(
        processor.IterativeExecutor(status=False), schema=HitSchema, chunksize=50_000
    )
    runner(resolve_inputs(path).for_coffea(), SelectionProcessor(SELECTION))


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


def compare(path: Path, out: Path) -> dict[str, Any]:
    """CPU of the chain, of reading its branches with uproot, and of coffea's Runner."""
    branches = needed_branches(path)
    run_chain(path, out)  # compile
    read_branches(path, branches)
    run_coffea(path)
    rounds = [
        (
            cpu_seconds(lambda: run_chain(path, out)),
            cpu_seconds(lambda: read_branches(path, branches)),
            cpu_seconds(lambda: run_coffea(path)),
        )
        for _ in range(REPEATS)
    ]
    chain, reading, coffea = (statistics.median(column) for column in zip(*rounds, strict=True))
    return {
        "branches_read": len(branches),
        "file_bytes_per_event": round(path.stat().st_size / EVENTS),
        "events_per_cpu_second": round(EVENTS / chain),
        "reading_events_per_cpu_second": round(EVENTS / reading),
        "coffea_runner_events_per_cpu_second": round(EVENTS / coffea),
        "chain_over_reading": round(statistics.median(c / r for c, r, _ in rounds), 2),
        "coffea_runner_over_chain": round(statistics.median(f / c for c, _, f in rounds), 2),
    }


def speed_up(path: Path, out: Path) -> float:
    """Wall-clock time of one worker over that of two, median; needs two idle processors."""
    ratios = []
    for _ in range(3):
        seconds = []
        for workers in (1, 2):
            started = time.perf_counter()
            run_chain(path, out, executor="futures", workers=workers, chunk_size=25_000)
            seconds.append(time.perf_counter() - started)
        ratios.append(seconds[0] / seconds[1])
    return round(statistics.median(ratios), 2)


def measure() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        short, long = Path(folder) / "short.root", Path(folder) / "long.root"
        physics, out = Path(folder) / "physics.root", Path(folder) / "out"
        write_run(short, EVENTS)
        write_run(long, 4 * EVENTS)
        write_physics(physics, EVENTS)
        memory = {
            "events": [EVENTS, 4 * EVENTS],
            "peak_MB": [peak_memory(short), peak_memory(long)],
        }
        return {
            "events": EVENTS,
            "beam electrons": compare(short, out),
            "physics triggers": compare(physics, out),
            "two_workers_over_one": speed_up(long, out),
            "memory": memory,
            "memory_ratio": round(memory["peak_MB"][1] / memory["peak_MB"][0], 3),
        }
