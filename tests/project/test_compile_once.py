"""Processes that come to a kernel together compile it once between them."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys

KERNEL = """
import numba

@numba.njit(cache=True)
def inner(x):
    return x + 1.0

@numba.njit(cache=True)
def outer(x):
    return 2.0 * inner(x)
"""
PROCESS = """
import json, sys, time
from pathlib import Path
from numba.core import event
from na64reco import numba_start

def refuse(name):
    raise RuntimeError(name)

class Compiled(event.Listener):
    names = []
    def on_start(self, found):
        self.names.append(found.data["dispatcher"].py_func.__name__)
    def on_end(self, found):
        pass

event.register("numba:compile", Compiled())
numba_start.lean_start()
numba_start.lean_start()
import kernel
name, others = sys.argv[1], sys.argv[2:]
if name == "warm":
    numba_start._only_here = refuse
Path(name).touch()
while not all(Path(other).exists() for other in others):
    time.sleep(0.01)
print(json.dumps([kernel.outer(3.0), Compiled.names]))
"""


def start(folder, name, *others):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(folder / "cache")}
    return subprocess.Popen(
        [sys.executable, "-c", PROCESS, name, *others],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_of_two_processes_one_compiles(tmp_path):
    (tmp_path / "kernel.py").write_text(KERNEL)
    processes = [start(tmp_path, "a", "b"), start(tmp_path, "b", "a")]
    outputs = [json.loads(process.communicate(timeout=120)[0]) for process in processes]
    assert [result for result, _ in outputs] == [8.0, 8.0]
    # Which one is chance; each kernel is compiled by one, and loaded by the other.
    assert sorted(outputs[0][1] + outputs[1][1]) == ["inner", "outer"]
    # What is in the cache is loaded without waiting for anybody.
    assert json.loads(start(tmp_path, "warm").communicate(timeout=120)[0]) == [8.0, []]


def test_a_name_is_free_again_when_its_holder_is_killed():
    hold = "from na64reco.numba_start import _only_here; held = _only_here('a test'); "
    hold += "held.__enter__(); print('in', flush=True); import time; time.sleep(60)"
    first = subprocess.Popen([sys.executable, "-c", hold], stdout=subprocess.PIPE, text=True)
    second = subprocess.Popen([sys.executable, "-c", hold], stdout=subprocess.PIPE, text=True)
    with first, second:
        # One of them waits for the other.
        streams, _, _ = select.select([first.stdout, second.stdout], [], [], 60)
        assert len(streams) == 1
        holder, waiting = (first, second) if streams == [first.stdout] else (second, first)
        assert not select.select([waiting.stdout], [], [], 0.5)[0]
        holder.kill()
        assert select.select([waiting.stdout], [], [], 60)[0]
        waiting.kill()
