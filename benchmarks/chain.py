"""The whole chain, hits to histograms, against only reading the same branches with uproot.

Both are timed in CPU seconds, alternating, so that a busy machine moves both; the figure to watch
is their ratio. uproot reads in a process of its own, where it is faster. What a run costs however
few events it has (outputs, conditions, headers of files) is a line of its own, from a file of a
thousand events. Memory is measured by `benchmarks.memory`.
"""

from __future__ import annotations

import contextlib
import cProfile
import io
import json
import pstats
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
CALIBRATION = "electron-calibration-2022"
"""For beam electrons one after the other: the search's first cut rejects these."""
SETUP = "2022-electron"
EVENTS = 200_000
"""Beam electrons, of which every one is simulated."""
TRIGGERS = 1_000_000
"""Physics triggers, which are copies."""
LONG = 3_000_000
"""Physics triggers for two workers: seconds of work, beside which starting them is little."""
FEW = 1_000
REPEATS = 5
PARTS = {
    "reading": ("read_hits", "read_scalar"),
    "checks": ("check_events", "intervals_of"),
    "calorimeters and counters": (
        "reconstruct_ecal",
        "reconstruct_hcal",
        "reconstruct_srd",
        "reconstruct_veto",
    ),
    "tracking": ("reconstruct_tracks",),
    "cuts and counts": ("apply", "count"),
    "histograms": ("fill_histograms",),
}
"""Functions that make up a part of the chain; checks are without what they read."""


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

    from na64reco.events import EventBatch, EventWriter, Hits, open_events, read_batch

    source = read_batch(open_events(Path(__file__).parents[1] / "data_samples" / "physics.root"))
    number = len(source.scalars["run"])
    with EventWriter(path) as writer:
        for start in range(0, events, number):
            keep = min(number, events - start)
            part = {name: values[:keep] for name, values in source.scalars.items()}
            part["event"] = np.arange(start, start + keep, dtype=np.uint64)
            collections = {
                name: Hits(
                    found.offsets[: keep + 1],
                    {f: v[: found.offsets[keep]] for f, v in found.columns.items()},
                )
                for name, found in source.collections.items()
            }
            writer.write(EventBatch(part, collections))


def run_chain(path: Path, out: Path, *, selection: str = SELECTION, **options: Any) -> Any:
    from na64reco.processors import run

    return run(selection, [path], out, overwrite=True, **options)


def run_coffea(path: Path) -> None:
    """The same processor in coffea's own Runner."""
    from coffea import processor

    from na64reco.events import HitSchema
    from na64reco.processors import SelectionProcessor, resolve_inputs

    executor = processor.IterativeExecutor(status=False)
    runner = processor.Runner(executor, pre_executor=executor, schema=HitSchema, chunksize=50_000)
    # Bars are drawn even so, and standard output is for JSON.
    with contextlib.redirect_stdout(io.StringIO()):
        runner(resolve_inputs(path).for_coffea(), SelectionProcessor(SELECTION))


def read_branches(path: Path, branches: list[str]) -> None:
    import uproot

    with uproot.open(path) as file:
        file["Events"].arrays(branches, library="ak")


def reading_seconds(path: Path, branches: list[str]) -> float:
    """CPU of `read_branches` in a process of its own, at the second time."""
    code = (
        "import json, sys; from pathlib import Path; from benchmarks import chain;"
        "path, branches = Path(sys.argv[1]), json.loads(sys.argv[2]);"
        "chain.read_branches(path, branches);"
        "print(chain.cpu_seconds(lambda: chain.read_branches(path, branches)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path), json.dumps(branches)],
        check=True,
        capture_output=True,
        text=True,
    )
    return float(done.stdout.split()[-1])


def needed_branches(path: Path, selection: str = SELECTION) -> list[str]:
    """Branches that the chain reads, as the chain itself tells."""
    from na64reco.processors import needed_branches

    return needed_branches(selection, path)


def parts(path: Path, out: Path) -> dict[str, float]:
    """Shares of the chain's parts in its time, in per cent, by Python's profiler."""
    profile = cProfile.Profile()
    profile.runcall(run_chain, path, out)
    # (file, line, name): (calls, of them primitive, time inside, time with what it calls, callers)
    found: dict[Any, Any] = pstats.Stats(profile).stats  # type: ignore[attr-defined]
    total = sum(entry[2] for entry in found.values())

    def inside(names: tuple[str, ...]) -> float:
        chosen = (
            entry[3]
            for (file, _, name), entry in found.items()
            if name in names and "na64reco" in file
        )
        return float(sum(chosen))

    seconds = {name: inside(functions) for name, functions in PARTS.items()}
    # What is checked is read by the check: only the rest of its time is its own.
    seconds["checks"] -= sum(
        callers[3]
        for (_, _, name), entry in found.items()
        if name in PARTS["reading"]
        for (file, _, caller), callers in entry[4].items()
        if "check" in file and caller != "<module>"
    )
    seconds["the rest, fixed costs among it"] = total - sum(seconds.values())
    return {name: round(100 * value / total, 1) for name, value in seconds.items()}


