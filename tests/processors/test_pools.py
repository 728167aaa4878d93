from __future__ import annotations

import operator
import os
import subprocess
import sys
import time

import pytest

from na64reco.processors import EXECUTORS, WorkerError
from na64reco.processors.pools import Lost, open_pool


@pytest.mark.parametrize("executor", EXECUTORS)
def test_results_come_in_the_order_of_the_tasks(executor):
    with open_pool(executor, workers=2) as pool:
        tasks = [(0.05,), (0.0,), (0.02,), (0.0,)]
        assert [task for task, _ in pool.ordered(time.sleep, tasks)] == tasks
        numbers = [(i, 7) for i in range(30)]
        assert [r for _, r in pool.ordered(operator.mul, numbers)] == [7 * i for i in range(30)]


def test_only_a_few_tasks_are_in_flight():
    taken = []

    def tasks():
        for i in range(1000):
            taken.append(i)
            yield (i, 1)

    with open_pool("futures", workers=1) as pool:
        results = pool.ordered(operator.add, tasks())
        assert next(results)[1] == 1
        assert len(taken) <= 4
        results.close()


def test_an_error_in_a_worker_arrives_with_its_note(tmp_path):
    with open_pool("futures", workers=1) as pool, pytest.raises(FileNotFoundError):
        list(pool.ordered(os.listdir, [(str(tmp_path / "none"),)]))


def pool_answers(function, tasks, **options):
    with open_pool("futures", **options) as pool:
        return [
            answer.reason if isinstance(answer, Lost) else answer
            for _, answer in pool.ordered(function, tasks)
        ]


def test_a_task_that_kills_its_processes_is_given_up_and_the_others_go_on():
    codes = [f"{i} + 1" if i != 3 else "__import__('os')._exit(7)" for i in range(9)]
    answers = pool_answers(eval, [(code,) for code in codes], workers=2)
    reason = "3 processes that worked on it died; the last one ended with code 7"
    assert answers == [1, 2, 3, reason, *range(5, 10)]


def test_a_task_whose_process_is_killed_from_outside_is_done_again(tmp_path):
    code = "str(path) if path.exists() else (path.touch(), __import__('os').abort())"
    paths = [tmp_path / str(i) for i in range(5)]
    tasks = [(code, {"path": path}) for path in paths]
    assert pool_answers(eval, tasks, workers=2) == [str(path) for path in paths]


def test_a_task_that_hangs_is_given_up():
    tasks = [("1", {}), ("__import__('time').sleep(60)", {}), ("2", {})]
    answers = pool_answers(eval, tasks, workers=1, timeout=0.5)
    assert answers[::2] == [1, 2]
    assert "was killed for taking too long" in answers[1]


def test_processes_that_cannot_start_are_nobodys_fault(tmp_path):
    """A script without `if __name__ == '__main__':` starts itself in every process."""
    script = tmp_path / "script.py"
    script.write_text(
        "from na64reco.processors.pools import open_pool\n"
        "with open_pool('futures', workers=1) as pool:\n"
        "    print(list(pool.ordered(abs, [(-1,), (-2,)])))\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "WorkerError: Worker processes cannot be started: the last one ended" in done.stderr
    assert done.stdout == ""


def test_memory_is_bounded():
    code = "len(bytearray(3_000_000_000))"
    with open_pool("futures", workers=1, memory=2_000_000_000) as pool, pytest.raises(MemoryError):
        list(pool.ordered(eval, [(code, {})]))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"executor": "futurs"}, r"There is no executor 'futurs'. Did you mean 'futures'\?"),
        ({"executor": "futures", "workers": 0}, "must be at least 1, found 0"),
        ({"executor": "futures", "scheduler": "tcp://x"}, "--scheduler goes with --executor dask"),
        ({"executor": "dask", "scheduler": "nonsense://x"}, "nonsense://x does not answer"),
    ],
)
def test_what_is_refused(arguments, text):
    with pytest.raises(WorkerError, match=text), open_pool(**arguments):
        pass
