"""Flat columns, compared with the same operation on awkward arrays."""

from __future__ import annotations

import awkward as ak
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from na64reco.errors import DataError
from na64reco.events import EventBatch, Hits, concatenate
from na64reco.events.columns import cast

RAGGED = st.lists(st.lists(st.integers(0, 255), max_size=4), max_size=8)


def hits_of(lists):
    offsets = np.cumsum([0] + [len(part) for part in lists]).astype(np.int64)
    return Hits(offsets, {"ix": np.array([i for part in lists for i in part], dtype=np.uint8)})


def lists_of(hits):
    return ak.unflatten(hits["ix"], hits.counts).to_list()


@given(RAGGED, st.data())
def test_select_as_awkward_does(lists, data):
    mask = data.draw(st.lists(st.booleans(), min_size=len(lists), max_size=len(lists)))
    selected = hits_of(lists).select(np.array(mask, dtype=bool))
    assert lists_of(selected) == [part for part, keep in zip(lists, mask, strict=True) if keep]


@given(RAGGED, st.data())
def test_select_by_index_may_reorder_and_repeat(lists, data):
    if not lists:
        return
    order = data.draw(st.lists(st.integers(0, len(lists) - 1), max_size=10))
    selected = hits_of(lists).select(np.array(order, dtype=np.int64))
    assert lists_of(selected) == [lists[i] for i in order]


@given(RAGGED, st.integers(-2, 10), st.integers(-2, 10))
def test_slice_as_lists_do(lists, start, stop):
    part = hits_of(lists).slice(start, stop)
    assert lists_of(part) == lists[start:stop]
    assert part.offsets[0] == 0


@given(RAGGED, st.integers(0, 8))
def test_concatenate_undoes_slice(lists, at):
    batch = EventBatch({"run": np.arange(len(lists))}, {"ECAL": hits_of(lists)})
    both = concatenate([batch.slice(0, at), batch.slice(at, len(lists))])
    assert lists_of(both.collections["ECAL"]) == lists
    assert both.scalars["run"].tolist() == list(range(len(lists)))


def test_event_index():
    assert hits_of([[1, 2], [], [3]]).event_index().tolist() == [0, 0, 2]


def test_slices_are_views():
    hits = hits_of([[1, 2], [], [3]])
    assert np.shares_memory(hits.slice(0, 1)["ix"], hits["ix"])


def test_waveforms_are_selected_as_a_whole():
    samples = np.arange(3 * 32, dtype=np.uint16).reshape(3, 32)
    hits = Hits(np.array([0, 2, 3]), {"samples": samples})
    np.testing.assert_array_equal(hits.select(np.array([1]))["samples"], samples[2:])


def test_content_must_fit_the_offsets():
    with pytest.raises(ValueError, match=r"column 'ix' has 2 entries, but the offsets end at 3"):
        Hits(np.array([0, 3]), {"ix": np.zeros(2)})
    with pytest.raises(ValueError, match="begin with 0"):
        Hits(np.array([1, 3]), {})
    with pytest.raises(ValueError, match=r"differ in their number of events.*'run': 2.*'ECAL': 1"):
        EventBatch({"run": np.zeros(2)}, {"ECAL": hits_of([[1]])})
    with pytest.raises(ValueError, match="mask has 2 entries for 1 events"):
        hits_of([[1]]).select(np.array([True, False]))


def test_only_equal_batches_are_concatenated():
    with pytest.raises(ValueError, match="batch 1 has columns"):
        concatenate([EventBatch({"run": np.zeros(1)}), EventBatch({"event": np.zeros(1)})])
    with pytest.raises(ValueError, match="there is no batch"):
        concatenate([])


def test_cast_keeps_what_fits_and_refuses_what_does_not():
    same = np.arange(3, dtype=np.uint8)
    assert cast(same, np.dtype("uint8"), branch="x") is same
    assert cast(np.array([255]), np.dtype("uint8"), branch="x").dtype == np.uint8
    for value in (-1, 256):
        with pytest.raises(DataError, match=rf"a\.root: branch 'ECAL_ix' has the value {value}"):
            cast(np.array([3, value]), np.dtype("uint8"), branch="ECAL_ix", source="a.root")
    with pytest.raises(DataError, match="holds float64, but uint8 is expected"):
        cast(np.array([0.5]), np.dtype("uint8"), branch="ECAL_ix")
