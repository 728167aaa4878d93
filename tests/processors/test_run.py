"""The main job on files whose energies are known: every number has been computed by hand."""

from __future__ import annotations

import gc
import json
from itertools import pairwise

import distributed
import numpy as np
import psutil
import pytest
import uproot
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from na64reco.calibration import NearestConditionsWarning
from na64reco.errors import (
    ConditionsError,
    DataError,
    MappingError,
    OutputExistsError,
    SelectionError,
)
from na64reco.processors import resolve_inputs, run


def content(out):
    """Everything that a run writes, in a form that can be compared."""
    histograms = {}
    with uproot.open(out / "histograms.root") as file:
        for name, kind in file.classnames(cycle=False).items():
            if kind.startswith("TH"):
                histograms[name] = file[name].values(flow=True).tolist()
                histograms[name, "variances"] = file[name].variances(flow=True).tolist()
    with uproot.open(out / "selected.root") as file:
        selected = file["Events"].arrays(library="np")
    return (
        histograms,
        json.loads((out / "cutflow.json").read_text()),
        json.loads((out / "counts.json").read_text()),
        {name: values.tolist() for name, values in selected.items()},
    )


@pytest.fixture(scope="module")
def reference(tmp_path_factory, selection_path, data_files):
    out = tmp_path_factory.mktemp("reference") / "out"
    return run(selection_path, data_files, out)


def test_the_cutflow_is_what_was_put_in(reference, joined):
    (dataset,) = reference.datasets
    visible = ~joined.in_box
    assert dataset.cutflow.entered == np.count_nonzero(visible)
    rows = json.loads((reference.out / "cutflow.json").read_text())["events"]
    assert [set(r) for r in rows] == [{"cut", "passed", "total", "efficiency", "low", "high"}] * 4
    assert [r["cut"] for r in rows] == ["trigger", "quality", "PRS", "total"]
    passed = joined.passed(visible=visible)
    assert [r["passed"] for r in rows] == passed
    assert [r["total"] for r in rows] == [np.count_nonzero(visible), *passed[:-1]]
    assert rows[2]["low"] < rows[2]["passed"] / rows[2]["total"] < rows[2]["high"]


def test_histograms_are_read_back_with_uproot(reference, joined):
    visible = ~joined.in_box
    with uproot.open(reference.out / "histograms.root") as file:
        plane = file["events/ecal_hcal__none"]
        assert plane.classname == "TH2D"
        expected, _, _ = np.histogram2d(
            joined.ecal[visible], joined.hcal[visible], bins=60, range=[[0, 120], [0, 120]]
        )
        np.testing.assert_array_equal(plane.values(), expected)
        final = file["events/ecal__all"]
        assert final.classname == "TH1D"
        assert final.values(flow=True).sum() == joined.passed(visible=visible)[-1]


def test_selected_events_are_those_in_visible_regions_in_order(reference, joined):
    good = np.logical_and.reduce(joined.cut_masks()) & ~joined.in_box
    total = joined.ecal + joined.hcal
    sideband = good & (joined.ecal >= 50) & (joined.ecal < 90) & (joined.hcal < 1)
    hadrons = good & (total >= 80) & (total < 120) & (joined.hcal >= 1)
    with uproot.open(reference.out / "selected.root") as file:
        events = file["Events"].arrays(library="np")
        description = json.loads(str(file["na64reco_metadata"]))
    np.testing.assert_array_equal(events["event"], joined.event[sideband | hadrons])
    np.testing.assert_array_equal(events["region_sideband"], sideband[sideband | hadrons])
    np.testing.assert_allclose(events["ecal_energy"], joined.ecal[sideband | hadrons], rtol=1e-5)
    assert "region_signal" not in events
    assert description["columns"]["ecal_energy"][0] == "GeV"
    assert description["datasets"] == ["events"]


def test_the_record_accounts_for_every_event(reference, data_files, truths):
    record = json.loads((reference.out / "run.json").read_text())
    assert record["events"] == {"in_files": 1533, "read": 1533, "skipped": 0}
    assert record["files"] == {"given": 3, "read": 3, "skipped": 0}
    assert [f["path"] for f in record["inputs"]] == [str(p) for p in data_files]
    assert [f["entries"] for f in record["inputs"]] == [len(t.event) for t in truths]
    assert all(len(f["xxh3"]) == 32 for f in record["inputs"])
    assert record["selection"]["name"] == "known"
    assert record["conditions"]["used"][0]["runs"] == [6100]
    assert record["blinding"] == {"region": "signal", "unblinded": False, "frozen_box": None}
    assert record["datasets"]["events"]["regions"][0] == {
        "region": "signal",
        "passed": None,
        "total": reference.datasets[0].cutflow.selected,
        "efficiency": None,
        "low": None,
        "high": None,
    }


@settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    cuts=st.sets(st.integers(1, 1532), max_size=4),
    chunk_size=st.integers(150, 1600),
    formats=st.lists(st.sampled_from(["ttree", "rntuple"]), min_size=5, max_size=5),
    clusters=st.lists(st.sampled_from([37, 100, 512, 5000]), min_size=5, max_size=5),
)
def test_any_split_into_files_clusters_and_chunks_gives_the_same(
    tmp_path_factory,
    selection_path,
    joined,
    reference,
    write_file,
    cuts,
    chunk_size,
    formats,
    clusters,
):
    folder = tmp_path_factory.mktemp("split")
    edges = [0, *sorted(cuts), 1533]
    files = [
        write_file(
            folder / f"{i}.root", joined[start:stop], format=formats[i], cluster_size=clusters[i]
        )
        for i, (start, stop) in enumerate(pairwise(edges))
    ]
    report = run(selection_path, files, folder / "out", chunk_size=chunk_size)
    assert content(report.out) == content(reference.out)


@pytest.mark.parametrize("chunk_size", [41, 500, 10**9])
def test_any_chunk_size_gives_the_same(tmp_path, selection_path, data_files, reference, chunk_size):
    report = run(selection_path, data_files, tmp_path / "out", chunk_size=chunk_size)
    assert content(report.out) == content(reference.out)


def test_two_processes_give_the_same(tmp_path, selection_path, data_files, reference):
    report = run(
        selection_path, data_files, tmp_path / "out", executor="futures", workers=2, chunk_size=200
    )
    assert content(report.out) == content(reference.out)


def test_dask_gives_the_same(tmp_path, selection_path, data_files, reference):
    report = run(
        selection_path, data_files, tmp_path / "out", executor="dask", workers=2, chunk_size=400
    )
    assert content(report.out) == content(reference.out)


def test_a_running_dask_scheduler_gives_the_same(tmp_path, selection_path, data_files, reference):
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None
    ) as cluster:
        report = run(
            *(selection_path, data_files, tmp_path / "out"),
            executor="dask",
            scheduler=cluster.scheduler_address,
        )
    assert content(report.out) == content(reference.out)


def test_the_skim_can_be_an_rntuple(tmp_path, selection_path, data_files, reference):
    report = run(selection_path, data_files, tmp_path / "out", format="rntuple")
    with uproot.open(report.out / "selected.root") as file:
        assert file.classnames(cycle=False)["Events"] == "ROOT::RNTuple"
    assert content(report.out) == content(reference.out)


def test_more_columns_on_request(tmp_path, selection_path, data_files):
    report = run(selection_path, data_files[2:], tmp_path / "one", columns=["ecal.x", "ecal.cells"])
    with uproot.open(report.out / "selected.root") as file:
        tree = file["Events"]
        assert {"ecal_x", "ecal_cells"} <= set(tree.keys())
        assert "hcal_ratio" not in tree
        assert tree["ecal_cells"].array(library="np").tolist() == [2] * tree.num_entries
    report = run(selection_path, data_files[2:], tmp_path / "all", columns="all")
    with uproot.open(report.out / "selected.root") as file:
        assert {"hcal_ratio", "ecal_chi2"} <= set(file["Events"].keys())
    with pytest.raises(SelectionError, match=r"'ecal.enrgy' to write. Did you mean 'ecal.energy'"):
        run(selection_path, data_files[2:], tmp_path / "wrong", columns=["ecal.enrgy"])


def test_datasets_are_kept_apart(tmp_path, selection_path, data_files, simulated_files, truths):
    inputs = [f"data={data_files[0]}", f"mc={simulated_files[0]}", f"mc={simulated_files[1]}"]
    report = run(selection_path, inputs, tmp_path / "out")
    data, mc = report.datasets
    assert (data.name, data.simulated, data.blinded) == ("data", False, "signal")
    assert (mc.name, mc.simulated, mc.blinded) == ("mc", True, None)
    masks = [np.logical_and.reduce(t.cut_masks()) for t in truths[:2]]
    assert mc.cutflow.selected == sum(np.count_nonzero(m) for m in masks)
    box = sum(np.count_nonzero(m & t.in_box) for m, t in zip(masks, truths[:2], strict=True))
    assert dict(mc.cutflow.regions)["signal"] == box > 0
    assert dict(data.cutflow.regions)["signal"] is None
    with uproot.open(report.out / "selected.root") as file:
        events = file["Events"].arrays(library="np")
    simulated = events["dataset"] == 1
    assert np.all(events["mc_process"][simulated] == 0)
    assert np.all(events["mc_process"][~simulated] == 255)
    assert np.all(np.isnan(events["mc_weight"][~simulated]))
    assert np.count_nonzero(events["region_signal"]) == box
    assert not np.any(events["region_signal"][~simulated])


def test_data_and_simulation_do_not_mix(tmp_path, selection_path, data_files, simulated_files):
    with pytest.raises(DataError, match="'events' mixes data with simulated files"):
        run(selection_path, [data_files[0], simulated_files[1]], tmp_path / "out")
    assert not (tmp_path / "out").exists()


