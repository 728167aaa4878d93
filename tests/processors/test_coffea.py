"""The processor in coffea's own Runner gives what `run` gives, count for count."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from coffea import processor

from na64reco.errors import DataError
from na64reco.events import HitSchema
from na64reco.processors import SelectionProcessor, resolve_inputs, run


@pytest.fixture(scope="module")
def expected(tmp_path_factory, selection_path, data_files, simulated_files):
    inputs = [*(f"data={p}" for p in data_files), *(f"mc={p}" for p in simulated_files)]
    report = run(selection_path, inputs, tmp_path_factory.mktemp("expected") / "out")
    return resolve_inputs(inputs).for_coffea(), {d.name: d for d in report.datasets}


def compare(output, expected):
    assert set(output) == set(expected)
    for name, result in output.items():
        dataset = expected[name]
        assert result["events"] == dataset.events
        assert result["cutflow"] == dataset.cutflow
        assert set(result["histograms"]) == set(dataset.histograms)
        for key, histogram in result["histograms"].items():
            assert np.array_equal(
                histogram.values(flow=True), dataset.histograms[key].values(flow=True)
            )
        assert len(result["skim"]) == dataset.selected
        event = result["skim"].columns["event"]
        assert np.all(np.diff(event.astype(np.int64)) > 0)  # the files' names follow their events


@pytest.mark.parametrize(
    "executor",
    [processor.IterativeExecutor(status=False), processor.FuturesExecutor(workers=2, status=False)],
    ids=["iterative", "futures"],
)
def test_runner(selection_path, expected, executor):
    fileset, datasets = expected
    runner = processor.Runner(executor, schema=HitSchema, chunksize=230)
    compare(runner(fileset, SelectionProcessor(selection_path)), datasets)


def test_runner_on_dask(selection_path, expected):
    distributed = pytest.importorskip("distributed")
    fileset, datasets = expected
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        executor = processor.DaskExecutor(client=client, status=False)
        runner = processor.Runner(executor, schema=HitSchema, chunksize=400)
        compare(runner(fileset, SelectionProcessor(selection_path)), datasets)


def test_it_takes_events_from_anywhere(selection_path, data_files, expected):
    from na64reco.events import open_events

    work = SelectionProcessor(selection_path)
    outputs = [work.process(open_events(path)) for path in data_files]
    assert [set(output) for output in outputs] == [{"events"}] * 3
    assert sum(o["events"]["cutflow"] for o in outputs) == expected[1]["data"].cutflow


def test_it_can_be_pickled(selection_path):
    before = SelectionProcessor(selection_path, columns=["ecal.x"])
    after = pickle.loads(pickle.dumps(before))
    assert after.selection == before.selection
    assert after.setup == before.setup
    assert after.columns == ("ecal.x",)


def test_mixtures_and_repeated_events_are_refused_there_too(
    selection_path, data_files, simulated_files
):
    runner = processor.Runner(
        processor.IterativeExecutor(status=False), schema=HitSchema, chunksize=5000
    )
    work = SelectionProcessor(selection_path)
    mixed = {"a": [str(data_files[0]), str(simulated_files[1])]}
    with pytest.raises(DataError, match="'a' mixes data with simulated files"):
        runner(mixed, work, treename="Events")
    import shutil

    copy = data_files[0].with_name("copy.root")
    shutil.copy(data_files[0], copy)
    with pytest.raises(DataError, match="is both in"):
        runner({"a": [str(data_files[0]), str(copy)]}, work, treename="Events")
