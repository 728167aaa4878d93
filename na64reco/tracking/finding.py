"""Track candidates: segments before and behind the magnets, matched in x through the bend.

In the view that bends (x), segments on both sides must meet in the middle of the field; the
difference of their angles is the momentum. In the other view (y) a track is straight from end
to end. Three passes, each on what the passes before left over:

1. at least two hits before and three behind the magnets (x);
2. one hit before and three behind: with two planes before the magnets, one in twenty-five tracks
   misses one of them. The continuity of the track at the magnet still gives its direction (and a
   momentum 1.3 to 2 times less precise), but no longer tells a wrong hit, hence only now;
3. two hits before and two behind.

In y: at least one hit before and two behind, and no more than two missing, if such there are.
Where only two planes stand behind the magnets, two hits there are enough from the first pass on,
and one in y.

Of candidates that share hits, the one with more hits, better times and the smaller chi2 stays;
times never outweigh a hit, and of single hits before the magnets they are not looked at. One that
has three hits of its own is another particle: two that are near each other in some planes
have one cluster there (in x only after pass 2, so that a particle that a plane missed does not get
the hit of another). Where one view has fewer tracks than the other, two are enough.

Tracks in x and y are joined by times, charges (`pairing`) and the hits of planes between x and y
(`stereo`). First comes the pair nearest in time to the trigger, but none of noise: one that has
fewer hits, or nearly the same, comes after the better one.
"""

# ruff: noqa: PLR0917 - kernels take flat arrays

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numba import njit

from na64reco.tracking.kernels import ZERO
from na64reco.tracking.pairing import charge_partners, pair_views, view_times
from na64reco.tracking.rivals import QP, START, WIDTH, T
from na64reco.tracking.room import Room
from na64reco.tracking.segments import VALUES, roads, seed_pairs, view_rows
from na64reco.tracking.stereo import attach_stereo
from na64reco.tracking.views import bent_tracks, gather, straight_tracks

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
    "search_tables",
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
_OWN: Final = 3
"""Hits that a track must have which no other has, if it shares more than one."""


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
    clusters: Clusters,
    layout: Layout,
    *,
    max_candidates: int = MAX_CANDIDATES,
    tables: Any = None,
    room: Room | None = None,
) -> Candidates:
    """Candidates in every event (see the module).

    ``tables``: `search_tables` of the layout and the clusters' chambers, if they are at hand. With
    a ``room``, the candidates are in its memory.
    """
    room = room or Room()
    events, most = len(clusters), len(clusters) * max_candidates
    offsets = np.empty(events + 1, np.int64)
    hits = room.empty("hits", most, len(layout.planes), dtype=np.int64)
    seed, time = room.empty("seed", most, 5), room.empty("candidate_time", most)
    number, reason = np.zeros(events, np.int64), np.zeros(events, np.uint8)
    partners, pairs_up, pairs_down, pairs_y, x_view, y_view = tables or search_tables(
        layout, clusters.chamber
    )
    made = _find(
        clusters.offsets, clusters.planes, clusters.position, clusters.charge, clusters.time,
        clusters.time_error, clusters.in_time, layout, partners, pairs_up, pairs_down, pairs_y,
        x_view, y_view, max_candidates, offsets, hits, seed, time, number, reason,
    )  # fmt: skip
    return Candidates(offsets, hits[:made], seed[:made], time[:made], number, reason)


def search_tables(layout: Layout, chamber: NDArray[np.int64]) -> tuple[NDArray[Any], ...]:
    """Which planes share their charges, pairs of planes that seed segments, and `view_rows`.

    ``chamber`` as in `Clusters`.
    """
    x, y = layout.x, layout.y
    return (
        charge_partners(x, y, chamber),
        seed_pairs(x.z, 0, x.upstream),
        seed_pairs(x.z, x.upstream, len(x.z)),
        seed_pairs(y.z, 0, len(y.z), split=y.upstream),
        view_rows(x.z, x.sigma),
        view_rows(y.z, y.sigma),
    )


