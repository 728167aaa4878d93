"""The finder's choices by hand, and its short way through the magnets against the full one."""

from __future__ import annotations

import numpy as np
import pytest

from na64reco.tracking.layout import make_layout
from na64reco.tracking.pairing import pair_views
from na64reco.tracking.planes import strip_planes
from na64reco.tracking.propagation import propagate
from na64reco.tracking.rivals import QP, SCORE, WIDTH, resolve
from na64reco.tracking.views import _bend


@pytest.mark.parametrize("momentum", [0.3, 1.0, 10.0, -100.0])
@pytest.mark.parametrize("here", [-3600.0, -1000.0, 3000.0])
def test_bend_agrees_with_the_propagation(setup, conditions, momentum, here):
    dipoles = make_layout(setup, strip_planes(setup, conditions)).dipoles
    state = np.array([[5.0, 0.0, 2e-3, 0.0, 1 / momentum]])
    expected = propagate(state, here, 14000.0, dipoles)[0, 0]
    turns_back = 0 < momentum <= 1 and here < 0  # the field turns 1.05 GeV/c a magnet
    assert np.isnan(expected) == turns_back
    x = _bend(5.0, 2e-3, 1 / momentum, here, 14000.0, np.stack(dipoles[:4]))
    assert x == pytest.approx(expected, rel=1e-10, nan_ok=True)


def candidates(hits, scores):
    """Those of ``hits``, by plane; q/p numbers them."""
    values = np.zeros((len(scores), WIDTH))
    values[:, SCORE], values[:, QP] = scores, np.arange(len(scores))
    return np.array(hits), values


def kept(hits, scores, times, least_own=3, limit=10.0):
    hits, values = candidates(hits, scores)
    kept_hits, kept_values = np.empty((9, hits.shape[1]), np.int64), np.empty((9, WIDTH))
    n_hits = hits.max() + 1
    n = resolve(
        hits, values, len(scores), np.array(times), np.ones(n_hits), limit, least_own,
        kept_hits, kept_values, 0, 9, np.zeros(n_hits, np.bool_),
    )  # fmt: skip
    return kept_values[:n, QP].astype(int).tolist()


# Two particles with hits 0, 2, 4, .. and 1, 3, 5, .. in six planes.
FIRST, SECOND = np.arange(0, 12, 2), np.arange(1, 12, 2)
CROSSED = [np.r_[FIRST[:2], SECOND[2:]], np.r_[SECOND[:2], FIRST[2:]]]


def test_of_two_near_particles_the_pair_of_tracks_with_the_smaller_sum_stays():
    hits = [FIRST, SECOND, *CROSSED]
    times = np.zeros(12)
    assert sorted(kept(hits, [-57.0, -57.0, -58.0, -50.0], times)) == [0, 1]
    assert sorted(kept(hits, [-57.0, -57.0, -58.0, -57.0], times)) == [2, 3]
    # Both are equally good in place, but one came 3 standard deviations later.
    times[1::2] = 3.0
    assert sorted(kept(hits, [-57.0, -57.0, -57.5, -57.5], times)) == [0, 1]


def test_a_track_with_hits_of_its_own_may_share_the_others():
    shared = np.r_[FIRST[:3], SECOND[3:]]
    assert sorted(kept([FIRST, shared], [-57.0, -55.0], np.zeros(12))) == [0, 1]
    assert kept([FIRST, CROSSED[1]], [-57.0, -55.0], np.zeros(12)) == [0]
    assert len(kept([FIRST, CROSSED[1]], [-57.0, -55.0], np.zeros(12), least_own=2)) == 2


def test_times_do_not_outweigh_a_hit():
    """What a track of six hits would lose if the times' errors were twice what was assumed."""
    fewer = np.r_[FIRST[:4], [-1, -1]]
    times = np.zeros(12)
    times[FIRST] = [0, 1, 0, -1, 5, -5]
    assert kept([fewer, FIRST], [-38.0, -56.0], times) == [1]
    # Of as many hits, times choose.
    other = np.r_[FIRST[:4], SECOND[4:]]
    assert kept([FIRST, other], [-56.0, -53.0], times) == [1]
    assert kept([FIRST, other], [-56.0, -53.0], times, limit=0.0) == [0]


def first_of(hits, scores, times):
    """Which of the candidates in x comes first; one track in y."""
    hits, values = candidates(hits, scores)
    y_hits, y_values = candidates([np.arange(6)], [-57.0])
    n, pairs, when = len(scores), np.empty((2, 2), np.int64), np.empty(2)
    pair_views(
        n, 1, hits, np.arange(12), values, np.array(times), np.ones(n),
        y_hits, np.arange(12, 18), y_values, np.array([np.mean(times)]), np.ones(1),
        np.full(6, -1), np.zeros(18), np.empty((0, 0)), 2, pairs, when,
    )  # fmt: skip
    assert sorted(pairs[:, 0]) == list(range(n))
    return int(pairs[0, 0])


def test_the_particle_nearer_to_the_trigger_comes_first():
    assert first_of([FIRST, SECOND], [-57.0, -55.0], [5.0, 0.0]) == 1
    assert first_of([FIRST, SECOND], [-57.0, -55.0], [0.0, 5.0]) == 0
    two_missing = np.r_[SECOND[:4], [-1, -1]]
    assert first_of([FIRST, two_missing], [-57.0, -37.0], [5.0, 0.0]) == 1


def test_what_may_be_no_particle_comes_after_what_surely_is_one():
    few = np.r_[SECOND[:3], [-1, -1, -1]]
    assert first_of([FIRST, few], [-57.0, -29.0], [5.0, 0.0]) == 0
    # Three hits of noise, the others as those of the first, is another way to see that.
    shared = np.r_[FIRST[:3], SECOND[3:]]
    assert first_of([FIRST, shared], [-57.0, -50.0], [5.0, 0.0]) == 0
    assert first_of([shared, FIRST], [-50.0, -57.0], [0.0, 5.0]) == 1
    shared = np.r_[FIRST[:2], SECOND[2:]]
    assert first_of([FIRST, shared], [-57.0, -50.0], [5.0, 0.0]) == 1


def joined(charges_x, charges_y, times_x=(0.0, 0.0), times_y=(0.0, 0.0)):
    """Pairs of tracks 0 and 1 in x and y, three chambers each, best first."""
    hits = np.array([[0, 1, 2], [3, 4, 5]])
    _, values = candidates(hits, [-30.0, -30.0])
    pairs, times = np.empty((2, 2), np.int64), np.empty(2)
    pair_views(
        2, 2, hits, np.arange(6), values, np.array(times_x), np.ones(2),
        hits, np.arange(6, 12), values, np.array(times_y), np.ones(2),
        np.arange(3), np.r_[charges_x, charges_y].astype(float), np.empty((0, 0)), 2, pairs, times,
    )  # fmt: skip
    return [tuple(p) for p in pairs.tolist()]


def test_charges_tell_which_track_in_x_is_which_in_y():
    small, large = [300, 250, 280], [500, 600, 700]
    assert set(joined([*small, *large], [*large, *small])) == {(0, 1), (1, 0)}
    assert set(joined([*small, *large], [*small, *large])) == {(0, 0), (1, 1)}
    # A chamber with the charge of both does not outvote the other two; without charges: times.
    assert set(joined([*small, *large], [1100, 250, 280, 510, 600, 700])) == {(0, 0), (1, 1)}
    assert joined([0] * 6, [0] * 6, (4.0, 0.0), (0.0, 4.0)) == [(1, 0), (0, 1)]
