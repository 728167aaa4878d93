"""Strip hits of Micromegas and GEM to clusters: position, charge, size, time."""

# ruff: noqa: PLR0917 - kernels take flat arrays

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numba import njit

from na64reco.tracking.kernels import BORROWING, ZERO
from na64reco.tracking.planes import TECHNOLOGIES
from na64reco.tracking.room import Room

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.events import Hits
    from na64reco.tracking.planes import Planes

__all__ = ["MAX_GAP", "Clusters", "chambers", "count_in_time", "find_clusters"]

MAX_GAP: Final = 1
"""Strips that may be missing (dead, below threshold) inside a cluster."""
VALLEY: Final = 0.5
"""A strip with less than this share of the peaks on its two sides parts two clusters."""
STRIP_WINDOW: Final = 4.5
"""Half width, in units of the time width, of the loose window for strips."""
CLUSTER_WINDOW: Final = 3.0
"""The same for a cluster to count as in time. Its time is the better known the more strips it
has, unless their times go together: the window suits both."""

_STATIONS: Final = 256  # numbers of stations are uint8
_TINY: Final = 1e-30  # ADC counts; no charge is no hit, whatever the minimum


@dataclass(frozen=True)
class Clusters:
    """Clusters of a chunk of events, sorted by (event, plane, strip).

    The clusters of plane p in event e are those from ``offsets[e * planes + p]`` to
    ``offsets[e * planes + p + 1]``.
    """

    planes: int
    """Number of planes."""
    chamber: NDArray[np.int64]
    """Shape (planes,): the same number for planes that share the charge of a particle."""
    offsets: NDArray[np.int64]
    """Shape (events * planes + 1,)."""
    position: NDArray[np.float64]
    """Along the measured direction in the station's frame, alignment shift applied, mm."""
    charge: NDArray[np.float64]
    """ADC counts."""
    time: NDArray[np.float64]
    """Charge-weighted, relative to that of an in-time hit, ns."""
    time_error: NDArray[np.float64]
    """Of ``time``, where the strips' times are independent, ns."""
    size: NDArray[np.int64]
    """Strips."""
    in_time: NDArray[np.bool_]
    ignored: NDArray[np.int64]
    """Shape (events,): hits left out because they are NaN or infinite, or outside the geometry."""

    def __len__(self) -> int:
        """Number of events."""
        return len(self.ignored)


_EMPTY: Final = (np.uint8, np.uint8, np.uint16, np.float32, np.float32)
_FIELDS: Final = ("station", "projection", "strip", "charge", "time")


def _flat(hits: Hits | None, events: int) -> tuple[NDArray[Any], ...]:
    """(offsets, station, projection, strip, charge, time) of a collection that may be missing."""
    if hits is None:
        return np.zeros(events + 1, np.int64), *(np.empty(0, t) for t in _EMPTY)
    columns = (
        np.ascontiguousarray(hits.columns[f], dtype=t) for f, t in zip(_FIELDS, _EMPTY, strict=True)
    )
    return hits.offsets, *columns


def find_clusters(
    mm: Hits | None,
    gem: Hits | None,
    planes: Planes,
    *,
    max_gap: int = MAX_GAP,
    room: Room | None = None,
) -> Clusters:
    """Cluster the strips of every plane.

    Strips below the plane's minimum charge, dead, or more than `STRIP_WINDOW` time widths off
    are noise. What remains is sorted by strip; strips that are at most ``max_gap + 1`` apart
    belong together, unless a valley (`VALLEY`) shows that they are two particles' clusters; a
    strip that is missing without being dead counts as a valley of the minimum charge. A strip
    that was hit twice counts with its summed charge. The position is the charge-weighted mean of
    the strip centres plus the alignment shift.

    Hits with a NaN or infinite charge or time, or on a plane or strip that the setup does not
    have, are left out and counted in `Clusters.ignored`. There is no limit on their number.

    With a ``room``, the clusters are in its memory.
    """
    if mm is not None and gem is not None and len(mm) != len(gem):
        msg = f"MM hits of {len(mm)} events and GEM hits of {len(gem)}: they must be of the same"
        raise ValueError(msg)
    events = len(mm) if mm is not None else len(gem) if gem is not None else 0
    capacity = 2 * sum(h.size for h in (mm, gem) if h is not None)  # a strip may belong to two
    room = room or Room()
    offsets = room.empty("rows", events * len(planes.z) + 1, dtype=np.int64)
    names = ("position", "charge", "time", "time_error")
    position, charge, time, error = (room.empty(name, capacity) for name in names)
    size = room.empty("size", capacity, dtype=np.int64)
    in_time = room.empty("in_time", capacity, dtype=np.bool_)
    ignored = np.zeros(events, np.int64)
    found = _cluster(
        events, _flat(mm, events), _flat(gem, events), planes, max_gap, offsets, position, charge,
        time, error, size, in_time, ignored,
    )  # fmt: skip
    return Clusters(
        planes=len(planes.z),
        chamber=chambers(planes),
        offsets=offsets,
        position=position[:found],
        charge=charge[:found],
        time=time[:found],
        time_error=error[:found],
        size=size[:found],
        in_time=in_time[:found],
        ignored=ignored,
    )