@njit(cache=True, nogil=True, error_model="numpy")
def _find(  # type: ignore[no-untyped-def]
    offsets, planes, cluster_position, cluster_charge, cluster_time, time_error, in_time, layout,
    partners, pairs_up, pairs_down, pairs_y, x_view, y_view, max_candidates,
    out_offsets, out_hits, out_seed, out_time, out_number, reason,
):  # fmt: skip
    vx, vy = layout.x, layout.y
    nx, ny = len(vx.z), len(vy.z)
    x_plane, x_origin, x_scale = vx.plane, vx.origin, vx.scale
    y_plane, y_origin, y_scale = vy.plane, vy.origin, vy.scale
    # Out of the tuples, once: in the loop, counting references to arrays costs more than the rest.
    x_column, y_column, x_upstream, y_upstream = vx.column, vy.column, vx.upstream, vy.upstream
    first_z, max_slope, beam_slope = layout.z[0], layout.max_slope_in, layout.beam_slope
    bend, centre, scatter = layout.bend, layout.field_centre, layout.kink
    beam_momentum, dipoles = layout.beam_momentum, layout.dipoles
    magnets = np.stack((dipoles.start, dipoles.end, dipoles.field, dipoles.loss))
    least_y = min(2, ny - vy.upstream - 1)
    kink = scatter / beam_momentum
    events = (len(offsets) - 1) // planes
    roads_up, roads_down = roads(pairs_up, vx.z, vx.sigma), roads(pairs_down, vx.z, vx.sigma)
    roads_y = roads(pairs_y, vy.z, vy.sigma)

    largest = 1
    for e in range(events):
        largest = max(largest, offsets[(e + 1) * planes] - offsets[e * planes])
    x_start, y_start = np.zeros(nx + 1, np.int64), np.zeros(ny + 1, np.int64)
    x_position, y_position = np.empty(largest), np.empty(largest)
    x_time, y_time = np.empty(largest), np.empty(largest)
    x_weight, y_weight = np.empty(largest), np.empty(largest)
    x_number, y_number = np.empty(largest, np.int64), np.empty(largest, np.int64)
    used_x, used_y = np.zeros(largest, np.bool_), np.zeros(largest, np.bool_)
    nothing = np.zeros(largest, np.bool_)
    up_hits, up = np.empty((_CAPACITY, nx), np.int64), np.empty((_CAPACITY, VALUES))
    down_hits, down = np.empty((_CAPACITY, nx), np.int64), np.empty((_CAPACITY, VALUES))
    line_hits, lines = np.empty((_CAPACITY, ny), np.int64), np.empty((_CAPACITY, VALUES))
    trial_hits, trial = np.empty((_CAPACITY, nx), np.int64), np.empty((_CAPACITY, WIDTH))
    x_hits, x_values = np.empty((_CAPACITY, nx), np.int64), np.empty((_CAPACITY, WIDTH))
    y_hits, y_values = np.empty((_CAPACITY, ny), np.int64), np.empty((_CAPACITY, WIDTH))
    x_times, x_weights = np.empty(_CAPACITY), np.empty(_CAPACITY)
    y_times, y_weights = np.empty(_CAPACITY), np.empty(_CAPACITY)
    stereo = layout.stereo
    planes_crossed = len(stereo.z)
    crossed = np.empty((_CAPACITY if planes_crossed else 0, _CAPACITY))
    joined = np.empty(planes_crossed, np.int64)
    pairs, times = np.empty((max_candidates, 2), np.int64), np.empty(max_candidates)

    columns = len(layout.planes)
    out_offsets[0] = made = 0

    for e in range(events):
        out_offsets[e + 1] = made  # where there is none
        n_hits_x = gather(
            e, x_plane, x_origin, x_scale, offsets, planes, cluster_position, cluster_time,
            time_error, in_time, x_start, x_position, x_time, x_weight, x_number,
        )  # fmt: skip
        n_hits_y = gather(
            e, y_plane, y_origin, y_scale, offsets, planes, cluster_position, cluster_time,
            time_error, in_time, y_start, y_position, y_time, y_weight, y_number,
        )  # fmt: skip
        if x_start[x_upstream] == 0 or y_start[y_upstream] == 0:
            reason[e] = NO_UPSTREAM
            continue
        if n_hits_x - x_start[x_upstream] < 2 or n_hits_y - y_start[y_upstream] < least_y:
            reason[e] = NO_DOWNSTREAM
            continue
        used_x[:n_hits_x] = False
        used_y[:n_hits_y] = False
        n_x = n_y = ZERO
        any_down = busy = False
        for attempt in range(2):
            # Again for the view with fewer tracks: another particle may be near one there.
            least_own = _OWN if attempt == 0 else _OWN - 1
            if attempt == 0 or n_x < n_y:
                room = _CAPACITY if attempt == 0 else n_y
                n_x, any_down, busy = bent_tracks(
                    x_start, x_position, x_time, x_weight, used_x, nothing, x_view,
                    x_upstream, first_z, max_slope, beam_slope, bend,
                    centre, kink, scatter, magnets, pairs_up, pairs_down,
                    roads_up, roads_down, up_hits, up, down_hits, down, trial_hits, trial, x_hits,
                    x_values, n_x, room, least_own,
                )  # fmt: skip
                if n_x == 0:
                    break
            if attempt == 0:
                slowest = 1.0 / beam_momentum
                for c in range(n_x):
                    slowest = max(slowest, abs(x_values[c, QP]))
            if attempt == 0 or n_y < n_x:
                room = _CAPACITY if attempt == 0 else n_x
                n_y = straight_tracks(
                    y_start, y_position, y_time, y_weight, used_y, y_view, y_upstream,
                    first_z, max_slope, scatter * slowest, pairs_y, roads_y,
                    line_hits, lines, nothing, trial, y_hits, y_values, n_y, room, least_own,
                )  # fmt: skip
            if n_y <= 0 or n_x == n_y:
                break
        if n_x == 0:
            reason[e] = TOO_BUSY if busy else (NO_MATCH if any_down else NO_DOWNSTREAM)
            continue
        if n_y <= 0:
            reason[e] = TOO_BUSY if n_y < 0 else NO_MATCH
            continue

        out_number[e] = max(n_x, n_y)
        n = min(max(n_x, n_y), max_candidates)
        view_times(n_x, x_hits, x_time, x_weight, x_times, x_weights)
        view_times(n_y, y_hits, y_time, y_weight, y_times, y_weights)
        if planes_crossed:
            for i in range(n_x):
                for j in range(n_y):
                    crossed[i, j] = attach_stereo(
                        e, planes, offsets, cluster_position, in_time, stereo, vx, vy,
                        x_hits[i], x_position, y_hits[j], y_position,
                        scatter * abs(x_values[i, QP]), joined,
                    )  # fmt: skip
        pair_views(
            n_x, n_y, x_hits, x_number, x_values, x_times, x_weights,
            y_hits, y_number, y_values, y_times, y_weights, partners, cluster_charge,
            crossed, n, pairs, times,
        )  # fmt: skip
        for k in range(n):
            i, j = pairs[k, 0], pairs[k, 1]
            for p in range(columns):
                out_hits[made, p] = -1
            for p in range(nx):
                if x_hits[i, p] >= 0:
                    out_hits[made, x_column[p]] = x_number[x_hits[i, p]]
            for p in range(ny):
                if y_hits[j, p] >= 0:
                    out_hits[made, y_column[p]] = y_number[y_hits[j, p]]
            if planes_crossed:
                attach_stereo(
                    e, planes, offsets, cluster_position, in_time, stereo, vx, vy,
                    x_hits[i], x_position, y_hits[j], y_position,
                    scatter * abs(x_values[i, QP]), joined,
                )  # fmt: skip
                for s in range(planes_crossed):
                    out_hits[made, stereo.column[s]] = joined[s]
            out_seed[made, 0] = x_values[i, START]
            out_seed[made, 1] = y_values[j, START]
            out_seed[made, 2] = x_values[i, T]
            out_seed[made, 3] = y_values[j, T]
            out_seed[made, 4] = x_values[i, QP]
            out_time[made] = times[k]
            made += 1
        out_offsets[e + 1] = made
    return made
