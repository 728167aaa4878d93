"""`efficiency`, `exposure`, `compare`, `background` for ten runs of a million events each.

Output folders are written as `na64reco run` leaves them: counts of 300 spills a run, and a million
selected events a run; then each command is timed in the CPU seconds of this process.
`python -m benchmarks search`.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

RUNS, FIRST, EVENTS, SPILLS, CHUNK = 10, 6100, 1_000_000, 300, 50_000
SELECTION = "electron-invisible-2022"
CALIBRATION = "electron-calibration-2022"


def columns_of(rng: np.random.Generator, run: int, spills: NDArray[np.int64]) -> dict[str, Any]:
    """One chunk of well measured electrons: sideband A below 90 GeV, all else above."""
    n = len(spills)
    share = rng.random(n)
    ecal = np.where(share < 1e-4, 90 - rng.exponential(8, n).clip(0, 42.9), rng.normal(95, 1, n))
    columns: dict[str, Any] = {
        "run": np.full(n, run, np.uint32),
        "spill": spills.astype(np.uint32),
        "event": np.arange(n, dtype=np.uint64),
        "ecal.energy": ecal.clip(47.1, 120).astype(np.float32),
        "hcal.energy": rng.uniform(0, 0.3, n).astype(np.float32),
        "prs.energy": rng.uniform(3, 9, n).astype(np.float32),
        "ecal.energy_out": np.where(rng.random(n) < 0.3, 90, 0).astype(np.float32),
        "ecal.chi2": rng.exponential(1, n).astype(np.float32),
        "ecal.lateral": rng.uniform(0, 0.05, n).astype(np.float32),
        "veto.energy": rng.uniform(0, 0.001, n).astype(np.float32),
        "srd.energy": rng.uniform(0.005, 0.06, n).astype(np.float32),
        "track.momentum": rng.normal(100, 1, n).astype(np.float32),
        "track.p_value": rng.uniform(0.02, 1, n).astype(np.float32),
        "track.angle_in": rng.exponential(0.2, n).astype(np.float32),
        "straw.multiplicity": np.full(n, 2, np.int32),
        "straw.min_multiplicity": np.ones(n, np.int32),
        "master_time": rng.uniform(98, 102, n).astype(np.float32),
    }
    columns |= {name: np.ones(n, bool) for name in ("quality.good", "ecal.in_beam_cell")}
    columns |= {name: np.ones(n, bool) for name in ("trigger.physics", "trigger.beam")}
    return columns


def write_folder(out: Path, name: str, counts: Any, run: int) -> None:
    """run.json and counts.json of one run."""
    from na64reco.processors.record import digest_of
    from na64reco.selection import load_selection

    chosen = load_selection(name)
    plain = chosen.model_dump(mode="json", by_alias=True)
    record = {
        "selection": {"name": name, "sha256": digest_of(plain), "content": plain},
        "setup": {"name": chosen.setup},
        "blinding": {"region": chosen.blind, "unblinded": False, "frozen_box": None},
        "datasets": {"events": {"simulated": False, "blinded": True}},
    }
    out.mkdir(parents=True)
    (out / "run.json").write_text(json.dumps(record))
    content = counts.to_json()
    content["run"] = [run] * len(content["run"])
    (out / "counts.json").write_text(json.dumps({"events": content}))


def write_outputs(folder: Path) -> tuple[list[Path], list[Path]]:
    """Folders of the search and of calibration runs: events are drawn once, runs numbered."""
    from na64reco.processors.skim import SkimWriter
    from na64reco.selection import Counts, apply, count, load_selection

    rng = np.random.default_rng(1)
    counts = {name: Counts() for name in (SELECTION, CALIBRATION)}
    selections = {name: load_selection(name) for name in counts}
    selected = folder / "selected.root"
    with SkimWriter(selected, list(columns_of(rng, 0, np.ones(1))), ["events"]) as writer:
        for first in range(0, EVENTS, CHUNK):
            numbers = np.arange(first, first + CHUNK)
            columns = columns_of(rng, FIRST, 1 + numbers * SPILLS // EVENTS)
            scaler = 1000 * (numbers + 1).astype(np.uint64)
            bits, prescale = (np.full(CHUNK, value, np.uint32) for value in (3, 1000))
            scalars = {"trigger": bits, "scaler": scaler, "prescale": prescale}
            scalars["scaler_live"] = scaler
            for name, selection in selections.items():
                counts[name] += count(apply(selection, columns), columns, scalars)
            writer.add("events", columns)
    runs, calibration = [], []
    for run in range(FIRST, FIRST + RUNS):
        runs.append(folder / f"run{run}")
        calibration.append(folder / f"calibration{run}")
        write_folder(runs[-1], SELECTION, counts[SELECTION], run)
        write_folder(calibration[-1], CALIBRATION, counts[CALIBRATION], run)
        shutil.copy(selected, runs[-1])
    return runs, calibration


def seconds(*arguments: object) -> float:
    """CPU time of one command."""
    from typer.testing import CliRunner

    from na64reco.cli import app

    start = time.process_time()
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    if done.exit_code:
        msg = f"{arguments}: {done.output} {done.exception!r}"
        raise RuntimeError(msg)
    return time.process_time() - start


def measure() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        runs, calibration = write_outputs(folder)
        cpu = {
            "efficiency": sum(seconds("efficiency", out) for out in calibration),
            "exposure": sum(seconds("exposure", out) for out in runs),
            "compare": seconds("compare", runs[0], runs[1], "-o", folder / "compared"),
            "background": seconds(
                "background", *runs, "-o", folder / "all", "--calibration", calibration[0]
            ),
        }
    return {"runs": RUNS, "events each": EVENTS, "cpu_s": cpu, "all_s": sum(cpu.values())}
