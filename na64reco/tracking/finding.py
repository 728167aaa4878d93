"""Track candidates: segments before and behind the magnets, matched in x through the bend.

In the view that bends (x), segments on both sides must meet in the middle of the field; the
difference of their angles is the momentum. In the other view (y) a track is straight from end
to end. Three passes, each on what the passes before left over:

1. at least two hits before and three behind the magnets (x);
2. one hit before and three behind: with two planes before the magnets, one in twenty-five tracks
   misses one of them. The continuity of the track at the magnet still gives its direction (and a
   momentum about 1.3 times less precise), but no longer tells a wrong hit, hence only now;
3. two hits before and two behind.

In y: at least one hit before and two behind. Candidates that share more than one hit in a view
are the same particle: the one with more hits and the smaller chi2 stays.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numba import njit

from na64reco.tracking.propagation import propagate_state
from na64reco.tracking.segments import empty_segments, find_segments, seed_pairs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.tracking.clusters import Clusters
    from na64reco.tracking.layout import Layout

__all__ = [
    "MAX_CANDIDATES",
    "NO_DOWNSTREAM",
    "NO_MATCH",
    "NO_UPSTREAM",
    "OK",
    "TOO_BUSY",
    "Candidates",
    "find_candidates",
]

OK: Final = 0
NO_UPSTREAM: Final = 1
NO_DOWNSTREAM: Final = 2
NO_MATCH: Final = 3
TOO_BUSY: Final = 5
"""More combinations than `_CAPACITY`; the event was not searched to the end."""

MAX_CANDIDATES: Final = 4
"""Fitted per event; more are counted."""
_CAPACITY: Final = 256
_MAX_SLOPE_IN: Final = 0.01  # of a beam particle; analyses cut at 3 mrad
_MAX_SLOPE: Final = 1.0
_MATCH: Final = 5.0  # standard deviations at the centre of the field
_MISSING: Final = 10.0  # chi2 that a missing hit is worth: -2 ln(2 % inefficiency), and some
_MIN_MOMENTUM: Final = 0.5  # GeV/c


@dataclass(frozen=True)
class Candidates:
    """Candidates of a chunk of events, best first within each event."""

    offsets: NDArray[np.int64]
    """Shape (events + 1,)."""
    hits: NDArray[np.int64]
    """Shape (candidates, planes of the spectrometer): cluster number or -1."""
    seed: NDArray[np.float64]
    """Shape (candidates, 5): state at the first element of the layout."""
    time: NDArray[np.float64]
    """Mean time of the hits, shape (candidates,), ns."""
    number: NDArray[np.int64]
    """Distinct candidates per event, of which at most `MAX_CANDIDATES` are kept."""
    reason: NDArray[np.uint8]
    """Why there is none, per event."""


def find_candidates(
    clusters: Clusters, layout: Layout, *, max_candidates: int = MAX_CANDIDATES
) -> Candidates:
    """Candidates in every event (see the module)."""
    x, y = layout.x, layout.y
    scratch_x = empty_segments(_CAPACITY, len(x.z)), empty_segments(_CAPACITY, len(x.z))
    pairs_x = seed_pairs(x.z, 0, x.upstream), seed_pairs(x.z, x.upstream, len(x.z))
    pairs_y = seed_pairs(y.z, 0, len(y.z), split=y.upstream)
    return Candidates(
        *_find(
            clusters.offsets,
            clusters.planes,
            clusters.position,
            clusters.time,
            clusters.in_time,
            layout,
            pairs_x,
            pairs_y,
            scratch_x,
            empty_segments(_CAPACITY, len(y.z)),
            empty_segments(_CAPACITY, len(x.z)),
            max_candidates,
        )
    )


@njit(cache=True, nogil=True)
def _gather(  # type: ignore[no-untyped-def]
    event, view, offsets, planes, cluster_position, in_time, start, position, number
):
    """In-time hits of one event in a view: their start per plane, position and cluster number."""
    n = 0
    for p in range(len(view.z)):
        start[p] = n
        row = event * planes + view.plane[p]
        for c in range(offsets[row], offsets[row + 1]):
            if in_time[c]:
                position[n] = (cluster_position[c] + view.origin[p]) * view.scale[p]
                number[n] = c
                n += 1
    start[len(view.z)] = n
    return n


@njit(cache=True, nogil=True)
def _momentum_seed(sin_in, sin_out, layout):  # type: ignore[no-untyped-def]
    """q/p from the sines of the angles before and behind the magnets."""
    return (sin_out - sin_in) / layout.bend


@njit(cache=True, nogil=True)
def _match(  # type: ignore[no-untyped-def]
    up, u, down, d, layout, position, state, scratch, cands, n_cands
):
    """Try segment ``u`` with segment ``d``; a good match becomes candidate ``n_cands``."""
    sin_in = up.t[u] / math.sqrt(1.0 + up.t[u] ** 2)
    sin_out = down.t[d] / math.sqrt(1.0 + down.t[d] ** 2)
    qp = _momentum_seed(sin_in, sin_out, layout)
    if abs(qp) > 1.0 / _MIN_MOMENTUM:
        return False
    state[0], state[1], state[2], state[3], state[4] = up.x[u], 0.0, up.t[u], 0.0, qp
    if not propagate_state(state, up.z[u], down.z[d], layout.dipoles, scratch):
        return False
    before = layout.field_centre - up.z[u]
    behind = down.z[d] - layout.field_centre
    scattering = layout.kink * qp * max(before, behind)
    variance = up.var_x[u] + up.var_t[u] * before * before + scattering * scattering
    variance += down.var_x[d] + down.var_t[d] * behind * behind
    distance = state[0] - down.x[d]
    chi2 = distance * distance / variance
    if chi2 > _MATCH * _MATCH:
        return False
    _store(up, u, down, d, up.x[u], up.t[u], up.z[u], qp, chi2, layout, cands, n_cands)
    return True


@njit(cache=True, nogil=True)
def _store(  # type: ignore[no-untyped-def]
    up, u, down, d, x, t, z, qp, chi2, layout, cands, n
):
    """Candidate ``n``: hits of both segments; x and slope at the first plane, q/p, score."""
    hits, reals, count = cands
    for p in range(len(layout.x.z)):
        hits[n, p] = up.hits[u, p] if p < layout.x.upstream else down.hits[d, p]
    count[n] = up.n[u] + down.n[d]
    reals[n, 0] = x + t * (layout.z[0] - z)
    reals[n, 1] = t
    reals[n, 2] = qp
    reals[n, 3] = chi2 + up.chi2[u] + down.chi2[d] - _MISSING * count[n]


@njit(cache=True, nogil=True)
def _single(  # type: ignore[no-untyped-def]
    h, plane, down, d, layout, position, up, cands, n
):
    """One hit before the magnets with segment ``d``: the track meets it at the field's centre."""
    z = layout.x.z[plane]
    middle = down.x[d] + down.t[d] * (layout.field_centre - down.z[d])
    slope = (middle - position[h]) / (layout.field_centre - z)
    if abs(slope) > _MAX_SLOPE_IN:
        return False
    sin_in = slope / math.sqrt(1.0 + slope * slope)
    qp = _momentum_seed(sin_in, down.t[d] / math.sqrt(1.0 + down.t[d] ** 2), layout)
    if abs(qp) > 1.0 / _MIN_MOMENTUM:
        return False
    up.hits[0, :] = -1
    up.hits[0, plane] = h
    up.n[0] = 1
    up.chi2[0] = 0.0
    # Among several single hits, the one with the direction of the beam is likeliest.
    _store(up, 0, down, d, position[h], slope, z, qp, (slope / 1e-3) ** 2, layout, cands, n)
    return True


