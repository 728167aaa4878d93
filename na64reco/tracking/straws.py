"""Straw hits: how many particles each straw plane saw, and drift distances."""

# ruff: noqa: PLR0917 - kernels take flat arrays

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numba import njit

from na64reco.errors import ConditionsError
from na64reco.tracking.planes import PROJECTIONS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.calibration import Conditions, StrawConditions
    from na64reco.events import Hits
    from na64reco.setup import Setup

__all__ = [
    "StrawCounts",
    "StrawHits",
    "count_straws",
    "drift_distance",
    "layer_conditions",
    "straw_columns",
    "straw_hits",
]

_FIELDS: Final = ("station", "projection", "layer", "wire", "time")
_TYPES: Final = (np.uint8, np.uint8, np.uint8, np.uint16, np.float32)
_MARGIN: Final = 10.0
"""ns before t0 and after the longest drift that still count as in time: a track at the wire drifts
not at all, and the resolution of straw and trigger puts half of its hits before t0. Three times
3 ns each, assumed."""


@dataclass(frozen=True)
class StrawCounts:
    """Per event, each of shape (events,)."""

    hits: NDArray[np.int32]
    """In-time hits of all planes."""
    planes: NDArray[np.int32]
    """Planes (station, projection) with an in-time hit."""
    multiplicity: NDArray[np.int32]
    """Largest number of particles in one plane."""
    min_multiplicity: NDArray[np.int32]
    """Smallest number of particles in one plane."""
    ignored: NDArray[np.int32]
    """Hits with a NaN or infinite time, or outside the geometry."""


@dataclass(frozen=True)
class StrawHits:
    """Every hit of a collection in space."""

    wire: NDArray[np.float64]
    """Wire position in the station frame, alignment shift applied, mm; NaN for a bad hit."""
    distance: NDArray[np.float64]
    """Drift distance, mm; NaN for a bad hit. The track passes at wire +- distance."""
    speed: NDArray[np.float64]
    """Change of the distance with time, mm/ns; NaN for a bad hit."""
    in_time: NDArray[np.bool_]


@dataclass(frozen=True)
class _Tables:
    plane: NDArray[np.int64]  # [station, projection] -> straw plane or -1
    wires: NDArray[np.int64]  # per plane
    layers: NDArray[np.int64]
    pitch: NDArray[np.float64]
    shift: NDArray[np.float64]
    t0: NDArray[np.float64]  # [plane, layer]
    t_max: NDArray[np.float64]
    rt: NDArray[np.float64]  # [plane, layer, power]


def layer_conditions(
    setup: Setup, conditions: Conditions, station: int, projection: int, layer: int
) -> StrawConditions:
    """Conditions of one layer; `ConditionsError` where they lack it."""
    if (station, projection, layer) not in conditions.straw:
        msg = (
            f"conditions of {conditions.setup}: no straw block for station "
            f"{station} projection {PROJECTIONS[projection]} layer {layer}, which "
            f"setup {setup.name} has; add it to straw.txt"
        )
        raise ConditionsError(msg)
    return conditions.straw[station, projection, layer]


def _tables(setup: Setup, conditions: Conditions) -> _Tables:
    entries = [
        (station, PROJECTIONS.index(p))
        for station in setup.stations_of("straw").values()
        for p in station.projections
    ]
    most = max((s.layers for s, _ in entries), default=1)
    lookup = np.full((256, len(PROJECTIONS)), -1, np.int64)
    powers = max((len(c.rt) for c in conditions.straw.values()), default=1)
    n = len(entries)
    t0, t_max, rt = np.zeros((n, most)), np.zeros((n, most)), np.zeros((n, most, max(powers, 1)))
    shift = np.zeros(n)
    for i, (station, projection) in enumerate(entries):
        lookup[station.number, projection] = i
        alignment = conditions.alignment.get(("straw", station.number, projection))
        shift[i] = alignment.shift if alignment else 0.0
        for layer in range(station.layers):
            straw = layer_conditions(setup, conditions, station.number, projection, layer)
            t0[i, layer], t_max[i, layer] = straw.t0, straw.time_max
            rt[i, layer, : len(straw.rt)] = straw.rt
    return _Tables(
        lookup,
        np.array([s.channels for s, _ in entries], np.int64),
        np.array([s.layers for s, _ in entries], np.int64),
        np.array([s.pitch for s, _ in entries], np.float64),
        shift,
        t0,
        t_max,
        rt,
    )


def count_straws(hits: Hits, setup: Setup, conditions: Conditions) -> StrawCounts:
    """Count what the straw planes saw within the physical drift times.

    A particle crosses one tube of each staggered layer, and near a wall two neighbours of one
    layer; so in-time hits whose wires, both layers together, are at most one pitch apart count
    once. A wire that was hit twice is one hit.
    """
    tables = _tables(setup, conditions)
    station, projection, layer, wire, time = (
        np.ascontiguousarray(hits.columns[f], dtype=t) for f, t in zip(_FIELDS, _TYPES, strict=True)
    )
    return StrawCounts(
        *_count(
            hits.offsets,
            station,
            projection,
            layer,
            wire,
            time,
            tables.plane,
            tables.wires,
            tables.layers,
            tables.t0,
            tables.t_max,
        )
    )


def straw_columns(
    straw: Hits | None, events: int, setup: Setup, conditions: Conditions
) -> dict[str, NDArray[np.int32]]:
    """Columns `straw.*` of the events, zero where the file has no straws (None)."""
    names = ("multiplicity", "min_multiplicity", "hits", "planes")
    if straw is None:
        return {f"straw.{name}": np.zeros(events, np.int32) for name in names}
    counts = count_straws(straw, setup, conditions)
    return {f"straw.{name}": getattr(counts, name) for name in names}