def compare(path: Path, few: Path, out: Path, events: int) -> dict[str, Any]:
    """CPU of the chain, of reading its branches with uproot, of coffea's Runner and of awkward.

    ``few`` is a file of the same kind with few events, for what a run costs without any.
    """
    from benchmarks import awkward_chain

    branches = needed_branches(path)
    (dataset,) = run_chain(path, out).datasets  # and compile
    run_coffea(path)
    flow = dataset.cutflow
    unlike = awkward_chain.differences(path, flow.cuts, flow.alone)
    rounds = [
        (
            cpu_seconds(lambda: run_chain(path, out)),
            reading_seconds(path, branches),
            cpu_seconds(lambda: run_chain(few, out)),
            cpu_seconds(lambda: run_coffea(path)),
            cpu_seconds(lambda: awkward_chain.select(path)),
        )
        for _ in range(REPEATS)
    ]
    medians = (statistics.median(column) for column in zip(*rounds, strict=True))
    chain, reading, fixed, coffea, awkward = medians
    return {
        "events": events,
        "branches_read": len(branches),
        "file_bytes_per_event": round(path.stat().st_size / events),
        "events_per_cpu_second": round(events / chain),
        "reading_events_per_cpu_second": round(events / reading),
        "coffea_runner_events_per_cpu_second": round(events / coffea),
        "plain_awkward_events_per_cpu_second": round(events / awkward),
        "plain_awkward_without": list(awkward_chain.LEFT_OUT),
        "plain_awkward_differences_by_cut": unlike,
        "fixed_cpu_seconds_per_run": round(fixed, 3),
        "chain_over_reading": round(statistics.median(c / r for c, r, *_ in rounds), 2),
        # Of medians: a single round of a short run is moved by whatever else runs.
        "chain_over_reading_without_fixed": round((chain - fixed) / reading, 2),
        "coffea_runner_over_chain": round(statistics.median(row[3] / row[0] for row in rounds), 2),
        "plain_awkward_over_chain": round(statistics.median(row[4] / row[0] for row in rounds), 2),
        "parts_per_cent": parts(path, out),
    }


def one_after_the_other(path: Path, few: Path, out: Path, events: int, name: str) -> dict[str, Any]:
    """The same as `compare` for cuts that are applied in sequence."""
    branches = needed_branches(path, name)

    def chain(file: Path) -> float:
        return cpu_seconds(lambda: run_chain(file, out, selection=name, sequential=True))

    chain(path)
    rounds = [(chain(path), reading_seconds(path, branches), chain(few)) for _ in range(REPEATS)]
    seconds, reading, fixed = (statistics.median(column) for column in zip(*rounds, strict=True))
    return {
        "selection": name,
        "events_per_cpu_second": round(events / seconds),
        "chain_over_reading": round(statistics.median(c / r for c, r, _ in rounds), 2),
        "chain_over_reading_without_fixed": round((seconds - fixed) / reading, 2),
    }


def speed_up(path: Path, out: Path) -> float:
    """Wall-clock time of one worker over that of two, median; needs two idle processors."""
    ratios = []
    for _ in range(3):
        seconds = []
        for workers in (1, 2):
            started = time.perf_counter()
            run_chain(path, out, executor="futures", workers=workers)
            seconds.append(time.perf_counter() - started)
        ratios.append(seconds[0] / seconds[1])
    return round(statistics.median(ratios), 2)


def measure() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        beam, few_beam, out = place / "beam.root", place / "few_beam.root", place / "out"
        physics, few = place / "physics.root", place / "few.root"
        write_run(beam, EVENTS)
        write_run(few_beam, FEW)
        write_physics(physics, TRIGGERS)
        write_physics(few, FEW)
        found: dict[str, Any] = {
            "beam electrons": compare(beam, few_beam, out, EVENTS),
            "physics triggers": compare(physics, few, out, TRIGGERS),
        }
        found["beam electrons"]["sequential"] = one_after_the_other(
            beam, few_beam, out, EVENTS, CALIBRATION
        )
        found["physics triggers"]["sequential"] = one_after_the_other(
            physics, few, out, TRIGGERS, SELECTION
        )
        physics.unlink()
        write_physics(physics, LONG)
        return found | {"two_workers_over_one": {"events": LONG, "ratio": speed_up(physics, out)}}
