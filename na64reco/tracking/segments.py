"""Straight pieces of a track in one view: every line through hits of several planes."""

# ruff: noqa: PLR0917 - kernels take flat arrays

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numba import njit

from na64reco.tracking.kernels import BORROWING, ZERO

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "CHI2",
    "HITS",
    "PLACE",
    "ROAD",
    "SLOPE",
    "VALUES",
    "VAR_SLOPE",
    "VAR_X",
    "X",
    "Z",
    "find_segments",
    "fit_line",
    "roads",
    "seed_pairs",
    "view_rows",
]

ROAD: Final = 4.5
"""Half width of the road about a seed, in standard deviations."""

# Columns of a segment's values.
HITS: Final = 0
Z: Final = 1
"""Where position and slope are uncorrelated, mm."""
X: Final = 2
"""Position at Z, mm."""
SLOPE: Final = 3
VAR_X: Final = 4
VAR_SLOPE: Final = 5
CHI2: Final = 6
VALUES: Final = 7

# Rows of `view_rows`.
PLACE: Final = 0
SIGMA: Final = 1
WEIGHT: Final = 2


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


def view_rows(z: NDArray[np.float64], sigma: NDArray[np.float64]) -> NDArray[np.float64]:
    """z, resolution and its inverse square of the planes of a view, shape (3, planes).

    One array, since each that is handed over to a kernel of an event takes time.
    """
    return np.stack((z, sigma, 1.0 / (sigma * sigma)))


@njit(cache=True, nogil=True, error_model="numpy")
def roads(pairs, z, sigma):  # type: ignore[no-untyped-def]
    """Of pairs of planes about each plane: variance of seed and hit (mm^2), and lever (mm).

    Shape (pairs, planes, 2). The lever times a scattering angle is what scattering moves.
    """
    found = np.empty((len(pairs), len(z), 2))
    for s in range(len(pairs)):
        a, b = pairs[s, 0], pairs[s, 1]
        per_mm = 1.0 / (z[b] - z[a])
        for c in range(len(z)):
            w = (z[c] - z[a]) * per_mm
            found[s, c, 0] = sigma[c] ** 2 + ((1.0 - w) * sigma[a]) ** 2 + (w * sigma[b]) ** 2
            found[s, c, 1] = min(abs(z[c] - z[a]), abs(z[c] - z[b]))
    return found


@njit(**BORROWING, forceinline=True)
def fit_line(segments, values, k, position, view, lo, hi):  # type: ignore[no-untyped-def]
    """Weighted straight-line fit of segment ``k`` (hit index per plane) into its ``values``.

    ``view``: z, resolution and its inverse square, by plane. Hits are in planes [lo, hi).
    """
    s0 = sz = sx = 0.0
    n = 0
    for p in range(lo, hi):
        if segments[k, p] >= 0:
            w = view[WEIGHT, p]
            s0 += w
            sz += w * view[PLACE, p]
            sx += w * position[segments[k, p]]
            n += 1
    mean_z, mean_x = sz / s0, sx / s0
    szz = szx = 0.0
    for p in range(lo, hi):
        if segments[k, p] >= 0:
            w, away = view[WEIGHT, p], view[PLACE, p] - mean_z
            szz += w * away**2
            szx += w * away * (position[segments[k, p]] - mean_x)
    slope = szx / szz
    chi2 = 0.0
    for p in range(lo, hi):
        if segments[k, p] >= 0:
            r = position[segments[k, p]] - mean_x - slope * (view[PLACE, p] - mean_z)
            r /= view[SIGMA, p]
            chi2 += r * r
    values[k, HITS] = n
    values[k, Z] = mean_z
    values[k, X] = mean_x
    values[k, SLOPE] = slope
    values[k, VAR_X] = 1.0 / s0
    values[k, VAR_SLOPE] = 1.0 / szz
    values[k, CHI2] = chi2


@njit(**BORROWING)
def find_segments(  # type: ignore[no-untyped-def]
    pairs,
    road,
    lo,
    hi,
    min_hits,
    start,
    position,
    used,
    view,
    kink,
    max_slope,
    segments,
    values,
):
    """All segments in planes [lo, hi) of a view, from the unused hits of one event.

    Every pair of hits in a pair of planes is a seed; in each other plane the hit nearest to the
    seed's line joins if it is inside the road. A pair that is already part of a segment seeds no
    other.

    Parameters
    ----------
    pairs
        (n, 2), see `seed_pairs`.
    road
        Their `roads`.
    start
        (planes + 1,): hits of plane p are start[p] to start[p + 1].
    position, used
        Of the event's hits.
    view
        `view_rows` of the view.
    kink
        Rms scattering angle that the road allows for, rad.
    max_slope
        Of a seed.
    segments, values
        Filled: (capacity, planes of the view) hit index or -1, and (capacity, `VALUES`).

    Returns
    -------
    int
        Number of segments, or -1 where there was no room for all.
    """
    found = ZERO
    capacity = len(segments)
    unused = start[hi] - start[lo]
    for h in range(start[lo], start[hi]):
        unused -= used[h]
    for s in range(len(pairs)):
        a, b = pairs[s, 0], pairs[s, 1]
        per_mm = 1.0 / (view[PLACE, b] - view[PLACE, a])
        for i in range(start[a], start[a + 1]):
            if used[i]:
                continue
            for j in range(start[b], start[b + 1]):
                if used[j]:
                    continue
                slope = (position[j] - position[i]) * per_mm
                if abs(slope) > max_slope:
                    continue
                known = False
                for k in range(found):
                    if segments[k, a] == i and segments[k, b] == j:
                        known = True
                        break
                if known:
                    continue
                if found == capacity:
                    return -1
                for c in range(segments.shape[1]):
                    segments[found, c] = -1
                segments[found, a] = i
                segments[found, b] = j
                n = 2
                for c in range(lo, hi):
                    if c in (a, b) or start[c] == start[c + 1]:
                        continue
                    expected = position[i] + slope * (view[PLACE, c] - view[PLACE, a])
                    away = kink * road[s, c, 1]
                    variance = road[s, c, 0] + away * away
                    nearest = ROAD * ROAD * variance
                    for h in range(start[c], start[c + 1]):
                        distance = (position[h] - expected) ** 2
                        if not used[h] and distance < nearest:
                            nearest = distance
                            segments[found, c] = h
                    if segments[found, c] >= 0:
                        n += 1
                if n < min_hits:
                    continue
                fit_line(segments, values, found, position, view, lo, hi)
                found += 1
                if n == unused:
                    return found  # all other pairs are parts of it
    return found
