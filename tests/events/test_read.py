"""Reading: equal to what uproot reads, lazy, and clear about what is wrong with a file."""

from __future__ import annotations

import awkward as ak
import numpy as np
import pytest
import uproot
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from na64reco.errors import DataError, FileFormatError
from na64reco.events import (
    COLLECTIONS,
    EventBatch,
    EventWriter,
    Hits,
    has_collection,
    has_field,
    has_scalar,
    open_events,
    open_file,
    read_batch,
    read_hits,
    read_scalar,
    source_of,
)

FORMATS = ["ttree", "rntuple"]


def assert_equal(hits, expected):
    np.testing.assert_array_equal(hits.offsets, expected.offsets)
    assert hits.offsets.dtype == np.int64
    for name, values in expected.columns.items():
        np.testing.assert_array_equal(hits[name], values)
        assert hits[name].dtype == values.dtype
        assert hits[name].flags.c_contiguous


@pytest.mark.parametrize("kind", FORMATS)
def test_a_batch_is_all_that_was_written(written, batch, kind):
    found = read_batch(open_events(written[kind]))
    assert found.scalars.keys() == batch.scalars.keys()
    for name, values in batch.scalars.items():
        np.testing.assert_array_equal(found.scalars[name], values)
    assert found.collections.keys() == batch.collections.keys()
    for name, hits in batch.collections.items():
        assert found.collections[name].columns.keys() == hits.columns.keys()
        assert_equal(found.collections[name], hits)


def only(hits, *fields):
    return Hits(hits.offsets, {field: hits[field] for field in fields})


@pytest.mark.parametrize("kind", FORMATS)
def test_everything_comes_back(written, batch, kind):
    events = open_events(written[kind])
    for name, values in batch.scalars.items():
        np.testing.assert_array_equal(read_scalar(events, name), values)
        assert read_scalar(events, name).dtype == values.dtype
    for name, hits in batch.collections.items():
        assert_equal(read_hits(events, name, hits.columns), hits)
    assert source_of(events) == str(written[kind])


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize(("start", "stop"), [(0, 30), (60, 80), (70, 120), (100, 1000), (5, 5)])
def test_ranges_of_events(written, batch, kind, start, stop):
    events = open_events(written[kind], entry_start=start, entry_stop=stop)
    part = batch.slice(start, stop)
    assert len(events) == len(part)
    assert_equal(
        read_hits(events, "MM", ["strip", "time"]), only(part.collections["MM"], "strip", "time")
    )


@pytest.mark.parametrize("kind", FORMATS)
def test_selected_events(written, batch, kind):
    mask = np.arange(len(batch)) % 3 == 1
    events = open_events(written[kind])[mask]
    expected = batch.collections["ECAL"].select(mask)
    assert_equal(read_hits(events, "ECAL", ["ix", "amplitude"]), only(expected, "ix", "amplitude"))
    part = events[5:10]
    np.testing.assert_array_equal(read_scalar(part, "event"), batch.scalars["event"][mask][5:10])
    assert_equal(read_hits(part, "ECAL", ["time"]), only(expected.slice(5, 10), "time"))


@pytest.mark.parametrize("kind", FORMATS)
def test_several_files_are_one(tmp_path, make, kind):
    batches = [make(n, first=100 * i) for i, n in enumerate((30, 1, 40))]
    paths = [tmp_path / f"{i}.root" for i in range(3)]
    for path, batch in zip(paths, batches, strict=True):
        with EventWriter(path, format=kind) as writer:
            writer.write(batch)
    log = []
    events = open_events(paths, access_log=log)
    assert len(events) == 71
    assert log == []
    strips = ak.concatenate(
        [ak.unflatten(b.collections["MM"]["strip"], b.collections["MM"].counts) for b in batches]
    )
    assert ak.array_equal(ak.without_parameters(events.MM.strip), strips, dtype_exact=False)
    read = read_hits(events, "MM", ["strip"])
    np.testing.assert_array_equal(read["strip"], ak.to_numpy(ak.flatten(strips)))
    np.testing.assert_array_equal(read.counts, ak.to_numpy(ak.num(strips)))
    part = open_events(paths, entry_start=29, entry_stop=33)
    assert read_scalar(part, "event").tolist() == [29, 100, 200, 201]


def test_files_read_together_must_have_the_same_branches(tmp_path, batch, written):
    other = tmp_path / "b.root"
    with EventWriter(other, collections=["ECAL"]) as writer:
        writer.write(batch)
    with pytest.raises(
        FileFormatError,
        match=r"b\.root has other branches than .*ttree\.root: "
        r"only one of them has .*Counter",
    ):
        open_events([written["ttree"], other])


