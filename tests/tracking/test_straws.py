"""Straw hits by hand: 2 staggered layers of 64 wires, 6 mm apart; drift times 10 to 70 ns.

Hits count as in time up to 10 ns before and after.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from na64reco.errors import ConditionsError
from na64reco.events import Hits
from na64reco.tracking.straws import count_straws, drift_distance, straw_hits


def make_hits(events):
    """Events as lists of (station, projection, layer, wire, time)."""
    rows = [h for event in events for h in event]
    types = (np.uint8, np.uint8, np.uint8, np.uint16, np.float32)
    names = ("station", "projection", "layer", "wire", "time")
    offsets = np.cumsum([0, *(len(e) for e in events)]).astype(np.int64)
    columns = {n: np.array([r[i] for r in rows], types[i]) for i, n in enumerate(names)}
    return Hits(offsets, columns)


def test_adjacent_wires_of_both_layers_are_one_particle(setup, conditions):
    one = [(3, 0, 0, 10, 30), (3, 0, 1, 10, 40)]  # wire 10 of layer 1 is half a pitch on
    neighbours = [(3, 0, 0, 20, 60), (3, 0, 0, 21, 60), (3, 0, 1, 20, 20)]
    two = [(3, 0, 0, 10, 30), (3, 0, 0, 12, 30)]
    counts = count_straws(make_hits([one, neighbours, two, []]), setup, conditions)
    assert counts.multiplicity.tolist() == [1, 1, 2, 0]
    assert counts.hits.tolist() == [2, 3, 2, 0]
    assert counts.planes.tolist() == [1, 1, 1, 0]
    assert counts.min_multiplicity.tolist() == [0, 0, 0, 0]


def test_smallest_and_largest_plane(setup, conditions):
    event = [(s, p, 0, w, 30) for s in (3, 4) for p in (0, 1) for w in (5, 40)]
    event += [(4, 1, 1, w, 30) for w in (15, 25)]
    counts = count_straws(make_hits([event]), setup, conditions)
    assert counts.planes[0] == 4
    assert counts.multiplicity[0] == 4
    assert counts.min_multiplicity[0] == 2


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 63)), max_size=40))
def test_any_hits_agree_with_a_walk_over_the_wires(setup, conditions, tubes):
    before = [(3, 1, 1, w, 30) for w in range(64)]  # must not stay behind
    event = [(3, 1, layer, wire, 30) for layer, wire in tubes]
    counts = count_straws(make_hits([before, event]), setup, conditions)
    places = sorted({2 * wire + layer for layer, wire in tubes})
    particles = sum(i == 0 or s - places[i - 1] > 2 for i, s in enumerate(places))
    assert counts.multiplicity.tolist() == [1, particles]
    assert counts.hits.tolist() == [64, len(tubes)]


def test_out_of_time_and_malformed(setup, conditions):
    event = [
        (3, 0, 0, 10, -0.1),
        (3, 0, 0, 20, 80.1),
        (3, 0, 0, 64, 30),
        (3, 0, 2, 10, 30),
        (3, 2, 0, 10, 30),
        (7, 0, 0, 10, 30),
        (3, 0, 0, 30, np.nan),
        (3, 0, 0, 40, 0.1),
    ]
    counts = count_straws(make_hits([event]), setup, conditions)
    assert counts.ignored.tolist() == [5]
    assert counts.hits.tolist() == [1]
    hits = straw_hits(make_hits([event]), setup, conditions)
    assert np.isfinite(hits.wire).tolist() == [True, True] + 5 * [False] + [True]
    assert hits.in_time.tolist() == 7 * [False] + [True]


def test_positions_and_distances(setup, conditions):
    hits = straw_hits(
        make_hits([[(3, 0, 0, 32, 10), (3, 0, 1, 31, 40), (4, 1, 1, 0, 70)]]), setup, conditions
    )
    np.testing.assert_allclose(hits.wire, [3.0, 0.0, (0 - 31.5 + 0.5) * 6])
    np.testing.assert_allclose(hits.distance, [0.0, 1.5, 3.0], atol=1e-6)


def test_polynomial_of_the_drift_time():
    rt = np.array([[0.1, 2.0, 1.0]])
    assert drift_distance(np.array([30.0]), np.array([10.0]), np.array([40.0]), rt) == (
        pytest.approx(0.1 + 2 * 0.5 + 0.25)
    )


def test_missing_conditions_are_named(setup, conditions):
    straw = {k: v for k, v in conditions.straw.items() if k != (4, 1, 0)}
    lacking = dataclasses.replace(conditions, straw=straw)
    with pytest.raises(ConditionsError, match=r"station 4 projection Y layer 0.*straw\.txt"):
        count_straws(make_hits([[]]), setup, lacking)
