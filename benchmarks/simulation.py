"""Simulated events with pile-up at nominal intensity: written files, CPU seconds of one core.

`simulate SETUP beam` with the beam trigger records nearly every particle; with the physics trigger
most are discarded early, and both events and beam particles per second say how fast that is.
Memory is the peak resident size of a fresh process.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.chain import SETUP, cpu_seconds

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "beam, beam trigger": ("beam", {"trigger": "beam", "n": 60_000}),
    "beam, physics trigger": ("beam", {"n": None, "eot": 1e6}),
    "electron, physics trigger": ("electron", {"n": None, "eot": 1e6}),
    "beam, physics trigger, importance 64": ("beam", {"n": None, "eot": 6e7, "importance": 64}),
}


def write(path: Path, process: str, options: dict[str, Any]) -> tuple[int, float]:
    """Write a file; events and beam particles in it."""
    from na64reco.setup import load_setup
    from na64reco.simulation import write_simulation

    events = write_simulation(path, load_setup(SETUP), process, **options, seed=1, overwrite=True)
    return events, options.get("eot", 0.0)


def peak_memory(events: int) -> float:
    """Peak resident size in MB of a process that writes a beam."""
    # VmHWM, not ru_maxrss: the latter begins with the size of the process that forked.
    code = (
        "import sys, tempfile; from pathlib import Path; from benchmarks import simulation;"
        "t = tempfile.mkdtemp();"
        f"simulation.write(Path(t) / 'run.root', 'beam', {{'trigger': 'beam', 'n': {events}}});"
        "status = Path('/proc/self/status').read_text().split();"
        "print(int(status[status.index('VmHWM:') + 1]) / 1024)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return float(done.stdout.split()[-1])


def measure() -> dict[str, Any]:
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.root"
        for name, (process, options) in CASES.items():
            short = options | ({"n": 200} if options["n"] else {"eot": 2e5})
            write(path, process, short)  # compile
            made: list[tuple[int, float]] = []
            seconds = cpu_seconds(lambda p=process, o=options, m=made: m.append(write(path, p, o)))
            events, particles = made[0]
            found[name] = {"events": events, "events_per_cpu_second": round(events / seconds)}
            found[name]["file_bytes_per_event"] = round(path.stat().st_size / events)
            if particles:
                found[name]["particles_per_cpu_second"] = round(particles / seconds)
        sizes = [20_000, 80_000]
        memory = [peak_memory(events) for events in sizes]
    return found | {
        "memory": {"events": sizes, "peak_MB": [round(m) for m in memory]},
        "memory_ratio": round(memory[1] / memory[0], 3),
    }