@pytest.mark.parametrize("kind", FORMATS)
@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(counts=st.lists(st.integers(0, 3), min_size=1, max_size=12))
def test_ragged_content_comes_back(tmp_path, kind, counts):
    offsets = np.cumsum([0, *counts]).astype(np.int64)
    size = int(offsets[-1])
    rng = np.random.default_rng(size)
    columns = {
        "section": rng.integers(0, 2, size).astype(np.uint8),
        "time": rng.normal(size=size).astype(np.float32),
        "samples": rng.integers(0, 4096, (size, 32)).astype(np.uint16),
    }
    batch = EventBatch(
        {"run": np.full(len(counts), 1, dtype=np.uint32)}, {"ECAL": Hits(offsets, columns)}
    )
    path = tmp_path / "h.root"
    with EventWriter(path, format=kind, overwrite=True, cluster_size=5) as writer:
        writer.write(batch)
    assert_equal(read_hits(open_events(path), "ECAL", columns), batch.collections["ECAL"])


def test_what_a_file_has(written):
    events = open_events(written["ttree"])
    assert has_collection(events, "ECAL")
    assert not has_collection(events, "BMS")
    assert has_field(events, "ECAL", "time")
    assert not has_field(events, "ECAL", "samples")
    assert not has_field(events, "BMS", "time")
    assert has_scalar(events, "MC_weight")


# --- files that are no hit files ---------------------------------------------------------------


@pytest.fixture
def broken(tmp_path, written):
    def make(kind):
        path = tmp_path / f"{kind}.root"
        whole = written["ttree"].read_bytes()
        content = {
            "zero": b"",
            "text": b"run,event\n6100,1\n",
            "half": whole[: len(whole) // 2],
            "one_byte_less": whole[:-1],
            "header_only": whole[:16],
            "damaged_directory": whole[:100] + b"\xff" * 400 + whole[500:],
        }
        if kind in content:
            path.write_bytes(content[kind])
            return path
        with uproot.recreate(path) as file:
            if kind == "other_name":
                file.mktree("Event", {"run": "uint32"}).extend({"run": np.ones(3, dtype="u4")})
            elif kind == "histogram":
                file["Events"] = np.histogram([1.0, 2.0])
            elif kind == "no_events":
                file.mktree("Events", {"run": "uint32"})
            elif kind == "no_events_rntuple":
                file.mkrntuple("Events", {"run": "uint32"})
        return path

    return make


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("zero", r"zero\.root is empty \(0 bytes\)\. Copy or make it again"),
        ("text", r"text\.root is not a ROOT file: it begins with b'run,even', not with b'root'"),
        ("half", r"half\.root is truncated: it has \d+ of \d+ bytes\. Copy or make it again"),
        ("one_byte_less", r"one_byte_less\.root is truncated"),
        ("header_only", r"header_only\.root is truncated"),
        (
            "damaged_directory",
            r"damaged_directory\.root: its table of contents cannot be read; "
            r"the file is damaged",
        ),
        (
            "other_name",
            r"other_name\.root: there is no 'Events' in this file\. Did you mean "
            r"'Event'\?.*mapping with the key 'tree'",
        ),
        ("histogram", r"histogram\.root: 'Events' is a TH1D, but a TTree or RNTuple was expected"),
        ("no_events", r"no_events\.root: 'Events' holds no events"),
        ("no_events_rntuple", r"no_events_rntuple\.root: 'Events' holds no events"),
    ],
)
def test_broken_files(broken, kind, message):
    with pytest.raises(FileFormatError, match=message):
        open_events(broken(kind))


def test_missing_files_and_folders(tmp_path, written):
    with pytest.raises(
        FileFormatError,
        match=r"There is no file .*ttre\.root\. Did you mean "
        r"'ttree\.root'\?|There is no file .*ttre\.root",
    ):
        open_events(written["ttree"].with_name("ttre.root"))
    with pytest.raises(FileFormatError, match="is a folder, but a ROOT file was expected"):
        open_events(tmp_path)
    with pytest.raises(FileFormatError, match="the list of paths is empty"):
        open_events([])


@pytest.mark.parametrize("kind", FORMATS)
def test_missing_branches_are_named_with_their_neighbours(written, kind):
    events = open_events(written[kind])
    name = str(written[kind])
    with pytest.raises(
        FileFormatError,
        match=rf"{name}: there is no branch 'BMS_time', which is "
        r"needed\..*--mapping",
    ):
        read_hits(events, "BMS", ["time"])
    with pytest.raises(FileFormatError, match=r"no branch 'ECAL_samples'.*Did you mean"):
        read_hits(events, "ECAL", ["samples"])
    with pytest.raises(
        FileFormatError,
        match=r"no field of ECAL 'tim' in the schema\. Did you mean "
        r"'time'",
    ):
        read_hits(events, "ECAL", ["tim"])
    with pytest.raises(FileFormatError, match=r"no collection 'ECALL'\. Did you mean 'ECAL'"):
        read_hits(events, "ECALL", ["time"])
    with pytest.raises(
        FileFormatError, match=r"no scalar 'runn' in the schema. Did you mean 'run'"
    ):
        read_scalar(events, "runn")


