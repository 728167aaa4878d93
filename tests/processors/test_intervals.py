from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from na64reco.errors import DataError
from na64reco.processors.intervals import SeenEvents, intervals_of


def of(pairs, source="a.root"):
    run, event = np.array(pairs, dtype=np.uint64).reshape(-1, 2).T
    return intervals_of(run.astype(np.uint32), event, source=source)


def expand(intervals):
    return {
        (int(r), e)
        for r, a, b in zip(intervals.run, intervals.first, intervals.last, strict=True)
        for e in range(int(a), int(b) + 1)
    }


def test_consecutive_events_are_one_interval():
    intervals = of([(1, e) for e in range(5, 1000)] + [(2, 7), (2, 8)])
    assert intervals.run.tolist() == [1, 2]
    assert intervals.first.tolist() == [5, 7]
    assert intervals.last.tolist() == [999, 8]
    assert intervals.runs == (1, 2)


@given(
    st.lists(st.tuples(st.integers(1, 3), st.integers(0, 30)), unique=True, max_size=60),
    st.integers(0, 60),
)
def test_any_order_and_any_split_give_the_same_intervals(pairs, cut):
    whole = of(pairs)
    parts = of(pairs[:cut]) + of(pairs[cut:])
    assert expand(whole) == set(pairs) == expand(parts)
    for name in ("run", "first", "last"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(parts, name))
    # No two intervals could be one.
    assert not np.any((whole.run[1:] == whole.run[:-1]) & (whole.first[1:] == whole.last[:-1] + 1))


@given(st.lists(st.sets(st.tuples(st.integers(1, 2), st.integers(0, 30)), max_size=9), max_size=5))
def test_an_event_in_two_files_is_found_if_and_only_if_there_is_one(contents):
    files = [of(sorted(content), f"{i}.root") for i, content in enumerate(contents)]
    places = {}
    for i, content in enumerate(contents):
        for pair in content:
            places.setdefault(pair, []).append(f"{i}.root")
    repeated = {pair: where for pair, where in places.items() if len(where) > 1}
    if not repeated:
        SeenEvents.check(files)
        return
    with pytest.raises(DataError, match="is both in") as error:
        SeenEvents.check(files)
    found = re.match(r"Event (\d+) of run (\d+) is both in (\S+) and in (\S+)\. ", str(error.value))
    event, run, one, other = found.groups()
    assert {one, other} <= set(repeated[int(run), int(event)])


def test_the_same_event_twice_in_a_file():
    with pytest.raises(DataError, match=r"a\.root: event 7 of run 1 is in the file more than once"):
        of([(1, 7), (1, 8), (1, 7)])
    with pytest.raises(DataError, match="event 7 of run 1"):
        of([(1, 6), (1, 7)]) + of([(1, 7)])


def test_a_refused_file_leaves_no_trace():
    seen = SeenEvents()
    seen.add(of([(1, 5)], "a.root"))
    with pytest.raises(DataError):
        seen.add(of([(1, 4), (1, 5), (2, 1)], "b.root"))
    seen.add(of([(1, 4), (2, 1)], "c.root"))


def test_the_largest_event_number_does_not_wrap():
    top = 2**64 - 1
    both = of([(1, top)]) + of([(1, 0)])
    assert both.first.tolist() == [0, top]
