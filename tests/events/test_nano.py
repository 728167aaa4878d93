"""Hit files in coffea's own machinery: schema, behaviors, and what is read when."""

from __future__ import annotations

import pickle

import awkward as ak
import cloudpickle
import numpy as np
import pytest
import uproot
from coffea.nanoevents import NanoEventsFactory
from coffea.processor import IterativeExecutor, ProcessorABC, Runner

from na64reco.events import COLLECTIONS, EventWriter, HitSchema, Mapping, open_events, read_hits
from na64reco.events.behaviors import RECORD_NAMES

KINDS = ["ttree", "rntuple"]


@pytest.mark.parametrize("kind", KINDS)
def test_coffeas_factory_takes_the_schema(written, batch, kind):
    events = NanoEventsFactory.from_root(
        {str(written[kind]): "Events"}, schemaclass=HitSchema, mode="virtual"
    ).events()
    np.testing.assert_array_equal(ak.num(events.ECAL), batch.collections["ECAL"].counts)
    np.testing.assert_array_equal(
        ak.flatten(events.ECAL.amplitude), batch.collections["ECAL"]["amplitude"]
    )
    np.testing.assert_array_equal(events.master_time, batch.scalars["master_time"])


@pytest.mark.parametrize("kind", KINDS)
def test_collections_have_behaviors(written, batch, kind):
    events = open_events(written[kind])
    assert set(events.fields) == set(batch.scalars) | set(batch.collections)
    for name in batch.collections:
        record = type(events[name][0:1]).__name__
        assert record == f"{RECORD_NAMES[name]}Array"
        assert events[name].fields == [f for f in COLLECTIONS[name] if f != "samples"]
    sections = batch.collections["ECAL"]["section"]
    np.testing.assert_array_equal(ak.flatten(events.ECAL.is_preshower), sections == 0)
    np.testing.assert_array_equal(ak.flatten(events.VETO.bar), batch.collections["VETO"]["ix"] // 2)
    times = batch.collections["SRD"]["time"]
    np.testing.assert_array_equal(ak.flatten(events.SRD.within(100, 9)), abs(times - 100) <= 9)
    planes = batch.collections["MM"]["projection"]
    np.testing.assert_array_equal(ak.flatten(events.MM.measures("Y")), planes == 1)


@pytest.mark.parametrize("kind", KINDS)
def test_events_have_behaviors(written, batch, kind):
    events = open_events(written[kind])
    assert ak.all(events.has_trigger("physics"))
    assert not ak.any(events.has_trigger("beam"))
    assert events.is_simulated
    np.testing.assert_array_equal(events.from_process("positron"), batch.scalars["MC_process"] == 1)
    # Behaviors survive selecting and are there for single events.
    assert events[events.has_trigger("physics")][3].ECAL.is_preshower.ndim == 1


@pytest.mark.parametrize("kind", KINDS)
def test_what_nobody_asks_for_is_not_read(written, kind):
    log = []
    events = open_events(written[kind], access_log=log)
    assert events.fields
    assert len(events) == 120
    assert log == []
    read_hits(events, "ECAL", ["amplitude"])
    names = {entry.branch for entry in log}
    if kind == "ttree":
        assert names == {"nECAL", "ECAL_amplitude"}
    else:
        # The offsets come with a field of one byte.
        assert names == {"ECAL.section", "ECAL.amplitude"}
    read_hits(events, "ECAL", ["amplitude"])
    assert len(log) == 2


@pytest.mark.parametrize("kind", KINDS)
def test_bytes_read_are_those_of_the_fields_asked_for(tmp_path, make, kind):
    """Counted below coffea, where uproot asks the file system for bytes."""
    path = tmp_path / "a.root"
    with EventWriter(path, format=kind, compression="none") as writer:
        writer.write(make(5000))
    size = path.stat().st_size
    events = open_events(path)
    source = events.attrs["@events_factory"].file_handle.file.source
    before = source.num_requested_bytes
    hits = read_hits(events, "MM", ["charge", "time"])
    needed = hits["charge"].nbytes + hits["time"].nbytes
    read = source.num_requested_bytes - before
    assert needed < read < needed + 0.12 * size
    assert needed + 0.12 * size < 0.5 * size


class _Sum(ProcessorABC):
    def process(self, events):
        hits = read_hits(events, "ECAL", ["amplitude"])
        return {"n": len(events), "sum": float(hits["amplitude"].sum(dtype=np.float64))}

    def postprocess(self, accumulator):
        return accumulator


@pytest.mark.parametrize("kind", KINDS)
def test_coffeas_runner_takes_the_schema(written, batch, kind):
    run = Runner(IterativeExecutor(status=False), schema=HitSchema, chunksize=50)
    found = run({"a": [str(written[kind])]}, _Sum(), treename="Events")
    assert found["n"] == len(batch)
    expected = batch.collections["ECAL"]["amplitude"].sum(dtype=np.float64)
    assert found["sum"] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("dump", [pickle.dumps, cloudpickle.dumps])
def test_a_mapped_schema_travels_to_other_processes(dump):
    schema = HitSchema.mapped(Mapping(scalars={"run": "RunNumber"}))
    again = pickle.loads(dump(schema))
    assert issubclass(again, HitSchema)
    assert again.mapping.scalars["run"].branch == "RunNumber"
    assert HitSchema.mapped(None) is HitSchema


def test_foreign_branches_are_kept(tmp_path):
    path = tmp_path / "a.root"
    with uproot.recreate(path) as file:
        ragged = ak.Array([[1.0], [], [2.0, 3.0]])
        file.mktree(
            "Events",
            {"temperature": "float32", "Lumi_value": "var * float64", "odd": "var * float64"},
            counter_name=lambda name: "n" + name.split("_")[0],
        ).extend({"temperature": np.ones(3), "Lumi_value": ragged, "odd": ragged})
    events = open_events(path)
    assert set(events.fields) >= {"temperature", "Lumi", "odd"}
    assert events.Lumi.value.to_list() == [[1.0], [], [2.0, 3.0]]
