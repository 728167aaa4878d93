"""Candidates of one view that are the same particle: which of them stay."""

# ruff: noqa: PLR0917 - kernels take flat arrays

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numba import njit

from na64reco.tracking.kernels import ALLOCATING, BORROWING

__all__ = ["FROM", "MISSING", "QP", "SCORE", "START", "WIDTH", "T", "resolve"]

# Columns of a view track's values.
START: Final = 0
"""Position at the layout's first element, mm."""
T: Final = 1
"""Slope there."""
QP: Final = 2
"""q/p, c/GeV."""
SCORE: Final = 3
"""chi2 less `MISSING` per hit: the smaller the better."""

FROM: Final = 4
"""Of what is kept: which of the candidates it was."""
WIDTH: Final = 5
"""Number of the columns."""

MISSING: Final = 10.0
"""chi2 that a missing hit is worth: -2 ln(2 % inefficiency), and some."""
_CROWD: Final = 64  # candidates, of which pairs are compared


@njit(**BORROWING)
def _times_differ(hits, time, weight, limit):  # type: ignore[no-untyped-def]
    """chi2 of the hits' times about their mean, which rises towards ``limit`` only."""
    s = w = 0.0
    for p in range(len(hits)):
        if hits[p] >= 0:
            s += weight[hits[p]] * time[hits[p]]
            w += weight[hits[p]]
    chi2 = 0.0
    for p in range(len(hits)):
        if hits[p] >= 0:
            off = time[hits[p]] - s / w
            chi2 += weight[hits[p]] * off * off
    return limit * chi2 / (chi2 + limit)


@njit(**BORROWING)
def _exchange(hits, scores, n, chosen):  # type: ignore[no-untyped-def]
    """Replace pairs of the ``chosen`` by the two candidates of the same hits that are better.

    Two particles are near each other in some planes: the best of all candidates may have the hits
    of both, and leaves a bad one.
    """
    planes = hits.shape[1]
    for i in range(len(chosen)):
        for j in range(i):
            a, b = chosen[i], chosen[j]
            best = scores[a] + scores[b] - 1e-9
            for c in range(n):
                for d in range(c):
                    if scores[c] + scores[d] < best:
                        same = True
                        for p in range(planes):
                            same &= (hits[c, p] == hits[a, p] and hits[d, p] == hits[b, p]) or (
                                hits[c, p] == hits[b, p] and hits[d, p] == hits[a, p]
                            )
                        if same:
                            best = scores[c] + scores[d]
                            chosen[i], chosen[j] = c, d


@njit(**BORROWING)
def _keep(  # type: ignore[no-untyped-def]
    hits, values, n, least_own, kept_hits, kept_values, kept, room, used
):
    """`resolve`, one candidate after the other, the best first."""
    for _ in range(n):
        best = 0
        for c in range(1, n):
            if values[c, SCORE] < values[best, SCORE]:
                best = c
        if values[best, SCORE] == math.inf or kept == room:
            break
        shared = own = 0
        for p in range(hits.shape[1]):
            if hits[best, p] >= 0:
                if used[hits[best, p]]:
                    shared += 1
                else:
                    own += 1
        if shared <= 1 or own >= least_own:
            for p in range(hits.shape[1]):
                h = hits[best, p]
                kept_hits[kept, p] = h
                if h >= 0 and not used[h]:
                    used[h] = True
                    for c in range(n):
                        if c != best and hits[c, p] == h:
                            values[c, SCORE] += MISSING
            for i in range(FROM):
                kept_values[kept, i] = values[best, i]
            kept_values[kept, FROM] = best
            kept += 1
        values[best, SCORE] = math.inf
    return kept


@njit(**ALLOCATING)
def _keep_of_crowd(  # type: ignore[no-untyped-def]
    hits, values, n, least_own, kept_hits, kept_values, kept, room, used
):
    """`_keep`, then `_exchange`."""
    first, scores = kept, values[:n, SCORE].copy()
    kept = _keep(hits, values, n, least_own, kept_hits, kept_values, kept, room, used)
    if kept - first > 1:
        chosen = kept_values[first:kept, FROM].astype(np.int64)
        _exchange(hits, scores, n, chosen)
        for k in range(first, kept):
            best = chosen[k - first]
            for p in range(hits.shape[1]):  # a row as a whole takes a second to compile
                kept_hits[k, p] = hits[best, p]
            for i in range(FROM):
                kept_values[k, i] = scores[best] if i == SCORE else values[best, i]
    return kept


@njit(**BORROWING)
def _resolve_many(  # type: ignore[no-untyped-def]
    hits, values, n, time, weight, limit, least_own, kept_hits, kept_values, kept, room, used
):
    """`resolve` where there is a choice."""
    if n > 1 and limit > 0.0:
        for c in range(n):
            values[c, SCORE] += _times_differ(hits[c], time, weight, limit)
    if 4 <= n <= _CROWD:  # two that are right, two that are not
        return _keep_of_crowd(hits, values, n, least_own, kept_hits, kept_values, kept, room, used)
    return _keep(hits, values, n, least_own, kept_hits, kept_values, kept, room, used)


@njit(**BORROWING, forceinline=True)
def resolve(  # type: ignore[no-untyped-def]
    hits, values, n, time, weight, limit, least_own, kept_hits, kept_values, kept, room, used
):
    """Keep the best of ``n`` candidates that are the same particle.

    The score is that of the hits' places, the agreement of their times (a chi2 below
    ``limit``), and `MISSING` for each hit that a candidate kept before has too. A candidate that
    shares more than one is another particle only if it has ``least_own`` hits that are its own:
    two particles that are near each other in some planes have a cluster in common there.

    Appends to the ``kept`` candidates until there are ``room``, marks their hits as used, returns
    their new number. Scores of ``values`` are lost.
    """
    if n == 1:  # the common case, without handing over a dozen of arrays
        if values[0, SCORE] == math.inf or kept == room:
            return kept
        shared = own = 0
        for p in range(hits.shape[1]):
            if hits[0, p] >= 0:
                taken = used[hits[0, p]]
                shared += taken
                own += not taken
        if shared > 1 and own < least_own:
            return kept
        for p in range(hits.shape[1]):
            kept_hits[kept, p] = hits[0, p]
            if hits[0, p] >= 0:
                used[hits[0, p]] = True
        for i in range(FROM):
            kept_values[kept, i] = values[0, i]
        kept_values[kept, FROM] = 0
        return kept + 1
    return _resolve_many(
        hits, values, n, time, weight, limit, least_own, kept_hits, kept_values, kept, room, used
    )
