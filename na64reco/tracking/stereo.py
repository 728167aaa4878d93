"""Planes between x and y (U, V): which track in x belongs to which in y.

Both views are found without them. A pair of view tracks predicts where a stereo plane is hit;
hits inside the road join it, and their number and distance say which of the pairs are particles.
"""

# ruff: noqa: PLR0917 - kernels take flat arrays

from __future__ import annotations

import math
from typing import Final

from numba import njit

from na64reco.tracking.kernels import ZERO
from na64reco.tracking.segments import ROAD

__all__ = ["attach_stereo"]

MISSING: Final = 10.0  # chi2 that a missing hit is worth, as in `views`


@njit(cache=True, nogil=True, error_model="numpy")
def _line_at(hits, position, z, sigma, lo, hi, at, angle):  # type: ignore[no-untyped-def]
    """Position at z ``at`` and its variance, by the outermost hits of planes [lo, hi).

    ``angle``: rms scattering, over the distance to the nearest of the hits. NaN where there are
    fewer than two hits.
    """
    a, b, near = -1, -1, math.inf
    for p in range(lo, hi):
        if hits[p] >= 0:
            if a < 0:
                a = p
            b = p
            near = min(near, abs(at - z[p]))
    if a == b or z[a] == z[b]:
        return math.nan, math.inf
    w = (at - z[a]) / (z[b] - z[a])
    value = (1.0 - w) * position[hits[a]] + w * position[hits[b]]
    variance = ((1.0 - w) * sigma[a]) ** 2 + (w * sigma[b]) ** 2 + (angle * near) ** 2
    return value, variance


@njit(cache=True, nogil=True, error_model="numpy")
def attach_stereo(  # type: ignore[no-untyped-def]
    event, planes, offsets, cluster_position, in_time, stereo, x_view, y_view,
    x_hits, x_position, y_hits, y_position, angle, found,
):  # fmt: skip
    """Hits of the stereo planes for one pair of tracks in x and y.

    In x, the hits on the plane's side of the magnets tell where the track is: at least two, or the
    plane is left out; in y, all of them. ``angle``: rms scattering of the track.

    Returns
    -------
    float
        chi2 of the hits that join, less `MISSING` for each; their clusters (or -1) are put into
        ``found``, by stereo plane.
    """
    score = 0.0
    for s in range(len(stereo.z)):
        found[s] = -1
        at = stereo.z[s]
        lo, hi = (0, x_view.upstream) if s < stereo.upstream else (x_view.upstream, len(x_view.z))
        x, var_x = _line_at(x_hits, x_position, x_view.z, x_view.sigma, lo, hi, at, angle)
        y, var_y = _line_at(
            y_hits, y_position, y_view.z, y_view.sigma, ZERO, len(y_view.z), at, angle
        )
        variance = stereo.sigma[s] ** 2
        variance += stereo.cos[s] ** 2 * var_x + stereo.sin[s] ** 2 * var_y
        expected = x * stereo.cos[s] + y * stereo.sin[s] - stereo.origin[s]
        nearest = ROAD * ROAD * variance
        row = event * planes + stereo.plane[s]
        for c in range(offsets[row], offsets[row + 1]):
            if in_time[c]:
                off = cluster_position[c] - expected
                if off * off < nearest:  # False of a NaN
                    nearest = off * off
                    found[s] = c
        if found[s] >= 0:
            score += nearest / variance - MISSING
    return score
