"""Which track in x is which in y, and which of the particles is the one that triggered.

Both views of a particle have the same time, and each chamber's strips in x and y share the charge
of the same ionisation: the ratio of the charges has a width of 0.1 in COMPASS' GEM (B. Ketzer et
al., Nucl. Instrum. Meth. A 535 (2004) 314), while the charges themselves follow Landau's
distribution. Of all ways to join the tracks, that of the smallest sum of costs is taken.
"""

# ruff: noqa: PLR0917 - kernels take flat arrays

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np
from numba import njit

from na64reco.tracking.kernels import ALLOCATING, BORROWING
from na64reco.tracking.rivals import SCORE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.tracking.layout import View

__all__ = ["charge_partners", "pair_views", "view_times"]

_TRIGGER_TIME: Final = 1.0  # ns, resolution of the counters that the master time is from
CHARGE_SPREAD: Final = 0.25
"""rms of the logarithm of the ratio of a chamber's charges in x and y, assumed: sharing (0.1 in
GEM, twice that in Micromegas), noise, thresholds, gains."""
CHARGE_LIMIT: Final = 6.0
"""Largest chi2 of a chamber: one of two clusters may have the charge of two particles."""
CHARGE_AGREES: Final = 2.0
"""chi2 that a comparison is worth: -2 ln of the spread over that of two particles' ratio, 0.6."""
_QUALITY: Final = 0.1
"""Weight of all but the time of the trigger in the order of the candidates: a missing hit or a
difference of charges says that a track may be none, not that another particle triggered."""
_SPARE: Final = 2
"""Hits that a candidate may have less than another without any doubt that it is a particle."""
_DOUBT: Final = 10.0
"""chi2 of each hit less than that: what a missing one is worth (`views`)."""
_OTHER: Final = 4
"""Hits that two candidates of different particles do not share. Two that share more are ways to
see one: of these, the better comes first, whatever their times."""


