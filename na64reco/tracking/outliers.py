"""Hits against the track that the other hits make, and hits that do not belong to their track.

Dropping hit i lowers the chi2 of the fit by its unbiased pull squared, r^2 / (V + C): r its
distance from what all other hits say at its place, C the variance of that, V its own (R.
Fruehwirth, Nucl. Instrum. Meth. A 262 (1987) 444, sec. 4). `choose` takes the largest one. Where
another hit would do nearly as well, nobody knows which of them is wrong, so none is: a track with
two planes before the magnets does not tell which of them lies beside it.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numba import njit

__all__ = ["AMBIGUOUS", "SUSPECT", "WRONG_HIT", "choose", "unbiased"]

SUSPECT: Final = 1e-3
"""Only tracks with a smaller p-value are looked at: this share of clean tracks, at most, can lose
a hit."""
WRONG_HIT: Final = 16.0
"""Smallest squared pull of a hit that is dropped."""
AMBIGUOUS: Final = 9.0
"""By how much it must exceed that of any other hit: a ratio of likelihoods of 90."""


@njit(cache=True, nogil=True, error_model="numpy")
def _decompose(s):  # type: ignore[no-untyped-def]
    """Cholesky's decomposition of a symmetric matrix, in place (lower half)."""
    for i in range(5):
        for j in range(i + 1):
            total = s[i, j]
            for k in range(j):
                total -= s[i, k] * s[j, k]
            s[i, j] = math.sqrt(total) if i == j else total / s[j, j]


@njit(cache=True, nogil=True, error_model="numpy")
def _solve(s, g, w):  # type: ignore[no-untyped-def]
    """w = S^-1 g with the decomposed S."""
    for i in range(5):
        total = g[i]
        for k in range(i):
            total -= s[i, k] * w[k]
        w[i] = total / s[i, i]
    for i in range(4, -1, -1):
        total = w[i]
        for k in range(i + 1, 5):
            total -= s[k, i] * w[k]
        w[i] = total / s[i, i]


@njit(cache=True, nogil=True, error_model="numpy")
def unbiased(measured, store, planes, residual, sigma):  # type: ignore[no-untyped-def]
    """Distance of every hit from the track of the other hits, mm, and its standard deviation.

    Parameters
    ----------
    measured
        Shape (tracks, planes).
    store
        As `na64reco.tracking.kalman.filter_tracks` fills it.
    planes
        cos, sin and variance of each plane, shape (planes, 3).
    residual, sigma
        Filled, shape (tracks, planes); NaN where there is no hit.
    """
    columns = measured.shape[1]
    s, scale = np.empty((5, 5)), np.empty(5)
    gf, gb, wf, wb = np.empty(5), np.empty(5), np.empty(5), np.empty(5)
    for t in range(len(measured)):
        for c in range(columns):
            residual[t, c] = sigma[t, c] = math.nan
            forward, backward = store[t, c], store[t, columns + c]
            value = measured[t, c]
            if not (np.isfinite(value) and np.isfinite(forward[0]) and np.isfinite(backward[0])):
                continue
            u, v, variance = planes[c, 0], planes[c, 1], planes[c, 2]
            # (C_f^-1 + C_b^-1)^-1 = C_f (C_f + C_b)^-1 C_b: a product, since in a difference the
            # directions that only one filter knows would cancel; scaled, since units differ.
            for i in range(5):
                scale[i] = 1.0 / math.sqrt(forward[10 + 6 * i] + backward[10 + 6 * i])
            for i in range(5):
                for j in range(5):
                    k = 10 + 5 * i + j
                    s[i, j] = (forward[k] + backward[k]) * scale[i] * scale[j]
                gf[i] = (forward[10 + 5 * i] * u + forward[11 + 5 * i] * v) * scale[i]
                gb[i] = (backward[10 + 5 * i] * u + backward[11 + 5 * i] * v) * scale[i]
            _decompose(s)
            _solve(s, gf, wf)
            _solve(s, gb, wb)
            expected = forward[5] * u + forward[6] * v
            for i in range(5):
                expected += (wf[i] * backward[i] + wb[i] * forward[i]) * scale[i]
                variance += wf[i] * gb[i]
            residual[t, c] = value - expected
            sigma[t, c] = math.sqrt(variance)


@njit(cache=True, nogil=True, error_model="numpy")
def choose(residual, sigma):  # type: ignore[no-untyped-def]
    """Column of the hit to drop from each track, shape (tracks,); -1 where there is none."""
    chosen = np.full(len(residual), -1)
    for t in range(len(residual)):
        largest = second = 0.0
        column = -1
        for c in range(residual.shape[1]):
            pull = (residual[t, c] / sigma[t, c]) ** 2
            if pull > largest:
                largest, second, column = pull, largest, c
            elif pull > second:
                second = pull
        if largest > WRONG_HIT and largest - second > AMBIGUOUS:
            chosen[t] = column
    return chosen