def test_a_scalar_that_is_not_there(tmp_path, batch):
    path = tmp_path / "a.root"
    with EventWriter(path, scalars=["run", "event"]) as writer:
        writer.write(batch)
    with pytest.raises(FileFormatError, match=r"no branch 'spill', which is needed"):
        read_scalar(open_events(path), "spill")


def _tree(path, branches):
    with uproot.recreate(path) as file:
        file.mktree(
            "Events",
            {
                k: (v.dtype if isinstance(v, np.ndarray) else ak.type(v).content)
                for k, v in branches.items()
            },
            counter_name=lambda name: "n" + name.split("_")[0],
        ).extend(branches)
    return open_events(path)


def test_wrong_types(tmp_path):
    ragged = ak.Array([[1, 2], [3]])
    events = _tree(tmp_path / "a.root", {
        "run": np.array([1.5, 2.5]),
        "spill": ragged,
        "event": np.array([1, -1]),
        "master_time": np.array([1, 2], dtype=np.int32),
        "ECAL_ix": ak.values_astype(ragged, np.float32),
        "ECAL_iy": ragged + 254,
        "ECAL_amplitude": ragged,
        "SRD": np.array([1, 2]),
    })  # fmt: skip
    with pytest.raises(
        FileFormatError,
        match=r"branch 'run' has the type float64, but uint32 is "
        r"expected \(run number\)",
    ):
        read_scalar(events, "run")
    with pytest.raises(FileFormatError, match=r"branch 'spill' has the type .*, but uint32 is"):
        read_scalar(events, "spill")
    with pytest.raises(FileFormatError, match=r"branch 'ECAL_ix' has the type float32, but uint8"):
        read_hits(events, "ECAL", ["ix"])
    with pytest.raises(
        FileFormatError, match=r"no branch 'SRD_ix', which is needed\. Did you mean 'SRD'"
    ):
        read_hits(events, "SRD", ["ix"])
    with pytest.raises(DataError, match=r"branch 'event' has the value -1, which does not fit"):
        read_scalar(events, "event")
    with pytest.raises(DataError, match=r"branch 'ECAL_iy' has the value 257.*uint8 \(0 to 255\)"):
        read_hits(events, "ECAL", ["iy"])
    # Other widths of the same kind are taken.
    assert read_scalar(events, "master_time").dtype == np.float32
    assert read_hits(events, "ECAL", ["amplitude"])["amplitude"].tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("kind", FORMATS)
def test_damaged_content_is_named_when_it_is_read(tmp_path, make, kind):
    """Bytes of one branch are overwritten; the others still read."""
    path = tmp_path / "a.root"
    with EventWriter(path, format=kind) as writer:
        writer.write(make(2000))
    content = bytearray(path.read_bytes())
    with uproot.open(path) as file:
        if kind == "ttree":
            start = int(file["Events"]["ECAL_time"].member("fBasketSeek")[0])
            # The header of the compressed block: a change further in may go unnoticed.
            start = content.index(b"ZS", start)
        else:
            field = file["Events"]["ECAL"]["time"]
            column = [c.field_id for c in file["Events"].ntuple.column_records].index(
                field.field_id
            )
            page = file["Events"].ntuple.page_link_list[0][column].pages[0]
            start = page.locator.offset
    content[start : start + 500] = b"\xff" * 500
    path.write_bytes(content)
    events = open_events(path)
    assert read_hits(events, "MM", ["time"]).size
    with pytest.raises(
        FileFormatError,
        match=r"a\.root: branch 'ECAL_time' cannot be read; the "
        r"file is damaged",
    ):
        read_hits(events, "ECAL", ["time"])


def test_open_file_tells_the_format(written):
    for kind in FORMATS:
        with open_file(written[kind]) as file:
            assert file.format == kind
            assert file.entries == 120
            assert ("ECAL_time" if kind == "ttree" else "ECAL.time") in file.branches


def test_waveforms_replace_amplitudes(tmp_path, make):
    batch = make(20, samples=True, multiplicity={"ECAL": 3})
    for kind in FORMATS:
        path = tmp_path / f"{kind}.root"
        with EventWriter(path, format=kind, collections={"ECAL": ["ix", "samples"]}) as writer:
            writer.write(batch)
        events = open_events(path)
        samples = read_hits(events, "ECAL", ["samples"])["samples"]
        assert samples.shape[1:] == COLLECTIONS["ECAL"]["samples"].shape
        np.testing.assert_array_equal(samples, batch.collections["ECAL"]["samples"])
        assert not has_field(events, "ECAL", "amplitude")
