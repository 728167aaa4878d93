from __future__ import annotations

import operator
import os
import time

import pytest

from na64reco.processors import EXECUTORS, WorkerError
from na64reco.processors.pools import open_pool


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


def test_a_dead_worker_is_reported_with_what_it_may_have_worked_on():
    with (
        open_pool("futures", workers=1) as pool,
        pytest.raises(WorkerError, match=r"A worker process died.*\n  3\n.*smaller --chunk-size"),
    ):
        list(pool.ordered(os._exit, [(3,)]))


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