@njit(cache=True, nogil=True)
def _resolve(hits, reals, count, n, score, accepted, n_accepted, used):  # type: ignore[no-untyped-def]
    """Best candidates first; those that share more than one hit with a better one are dropped.

    Appends to ``accepted`` the rows kept, marks their hits as used, returns the new number.
    """
    alive = np.ones(n, np.bool_)
    for _ in range(n):
        best = -1
        for c in range(n):
            if alive[c] and (best < 0 or reals[c, score] < reals[best, score]):
                best = c
        if best < 0:
            break
        alive[best] = False
        shared = 0
        for p in range(hits.shape[1]):
            if hits[best, p] >= 0 and used[hits[best, p]]:
                shared += 1
        if shared > 1 or n_accepted == len(accepted[1]):
            continue
        accepted[0][n_accepted, :] = hits[best]
        accepted[1][n_accepted, :] = reals[best]
        accepted[2][n_accepted] = count[best]
        n_accepted += 1
        for p in range(hits.shape[1]):
            if hits[best, p] >= 0:
                used[hits[best, p]] = True
    return n_accepted


@njit(cache=True, nogil=True)
def _view_time(hits, number, time, width):  # type: ignore[no-untyped-def]
    """Weighted mean time of the hits of a candidate in a view, and its weight."""
    s = w = 0.0
    for p in range(len(hits)):
        if hits[p] >= 0:
            weight = 1.0 / (width[p] * width[p])
            s += weight * time[number[hits[p]]]
            w += weight
    return s / w, w


