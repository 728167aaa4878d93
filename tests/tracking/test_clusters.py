"""Clusters: examples by hand, and any set of hits against a slow reference."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from na64reco.calibration import Alignment
from na64reco.events import Hits
from na64reco.tracking.clusters import count_in_time, find_clusters
from na64reco.tracking.planes import strip_planes

PITCH, CHANNELS = 0.25, 320


def make_hits(events):
    """Events as lists of (station, projection, strip, charge, time)."""
    rows = [h for event in events for h in event]
    types = (np.uint8, np.uint8, np.uint16, np.float32, np.float32)
    names = ("station", "projection", "strip", "charge", "time")
    offsets = np.cumsum([0, *(len(e) for e in events)]).astype(np.int64)
    return Hits(
        offsets,
        {
            n: np.array([r[i] for r in rows], t)
            for i, (n, t) in enumerate(zip(names, types, strict=False))
        },
    )


@pytest.fixture(scope="module")
def planes(setup, conditions):
    """Minimum charge 10, strip 100 of MM1 X dead."""
    mm = {
        k: dataclasses.replace(v, min_charge=10.0, dead=(100,) if k == (1, 0) else ())
        for k, v in conditions.mm.items()
    }
    return strip_planes(setup, dataclasses.replace(conditions, mm=mm))


def _of_plane(clusters, planes, event, plane):
    row = event * len(planes.z) + plane
    return slice(clusters.offsets[row], clusters.offsets[row + 1])


def test_position_charge_size_and_time_by_hand(planes):
    event = [(1, 0, 12, 100, 6), (1, 0, 10, 100, 2), (1, 0, 11, 200, 4)]
    clusters = find_clusters(make_hits([event]), None, planes)
    assert len(clusters.position) == 1
    assert clusters.position[0] == pytest.approx((11 - 159.5) * PITCH)
    assert clusters.charge[0] == 400
    assert clusters.size[0] == 3
    assert clusters.time[0] == pytest.approx(4.0)
    assert clusters.time_error[0] == pytest.approx(8.0 * np.sqrt(6) / 4)
    assert clusters.in_time[0]


def test_valley_parts_two_particles_and_shares_its_strip(planes):
    charges = [100, 200, 60, 300, 100]
    event = [(1, 0, 50 + i, q, 0) for i, q in enumerate(charges)]
    clusters = find_clusters(make_hits([event]), None, planes)
    np.testing.assert_allclose(clusters.charge, [330, 430])
    left, right = (200 * 1 + 30 * 2) / 330, (30 * 2 + 300 * 3 + 100 * 4) / 430
    np.testing.assert_allclose(
        clusters.position, (np.array([50 + left, 50 + right]) - 159.5) * PITCH
    )
    np.testing.assert_array_equal(clusters.size, [3, 3])


def test_dead_strip_does_not_part_a_cluster_but_a_silent_one_does(planes):
    def around(strip):
        return [(1, 0, strip - 1, 100, 0), (1, 0, strip + 1, 100, 0)]

    clusters = find_clusters(make_hits([around(100), around(200)]), None, planes)
    assert np.diff(clusters.offsets[:: len(planes.z)]).tolist() == [1, 2]
    assert clusters.position[0] == pytest.approx((100 - 159.5) * PITCH)


def test_hits_that_do_not_count(planes):
    noise = [
        (1, 0, 5, 9, 0),  # below the minimum charge
        (1, 0, 100, 500, 0),  # dead
        (1, 0, 8, 100, 37),  # out of the loose window
    ]
    bad = [
        (1, 0, 20, np.nan, 0),
        (1, 0, 30, 100, np.inf),
        (1, 0, 320, 100, 0),  # no such strip
        (9, 0, 20, 100, 0),  # no such station
        (1, 2, 20, 100, 0),  # no such projection
        (1, 7, 20, 100, 0),
    ]
    late = [(1, 0, 40, 100, 30)]  # kept, but not in time
    clusters = find_clusters(make_hits([noise + bad + late, []]), None, planes)
    assert clusters.ignored.tolist() == [6, 0]
    assert len(clusters.position) == 1
    assert not clusters.in_time[0]
    assert count_in_time(clusters, planes, "mm").tolist() == [0, 0]


def test_planes_along_the_beam_and_both_technologies(planes):
    mm = make_hits([[(2, 1, 10, 50, 0), (1, 0, 20, 50, 0), (1, 0, 30, 50, 0)]])
    gem = make_hits([[(1, 0, 40, 50, 0)]])
    clusters = find_clusters(mm, gem, planes)
    assert np.all(np.diff(planes.z) > 0)
    per_plane = np.diff(clusters.offsets)
    names = [("mm", "gem")[t] for t in planes.technology]
    found = {
        (names[p], int(planes.station[p]), int(planes.projection[p])): int(n)
        for p, n in enumerate(per_plane)
        if n
    }
    assert found == {("mm", 1, 0): 2, ("mm", 2, 1): 1, ("gem", 1, 0): 1}
    assert count_in_time(clusters, planes, "mm").tolist() == [3]
    assert count_in_time(clusters, planes, "gem").tolist() == [1]


def test_alignment_shift_moves_positions(setup, conditions):
    moved = dataclasses.replace(conditions, alignment={("mm", 1, 0): Alignment(0.3, 0.0)})
    hits = make_hits([[(1, 0, 10, 50, 0), (1, 1, 10, 50, 0)]])
    position = find_clusters(hits, None, strip_planes(setup, moved)).position
    np.testing.assert_allclose(position, (10 - 159.5) * PITCH + np.array([0.3, 0.0]))


def test_a_shower_of_hits_is_not_cut_off(planes, setup):
    event = [(s, p, i, 50, 0) for s in (1, 2, 3, 4) for p in (0, 1) for i in range(0, 320, 3)] * 40
    clusters = find_clusters(make_hits([event]), None, planes)
    assert len(clusters.position) == 8 * 107
    assert (clusters.charge == 2000).all()


def _reference(hits, min_charge=10.0, valley=0.5, width=8.0):
    """Clusters of one plane as (position, charge, size), slowly; without dead strips."""
    strips = {}
    for strip, charge, time in hits:
        if charge >= min_charge and abs(time) <= 4.5 * width:
            strips[strip] = strips.get(strip, 0.0) + charge
    runs = []
    for s in sorted(strips):
        if runs and s - runs[-1][-1][0] <= 2:
            runs[-1].append((s, strips[s]))
        else:
            runs.append([(s, strips[s])])
    found = []
    for run in runs:
        # a strip without a signal has at most the minimum charge
        full = []
        for s, q in run:
            if full and s - full[-1][0] == 2:
                full.append((s - 1, None))
            full.append((s, q))
        rest = [[s, q] for s, q in full]
        i = 0
        peak, low, at = 0.0, np.inf, None
        current = []
        while i < len(rest):
            s, q = rest[i]
            value = min_charge if q is None else q
            if q is not None and low < valley * min(peak, full[i][1]):
                # cut at `at`
                left = [c for c in current if c[0] < at]
                right = [c for c in current if c[0] > at]
                there = [c for c in current if c[0] == at and c[1] is not None]
                for c in there:
                    left.append((c[0], c[1] / 2))
                    right.insert(0, (c[0], c[1] / 2))
                found.append(left)
                current = []
                restart = next(k for k, (t, _) in enumerate(full) if t == at)
                if there:
                    rest[restart][1] = there[0][1] / 2
                    i = restart
                else:
                    i = restart + 1
                peak, low, at = 0.0, np.inf, None
                continue
            original = full[i][1]
            if q is None:
                if value < low:
                    low, at = value, s
            elif original >= peak:
                peak, low, at = original, np.inf, None
            elif original < low:
                low, at = original, s
            current.append((s, q))
            i += 1
        found.append(current)
    out = []
    for cluster in found:
        good = [(s, q) for s, q in cluster if q is not None]
        total = sum(q for _, q in good)
        mean = sum(s * q for s, q in good) / total
        out.append(((mean - 159.5) * PITCH, total, len(good)))
    return out


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 25), st.floats(1, 500, width=32), st.floats(-50, 50, width=32)),
        max_size=25,
    )
)
@example([(5, 21.0, 0.0), (7, 10.0, 0.0), (8, 21.0, 0.0)])  # the missing strip is the valley
def test_any_hits_agree_with_the_reference(planes, hits):
    event = [(2, 1, *h) for h in hits]
    clusters = find_clusters(make_hits([event]), None, planes)
    expected = _reference(hits)
    assert clusters.size.tolist() == [e[2] for e in expected]
    np.testing.assert_allclose(clusters.position, [e[0] for e in expected], atol=1e-9)
    np.testing.assert_allclose(clusters.charge, [e[1] for e in expected], rtol=1e-9)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 5),  # 5: no such station
            st.integers(0, 2),
            st.integers(95, 108),
            st.integers(1, 500),
            st.integers(-50, 50),
        ),
        max_size=60,
        unique_by=lambda hit: hit[:3],  # sums of floats depend on their order
    ),
    st.randoms(),
)
def test_the_order_of_hits_does_not_matter(planes, hits, random):
    shuffled = random.sample(hits, len(hits))
    mixed = sorted(shuffled, key=lambda hit: hit[:2])  # by plane, but not by strip
    quiet = [(3, 1, 200, 50, 0)]
    results = [
        find_clusters(make_hits([e, quiet]), make_hits([g, e]), planes)
        for e, g in ((sorted(hits), quiet), (shuffled, quiet), (mixed, quiet))
    ]
    for field in dataclasses.fields(results[0]):
        expected = getattr(results[0], field.name)
        for other in results[1:]:
            np.testing.assert_array_equal(getattr(other, field.name), expected)


def test_different_numbers_of_events(planes):
    with pytest.raises(ValueError, match="MM hits of 1 events and GEM hits of 2"):
        find_clusters(make_hits([[]]), make_hits([[], []]), planes)
