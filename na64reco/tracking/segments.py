"""Straight pieces of a track in one view: every line through hits of several planes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["ROAD", "Segments", "empty_segments", "find_segments", "fit_line", "seed_pairs"]

ROAD: Final = 4.5
"""Half width of the road about a seed, in standard deviations."""


class Segments(NamedTuple):
    """Scratch space for the segments of one event; arrays of shape (capacity,) unless said."""

    hits: NDArray[np.int64]
    """Shape (capacity, planes of the view): index of the event's hit in the view, -1 = none."""
    n: NDArray[np.int64]
    """Hits."""
    z: NDArray[np.float64]
    """Where position and slope are uncorrelated, mm."""
    x: NDArray[np.float64]
    """Position at ``z``, mm."""
    t: NDArray[np.float64]
    """Slope."""
    var_x: NDArray[np.float64]
    var_t: NDArray[np.float64]
    chi2: NDArray[np.float64]


def empty_segments(capacity: int, planes: int) -> Segments:
    """Space for ``capacity`` segments in a view with so many planes."""
    reals = np.zeros((6, capacity))
    return Segments(np.full((capacity, planes), -1, np.int64), np.zeros(capacity, np.int64), *reals)


def seed_pairs(z: NDArray[np.float64], lo: int, hi: int, *, split: int = 0) -> NDArray[np.int64]:
    """Pairs of planes that seed a segment within planes [lo, hi), longest lever arm first.

    With ``split``, only pairs with one plane before and one from plane ``split`` on.
    """
    pairs = [
        (a, b)
        for a in range(lo, hi)
        for b in range(a + 1, hi)
        if (not split or a < split <= b) and z[b] > z[a]
    ]
    pairs.sort(key=lambda p: z[p[0]] - z[p[1]])
    return np.array(pairs, np.int64).reshape(-1, 2)


@njit(cache=True, nogil=True)
def fit_line(hits, position, z, sigma, row, out):  # type: ignore[no-untyped-def]
    """Weighted straight-line fit of ``hits`` (hit index per plane) into row ``row`` of ``out``."""
    s0 = sz = sx = 0.0
    n = 0
    for p in range(len(hits)):
        if hits[p] >= 0:
            w = 1.0 / (sigma[p] * sigma[p])
            s0 += w
            sz += w * z[p]
            sx += w * position[hits[p]]
            n += 1
    mean_z, mean_x = sz / s0, sx / s0
    szz = szx = 0.0
    for p in range(len(hits)):
        if hits[p] >= 0:
            w = 1.0 / (sigma[p] * sigma[p])
            szz += w * (z[p] - mean_z) ** 2
            szx += w * (z[p] - mean_z) * (position[hits[p]] - mean_x)
    slope = szx / szz
    chi2 = 0.0
    for p in range(len(hits)):
        if hits[p] >= 0:
            r = (position[hits[p]] - mean_x - slope * (z[p] - mean_z)) / sigma[p]
            chi2 += r * r
    out.n[row] = n
    out.z[row] = mean_z
    out.x[row] = mean_x
    out.t[row] = slope
    out.var_x[row] = 1.0 / s0
    out.var_t[row] = 1.0 / szz
    out.chi2[row] = chi2


@njit(cache=True, nogil=True)
def find_segments(  # type: ignore[no-untyped-def]
    pairs, lo, hi, min_hits, start, position, used, z, sigma, kink, max_slope, out
):
    """All segments in planes [lo, hi) of a view, from the unused hits of one event.

    Every pair of hits in a pair of planes is a seed; in each other plane the hit nearest to the
    seed's line joins if it is inside the road. A pair that is already part of a segment seeds no
    other.

    Parameters
    ----------
    pairs
        (n, 2), see `seed_pairs`.
    start
        (planes + 1,): hits of plane p are start[p] to start[p + 1].
    position, used
        Of the event's hits.
    kink
        Rms scattering angle that the road allows for, rad.
    max_slope
        Of a seed.
    out
        `Segments`.

    Returns
    -------
    int
        Number of segments, or -1 where there was no room for all.
    """
    found = 0
    capacity = len(out.n)
    for s in range(len(pairs)):
        a, b = pairs[s, 0], pairs[s, 1]
        lever = z[b] - z[a]
        for i in range(start[a], start[a + 1]):
            if used[i]:
                continue
            for j in range(start[b], start[b + 1]):
                if used[j]:
                    continue
                slope = (position[j] - position[i]) / lever
                if abs(slope) > max_slope:
                    continue
                known = False
                for k in range(found):
                    if out.hits[k, a] == i and out.hits[k, b] == j:
                        known = True
                        break
                if known:
                    continue
                if found == capacity:
                    return -1
                hits = out.hits[found]
                hits[:] = -1
                hits[a] = i
                hits[b] = j
                n = 2
                for c in range(lo, hi):
                    if c in (a, b) or start[c] == start[c + 1]:
                        continue
                    w = (z[c] - z[a]) / lever
                    expected = position[i] + slope * (z[c] - z[a])
                    away = kink * min(abs(z[c] - z[a]), abs(z[c] - z[b]))
                    variance = (
                        sigma[c] ** 2
                        + ((1.0 - w) * sigma[a]) ** 2
                        + (w * sigma[b]) ** 2
                        + away * away
                    )
                    nearest = ROAD * ROAD * variance
                    for h in range(start[c], start[c + 1]):
                        distance = (position[h] - expected) ** 2
                        if not used[h] and distance < nearest:
                            nearest = distance
                            hits[c] = h
                    if hits[c] >= 0:
                        n += 1
                if n < min_hits:
                    continue
                fit_line(hits, position, z, sigma, found, out)
                found += 1
    return found
