"""Tracks in one view of one event: bent in x, straight in y."""

# ruff: noqa: PLR0917 - kernels take flat arrays

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numba import njit

from na64reco.constants import BEND_PER_TESLA_MM
from na64reco.tracking.kernels import BORROWING, ZERO
from na64reco.tracking.rivals import MISSING, QP, SCORE, START, T, resolve
from na64reco.tracking.segments import (
    CHI2,
    HITS,
    PLACE,
    SLOPE,
    VAR_SLOPE,
    VAR_X,
    X,
    Z,
    find_segments,
)

__all__ = ["bent_tracks", "gather", "straight_tracks"]

_INLINED: Final[dict[str, Any]] = {
    **BORROWING,
    "forceinline": True,  # at every event, handing over dozens of arrays costs a fifth of the time
}
_MAX_SLOPE: Final = 1.0
_MATCH: Final = 5.0  # standard deviations at the centre of the field
# That the chi2 of the times comes near to: a missing hit. Each hit adds to the chi2, too much where
# a cluster's strips go together in time, and tracks with the fewest hits would be the best.
_TIME_LIMIT: Final = 10.0
_MIN_MOMENTUM: Final = 0.5  # GeV/c
_SINGLE_SPREAD: Final = 0.1  # of the largest slope: ranks hits without a partner, off the beam


@njit(**_INLINED)
def gather(  # type: ignore[no-untyped-def]
    event, plane, origin, scale, offsets, planes, cluster_position, cluster_time, time_error,
    in_time, start, position, time, weight, number,
):  # fmt: skip
    """In-time hits of one event in a view: start per plane, position (mm), cluster number.

    And their times (ns) with the weights of these (1/ns^2).
    """
    n = 0
    for p in range(len(plane)):
        start[p] = n
        row = event * planes + plane[p]
        for c in range(offsets[row], offsets[row + 1]):
            if in_time[c]:
                position[n] = (cluster_position[c] + origin[p]) * scale[p]
                time[n] = cluster_time[c]
                weight[n] = 1.0 / (time_error[c] * time_error[c])
                number[n] = c
                n += 1
    start[len(plane)] = n
    return n


@njit(**BORROWING)
def _unused(number, used):  # type: ignore[no-untyped-def]
    """How many of the hits no track has."""
    n = number
    for h in range(number):
        n -= used[h]
    return n


@njit(**BORROWING)
def _unused_planes(start, used, lo, hi):  # type: ignore[no-untyped-def]
    """How many of the planes have a hit that no track has."""
    n = 0
    for p in range(lo, hi):
        for h in range(start[p], start[p + 1]):
            if not used[h]:
                n += 1
                break
    return n


@njit(**_INLINED)
def _bend(x, slope, qp, here, there, magnets):  # type: ignore[no-untyped-def]
    """x at ``there`` of a track without slope in y, NaN where it turns back in a field.

    `propagation.propagate_state` without what it does beside: y and derivatives. ``magnets``: rows
    of `field.Dipoles` without noise, one array, since taking one out of a tuple costs time.
    """
    for m in range(magnets.shape[1]):
        enter, leave = max(here, magnets[0, m]), min(there, magnets[1, m])
        length = leave - enter
        if length <= 0:
            continue
        x += slope * (enter - here)
        cos_in = 1.0 / math.sqrt(1.0 + slope * slope)
        sin_in = slope * cos_in
        effective = qp + math.copysign(magnets[3, m], qp)
        sin_out = sin_in - BEND_PER_TESLA_MM * magnets[2, m] * effective * length
        if not abs(sin_out) < 1.0:
            return math.nan
        cos_out = math.sqrt(1.0 - sin_out * sin_out)
        x += length * (sin_in + sin_out) / (cos_in + cos_out)
        slope = sin_out / cos_out
        here = leave
    return x + slope * (there - here)


@njit(**_INLINED)
def _match(up, u, down, d, bend, centre, kink, magnets):  # type: ignore[no-untyped-def]
    """q/p and chi2 of segments u and d that meet in the field; (0, -1) where they do not."""
    sin_in = up[u, SLOPE] / math.sqrt(1.0 + up[u, SLOPE] ** 2)
    sin_out = down[d, SLOPE] / math.sqrt(1.0 + down[d, SLOPE] ** 2)
    qp = (sin_out - sin_in) / bend
    if abs(qp) > 1.0 / _MIN_MOMENTUM:
        return 0.0, -1.0
    before, behind = centre - up[u, Z], down[d, Z] - centre
    scattering = kink * qp * max(before, behind)
    variance = up[u, VAR_X] + up[u, VAR_SLOPE] * before * before + scattering * scattering
    variance += down[d, VAR_X] + down[d, VAR_SLOPE] * behind * behind
    x = _bend(up[u, X], up[u, SLOPE], qp, up[u, Z], down[d, Z], magnets)
    chi2 = (x - down[d, X]) ** 2 / variance
    return qp, (chi2 if chi2 <= _MATCH * _MATCH else -1.0)  # of a NaN too


@njit(**_INLINED)
def _single(x, z, down, d, bend, centre):  # type: ignore[no-untyped-def]
    """Slope and q/p if a track from (z, x) meets the segment behind at the field's centre."""
    middle = down[d, X] + down[d, SLOPE] * (centre - down[d, Z])
    slope = (middle - x) / (centre - z)
    sin_in = slope / math.sqrt(1.0 + slope * slope)
    return slope, (down[d, SLOPE] / math.sqrt(1.0 + down[d, SLOPE] ** 2) - sin_in) / bend