@njit(cache=True, nogil=True)
def _find(  # type: ignore[no-untyped-def]
    offsets,
    planes,
    cluster_position,
    cluster_time,
    in_time,
    layout,
    pairs_x,
    pairs_y,
    scratch_x,
    lines,
    spare,
    max_candidates,
):
    vx, vy = layout.x, layout.y
    nx, ny = len(vx.z), len(vy.z)
    up, down = scratch_x
    n_planes = len(layout.planes)
    events = (len(offsets) - 1) // planes
    capacity = _CAPACITY

    largest = 1
    for e in range(events):
        largest = max(largest, offsets[(e + 1) * planes] - offsets[e * planes])
    x_start, y_start = np.zeros(nx + 1, np.int64), np.zeros(ny + 1, np.int64)
    x_position, y_position = np.empty(largest), np.empty(largest)
    x_number, y_number = np.empty(largest, np.int64), np.empty(largest, np.int64)
    used = np.zeros(largest, np.bool_)
    state, jacobian = np.empty(5), np.empty((5, 5))
    c_hits, c_reals = np.empty((capacity, nx), np.int64), np.empty((capacity, 4))
    cands = c_hits, c_reals, np.empty(capacity, np.int64)
    xs = np.empty((capacity, nx), np.int64), np.empty((capacity, 4)), np.empty(capacity, np.int64)
    l_reals = np.empty((capacity, 4))
    ys = np.empty((capacity, ny), np.int64), np.empty((capacity, 4)), np.empty(capacity, np.int64)
    x_free, y_free = np.empty(capacity, np.bool_), np.empty(capacity, np.bool_)

    out_hits = np.full((events * max_candidates, n_planes), -1, np.int64)
    out_seed = np.empty((events * max_candidates, 5))
    out_time = np.empty(events * max_candidates)
    out_offsets = np.zeros(events + 1, np.int64)
    out_number = np.zeros(events, np.int64)
    reason = np.zeros(events, np.uint8)
    made = 0

    for e in range(events):
        out_offsets[e + 1] = made
        n_hits_x = _gather(
            e, vx, offsets, planes, cluster_position, in_time, x_start, x_position, x_number
        )
        n_hits_y = _gather(
            e, vy, offsets, planes, cluster_position, in_time, y_start, y_position, y_number
        )
        if x_start[vx.upstream] == 0 or y_start[vy.upstream] == 0:
            reason[e] = NO_UPSTREAM
            continue
        if n_hits_x - x_start[vx.upstream] < 2 or n_hits_y - y_start[vy.upstream] < 2:
            reason[e] = NO_DOWNSTREAM
            continue

        # The bending view.
        used[:n_hits_x] = False
        busy = False
        any_down = False
        n_x = 0
        for attempt in range(3):
            min_up = 1 if attempt == 1 else 2
            min_down = 2 if attempt == 2 else 3
            kink = layout.kink / layout.beam_momentum
            n_down = find_segments(
                pairs_x[1],
                vx.upstream,
                nx,
                min_down,
                x_start,
                x_position,
                used,
                vx.z,
                vx.sigma,
                kink,
                _MAX_SLOPE,
                down,
            )
            if n_down < 0:
                busy = True
                break
            if n_down == 0:
                continue
            any_down = True
            n = 0
            if min_up == 1:
                for p in range(vx.upstream):
                    for h in range(x_start[p], x_start[p + 1]):
                        if used[h]:
                            continue
                        for d in range(n_down):
                            if n == capacity:
                                busy = True
                                break
                            if _single(h, p, down, d, layout, x_position, spare, cands, n):
                                n += 1
            else:
                n_up = find_segments(
                    pairs_x[0],
                    0,
                    vx.upstream,
                    2,
                    x_start,
                    x_position,
                    used,
                    vx.z,
                    vx.sigma,
                    kink,
                    _MAX_SLOPE_IN,
                    up,
                )
                if n_up < 0:
                    busy = True
                    break
                for u in range(n_up):
                    for d in range(n_down):
                        if n == capacity:
                            busy = True
                            break
                        if _match(up, u, down, d, layout, x_position, state, jacobian, cands, n):
                            n += 1
            n_x = _resolve(cands[0], cands[1], cands[2], n, 3, xs, n_x, used)
            if busy:
                break
        if n_x == 0:
            reason[e] = TOO_BUSY if busy else (NO_MATCH if any_down else NO_DOWNSTREAM)
            continue

        # The straight view.
        momentum = layout.beam_momentum
        for c in range(n_x):
            momentum = min(momentum, 1.0 / max(abs(xs[1][c, 2]), 1e-6))
        used[:n_hits_y] = False
        n = find_segments(
            pairs_y,
            0,
            ny,
            3,
            y_start,
            y_position,
            used,
            vy.z,
            vy.sigma,
            layout.kink / momentum,
            _MAX_SLOPE_IN,
            lines,
        )
        if n < 0:
            reason[e] = TOO_BUSY
            continue
        for k in range(n):
            l_reals[k, 0] = lines.x[k] + lines.t[k] * (layout.z[0] - lines.z[k])
            l_reals[k, 1] = lines.t[k]
            l_reals[k, 3] = lines.chi2[k] - _MISSING * lines.n[k]
        m = 0
        for k in range(n):  # two hits behind the magnets at least
            behind = 0
            for p in range(vy.upstream, ny):
                behind += lines.hits[k, p] >= 0
            if behind >= 2:
                lines.hits[m, :] = lines.hits[k]
                l_reals[m, :] = l_reals[k]
                lines.n[m] = lines.n[k]
                m += 1
        n_y = _resolve(lines.hits, l_reals, lines.n, m, 3, ys, 0, used)
        if n_y == 0:
            reason[e] = NO_MATCH
            continue

        # Pair the views: best sum of scores, times that agree with each other and the trigger.
        number = max(n_x, n_y)
        out_number[e] = number
        x_free[:n_x] = True
        y_free[:n_y] = True
        left_x, left_y = n_x, n_y
        for k in range(min(number, max_candidates)):
            best, best_x, best_y, best_time = np.inf, 0, 0, 0.0
            for i in range(n_x):
                if left_x > 0 and not x_free[i]:
                    continue
                time_x, weight_x = _view_time(xs[0][i], x_number, cluster_time, vx.width)
                for j in range(n_y):
                    if left_y > 0 and not y_free[j]:
                        continue
                    time_y, weight_y = _view_time(ys[0][j], y_number, cluster_time, vy.width)
                    mean = (time_x * weight_x + time_y * weight_y) / (weight_x + weight_y)
                    score = xs[1][i, 3] + ys[1][j, 3]
                    score += (time_x - time_y) ** 2 / (1.0 / weight_x + 1.0 / weight_y)
                    score += mean**2 / (layout.time_jitter**2 + 1.0 / (weight_x + weight_y))
                    if score < best:
                        best, best_x, best_y, best_time = score, i, j, mean
            if x_free[best_x]:
                x_free[best_x] = False
                left_x -= 1
            if y_free[best_y]:
                y_free[best_y] = False
                left_y -= 1
            for p in range(nx):
                h = xs[0][best_x, p]
                out_hits[made, vx.column[p]] = x_number[h] if h >= 0 else -1
            for p in range(ny):
                h = ys[0][best_y, p]
                out_hits[made, vy.column[p]] = y_number[h] if h >= 0 else -1
            out_seed[made, 0] = xs[1][best_x, 0]
            out_seed[made, 1] = ys[1][best_y, 0]
            out_seed[made, 2] = xs[1][best_x, 1]
            out_seed[made, 3] = ys[1][best_y, 1]
            out_seed[made, 4] = xs[1][best_x, 2]
            out_time[made] = best_time
            made += 1
        out_offsets[e + 1] = made
    return (
        out_offsets,
        out_hits[:made].copy(),
        out_seed[:made].copy(),
        out_time[:made].copy(),
        out_number,
        reason,
    )