def drift_distance(
    time: NDArray[np.float64],
    t0: NDArray[np.float64],
    time_max: NDArray[np.float64],
    rt: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Distance of the track from the wire, mm: sum of rt[..., k] ((t - t0) / time_max)^k.

    Before t0 it is that at t0. After t0 + time_max it goes on along the tangent: were it cut
    there, the distances of tracks near the wall would be too short on average.
    """
    s = np.maximum((time - t0) / time_max, 0.0)
    inside = np.minimum(s, 1.0)
    total = np.zeros(np.broadcast_shapes(s.shape, rt.shape[:-1]))
    slope = np.zeros(total.shape)
    for k in range(rt.shape[-1] - 1, -1, -1):
        slope = slope * inside + total
        total = total * inside + rt[..., k]
    distance: NDArray[np.float64] = total + slope * (s - inside)
    return distance


def straw_hits(hits: Hits, setup: Setup, conditions: Conditions) -> StrawHits:
    """Wire position and drift distance of every hit, flat; left or right stays open."""
    tables = _tables(setup, conditions)
    station, projection, layer, wire = (
        hits.columns[f].astype(np.int64) for f in ("station", "projection", "layer", "wire")
    )
    time = hits.columns["time"].astype(np.float64)
    inside = projection < len(PROJECTIONS)
    plane = np.where(inside, tables.plane[station, np.where(inside, projection, 0)], -1)
    good = (plane >= 0) & np.isfinite(time)
    if len(tables.wires):
        good &= (wire < tables.wires[plane]) & (layer < tables.layers[plane])
    position, distance, speed = (np.full(len(time), np.nan) for _ in range(3))
    in_time = np.zeros(len(time), np.bool_)
    p, k = plane[good], layer[good]
    middle = (tables.wires[p] - 1) / 2
    position[good] = (wire[good] - middle + k / 2) * tables.pitch[p] + tables.shift[p]
    t0, t_max = tables.t0[p, k], tables.t_max[p, k]
    distance[good], speed[good] = _drift(time[good], t0, t_max, tables.rt, p, k)
    in_time[good] = (time[good] >= t0 - _MARGIN) & (time[good] <= t0 + t_max + _MARGIN)
    return StrawHits(position, distance, speed, in_time)


@njit(cache=True, nogil=True, error_model="numpy")
def _at(time, t0, t_max, rt):  # type: ignore[no-untyped-def]
    """`drift_distance` of one time."""
    s = max((time - t0) / t_max, 0.0)
    inside = min(s, 1.0)
    total = slope = 0.0
    for i in range(len(rt) - 1, -1, -1):
        slope = slope * inside + total
        total = total * inside + rt[i]
    return total + slope * (s - inside)


@njit(cache=True, nogil=True, error_model="numpy")
def _drift(time, t0, t_max, rt, plane, layer):  # type: ignore[no-untyped-def]
    """Distance, and its change in 1 ns about each time (on the tangent beyond the ends)."""
    distance, speed = np.empty(len(time)), np.empty(len(time))
    for i in range(len(time)):
        relation = rt[plane[i], layer[i]]
        distance[i] = _at(time[i], t0[i], t_max[i], relation)
        inside = min(max(time[i], t0[i]), t0[i] + t_max[i])
        late = _at(max(inside + 0.5, t0[i] + 1), t0[i], t_max[i], relation)
        speed[i] = late - _at(max(inside - 0.5, t0[i]), t0[i], t_max[i], relation)
    return distance, speed


@njit(cache=True, nogil=True, error_model="numpy")
def _count(  # type: ignore[no-untyped-def]
    offsets, station, projection, layer, wire, time, lookup, wires, layers, t0, t_max
):
    events, n = len(offsets) - 1, len(wires)
    hits = np.zeros(events, np.int32)
    planes = np.zeros(events, np.int32)
    highest = np.zeros(events, np.int32)
    lowest = np.zeros(events, np.int32)
    ignored = np.zeros(events, np.int32)
    words = 1
    for p in range(n):
        words = max(words, (2 * wires[p] + layers[p]) // 64 + 1)
    # Half-pitch positions as bits: wire i of layer l stands at 2 i + l.
    tubes = np.zeros((n, words), np.uint64)
    for e in range(events):
        total = bad = 0
        for h in range(np.uint64(offsets[e]), np.uint64(offsets[e + 1])):  # no test for below 0
            p, k, t = -1, layer[h], time[h]
            if projection[h] < lookup.shape[1]:
                p = lookup[station[h], projection[h]]
            if p < 0 or wire[h] >= wires[p] or k >= layers[p] or not math.isfinite(t):
                bad += 1
                continue
            drift = t - t0[p, k]
            if drift < -_MARGIN or drift > t_max[p, k] + _MARGIN:
                continue
            total += 1
            position = 2 * np.uint32(wire[h]) + np.uint32(k)
            tubes[p, position >> 6] |= np.uint64(1) << np.uint64(position & 63)
        hits[e], ignored[e] = total, bad
        for p in range(n):
            count = 0
            before = np.uint64(0)
            for w in range(words):
                here = tubes[p, w]
                # A particle begins where the two positions before are empty.
                near = here << np.uint64(1) | here << np.uint64(2)
                near |= before >> np.uint64(63) | before >> np.uint64(62)
                begins = here & ~near
                while begins:
                    begins &= begins - np.uint64(1)  # takes the lowest bit away
                    count += 1
                before = here
                tubes[p, w] = 0
            planes[e] += count > 0
            highest[e] = max(highest[e], count)
            lowest[e] = count if p == 0 else min(lowest[e], count)
    return hits, planes, highest, lowest, ignored
