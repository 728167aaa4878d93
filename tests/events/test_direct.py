"""Reading straight from baskets gives what NanoEvents give, and leaves the rest to them."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
import uproot
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from na64reco.errors import FileFormatError
from na64reco.events import (
    EventWriter,
    Hits,
    has_collection,
    has_field,
    has_scalar,
    open_entries,
    open_events,
    open_file,
    read_hits,
    read_scalar,
    source_of,
)
from na64reco.events.baskets import NotPlain, Scratch, branch_of
from na64reco.events.direct import DirectEvents


def same(hits, expected):
    np.testing.assert_array_equal(hits.offsets, expected.offsets)
    assert hits.offsets.dtype == np.int64
    for name, values in expected.columns.items():
        np.testing.assert_array_equal(hits[name], values)
        assert hits[name].dtype == values.dtype
        assert hits[name].flags.c_contiguous


@pytest.mark.parametrize("compression", ["zstd", "lz4", "none"])
def test_every_compression_gives_what_was_written(tmp_path, batch, compression):
    path = tmp_path / "events.root"
    with EventWriter(path, compression=compression, cluster_size=37) as writer:
        writer.write(batch)
    with open_file(path) as file:
        events = open_entries(file, 20, 110)
        assert isinstance(events, DirectEvents)
        part = batch.slice(20, 110)
        assert len(events) == 90
        for name, values in part.scalars.items():
            np.testing.assert_array_equal(events.scalar(name), values)  # not by NanoEvents
            assert read_scalar(events, name).dtype == values.dtype
        for name, hits in part.collections.items():
            events.hits(name, hits.columns)
            same(read_hits(events, name, hits.columns), hits)
        assert "nano" not in vars(events)


@pytest.mark.parametrize("method", ["ZLIB", "LZMA"])
def test_other_compressions(tmp_path, method):
    path = tmp_path / "events.root"
    values = np.arange(5000, dtype=np.float32) // 10
    with uproot.recreate(path, compression=getattr(uproot, method)(4)) as file:
        file.mktree("Events", {"master_time": "float32", "event": "uint64"})
        file["Events"].extend({"master_time": values, "event": np.arange(5000, dtype=np.uint64)})
    with open_file(path) as file:
        events = open_entries(file, 10, 4000)
        np.testing.assert_array_equal(read_scalar(events, "master_time"), values[10:4000])
        # The rare one is left to uproot.
        assert ("nano" in vars(events)) == (method == "LZMA")


def test_baskets_of_several_blocks(tmp_path):
    """ROOT compresses at most 16 MB at a time."""
    path = tmp_path / "events.root"
    event = np.arange(5_000_000, dtype=np.uint64)
    event[::7] *= 3
    with uproot.recreate(path, compression=uproot.ZSTD(1)) as file:
        file.mktree("Events", {"event": "uint64"})
        file["Events"].extend({"event": event[:3_000_000]})
        file["Events"].extend({"event": event[3_000_000:]})
    with open_file(path) as file:
        assert branch_of(file.tree["event"]).entries.tolist() == [0, 3_000_000, 5_000_000]
        for start, stop in [(0, 5_000_000), (1, 4_999_999), (2_999_999, 3_000_001), (3, 9)]:
            events = open_entries(file, start, stop)
            np.testing.assert_array_equal(events.scalar("event"), event[start:stop])


@pytest.mark.parametrize("claim", [None, 999, 1001, 2**40])
def test_zstd_frames_that_claim_another_size_are_not_plain(claim):
    content = bytes(range(250)) * 4
    into = np.zeros(1000, dtype=np.uint8)
    frame = bytearray(zstandard.ZstdCompressor().compress(content))
    assert Scratch().zstd(np.frombuffer(frame, np.uint8), into) == 1000
    assert into.tobytes() == content
    if claim is None:
        frame = bytearray(zstandard.ZstdCompressor(write_content_size=False).compress(content))
        assert zstandard.frame_content_size(bytes(frame)) == -1
    else:  # a header without a window's size, with eight bytes of the content's
        header = zstandard.frame_header_size(bytes(frame))
        frame[4:header] = b"\xe0" + claim.to_bytes(8, "little")
        assert zstandard.frame_content_size(bytes(frame)) == claim
    with pytest.raises(NotPlain):
        Scratch().zstd(np.frombuffer(frame, np.uint8), into)


def test_decompression_lets_other_threads_work():
    """Threads that read, as dask may have them, would otherwise wait for each other."""
    values = np.random.default_rng(1).integers(0, 1000, 10_000_000, dtype=np.uint32)
    block = np.frombuffer(zstandard.ZstdCompressor(level=1).compress(values), np.uint8)
    scratch, into = Scratch(), np.empty(values.nbytes, dtype=np.uint8)
    span, steps = [], []

    def work():
        span.append(time.perf_counter())
        scratch.zstd(block, into)
        span.append(time.perf_counter())

    thread = threading.Thread(target=work)
    thread.start()
    while thread.is_alive():
        steps.append(time.perf_counter())
    begin, end = span
    # In the middle of one call of C, where a lock that is held would let nothing happen.
    inside = [s for s in steps if 0.2 < (s - begin) / (end - begin) < 0.8]
    assert len(inside) > 10
    np.testing.assert_array_equal(into.view(np.uint32), values)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(bounds=st.tuples(st.integers(0, 119), st.integers(1, 120)).filter(lambda b: b[0] < b[1]))
def test_any_range_is_that_of_nanoevents(written, bounds):
    with open_file(written["ttree"]) as file:
        mine = open_entries(file, *bounds)
        theirs = open_events(file, entry_start=bounds[0], entry_stop=bounds[1])
        same(
            read_hits(mine, "ECAL", ["ix", "amplitude"]),
            read_hits(theirs, "ECAL", ["ix", "amplitude"]),
        )
        np.testing.assert_array_equal(read_scalar(mine, "event"), read_scalar(theirs, "event"))


def test_fields_are_those_of_nanoevents(written):
    with open_file(written["ttree"]) as file:
        mine, theirs = open_entries(file, 0, 50), open_events(file, entry_stop=50)
        assert set(mine.fields) == set(theirs.fields)
        assert set(mine["ECAL"].fields) == set(theirs["ECAL"].fields)
        assert has_collection(mine, "ST")
        assert not has_field(mine, "ST", "samples")
        assert has_scalar(mine, "MC_x")
        assert source_of(mine) == source_of(theirs)


def test_what_is_no_ttree_is_read_by_nanoevents(written, batch):
    with open_file(written["rntuple"]) as file:
        events = open_entries(file, 3, 30)
        assert not isinstance(events, DirectEvents)
        same(read_hits(events, "MM", ["strip"]), _only(batch.slice(3, 30).collections["MM"]))


def _only(hits):
    return Hits(hits.offsets, {"strip": hits["strip"]})


def test_waveforms_are_read_by_nanoevents(tmp_path, make):
    path, batch = tmp_path / "samples.root", make(30, samples=True)
    with EventWriter(path) as writer:
        writer.write(batch)
    with open_file(path) as file:
        events = open_entries(file, 5, 25)
        with pytest.raises(NotPlain):
            events.hits("ECAL", ["samples"])
        hits = read_hits(events, "ECAL", ["ix", "samples"])
        np.testing.assert_array_equal(
            hits["samples"], batch.slice(5, 25).collections["ECAL"]["samples"]
        )


def test_missing_and_wrong_branches_are_named_as_ever(written):
    with open_file(written["ttree"]) as file:
        events = open_entries(file, 0, 10)
        events.fields.remove("spill_time")
        with pytest.raises(FileFormatError, match="there is no branch 'spill_time'"):
            read_scalar(events, "spill_time")
        with pytest.raises(FileFormatError, match="there is no branch 'ECAL_samples'"):
            read_hits(events, "ECAL", ["samples"])
        with pytest.raises(FileFormatError, match="there is no branch 'BMS_channel'"):
            read_hits(events, "BMS", ["channel"])


def _with(path, start, change):
    """A copy with some bytes changed."""
    content = bytearray(path.read_bytes())
    content[start : start + len(change)] = change
    path = path.with_name("changed.root")
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("offset", "change"),
    [
        (0, b"\x7f\xff\xff\xff"),  # bytes of the basket
        (6, b"\x7f\xff\xff\xff"),  # bytes decompressed
        (14, b"\x7f\xff"),  # bytes of the header
    ],
)
def test_damaged_headers_are_no_longer_plain(written, tmp_path, offset, change):
    copy = tmp_path / "copy.root"
    copy.write_bytes(written["ttree"].read_bytes())
    with uproot.open(copy) as file:
        seek = int(file["Events/ECAL_amplitude"].member("fBasketSeek")[0])
    with open_file(_with(copy, seek + offset, change)) as file, pytest.raises(NotPlain):
        open_entries(file, 0, 50).hits("ECAL", ["amplitude"])


def test_damaged_content_is_the_error_of_before(written, tmp_path):
    copy = tmp_path / "copy.root"
    copy.write_bytes(written["ttree"].read_bytes())
    with uproot.open(copy) as file:
        key = file["Events/ECAL_amplitude"].basket_key(0)
        place = int(file["Events/ECAL_amplitude"].member("fBasketSeek")[0]) + key.fKeylen
    with (
        open_file(_with(copy, place, b"ZS\x01\xff\xff\xff")) as file,
        pytest.raises(FileFormatError, match="'ECAL_amplitude' cannot be read"),
    ):
        read_hits(open_entries(file, 0, 50), "ECAL", ["amplitude"])


def test_baskets_that_do_not_hold_what_the_counter_says_are_not_plain(written, batch):
    hits = batch.collections["ECAL"]
    with open_file(written["ttree"]) as file:
        branch = branch_of(file.tree["ECAL_amplitude"])
        right = branch.hits(0, 120, hits.offsets, 0, Scratch())
        np.testing.assert_array_equal(right, hits["amplitude"])
        wrong = hits.offsets + (np.arange(121) > 100)
        with pytest.raises(NotPlain):
            branch.hits(0, 120, wrong, 0, Scratch())


def test_entries_beyond_the_branch_are_not_plain(written):
    with open_file(written["ttree"]) as file:
        branch = branch_of(file.tree["event"])
        for bounds in [(0, 121), (-1, 5), (5, 5)]:
            with pytest.raises(NotPlain):
                branch.values(*bounds, Scratch())


def test_a_file_that_was_closed_is_not_looked_into(written):
    """Its memory is not mapped any more: reading it would end the process."""
    with open_file(written["ttree"]) as file:
        branch = branch_of(file.tree["event"])
        assert branch.mapped is not None
        assert len(branch.values(0, 50, Scratch())) == 50
    with pytest.raises(NotPlain):
        branch.values(0, 50, Scratch())