def chambers(planes: Planes) -> NDArray[np.int64]:
    """`Clusters.chamber` of the planes."""
    return planes.technology * _STATIONS + planes.station


def count_in_time(clusters: Clusters, planes: Planes, technology: str) -> NDArray[np.int32]:
    """In-time clusters of one technology per event, shape (events,)."""
    chosen = planes.technology == TECHNOLOGIES.index(technology)
    return _count(clusters.offsets, clusters.in_time, chosen, len(clusters))


@njit(cache=True, nogil=True, error_model="numpy")
def _count(
    offsets: NDArray[np.int64], in_time: NDArray[np.bool_], chosen: NDArray[np.bool_], events: int
) -> NDArray[np.int32]:
    n = len(chosen)
    counts = np.zeros(events, np.int32)
    for event in range(events):
        for p in range(n):
            if chosen[p]:
                for c in range(offsets[event * n + p], offsets[event * n + p + 1]):
                    if in_time[c]:
                        counts[event] += 1
    return counts


@njit(**BORROWING)
def _sort(strips, charges, times, lo, hi):  # type: ignore[no-untyped-def]
    """Sort [lo, hi) by strip and sum hits of the same strip; returns the new end."""
    end = lo
    for i in range(lo, hi):
        strip, charge, time = strips[i], charges[i], times[i]
        at = end
        while at > lo and strips[at - 1] > strip:
            at -= 1
        if at > lo and strips[at - 1] == strip:
            at -= 1
            both = charges[at] + charge
            times[at] = (charges[at] * times[at] + charge * time) / both
            charges[at] = both
            continue
        for k in range(end, at, -1):
            strips[k], charges[k], times[k] = strips[k - 1], charges[k - 1], times[k - 1]
        strips[at], charges[at], times[at] = strip, charge, time
        end += 1
    return end


@njit(**BORROWING)
def _reserve(begin, end, station, projection, lookup, used, lo, hi, falls):  # type: ignore[no-untyped-def]
    """Give each plane of a collection room for its hits, from ``used`` on."""
    for s in range(lookup.shape[0]):
        for v in range(lookup.shape[1]):
            p = lookup[s, v]
            if p >= 0:
                lo[p] = hi[p] = used
                falls[p] = False
                for h in range(begin, end):
                    used += station[h] == s and projection[h] == v


@njit(**BORROWING)
def _select(  # type: ignore[no-untyped-def]
    begin, end, station, projection, strip, charge, time, lookup, limits, dead,
    reserved, used, lo, hi, falls, strips, charges, times,
):  # fmt: skip
    """Good strips of one collection in one event: those of plane p are put at [lo[p], hi[p]).

    Files hold the hits plane by plane: then the planes' strips are laid one behind the other. Where
    a plane comes back after another one (returns -1), they need the places of `_reserve`.
    ``falls`` says of each plane whether its strips are not in rising order.

    Returns the end of the strips and how many hits were malformed.
    """
    bad = 0
    p, last = -1, -1
    top, before, unsorted = used, -1, False
    number, least, middle, width = 0, 0.0, 0.0, 0.0
    for h in range(np.uint64(begin), np.uint64(end)):  # unsigned: no test for indices below 0
        key = station[h] << 8 | projection[h]
        if key != last:
            if p >= 0:
                hi[p], falls[p] = top, unsorted
            last = key
            p = lookup[station[h], projection[h]] if projection[h] < lookup.shape[1] else -1
            if p >= 0:
                if not reserved and lo[p] >= 0:
                    return -1, 0
                if reserved:
                    top, unsorted = hi[p], falls[p]
                else:
                    lo[p], unsorted = top, False
                before = strips[top - 1] if top > lo[p] else -1
                number, least = int(limits[p, 0]), limits[p, 1]
                middle, width = limits[p, 2], limits[p, 3]
        if p < 0:
            bad += 1
            continue
        s, q, t = int(strip[h]), charge[h], time[h] - middle
        # Any NaN or infinity fails here.
        if s < number and least <= q < math.inf and abs(t) <= width:
            if dead[p, s]:
                continue
            strips[top], charges[top], times[top] = s, q, t
            unsorted |= bool(s <= before)
            before = int(s)
            top += 1
        elif s >= number or not (math.isfinite(q) and math.isfinite(t)):
            bad += 1
    if p >= 0:
        hi[p], falls[p] = top, unsorted
    return top, bad


