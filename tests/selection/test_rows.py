"""Counting by row: the same in few long stretches of events and in many short ones."""

from __future__ import annotations

import numpy as np
import pytest

from na64reco.selection.rows import Rows


@pytest.mark.parametrize("longest", [2, 2000])
def test_counts_are_those_of_a_loop(longest):
    generator = np.random.default_rng(1)
    lengths = generator.integers(1, longest + 1, size=10_000 // longest)
    row = generator.integers(0, 4, size=len(lengths))
    bounds = np.concatenate([[0], np.cumsum(lengths)])
    masks = generator.random((3, bounds[-1])) < 0.3
    rows = Rows(bounds, row, 5, None)
    expected = np.zeros((5, 3), dtype=np.int64)
    for event, at in enumerate(np.repeat(row, lengths)):
        expected[at] += masks[:, event]
    found = rows.counts(masks)
    assert found.dtype == np.int64
    assert found.tolist() == expected.tolist()


def test_no_events_are_none():
    rows = Rows(np.array([0]), np.array([], dtype=np.int64), 0, None)
    assert rows.count(np.array([], dtype=bool)).tolist() == []
