"""What EventWriter writes, as plain uproot reads it."""

from __future__ import annotations

import json

import awkward as ak
import numpy as np
import pytest
import uproot

from na64reco.errors import DataError, OutputExistsError
from na64reco.events import SCALARS, EventBatch, EventWriter, Hits


def write(path, batch, **options):
    with EventWriter(path, **options) as writer:
        writer.write(batch)
    return path


@pytest.mark.parametrize("compression", ["zstd", "lz4", "none"])
def test_ttree_as_uproot_reads_it(tmp_path, batch, compression):
    path = write(tmp_path / "a.root", batch, compression=compression)
    with uproot.open(path) as file:
        tree = file["Events"]
        assert tree.classname == "TTree"
        assert len([k for k in set(tree.keys()) if k.startswith("n")]) == len(batch.collections)
        for name, values in batch.scalars.items():
            read = tree[name].array(library="np")
            assert read.dtype == SCALARS[name].dtype
            np.testing.assert_array_equal(read, values)
        for name, hits in batch.collections.items():
            np.testing.assert_array_equal(tree[f"n{name}"].array(library="np"), hits.counts)
            for field, values in hits.columns.items():
                read = tree[f"{name}_{field}"].array()
                np.testing.assert_array_equal(ak.num(read), hits.counts)
                np.testing.assert_array_equal(ak.to_numpy(ak.flatten(read)), values)


@pytest.mark.parametrize("compression", ["zstd", "lz4", "none"])
def test_rntuple_as_uproot_reads_it(tmp_path, batch, compression):
    path = write(tmp_path / "a.root", batch, compression=compression, format="rntuple")
    with uproot.open(path) as file:
        assert file.classname_of("Events") == "ROOT::RNTuple"
        read = file["Events"].arrays()
        assert file["Events"]["ECAL.time"].description == "time relative to master_time [ns]"
    for name, values in batch.scalars.items():
        np.testing.assert_array_equal(ak.to_numpy(read[name]), values)
    for name, hits in batch.collections.items():
        np.testing.assert_array_equal(ak.num(read[name]), hits.counts)
        for field, values in hits.columns.items():
            np.testing.assert_array_equal(ak.to_numpy(ak.flatten(read[name][field])), values)


@pytest.mark.parametrize("kind", ["ttree", "rntuple"])
def test_clusters_are_filled_from_small_batches(tmp_path, batch, kind):
    path = tmp_path / "a.root"
    with EventWriter(path, format=kind, cluster_size=50) as writer:
        for start in range(0, 120, 7):
            writer.write(batch.slice(start, start + 7))
        assert writer.events == 120
    with uproot.open(path) as file:
        tree = file["Events"]
        np.testing.assert_array_equal(tree["event"].array(library="np"), np.arange(120))
        if kind == "ttree":
            assert list(tree["event"].entry_offsets) == [0, 50, 100, 120]
            return
        clusters = [c.num_entries for c in tree.ntuple.cluster_summaries]
        assert clusters == [50, 50, 20]


def test_default_clusters_hold_at_least_5000_events():
    assert EventWriter("a.root")._cluster_size >= 5000


@pytest.mark.parametrize("kind", ["ttree", "rntuple"])
def test_units_and_metadata_travel_in_the_file(tmp_path, batch, kind):
    path = write(tmp_path / "a.root", batch, format=kind, metadata={"seed": "7", "µ": "é"})
    with uproot.open(path) as file:
        content = json.loads(str(file["na64reco_metadata"]))
    assert content["metadata"] == {"seed": "7", "µ": "é"}
    assert content["branches"]["ECAL_amplitude"] == ["ADC", "pulse height above pedestal"]
    assert content["branches"]["master_time"] == ["ns", "trigger time reference"]


def test_an_existing_file_is_kept(tmp_path, batch):
    path = tmp_path / "a.root"
    path.write_bytes(b"precious")
    with pytest.raises(OutputExistsError, match=r"a\.root is there already.*--overwrite"):
        EventWriter(path)
    assert path.read_bytes() == b"precious"
    write(path, batch, overwrite=True)
    assert path.read_bytes()[:4] == b"root"


@pytest.mark.parametrize("kind", ["ttree", "rntuple"])
def test_after_an_error_nothing_is_left(tmp_path, batch, kind):
    old = tmp_path / "a.root"
    old.write_bytes(b"precious")
    writer = EventWriter(old, format=kind, cluster_size=10, overwrite=True)

    def interrupted():
        with writer:
            writer.write(batch)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [p.name for p in tmp_path.iterdir()] == ["a.root"]
    assert old.read_bytes() == b"precious"


@pytest.mark.parametrize("kind", ["ttree", "rntuple"])
def test_a_file_without_events_still_has_its_branches(tmp_path, kind):
    path = tmp_path / "a.root"
    with EventWriter(path, format=kind, scalars=["run", "event"], collections=["ST"]):
        pass
    with uproot.open(path) as file:
        tree = file["Events"]
        assert tree.num_entries == 0
        assert {"run", "event"} <= set(tree.keys())
        assert ("ST_wire" if kind == "ttree" else "ST.wire") in set(tree.keys())


def test_a_collection_without_hits_may_be_left_out_of_a_batch(tmp_path, batch):
    path = tmp_path / "a.root"
    with EventWriter(path, collections=["ECAL", "BMS"]) as writer:
        writer.write(batch)
    with uproot.open(path) as file:
        assert not file["Events"]["nBMS"].array(library="np").any()
        assert "HCAL_time" not in file["Events"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scalars": {"run": np.zeros(1)}}, r"'run' holds float64, but uint32 is expected"),
        ({"scalars": {"runn": np.zeros(1)}}, r"no scalar 'runn' in the schema. Did you mean 'run'"),
        (
            {"collections": {"ECALL": Hits(np.array([0, 0]), {})}},
            r"no collection 'ECALL' in the schema. Did you mean 'ECAL'",
        ),
        (
            {"collections": {"ECAL": Hits(np.array([0, 0]), {"tim": np.zeros(0)})}},
            r"no field 'tim' in ECAL. Did you mean 'time'",
        ),
        (
            {"collections": {"ECAL": Hits(np.array([0, 1]), {"ix": np.array([256])})}},
            r"branch 'ECAL_ix' has the value 256, which does not fit into uint8 \(0 to 255\)",
        ),
        (
            {"collections": {"ECAL": Hits(np.array([0, 1]), {"samples": np.ones((1, 16))})}},
            r"'ECAL_samples' have the shape \(16,\), the schema says uint16\[32\]",
        ),
    ],
)
def test_what_does_not_fit_the_schema_is_refused(tmp_path, change, message):
    content = {"scalars": {"run": np.zeros(1, dtype=np.uint32)}} | change
    with pytest.raises(DataError, match=message):
        write(tmp_path / "a.root", EventBatch(**content))
    assert not list(tmp_path.iterdir())


def test_later_batches_must_have_the_same_branches(tmp_path, batch):
    with EventWriter(tmp_path / "a.root") as writer:
        writer.write(batch)
        with pytest.raises(DataError, match=r"a batch lacks the scalar 'run' that the file has"):
            writer.write(EventBatch({"event": np.zeros(1, dtype=np.uint64)}))


def test_unknown_options_are_refused():
    with pytest.raises(ValueError, match=r"no format 'ttre'. Did you mean 'ttree'"):
        EventWriter("a.root", format="ttre")
    with pytest.raises(ValueError, match=r"no compression 'zst'. Did you mean 'zstd'"):
        EventWriter("a.root", compression="zst")