@njit(**_INLINED)
def bent_tracks(  # type: ignore[no-untyped-def]
    start, position, time, weight, used, nothing, view, upstream, first_z, max_slope, beam_slope,
    bend, centre, kink, kink_per_momentum, magnets, pairs_up, pairs_down, roads_up,
    roads_down, up_hits, up, down_hits, down, trial_hits, trial, kept_hits, kept, number, room,
    least_own,
):  # fmt: skip
    """Tracks of one event in the bending view, in the passes of `finding`.

    Where ``number`` have been kept already, only the pass in which tracks may share hits.

    Returns
    -------
    tuple
        Number kept in ``kept_hits``, ``kept``; whether there was a segment behind the magnets;
        whether there were more combinations than room.
    """
    planes, capacity = view.shape[1], len(trial)
    again = number > 0
    any_down = False
    for attempt in range(4):
        min_up = 1 if attempt == 1 else 2
        min_down = 2 if attempt == 3 else min(3, planes - upstream)
        sharing = attempt == 2
        if again and not sharing:
            continue
        # The common case, in short: all hits are taken.
        if number > 0 and _unused(start[planes], used) < (
            least_own if sharing else min_up + min_down
        ):
            continue
        if sharing:
            if number == 0 or _unused_planes(start, used, ZERO, planes) < least_own:
                continue
        elif (
            _unused_planes(start, used, upstream, planes) < min_down
            or _unused_planes(start, used, ZERO, upstream) < min_up
        ):
            continue
        taken = nothing if sharing else used
        n_down = find_segments(
            pairs_down, roads_down, upstream, planes, min_down, start, position, taken, view,
            kink, _MAX_SLOPE, down_hits, down,
        )  # fmt: skip
        if n_down < 0:
            return number, True, True
        if n_down == 0:
            continue
        any_down = True
        n = ZERO
        if min_up == 1:
            for p in range(upstream):
                for h in range(start[p], start[p + 1]):
                    if used[h]:
                        continue
                    for d in range(n_down):
                        slope, qp = _single(position[h], view[PLACE, p], down, d, bend, centre)
                        if abs(slope) > max_slope or abs(qp) > 1.0 / _MIN_MOMENTUM:
                            continue
                        if n == capacity:
                            return number, True, True
                        for c in range(planes):
                            trial_hits[n, c] = down_hits[d, c]
                        trial_hits[n, p] = h
                        trial[n, START] = position[h] + slope * (first_z - view[PLACE, p])
                        trial[n, T] = slope
                        trial[n, QP] = qp
                        unlikely = (slope - beam_slope) / (_SINGLE_SPREAD * max_slope)
                        trial[n, SCORE] = unlikely * unlikely + down[d, CHI2]
                        trial[n, SCORE] -= MISSING * (1.0 + down[d, HITS])
                        n += 1
        else:
            n_up = find_segments(
                pairs_up, roads_up, ZERO, upstream, np.int64(2), start, position, taken, view, kink,
                max_slope, up_hits, up,
            )  # fmt: skip
            if n_up < 0:
                return number, True, True
            for u in range(n_up):
                for d in range(n_down):
                    qp, chi2 = _match(up, u, down, d, bend, centre, kink_per_momentum, magnets)
                    if chi2 < 0.0:
                        continue
                    if n == capacity:
                        return number, True, True
                    for p in range(planes):
                        trial_hits[n, p] = up_hits[u, p] if p < upstream else down_hits[d, p]
                    trial[n, START] = up[u, X] + up[u, SLOPE] * (first_z - up[u, Z])
                    trial[n, T] = up[u, SLOPE]
                    trial[n, QP] = qp
                    trial[n, SCORE] = chi2 + up[u, CHI2] + down[d, CHI2]
                    trial[n, SCORE] -= MISSING * (up[u, HITS] + down[d, HITS])
                    n += 1
        # A single hit before the magnets may be anything: its time would prefer noise to the beam.
        number = resolve(
            trial_hits, trial, n, time, weight, _TIME_LIMIT if min_up > 1 else 0.0,
            least_own if sharing else planes + 1, kept_hits, kept, number, room, used,
        )  # fmt: skip
    return number, any_down, False


@njit(**_INLINED)
def straight_tracks(  # type: ignore[no-untyped-def]
    start, position, time, weight, used, view, upstream, first_z, max_slope, kink, pairs, roads,
    line_hits, lines, nothing, trial, kept_hits, kept, number, room, least_own,
):  # fmt: skip
    """Tracks of one event in the other view: at least one hit before, two behind the magnets.

    (One, where only two planes stand there.) At most two planes may be missing; only if there is
    no such track, three hits are enough.
    Returns the number kept, -1 where there were more combinations than room.
    """
    planes = view.shape[1]
    again = number > 0
    for attempt in range(2):
        min_hits = max(3, planes - 2) if attempt == 0 else 3
        n = find_segments(
            pairs, roads, ZERO, planes, min_hits, start, position, nothing if again else used, view,
            kink, max_slope, line_hits, lines,
        )  # fmt: skip
        if n < 0:
            return number if again else -1
        m = ZERO
        for k in range(n):
            behind = 0
            for p in range(upstream, planes):
                behind += line_hits[k, p] >= 0
            if behind < min(2, planes - upstream - 1):
                continue
            for p in range(planes):
                line_hits[m, p] = line_hits[k, p]
            trial[m, START] = lines[k, X] + lines[k, SLOPE] * (first_z - lines[k, Z])
            trial[m, T] = lines[k, SLOPE]
            trial[m, QP] = 0.0
            trial[m, SCORE] = lines[k, CHI2] - MISSING * lines[k, HITS]
            m += 1
        number = resolve(
            line_hits, trial, m, time, weight, _TIME_LIMIT, least_own,
            kept_hits, kept, number, room, used,
        )  # fmt: skip
        if number:
            break
    return number
