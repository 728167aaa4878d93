"""Every kind of broken file: fatal by default, or skipped whole and accounted for."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import uproot

from na64reco.errors import DataError, FileFormatError
from na64reco.events import EventBatch, EventWriter, Hits
from na64reco.processors import catalogue, resolve_inputs, run, write_catalogue


def rewrite(path, batch, change):
    """The batch with one collection's column changed."""
    collection, column, where, value = change
    hits = batch.collections[collection]
    values = hits.columns[column].copy()
    values[where] = value
    changed = Hits(hits.offsets, {**hits.columns, column: values})
    with EventWriter(path) as writer:
        writer.write(EventBatch(batch.scalars, {**batch.collections, collection: changed}))


def without(path, batch, collection):
    rest = {n: h for n, h in batch.collections.items() if n != collection}
    with EventWriter(path) as writer:
        writer.write(EventBatch(batch.scalars, rest))


@pytest.fixture
def make_bad(tmp_path, truths, batch_of, data_files):
    """Makes a file that is broken in a named way; its events follow those of the good files."""
    truth = replace(truths[2], event=truths[2].event + np.uint64(10_000))

    def make(kind):
        path, batch = tmp_path / f"{kind}.root", batch_of(truth)
        if kind == "truncated":
            content = data_files[0].read_bytes()
            path.write_bytes(content[: len(content) // 2])
        elif kind == "scrambled":
            with EventWriter(path) as writer:
                writer.write(batch)
            content = bytearray(path.read_bytes())
            begin, end = len(content) // 5, 3 * len(content) // 5
            content[begin:end] = np.random.default_rng(1).bytes(end - begin)
            path.write_bytes(content)
        elif kind == "no_events":
            with EventWriter(path, scalars=list(batch.scalars)) as writer:
                pass
        elif kind == "empty":
            path.touch()
        elif kind == "text":
            path.write_text("nothing of the kind")
        elif kind == "no_tree":
            with uproot.recreate(path) as file:
                file["Other"] = {"x": np.arange(3)}
        elif kind == "no_branch":
            without(path, batch, "HCAL")
        elif kind == "nan":
            rewrite(path, batch, ("ECAL", "amplitude", -1, np.nan))
        elif kind == "outside":
            rewrite(path, batch, ("ECAL", "ix", -1, 77))
        elif kind == "repeated":
            event = truth.event.copy()
            event[-1] = event[0]
            with EventWriter(path) as writer:
                writer.write(batch_of(replace(truth, event=event)))
        elif kind == "clash":
            with EventWriter(path) as writer:
                writer.write(batch_of(truths[0]))
        return path

    return make


BAD = {
    "missing": (FileFormatError, "There is no file", None),
    "truncated": (FileFormatError, "is truncated", None),
    "empty": (FileFormatError, r"is empty \(0 bytes\)", None),
    "scrambled": (FileFormatError, "cannot be read; the file is damaged", 333),
    "no_events": (FileFormatError, "holds no events", None),
    "text": (FileFormatError, "is not a ROOT file", None),
    "no_tree": (FileFormatError, "there is no 'Events' in this file", None),
    "no_branch": (FileFormatError, "HCAL", 333),
    "nan": (DataError, "'ECAL_amplitude' has the value nan", 333),
    "outside": (DataError, "'ECAL_ix' has the value 77", 333),
    "repeated": (DataError, r"run 6100.*more than once|event 11200 of run 6100", 333),
    "clash": (DataError, "is both in .*run_6100_0.root and in .*clash.root", 700),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_is_fatal_and_named(tmp_path, selection_path, data_files, make_bad, kind):
    error, text, _ = BAD[kind]
    path = make_bad(kind)
    with pytest.raises(error, match=text) as raised:
        run(selection_path, [*data_files, path], tmp_path / "out", chunk_size=100)
    assert f"{kind}.root" in str(raised.value)
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".*partial"))


@pytest.mark.parametrize("executor", ["iterative", "futures"])
def test_bad_files_leave_no_trace_and_are_accounted_for(
    tmp_path, selection_path, data_files, make_bad, executor
):
    bad = {kind: make_bad(kind) for kind in BAD}
    order = [bad["missing"], bad["nan"], data_files[0], *list(bad.values())[1:], *data_files[1:]]
    files = list(dict.fromkeys(order))
    report = run(
        selection_path,
        files,
        tmp_path / "out",
        skip_bad_files=True,
        chunk_size=100,
        executor=executor,
        workers=2,
    )
    good = run(selection_path, data_files, tmp_path / "good")
    assert report.datasets[0].cutflow == good.datasets[0].cutflow
    for name, histogram in good.datasets[0].histograms.items():
        assert np.array_equal(
            histogram.values(flow=True), report.datasets[0].histograms[name].values(flow=True)
        )
    events = [
        uproot.concatenate({tmp_path / name / "selected.root": "Events"}, "event", library="np")
        for name in ("out", "good")
    ]
    assert np.array_equal(events[0]["event"], events[1]["event"])
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert record["files"] == {"given": 15, "read": 3, "skipped": 12}
    # How many events a file that does not open would hold, nobody knows.
    assert record["events"] == {"in_files": None, "read": 1533, "skipped": None}
    by_name = {f["path"].rpartition("/")[2].removesuffix(".root"): f for f in record["inputs"]}
    for kind, (_, text, entries) in BAD.items():
        found = by_name[kind]
        assert found["status"] == "skipped"
        assert found["entries"] == found["events_skipped"] == entries, kind
        assert found["events_read"] == 0
        assert re.search(text, found["reason"])


def test_where_all_files_open_the_sum_is_whole(tmp_path, selection_path, data_files, make_bad):
    files = [*data_files, make_bad("nan")]
    report = run(selection_path, files, tmp_path / "out", skip_bad_files=True)
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert record["events"] == {"in_files": 1866, "read": 1533, "skipped": 333}
    assert report.ledger.events_read + report.ledger.events_skipped == 1866


def test_without_one_good_file_there_is_no_output(tmp_path, selection_path, make_bad):
    files = [make_bad("empty"), make_bad("nan")]
    with pytest.raises(FileFormatError, match=r"Not one input file could be used:\n.*empty") as e:
        run(selection_path, files, tmp_path / "out", skip_bad_files=True)
    assert "nan.root" in str(e.value)
    assert not (tmp_path / "out").exists()


def test_a_dataset_whose_files_are_all_bad_reads_zero(
    tmp_path, selection_path, data_files, make_bad
):
    inputs = [f"good={data_files[2]}", f"bad={make_bad('nan')}"]
    report = run(selection_path, inputs, tmp_path / "out", skip_bad_files=True)
    bad = report.datasets[1]
    assert (bad.name, bad.events, bad.simulated, bad.selected) == ("bad", 0, None, 0)
    assert bad.cutflow.passed == (0, 0, 0, 0)
    assert dict(bad.cutflow.regions) == {"signal": None, "sideband": 0, "hadrons": 0}


class TestCatalogue:
    def test_it_holds_what_is_in_the_files(self, tmp_path, selection_path, data_files):
        entries = catalogue(resolve_inputs(data_files))
        write_catalogue(entries, tmp_path / "fileset.yaml")
        files = resolve_inputs(tmp_path / "fileset.yaml").files
        assert [f.entries for f in files] == [700, 500, 333]
        assert [f.size for f in files] == [p.stat().st_size for p in data_files]
        assert [e.facts.format for e in entries] == ["ttree", "rntuple", "ttree"]
        assert entries[0].runs == (6100,)
        assert entries[0].spills == 7
        assert "ECAL_amplitude" in entries[0].facts.branches
        report = run(selection_path, tmp_path / "fileset.yaml", tmp_path / "out")
        assert report.ledger.events_read == 1533

    def test_coffea_reads_it(self, tmp_path, data_files):
        import yaml
        from coffea.dataset_tools.filespec import DataGroupSpec

        write_catalogue(catalogue(resolve_inputs(data_files)), tmp_path / "fileset.yaml")
        content = yaml.safe_load((tmp_path / "fileset.yaml").read_text())
        group = DataGroupSpec({"events": {"files": content["events"]["files"]}})
        assert group["events"].num_entries == 1533

    def test_one_flipped_bit_is_found(self, tmp_path, selection_path, data_files):
        path = tmp_path / "run.root"
        content = bytearray(data_files[0].read_bytes())
        path.write_bytes(content)
        write_catalogue(catalogue(resolve_inputs(path)), tmp_path / "fileset.yaml")
        content[len(content) // 3] ^= 4
        path.write_bytes(content)
        with pytest.raises(FileFormatError, match=r"run\.root is not the file .*`xxh3` should be"):
            run(selection_path, tmp_path / "fileset.yaml", tmp_path / "out")

    @pytest.mark.parametrize(("key", "value"), [("entries", 332), ("size", 17)])
    def test_wrong_facts_are_found(self, tmp_path, selection_path, data_files, key, value):
        fileset = {"a": {"files": {str(data_files[2]): {key: value}}}}
        with pytest.raises(FileFormatError, match=f"`{key}` should be {value}, found"):
            run(selection_path, fileset, tmp_path / "out")

    def test_a_catalogue_tells_how_many_events_a_lost_file_had(
        self, tmp_path, selection_path, data_files
    ):
        files = {str(p): {"entries": n} for p, n in zip(data_files, (700, 500, 333), strict=True)}
        files[str(tmp_path / "lost.root")] = {"entries": 4000}
        fileset = {"a": {"files": files}}
        report = run(selection_path, fileset, tmp_path / "out", skip_bad_files=True)
        ledger = report.ledger
        assert (ledger.events_in_files, ledger.events_read, ledger.events_skipped) == (
            5533,
            1533,
            4000,
        )
