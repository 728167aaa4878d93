"""Broken files, killed workers, a killed driver, a lost scheduler: not one event is lost."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
import uproot
import yaml

from na64reco.events import EventBatch, EventWriter
from na64reco.processors import catalogue, cluster, job, resolve_inputs, run, write_catalogue

OUTPUTS = ("histograms.root", "selected.root", "cutflow.json", "counts.json")
REASONS = {
    "missing": "There is no file",
    "truncated": "`size` should be",
    "flipped": "`xxh3` should be",
    "empty": r"is empty \(0 bytes\)",
    "no_branch": "HCAL",
    "wrong_tree": "there is no 'Events' in this file. Did you mean 'Event'",
    "killer": "3 processes that worked on it died; the last one was ended by the signal SIGKILL",
}
EVENTS = 40


def output_bytes(out):
    return {name: (out / name).read_bytes() for name in OUTPUTS}


@pytest.fixture(scope="module")
def chaos(tmp_path_factory, joined, write_file, batch_of):
    """A folder of 40 files and their catalogue; seven files are bad in seven ways."""
    folder = tmp_path_factory.mktemp("chaos")
    names = [f"run_{i:02}" for i in range(33)]
    for place, bad in zip((0, 3, 9, 17, 24, 30, 39), REASONS, strict=True):
        names.insert(place, bad)
    assert len(names) == 40
    paths = {name: folder / f"{name}.root" for name in names}
    for i, (name, path) in enumerate(paths.items()):
        # events of 33 good files in one sequence, the others behind it
        first = i * EVENTS % (1533 - EVENTS)
        truth = joined[np.arange(first, first + EVENTS)]
        truth = replace(truth, event=np.arange(i * EVENTS, (i + 1) * EVENTS, dtype=np.uint64))
        if name == "no_branch":
            batch = batch_of(truth)
            rest = {n: h for n, h in batch.collections.items() if n != "HCAL"}
            with EventWriter(path) as writer:
                writer.write(EventBatch(batch.scalars, rest))
        elif name == "wrong_tree":
            with uproot.recreate(path) as file:
                file["Event"] = {"x": np.arange(EVENTS)}
        elif name != "empty":
            write_file(path, truth, format="rntuple" if i % 4 == 1 else "ttree")
    known = [p for n, p in paths.items() if n not in {"empty", "wrong_tree"}]
    write_catalogue(catalogue(resolve_inputs(known)), folder / "known.yaml")
    described = yaml.safe_load((folder / "known.yaml").read_text())["events"]["files"]
    files = {p.name: described.get(p.name, {"entries": EVENTS}) for p in paths.values()}
    (folder / "fileset.yaml").write_text(
        yaml.safe_dump({"events": {"files": files}}, sort_keys=False)
    )
    paths["empty"].touch()
    paths["missing"].unlink()
    content = paths["truncated"].read_bytes()
    paths["truncated"].write_bytes(content[:-100])
    content = bytearray(paths["flipped"].read_bytes())
    content[len(content) // 2] ^= 16
    paths["flipped"].write_bytes(content)
    return folder


@pytest.fixture(scope="module")
def good(chaos, selection_path):
    """What the good files alone give, in one process."""
    files = sorted(chaos.glob("run_*.root"))
    assert len(files) == 33
    run(selection_path, files, chaos / "good")
    return output_bytes(chaos / "good")


def drive(chaos, selection_path, out, last):
    code = "import sys, chaos_tools; chaos_tools.main(*sys.argv[1:])"
    (chaos / "marks").mkdir(exist_ok=True)
    return subprocess.run(
        [
            *(sys.executable, "-c", code),
            *(selection_path, chaos / "fileset.yaml", out, chaos / "marks", str(last)),
        ],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_bad_files_killed_workers_and_a_killed_driver(chaos, selection_path, good):
    out = chaos / "out"
    for last in (300, 900):
        done = drive(chaos, selection_path, out, last)
        assert done.returncode == -signal.SIGKILL, done.stderr
        assert not out.exists()
    done = drive(chaos, selection_path, out, -1)
    assert done.returncode == 0, done.stderr
    assert output_bytes(out) == good
    record = json.loads((out / "run.json").read_text())
    assert record["options"]["resumed_chunks"] > 20
    assert record["events"] == {
        "in_files": 40 * EVENTS,
        "read": 33 * EVENTS,
        "skipped": 7 * EVENTS,
    }
    skipped = {Path(f["path"]).stem: f["reason"] for f in record["inputs"] if f["reason"]}
    assert list(skipped) == list(REASONS)
    for name, text in REASONS.items():
        assert re.search(text, skipped[name])
        assert f"{name}.root" in skipped[name]
    ledger = json.loads((out / "ledger.json").read_text())
    assert ledger["chunks"] == {"ok": 66, "skipped": 3, "failed": 7}
    assert sum(c[1] - c[0] for f in ledger["files"] for c in f["chunks"]) == 40 * EVENTS
    # Some workers did die, besides those of the file that kills.
    assert len(list((chaos / "marks").iterdir())) >= 5
    # Neither chunks nor unfinished folders stay behind.
    assert not list(chaos.glob(".out*"))


@contextmanager
def process(*command, folder):
    """A process of dask, ended with all that it started."""
    child = subprocess.Popen(
        [sys.executable, "-m", "distributed.cli." + command[0], *command[1:]],
        env={**os.environ, "PYTHONPATH": str(folder), "DASK_TEMPORARY_DIRECTORY": "/tmp"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield child
    finally:
        end(child)


def end(child):
    try:
        family = [child, *psutil.Process(child.pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        family = [child]
    for member in family:
        with suppress(psutil.NoSuchProcess):
            member.kill()
    child.wait()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_dask_loses_workers_and_the_scheduler(
    selection_path, joined, write_file, tmp_path, monkeypatch
):
    """A worker dies in work and another takes over; then the scheduler is lost with all of them."""
    files = [write_file(tmp_path / f"{i}.root", joined[i * 100 : i * 100 + 100]) for i in range(8)]
    run(selection_path, files, tmp_path / "good")
    folder, port = Path(__file__).parent, free_port()
    scheduler = ("dask_scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard")
    worker = ("dask_worker", f"tcp://127.0.0.1:{port}", "--nthreads", "1", "--no-nanny")
    (tmp_path / "marks").mkdir()
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setattr(job, "SelectionProcessor", job.SelectionProcessor)
    monkeypatch.setattr(cluster, "CONNECT", 5.0)
    import chaos_tools

    chaos_tools.install(tmp_path / "marks", 24)
    lost = []
    with ExitStack() as stack:
        first = [
            stack.enter_context(process(*command, folder=folder))
            for command in (scheduler, worker, worker)
        ]

        def progress(done, total):
            if done >= 400 and not lost:
                assert list((tmp_path / "marks").iterdir())
                lost.append(done)
                end(first[0])
                for command in (scheduler, worker):
                    stack.enter_context(process(*command, folder=folder))

        run(
            *(selection_path, files, tmp_path / "out"),
            executor="dask",
            scheduler=f"tcp://127.0.0.1:{port}",
            chunk_size=25,
            progress=progress,
        )
        died = [child.poll() for child in first[1:]]
    assert lost
    assert -signal.SIGKILL in died
    assert output_bytes(tmp_path / "out") == output_bytes(tmp_path / "good")
