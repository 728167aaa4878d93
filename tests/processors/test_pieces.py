"""Files are read in parts that fit into memory, whatever their clusters and events are like."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import uproot
from hypothesis import given, settings
from hypothesis import strategies as st

from na64reco.errors import FileFormatError
from na64reco.events import (
    COLLECTIONS,
    SCALARS,
    EventBatch,
    EventWriter,
    open_events,
    open_file,
    read_hits,
    read_scalar,
)
from na64reco.processors import pieces, run
from na64reco.processors.pieces import ColumnSizes, column_sizes, cut, pieces_of

SAMPLE = Path(__file__).parents[2] / "data_samples" / "physics.root"
OUTPUTS = ("histograms.root", "selected.root", "cutflow.json", "counts.json")
EVENTS = 600


@pytest.fixture(scope="module", params=["ttree", "rntuple"])
def hits(request, tmp_path_factory):
    """Events of the sample in clusters of a hundred."""
    path = tmp_path_factory.mktemp("pieces") / f"{request.param}.root"
    source = open_events(SAMPLE, entry_stop=EVENTS)
    scalars = {name: read_scalar(source, name) for name in SCALARS if name in source.fields}
    collections = {
        name: read_hits(source, name, source[name].fields)
        for name in COLLECTIONS
        if name in source.fields
    }
    with EventWriter(path, format=request.param, cluster_size=100) as writer:
        writer.write(EventBatch(scalars, collections))
    return path


def column(edges, sizes):
    return ColumnSizes("any", np.array(edges, np.int64), np.array(sizes, np.int64))


@st.composite
def columns(draw):
    """Some columns of as many events, cut into baskets anywhere."""
    events = draw(st.integers(1, 300))
    found = []
    for _ in range(draw(st.integers(1, 3))):
        inner = draw(st.sets(st.integers(1, max(events - 1, 1)), max_size=8)) - {events}
        edges = sorted({0, events, *inner})
        sizes = [draw(st.integers(0, 5000)) for _ in edges[1:]]
        found.append(column(edges, sizes))
    start = draw(st.integers(0, events - 1))
    return tuple(found), start, draw(st.integers(start + 1, events))


@settings(max_examples=60, deadline=None)
@given(columns(), st.integers(1, 20_000))
def test_parts_cover_all_events_and_keep_the_limit(given_columns, limit):
    sizes, start, stop = given_columns
    parts = cut(sizes, start, stop, limit)
    assert [a for a, _ in parts] == [start, *(b for _, b in parts[:-1])]
    assert parts[-1][1] == stop
    for a, b in parts:
        assert a < b
        # Event by event, as it is thought of: all events of a basket are alike.
        event = np.zeros(stop)
        for c in sizes:
            each = np.repeat(c.sizes / np.diff(c.edges), np.diff(c.edges))
            event += each[:stop]
        assert b == a + 1 or event[a:b].sum() <= limit * (1 + 1e-9) + 1e-6


def test_parts_end_where_baskets_do():
    even = column([0, 100, 200, 300], [1000, 1000, 1000])
    assert cut((even, even), 0, 300, 4500) == [(0, 200), (200, 300)]
    assert cut((even, even), 0, 300, 100_000) == [(0, 300)]
    # An edge of one column alone is none.
    other = column([0, 150, 300], [1500, 1500])
    assert cut((even, other), 0, 300, 4500) == [(0, 225), (225, 300)]
    dense = column([0, 100, 200], [100, 100_000])
    assert cut((dense,), 0, 200, 10_100) == [(0, 100), *((a, a + 10) for a in range(100, 200, 10))]


def test_sizes_are_those_that_uproot_finds(hits):
    with open_file(hits) as file:
        found = {c.name: c for c in column_sizes(file, 150, 420)}
        if file.format == "ttree":
            for branch in file.tree.branches:
                sizes = found[branch.name]
                assert list(sizes.edges) == [100, 200, 300, 400, 500]
                assert list(sizes.sizes) == [
                    branch.basket_key(i).data_uncompressed_bytes for i in (1, 2, 3, 4)
                ]
            return
        assert list(found["run"].edges) == [100, 200, 300, 400, 500]
        assert list(found["run"].sizes) == [400] * 4
        amplitude = file.tree["ECAL.amplitude"].array(entry_start=100, entry_stop=500)
        number = np.array([sum(map(len, amplitude[i : i + 100])) for i in range(0, 400, 100)])
        assert list(found["ECAL.amplitude"].sizes) == list(4 * number)


def test_pieces_give_the_same_bytes(hits, tmp_path, monkeypatch):
    def outputs(name):
        run("electron-invisible-2022", hits, tmp_path / name)
        return {key: (tmp_path / name / key).read_bytes() for key in OUTPUTS}

    whole = outputs("whole")
    monkeypatch.setattr(pieces, "PIECE", 300_000)
    with open_file(hits) as file:
        assert len(pieces_of(file, 0, EVENTS)) >= 4
    assert outputs("pieces") == whole


def test_giant_baskets_are_refused_by_name(hits, tmp_path, monkeypatch):
    monkeypatch.setattr(pieces, "_memory", lambda: 50_000)
    with pytest.raises(
        FileFormatError, match=r"a basket of '[\w.]+' holds .* MB .*clusters of some"
    ):
        run("electron-invisible-2022", hits, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("hits", ["ttree"], indirect=True)  # RNTuples have checksums there
def test_absurd_sizes_are_refused_before_anything_is_read(hits, tmp_path):
    """A basket that says it is as large as 32 bits can say."""
    content = bytearray(hits.read_bytes())
    with uproot.open(hits) as file:
        seek = int(file["Events"]["ECAL_amplitude"].member("fBasketSeek")[2])
    content[seek + 6 : seek + 10] = b"\x7f\xff\xff\xff"
    bad = tmp_path / "bad.root"
    bad.write_bytes(content)
    good = tmp_path / "good.root"
    good.write_bytes(hits.read_bytes())
    run("electron-invisible-2022", [good, bad], tmp_path / "out", skip_bad_files=True)
    files = json.loads((tmp_path / "out" / "run.json").read_text())["inputs"]
    assert [f["status"] for f in files] == ["read", "skipped"]
    assert "'ECAL_amplitude' holds 2147 MB" in files[1]["reason"]