@njit(**BORROWING, forceinline=True)
def _select_any(  # type: ignore[no-untyped-def]
    begin, end, station, projection, strip, charge, time, lookup, limits, dead,
    used, lo, hi, falls, strips, charges, times,
):  # fmt: skip
    """`_select` for hits in any order. Inlined, since a call hands over 130 numbers."""
    after, bad = _select(
        begin, end, station, projection, strip, charge, time, lookup, limits, dead,
        np.bool_(False), used, lo, hi, falls, strips, charges, times,
    )  # fmt: skip
    if after < 0:
        after = used + end - begin
        _reserve(begin, end, station, projection, lookup, used, lo, hi, falls)
        _, bad = _select(
            begin, end, station, projection, strip, charge, time, lookup, limits, dead,
            np.bool_(True), used, lo, hi, falls, strips, charges, times,
        )  # fmt: skip
    return after, bad


@njit(cache=True, nogil=True, error_model="numpy")
def _cluster(  # type: ignore[no-untyped-def]
    events, mm, gem, planes, max_gap, offsets, position, total, when, when_error, size, in_time,
    ignored,
):  # fmt: skip
    n = len(planes.z)
    channels, pitch, width = planes.channels, planes.pitch, planes.time_width
    zero = planes.shift - 0.5 * (channels - 1) * pitch  # position of strip 0
    min_charge, dead = planes.min_charge, planes.dead
    limits = np.empty((n, 4))  # of good strips: number, least charge, middle and width of times
    for p in range(n):  # one by one: columns as a whole take seconds to compile
        limits[p, 0], limits[p, 1] = channels[p], np.maximum(min_charge[p], _TINY)
        limits[p, 2], limits[p, 3] = planes.time[p], STRIP_WINDOW * width[p]
    largest = 0
    for e in range(events):
        largest = max(largest, mm[0][e + 1] - mm[0][e] + gem[0][e + 1] - gem[0][e])
    strips = np.empty(largest, np.int64)
    charges, times = np.empty(largest), np.empty(largest)
    lo, hi = np.empty(n, np.int64), np.empty(n, np.int64)
    falls = np.empty(n, np.bool_)
    # Arrays are taken out of their tuples here: in the loop, counting references costs more than
    # everything else.
    mm_offsets, mm_station, mm_projection, mm_strip, mm_charge, mm_time = mm
    gem_offsets, gem_station, gem_projection, gem_strip, gem_charge, gem_time = gem
    mm_lookup, gem_lookup = planes.lookup[0], planes.lookup[1]

    offsets[0] = found = 0
    for e in range(events):
        for p in range(n):
            lo[p] = hi[p] = -1
        used, bad = _select_any(
            mm_offsets[e], mm_offsets[e + 1], mm_station, mm_projection, mm_strip, mm_charge,
            mm_time, mm_lookup, limits, dead,
            ZERO, lo, hi, falls, strips, charges, times,
        )  # fmt: skip
        _, bad2 = _select_any(
            gem_offsets[e], gem_offsets[e + 1], gem_station, gem_projection, gem_strip, gem_charge,
            gem_time, gem_lookup, limits, dead,
            used, lo, hi, falls, strips, charges, times,
        )  # fmt: skip
        ignored[e] = bad + bad2
        for p in range(n):
            if hi[p] > lo[p] and falls[p]:
                hi[p] = _sort(strips, charges, times, lo[p], hi[p])
            i, stop, share = lo[p], hi[p], 1.0
            while i < stop:
                first = before = strips[i]
                q = qs = qt = qq = 0.0
                j, low, high, low_at = i, math.inf, 0.0, i
                split = shared = False
                while j < stop:
                    here, this = strips[j], charges[j]
                    if here - before > 1:
                        if here - before - 1 > max_gap:
                            break
                        for strip in range(before + 1, here):
                            if not dead[p, strip] and min_charge[p] < low:
                                low, low_at, shared = min_charge[p], j, False
                    if low < VALLEY * min(high, this):
                        split = True
                        break
                    if this >= high:
                        high, low = this, math.inf
                    elif this < low:
                        low, low_at, shared = this, j, True
                    part = this if j > i else share * this
                    q += part
                    qs += part * (here - first)  # relative to the first: no loss of precision
                    qt += part * times[j]
                    qq += part * part
                    before = here
                    j += 1
                next_share = 1.0
                if split:
                    # A strip in a valley belongs to both sides, half to each, a missing one to
                    # none.
                    j = low_at + 1 if shared else low_at
                    q = qs = qt = qq = 0.0
                    for k in range(i, j):
                        part = charges[k] if k > i else share * charges[k]
                        if shared and k == j - 1:
                            part *= 0.5
                            next_share = 0.5
                        q += part
                        qs += part * (strips[k] - first)
                        qt += part * times[k]
                        qq += part * part
                scale = 1.0 / q
                position[found] = (first + qs * scale) * pitch[p] + zero[p]
                total[found] = q
                when[found] = qt * scale
                when_error[found] = width[p] * math.sqrt(qq) * scale
                size[found] = j - i
                in_time[found] = abs(qt * scale) <= CLUSTER_WINDOW * width[p]
                found += 1
                i = j - 1 if next_share < 1.0 else j
                share = next_share
            offsets[e * n + p + 1] = found
    return found