class TestOutputFolder:
    def test_it_is_not_overwritten(self, tmp_path, selection_path, data_files):
        out = tmp_path / "out"
        out.mkdir()
        (out / "thesis.tex").write_text("years of work")
        with pytest.raises(OutputExistsError, match=r"out exists\. Choose another one"):
            run(selection_path, data_files[2:], out)
        with pytest.raises(OutputExistsError, match="is not the output of an earlier run"):
            run(selection_path, data_files[2:], out, overwrite=True)
        assert (out / "thesis.tex").read_text() == "years of work"

    def test_a_file_of_that_name_is_not_replaced(self, tmp_path, selection_path, data_files):
        (tmp_path / "out").write_text("a file")
        with pytest.raises(OutputExistsError, match="is not the output of an earlier run"):
            run(selection_path, data_files[2:], tmp_path / "out", overwrite=True)

    def test_an_earlier_output_is_replaced_on_request(self, tmp_path, selection_path, data_files):
        out = tmp_path / "deep" / "out"
        run(selection_path, data_files[1:], out)
        (out / "note.txt").write_text("stale")
        run(selection_path, data_files[2:], out, overwrite=True)
        assert sorted(p.name for p in out.iterdir()) == [
            "counts.json",
            "cutflow.json",
            "histograms.root",
            "ledger.json",
            "run.json",
            "selected.root",
        ]
        assert json.loads((out / "run.json").read_text())["events"]["read"] == 333
        assert [p.name for p in out.parent.iterdir()] == ["out"]

    def test_after_an_error_the_old_output_is_untouched(
        self, tmp_path, selection_path, data_files, monkeypatch
    ):
        out = tmp_path / "out"
        run(selection_path, data_files[2:], out)
        before = content(out)

        def interrupt(folder, report):
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run(selection_path, data_files[1:], out, overwrite=True, extra=interrupt)
        assert content(out) == before
        assert sorted(p.name for p in tmp_path.iterdir()) == [".out.chunks", "out"]


def test_an_unknown_run_names_the_gap(tmp_path, selection_path, truths, write_file):
    path = write_file(tmp_path / "late.root", truths[2], run=7500)
    with pytest.raises(ConditionsError, match="7500"):
        run(selection_path, path, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.warns(NearestConditionsWarning, match="7500"):
        report = run(selection_path, path, tmp_path / "out", nearest_conditions=True)
    visible = ~truths[2].in_box
    assert list(report.datasets[0].cutflow.passed) == truths[2].passed(visible=visible)
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert record["options"]["nearest_conditions"] is True


def test_files_are_closed_and_unmapped_without_the_garbage_collector(
    tmp_path, selection_path, data_files
):
    gc.collect()
    gc.disable()
    try:
        run(selection_path, data_files, tmp_path / "out", chunk_size=100)
        mapped = {m.path for m in psutil.Process().memory_maps()}
    finally:
        gc.enable()
    assert not mapped & {str(p) for p in data_files}


def test_selected_events_beyond_the_limit_go_through_the_disk(
    tmp_path, selection_path, data_files, reference, monkeypatch
):
    monkeypatch.setattr("na64reco.processors.spool.MEMORY", 1000)
    report = run(selection_path, data_files, tmp_path / "out", chunk_size=100)
    assert content(report.out) == content(reference.out)
    assert not (report.out / ".spool").exists()


def test_foreign_names_give_the_same(tmp_path, selection_path, data_files, reference):
    foreign = []
    for path in (data_files[0], data_files[2]):
        with uproot.open(path) as file:
            branches = file["Events"].arrays(library="ak")
        names = {n: n for n in branches.fields if not n.startswith("n")}
        names |= {"run": "runNumber", "ECAL_amplitude": "ECAL_adc"}
        columns = {names[n]: branches[n] for n in names}
        columns["ECAL_adc"] = columns["ECAL_adc"] / 4
        foreign.append(tmp_path / path.name)
        with uproot.recreate(foreign[-1]) as file:
            tree = file.mktree(
                "T",
                {n: array.type.content for n, array in columns.items()},
                counter_name=lambda branch: "n" + branch.partition("_")[0],
            )
            tree.extend(columns)
    mapping = tmp_path / "mapping.yaml"
    mapping.write_text(
        "tree: T\n"
        "scalars: {run: runNumber}\n"
        "collections:\n"
        "  ECAL: {section: ECAL_section, ix: ECAL_ix, iy: ECAL_iy, time: ECAL_time,\n"
        "         amplitude: {branch: ECAL_adc, factor: 4.0}}\n"
    )
    files = [foreign[0], foreign[1]]
    own = run(selection_path, [data_files[0], data_files[2]], tmp_path / "own")
    report = run(selection_path, files, tmp_path / "out", mapping=mapping, chunk_size=300)
    assert content(report.out) == content(own.out)
    mapping.write_text(mapping.read_text().replace("runNumber", "runNumbr"))
    with pytest.raises(MappingError, match="runNumber"):
        run(selection_path, files, tmp_path / "wrong", mapping=mapping)


def test_a_mapping_of_files_is_a_fileset(tmp_path, selection_path, data_files):
    fileset = {"a": {"files": {str(data_files[2]): {"entries": 333}}}}
    assert run(selection_path, fileset, tmp_path / "out").ledger.events_read == 333
    assert resolve_inputs(fileset).datasets == ("a",)