def charge_partners(x: View, y: View, chamber: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number in the view ``y`` of the plane of the same chamber, -1 where there is none.

    Shape (planes of the view ``x``,). ``chamber``: by strip plane, see `Clusters.chamber`.
    """
    found = np.full(len(x.plane), -1, np.int64)
    for i, p in enumerate(x.plane):
        same = np.flatnonzero(chamber[y.plane] == chamber[p])
        if len(same):
            found[i] = same[0]
    return found


@njit(**BORROWING, forceinline=True)
def view_times(n, hits, time, weight, means, weights):  # type: ignore[no-untyped-def]
    """Weighted mean time of the hits of each track in a view, and its weight.

    ``time``, ``weight``: of the hits, see `views.gather`.
    """
    for k in range(n):
        s = w = 0.0
        for p in range(hits.shape[1]):
            if hits[k, p] >= 0:
                h = hits[k, p]
                s += weight[h] * time[h]
                w += weight[h]
        means[k] = s / w
        weights[k] = w


@njit(cache=True, nogil=True, error_model="numpy")
def _charges_differ(x_hits, x_number, y_hits, y_number, partners, charge):  # type: ignore[no-untyped-def]
    """How badly the charges of two view tracks agree, chamber by chamber."""
    cost = 0.0
    for p in range(len(partners)):
        q = partners[p]
        if q < 0 or x_hits[p] < 0 or y_hits[q] < 0:
            continue
        a, b = charge[x_number[x_hits[p]]], charge[y_number[y_hits[q]]]
        if a > 0.0 and b > 0.0:  # points of straws have none
            r = math.log(a / b) / CHARGE_SPREAD
            cost += min(r * r, CHARGE_LIMIT) - CHARGE_AGREES
    return cost


@njit(cache=True, nogil=True, error_model="numpy")
def _own(hits, others):  # type: ignore[no-untyped-def]
    """How many ``hits`` of a track in a view are not those of another."""
    n = 0
    for p in range(len(hits)):
        n += hits[p] >= 0 and hits[p] != others[p]
    return n


@njit(**BORROWING)
def _size(hits):  # type: ignore[no-untyped-def]
    """How many hits a track in a view has."""
    n = 0
    for p in range(len(hits)):
        n += hits[p] >= 0
    return n


@njit(**BORROWING)
def _least(values):  # type: ignore[no-untyped-def]
    """Where the smallest of a few values is; numpy's takes longer to compile than all of this."""
    best = 0
    for k in range(1, len(values)):
        if values[k] < values[best]:
            best = k
    return best


@njit(**BORROWING)
def _rank(values, ranked):  # type: ignore[no-untyped-def]
    """Places of a few values, smallest first, into ``ranked``: by insertion, see `_least`."""
    for k in range(len(values)):
        at = k
        while at > 0 and values[ranked[at - 1]] > values[k]:
            ranked[at] = ranked[at - 1]
            at -= 1
        ranked[at] = k


@njit(**ALLOCATING)
def _put_back(joined, costs, x_hits, y_hits, order):  # type: ignore[no-untyped-def]
    """In the ``order`` (smallest first), put candidates back that may be no particles.

    With fewer hits than the best, or behind a better one of the same hits.
    """
    total = len(joined)
    number, most = np.empty(total, np.int64), 0
    for k in range(total):
        i, j = joined[k]
        number[k] = _size(x_hits[i]) + _size(y_hits[j])
        most = max(most, number[k])
    for k in range(total):
        order[k] += _DOUBT * max(0, most - number[k] - _SPARE)
    ranked = np.empty(total, np.int64)
    _rank(costs, ranked)
    for better in ranked:  # best first: what goes behind it stays behind all better
        for k in range(total):
            if costs[k] > costs[better] and order[k] <= order[better]:
                own = _own(x_hits[joined[k, 0]], x_hits[joined[better, 0]])
                own += _own(y_hits[joined[k, 1]], y_hits[joined[better, 1]])
                if own < _OTHER:
                    order[k] = order[better] + 1e-6


@njit(cache=True, nogil=True, error_model="numpy")
def _assign(costs, x_of, y_of):  # type: ignore[no-untyped-def]
    """Join each of the fewer rows or columns to one of the others: smallest sum of costs.

    Best pair first, then exchanges as long as they help: exact for two by two.
    """
    n_x, n_y = costs.shape
    x_of[:] = -1
    y_of[:] = -1
    for _ in range(min(n_x, n_y)):
        best = math.inf
        a = b = -1
        for i in range(n_x):
            if y_of[i] < 0:
                for j in range(n_y):
                    if x_of[j] < 0 and (a < 0 or costs[i, j] < best):
                        best, a, b = costs[i, j], i, j
        y_of[a], x_of[b] = b, a
    better = True
    while better:
        better = False
        for i in range(n_x):
            for k in range(i + 1, n_x):
                a, b = y_of[i], y_of[k]
                change = 0.0
                if a >= 0:
                    change += costs[k, a] - costs[i, a]
                if b >= 0:
                    change += costs[i, b] - costs[k, b]
                if change < -1e-9:
                    y_of[i], y_of[k] = b, a
                    better = True
            for j in range(n_y):
                a = y_of[i]
                taken = False
                for k in range(n_x):
                    taken |= y_of[k] == j
                if a >= 0 and not taken and costs[i, j] < costs[i, a] - 1e-9:
                    y_of[i] = j
                    better = True
    x_of[:] = -1
    for i in range(n_x):
        if y_of[i] >= 0:
            x_of[y_of[i]] = i


@njit(**ALLOCATING)
def _pair_many(  # type: ignore[no-untyped-def]
    n_x, n_y, x_hits, x_number, x_values, x_times, x_weights,
    y_hits, y_number, y_values, y_times, y_weights, partners, charge, crossed, n, pairs, times,
):  # fmt: skip
    """`pair_views` where there is a choice."""
    costs = np.empty((n_x, n_y))
    for i in range(n_x):
        for j in range(n_y):
            apart = x_times[i] - y_times[j]
            cost = apart * apart / (1.0 / x_weights[i] + 1.0 / y_weights[j])
            cost += _charges_differ(x_hits[i], x_number, y_hits[j], y_number, partners, charge)
            if len(crossed) > 0:
                cost += crossed[i, j]
            costs[i, j] = cost + x_values[i, SCORE] + y_values[j, SCORE]
    x_of, y_of = np.empty(n_y, np.int64), np.empty(n_x, np.int64)
    _assign(costs, x_of, y_of)
    total = max(n_x, n_y)
    joined, order, when = np.empty((total, 2), np.int64), np.empty(total), np.empty(total)
    cost = np.empty(total)
    for k in range(total):
        i, j = (k, y_of[k]) if n_x >= n_y else (x_of[k], k)
        if j < 0:
            j = _least(costs[i])
        if i < 0:
            i = _least(costs[:, j])
        weight = x_weights[i] + y_weights[j]
        mean = (x_times[i] * x_weights[i] + y_times[j] * y_weights[j]) / weight
        joined[k, 0], joined[k, 1], when[k] = i, j, mean
        cost[k] = costs[i, j]
        order[k] = _QUALITY * cost[k]
        order[k] += mean * mean / (_TRIGGER_TIME**2 + 1.0 / weight)
    _put_back(joined, cost, x_hits, y_hits, order)
    for k in range(n):
        best = _least(order)
        pairs[k, 0], pairs[k, 1] = joined[best, 0], joined[best, 1]
        times[k] = when[best]
        order[best] = math.inf


@njit(**BORROWING, forceinline=True)
def pair_views(  # type: ignore[no-untyped-def]
    n_x, n_y, x_hits, x_number, x_values, x_times, x_weights,
    y_hits, y_number, y_values, y_times, y_weights, partners, charge, crossed, n, pairs, times,
):  # fmt: skip
    """Join the tracks of the two views and put the ``n`` best pairs and their times in order.

    Each track is taken once; where one view has fewer tracks (one over the other), its tracks are
    taken again. First is the pair that agrees best with the time of the trigger, unless it has
    fewer hits or is another way to see a better one.

    ``crossed``: score of the stereo planes by pair; empty where there are none.
    """
    if n_x == 1 and n_y == 1:
        pairs[0, 0] = pairs[0, 1] = 0
        weight = x_weights[0] + y_weights[0]
        times[0] = (x_times[0] * x_weights[0] + y_times[0] * y_weights[0]) / weight
    else:
        _pair_many(
            n_x, n_y, x_hits, x_number, x_values, x_times, x_weights,
            y_hits, y_number, y_values, y_times, y_weights, partners, charge, crossed, n, pairs,
            times,
        )  # fmt: skip
