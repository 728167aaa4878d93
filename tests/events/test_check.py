"""Impossible content is found and named."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from na64reco import load_setup
from na64reco.errors import DataError, FileFormatError
from na64reco.events import (
    EventBatch,
    EventWriter,
    Hits,
    check_branches,
    check_events,
    find_duplicates,
    inspect_file,
    open_events,
)

SETUP = load_setup("2022-electron")


def write(path, batch, kind="ttree"):
    with EventWriter(path, format=kind) as writer:
        writer.write(batch)
    return path


def changed(batch, branch, hit, value):
    """The same events with one value replaced."""
    collection, _, field = branch.partition("_")
    hits = batch.collections[collection]
    column = hits[field].copy()
    column[hit] = value
    new = Hits(hits.offsets, hits.columns | {field: column})
    return EventBatch(batch.scalars, batch.collections | {collection: new})


@pytest.mark.parametrize("kind", ["ttree", "rntuple"])
def test_sound_events_pass(written, kind):
    check_events(open_events(written[kind]), SETUP)


@pytest.mark.parametrize(
    ("branch", "value", "allowed"),
    [
        ("ECAL_section", 2, "0 to 1"),
        ("ECAL_ix", 5, "0 to 4"),
        ("ECAL_iy", 6, "0 to 5"),
        ("HCAL_module", 4, "0 to 3"),
        ("HCAL_ix", 3, "0 to 2"),
        ("SRD_ix", 3, "0 to 2"),
        ("VETO_ix", 6, "0 to 5"),
        ("Counter_id", 4, r"1 \(S1\), 2 \(S2\), 3 \(S3\), 9 \(V1\), 10 \(V2\)"),
        ("Counter_id", 15, "0 to 10"),
        ("MM_station", 5, r"1 \(MM1\), 2 \(MM2\), 3 \(MM3\), 4 \(MM4\)"),
        ("MM_projection", 2, r"MM1: 0 \(X\), 1 \(Y\); MM2"),
        ("MM_strip", 320, r"0 to 319 \(MM1\)"),
        ("GEM_strip", 256, r"0 to 255 \(GEM1\)"),
        ("ST_station", 1, r"3 \(ST3\), 4 \(ST4\)"),
        ("ST_wire", 64, r"0 to 63 \(ST3\)"),
        ("ST_layer", 2, r"0 to 1 \(ST3\)"),
        ("ECAL_amplitude", np.nan, "a finite number"),
        ("HCAL_amplitude", np.inf, "a finite number"),
        ("MM_charge", -np.inf, "a finite number"),
        ("ST_time", np.nan, "a finite number"),
    ],
)
def test_impossible_values(tmp_path, batch, branch, value, allowed):
    hits = batch.collections[branch.partition("_")[0]]
    hit = hits.size // 2
    event = next(i for i in range(len(hits)) if hits.offsets[i] <= hit < hits.offsets[i + 1])
    path = write(tmp_path / "a.root", changed(batch, branch, hit, value))
    with pytest.raises(
        DataError,
        match=rf"a\.root: branch '{branch}' has the value {value} in run 6100, event {event}; "
        rf"allowed is {allowed}.*leave it out \(--skip-bad-files\)",
    ):
        check_events(open_events(path), SETUP)
    # What is not going to be used is not looked at.
    check_events(open_events(path), SETUP, collections=[])
    problems = inspect_file(path, SETUP).problems
    assert len(problems) == 1
    assert f"branch '{branch}'" in problems[0]


def test_the_largest_possible_values_pass(tmp_path, batch):
    for branch, value in {
        "ECAL_ix": 4, "ECAL_iy": 5, "HCAL_module": 3, "VETO_ix": 5, "Counter_id": 10,
        "MM_strip": 319, "GEM_strip": 255, "ST_wire": 63, "ECAL_amplitude": 3.4e38,
    }.items():  # fmt: skip
        batch = changed(batch, branch, 0, value)
    check_events(open_events(write(tmp_path / "a.root", batch)), SETUP)


def test_only_what_is_named_is_read(written):
    log = []
    events = open_events(written["ttree"], access_log=log)
    check_events(events, SETUP, collections={"ECAL": ("ix", "time")})
    read = {entry.branch for entry in log}
    assert read == {"run", "event", "master_time", "nECAL", "ECAL_ix", "ECAL_time"}


def test_a_collection_of_a_detector_that_is_not_there(tmp_path, make):
    batch = make(10, multiplicity={"VHCAL": 2, "BMS": 2})
    path = write(tmp_path / "a.root", batch)
    for name in ("VHCAL", "BMS"):
        with pytest.raises(
            DataError,
            match=rf"collection {name} has \d+ hits, but there is no such "
            "detector in setup 2022-electron",
        ):
            check_events(open_events(path), SETUP, collections=[name])


def test_cells_in_a_hole(tmp_path, make):
    """The veto HCAL of the muon setups has a hole for the beam."""
    calorimeter = SETUP.hcal.model_copy(update={"hole": ((1, 0),), "nx": 2, "ny": 2})
    setup = SETUP.model_copy(update={"vhcal": calorimeter})
    batch = make(10, multiplicity={"VHCAL": 4})
    hits = batch.collections["VHCAL"]
    hole = (hits["ix"] == 1) & (hits["iy"] == 0)
    assert hole.any()
    path = write(tmp_path / "a.root", batch)
    with pytest.raises(DataError, match=r"any cell but the hole \[\(1, 0\)\]"):
        check_events(open_events(path), setup, collections=["VHCAL"])
    sound = dataclasses.replace(
        batch,
        collections={"VHCAL": Hits(hits.offsets, hits.columns | {"ix": np.zeros_like(hits["ix"])})},
    )
    check_events(open_events(write(tmp_path / "b.root", sound)), setup, collections=["VHCAL"])


def test_master_time_must_be_finite(tmp_path, batch):
    times = batch.scalars["master_time"].copy()
    times[7] = np.nan
    path = write(
        tmp_path / "a.root", EventBatch(batch.scalars | {"master_time": times}, batch.collections)
    )
    with pytest.raises(DataError, match=r"'master_time' has the value nan in run 6100, event 7"):
        check_events(open_events(path), SETUP)


def test_events_that_are_there_twice(tmp_path, batch):
    numbers = batch.scalars["event"].copy()
    numbers[50] = 3
    path = write(
        tmp_path / "a.root", EventBatch(batch.scalars | {"event": numbers}, batch.collections)
    )
    with pytest.raises(DataError, match=r"run 6100, event 3 is there more than once \(1 such"):
        check_events(open_events(path), SETUP)
    assert "event 3 is there more than once" in inspect_file(path, SETUP).problems[0]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), max_size=30))
def test_duplicates_as_a_set_finds_them(pairs):
    seen, expected = set(), 0
    for pair in pairs:
        expected += pair in seen
        seen.add(pair)
    run = np.array([r for r, _ in pairs], dtype=np.uint32)
    event = np.array([e for _, e in pairs], dtype=np.uint64)
    found = find_duplicates(run, event)
    assert len(found) == expected
    assert all(pairs[i] in pairs[:i] for i in found)


def test_needed_branches(written):
    events = open_events(written["rntuple"])
    check_branches(events, scalars=["run"], collections={"ECAL": ["ix", "time"]})
    with pytest.raises(FileFormatError) as caught:
        check_branches(
            events, scalars=["runn"], collections={"ECAL": ["ix", "samples"], "BMS": ["time"]}
        )
    text = str(caught.value)
    assert "rntuple.root: branches that are needed are not there" in text
    assert "'runn'. Did you mean 'run'" in text
    assert "'ECAL_samples'. Did you mean" in text
    assert "'BMS_time'" in text
    assert len([line for line in text.splitlines() if line.startswith("  '")]) == 3


def test_multiplexed_strips_are_numbered_by_channel(tmp_path, batch):
    """Five strips to a channel: 64 channels of 320 strips."""
    stations = {
        n: s.model_copy(update={"multiplexing": 5}) if s.technology == "mm" else s
        for n, s in SETUP.stations.items()
    }
    setup = SETUP.model_copy(update={"stations": stations})
    hits = batch.collections["MM"]
    folded = Hits(hits.offsets, hits.columns | {"strip": hits["strip"] % np.uint16(64)})
    good = EventBatch(batch.scalars, batch.collections | {"MM": folded})
    check_events(open_events(write(tmp_path / "good.root", good)), setup)
    bad = write(tmp_path / "bad.root", changed(good, "MM_strip", 0, 64))
    with pytest.raises(DataError, match=r"MM_strip.*0 to 63 \(MM1\)"):
        check_events(open_events(bad), setup)


def sampled(make, largest=2**14 - 1):
    batch = make(20, samples=True, multiplicity={"ECAL": 3, "SRD": 2})
    for hits in batch.collections.values():
        del hits.columns["amplitude"], hits.columns["time"]
        hits.columns["samples"][:] += np.uint16(200)
    batch.collections["ECAL"]["samples"][4, 7] = largest
    return batch


@pytest.mark.parametrize("kind", ["ttree", "rntuple"])
def test_samples_must_be_within_the_range_of_the_digitiser(tmp_path, make, kind):
    sound = write(tmp_path / "sound.root", sampled(make), kind)
    check_events(open_events(sound), SETUP)
    bad = open_events(write(tmp_path / "bad.root", sampled(make, 2**14), kind))
    message = r"'ECAL_samples' has the value 16384 in run 6100, .*allowed is 0 to 16383 \(14 bits\)"
    with pytest.raises(DataError, match=message):
        check_events(bad, SETUP)
    with pytest.raises(DataError, match=message):
        check_events(bad, SETUP, collections={"ECAL": ["ix", "samples"]})
    # What is not asked for is not read.
    check_events(bad, SETUP, collections={"ECAL": ["ix", "iy"]})


def test_samples_need_a_digitiser_in_the_setup(tmp_path, make):
    events = open_events(write(tmp_path / "a.root", sampled(make)))
    with pytest.raises(DataError, match=r"has no `digitizer` that says how they were made"):
        check_events(events, SETUP.model_copy(update={"digitizer": None}))


def test_neither_amplitude_nor_samples(tmp_path, make):
    batch = sampled(make)
    del batch.collections["SRD"].columns["samples"]
    events = open_events(write(tmp_path / "a.root", batch))
    with pytest.raises(
        DataError, match=r"SRD has neither 'SRD_amplitude' nor 'SRD_samples'.*one of them is needed"
    ):
        check_events(events, SETUP)
    check_events(events, SETUP, collections={"SRD": ["ix"]})
