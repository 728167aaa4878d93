from __future__ import annotations

import datetime as dt
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import uproot
from uproot.writing import _cascade, _cascadetree, writable

from na64reco.simulation import write_simulation


class _Frozen(dt.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2022, 8, 1, tzinfo=tz)


@pytest.fixture
def no_clock(monkeypatch):
    """ROOT files hold times and UUIDs of their writing."""
    for module in (_cascade, _cascadetree, writable):
        monkeypatch.setattr(module.datetime, "datetime", _Frozen)
    import uuid

    fixed = uuid.UUID(int=7)
    monkeypatch.setitem(uproot.writing.writable.create.defaults, "uuid_function", lambda: fixed)


def test_any_number_of_workers_writes_the_same_bytes(setup, tmp_path, no_clock):
    path, found = tmp_path / "run.root", []
    for workers in (1, 2):
        write_simulation(
            path, setup, "beam", 700, seed=4, importance=16, workers=workers, overwrite=True
        )
        found.append(path.read_bytes())
    assert found[0] == found[1]
    assert len(found[0]) > 100_000


def children(pid):
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            text = status.read_text()
        except OSError:
            continue
        fields = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
        if int(fields["PPid"]) == pid:
            found.append(int(status.parent.name))
    return found


@pytest.mark.skipif(not Path("/proc").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize("how", ["interrupted", "killed"])
def test_an_interrupted_simulation_leaves_nothing(tmp_path, how):
    code = "from na64reco.cli import main; main()"
    command = (sys.executable, "-c", code, "simulate", "2022-electron", "beam")
    options = ("--eot", "1e12", "--workers", "2", "-o", str(tmp_path / "run.root"))
    process = subprocess.Popen(
        [*command, *options], stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    partial = ".run.root.*.partial"
    deadline = time.monotonic() + 60
    while not (list(tmp_path.glob(partial)) and len(children(process.pid)) >= 2):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
    time.sleep(1.0)
    workers = children(process.pid)
    if how == "interrupted":
        os.killpg(process.pid, signal.SIGINT)
    else:
        process.kill()
    _, printed = process.communicate(timeout=60)
    if how == "interrupted":
        assert process.returncode == 130
        assert printed.strip() == "Interrupted. No output was written."
        assert not list(tmp_path.iterdir())
    assert not (tmp_path / "run.root").exists()
    for _ in range(100):
        if not any(Path(f"/proc/{pid}").exists() for pid in workers):
            break
        time.sleep(0.1)
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)
