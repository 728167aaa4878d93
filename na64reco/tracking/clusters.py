"""Strip hits of Micromegas and GEM to clusters: position, charge, size, time."""

# ruff: noqa: PLR0917 - kernels take flat arrays

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numba import njit

from na64reco.tracking.planes import TECHNOLOGIES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.events import Hits
    from na64reco.tracking.planes import Planes

__all__ = ["MAX_GAP", "Clusters", "count_in_time", "find_clusters"]

MAX_GAP: Final = 1
"""Strips that may be missing (dead, below threshold) inside a cluster."""
VALLEY: Final = 0.5
"""A strip with less than this share of the peaks on its two sides parts two clusters."""
STRIP_WINDOW: Final = 4.5
"""Half width, in units of the time width, of the loose window for strips."""
CLUSTER_WINDOW: Final = 3.0
"""The same for a cluster to count as in time. Its time is the better known the more strips it
has, unless their times go together: the window suits both."""

_INSERTION_LIMIT: Final = 48  # above it, a real sort is faster


@dataclass(frozen=True)
class Clusters:
    """Clusters of a chunk of events, sorted by (event, plane, strip).

    The clusters of plane p in event e are those from ``offsets[e * planes + p]`` to
    ``offsets[e * planes + p + 1]``.
    """

    planes: int
    """Number of planes."""
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
    mm: Hits | None, gem: Hits | None, planes: Planes, *, max_gap: int = MAX_GAP
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
    """
    if mm is not None and gem is not None and len(mm) != len(gem):
        msg = f"MM hits of {len(mm)} events and GEM hits of {len(gem)}: they must be of the same"
        raise ValueError(msg)
    events = len(mm) if mm is not None else len(gem) if gem is not None else 0
    result = _cluster(events, _flat(mm, events), _flat(gem, events), planes, max_gap)
    return Clusters(len(planes.z), *result)


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


@njit(cache=True, nogil=True, error_model="numpy")
def _sort_by(keys: NDArray[np.int64], order: NDArray[np.int64], lo: int, hi: int) -> None:
    """Sort ``order[lo:hi]`` so that ``keys[order]`` rises."""
    if hi - lo > _INSERTION_LIMIT:
        part = order[lo:hi].copy()
        by_key = np.argsort(keys[part], kind="mergesort")
        for i in range(hi - lo):
            order[lo + i] = part[by_key[i]]
        return
    for i in range(lo + 1, hi):
        this = order[i]
        key = keys[this]
        j = i - 1
        while j >= lo and keys[order[j]] > key:
            order[j + 1] = order[j]
            j -= 1
        order[j + 1] = this


@njit(cache=True, nogil=True, error_model="numpy")
def _merge_repeated(  # type: ignore[no-untyped-def]
    strips, charges, times, order, lo, hi
):
    """Sum hits of the same strip in the sorted ``order[lo:hi]``; returns the new end."""
    end = lo
    for i in range(lo, hi):
        h = order[i]
        if end > lo and strips[order[end - 1]] == strips[h]:
            kept = order[end - 1]
            both = charges[kept] + charges[h]
            times[kept] = (charges[kept] * times[kept] + charges[h] * times[h]) / both
            charges[kept] = both
        else:
            order[end] = h
            end += 1
    return end


@njit(cache=True, nogil=True, error_model="numpy")
def _select(  # type: ignore[no-untyped-def]
    begin, end, station, projection, strip, charge, time, lookup, channels, min_charge, dead,
    mean_time, time_width, used, strips, charges, times, plane_of, counts,
):  # fmt: skip
    """Append good strips of one collection in one event to the scratch arrays.

    Returns their new number and how many hits were malformed.
    """
    bad = 0
    for h in range(begin, end):
        q, t = charge[h], time[h]
        p = -1
        if projection[h] < lookup.shape[1]:
            p = lookup[station[h], projection[h]]
        if p < 0 or strip[h] >= channels[p] or not (np.isfinite(q) and np.isfinite(t)):
            bad += 1
            continue
        if q < min_charge[p] or q <= 0 or dead[p, strip[h]]:
            continue
        residual = t - mean_time[p]
        if abs(residual) > STRIP_WINDOW * time_width[p]:
            continue
        strips[used] = strip[h]
        charges[used] = q
        times[used] = residual
        plane_of[used] = p
        counts[p] += 1
        used += 1
    return used, bad


@njit(cache=True, nogil=True, error_model="numpy")
def _cluster(events, mm, gem, planes, max_gap):  # type: ignore[no-untyped-def]
    n = len(planes.z)
    channels, pitch, shift = planes.channels, planes.pitch, planes.shift
    min_charge, dead = planes.min_charge, planes.dead
    mean_time, width = planes.time, planes.time_width
    capacity = 2 * (len(mm[4]) + len(gem[4]))  # a shared strip may belong to two
    position = np.empty(capacity)
    total = np.empty(capacity)
    when, when_error = np.empty(capacity), np.empty(capacity)
    size = np.empty(capacity, np.int64)
    in_time = np.empty(capacity, np.bool_)
    offsets = np.zeros(events * n + 1, np.int64)
    ignored = np.zeros(events, np.int64)

    largest = 0
    for e in range(events):
        largest = max(largest, mm[0][e + 1] - mm[0][e] + gem[0][e + 1] - gem[0][e])
    strips = np.empty(largest, np.int64)
    charges = np.empty(largest)
    times = np.empty(largest)
    plane_of = np.empty(largest, np.int64)
    order = np.empty(largest, np.int64)
    counts = np.zeros(n + 1, np.int64)

    found = 0
    for e in range(events):
        counts[:] = 0
        used, bad = _select(
            mm[0][e], mm[0][e + 1], mm[1], mm[2], mm[3], mm[4], mm[5], planes.lookup[0],
            channels, min_charge, dead, mean_time, width,
            0, strips, charges, times, plane_of, counts,
        )  # fmt: skip
        used, bad2 = _select(
            gem[0][e], gem[0][e + 1], gem[1], gem[2], gem[3], gem[4], gem[5], planes.lookup[1],
            channels, min_charge, dead, mean_time, width,
            used, strips, charges, times, plane_of, counts,
        )  # fmt: skip
        ignored[e] = bad + bad2
        # Bucket by plane, then sort each bucket by strip.
        end = 0
        for p in range(n):
            end += counts[p]
            counts[p] = end
        for i in range(used - 1, -1, -1):
            p = plane_of[i]
            counts[p] -= 1
            order[counts[p]] = i
        counts[n] = used
        for p in range(n):
            lo, hi = counts[p], counts[p + 1]
            _sort_by(strips, order, lo, hi)
            hi = _merge_repeated(strips, charges, times, order, lo, hi)
            i, share = lo, 1.0
            while i < hi:
                first = strips[order[i]]
                q = qs = qt = qq = 0.0
                j, low, high, low_at, split = i, math.inf, 0.0, i, False
                while j < hi:
                    h = order[j]
                    this = charges[h]
                    if j > i:
                        gap = strips[h] - strips[order[j - 1]] - 1
                        if gap > max_gap:
                            break
                        for strip in range(strips[h] - gap, strips[h]):
                            if not dead[p, strip] and min_charge[p] < low:
                                low, low_at = min_charge[p], j
                        if low < VALLEY * min(high, this):
                            split = True
                            break
                    if this >= high:
                        high, low = this, math.inf
                    elif this < low:
                        low, low_at = this, j
                    j += 1
                # The strip in a valley belongs to both sides, half to each. A missing one to none.
                shared = split and low == charges[order[low_at]]
                end = j if not split else (low_at + 1 if shared else low_at)
                for k in range(i, end):
                    h = order[k]
                    part = charges[h]
                    if k == i:
                        part *= share
                    if shared and k == end - 1:
                        part *= 0.5
                    q += part
                    qs += part * (strips[h] - first)  # relative to the first: no loss of precision
                    qt += part * times[h]
                    qq += part * part
                position[found] = (first + qs / q - 0.5 * (channels[p] - 1)) * pitch[p] + shift[p]
                total[found] = q
                when[found] = qt / q
                when_error[found] = width[p] * math.sqrt(qq) / q
                size[found] = end - i
                in_time[found] = abs(qt / q) <= CLUSTER_WINDOW * width[p]
                found += 1
                i = end - 1 if shared else end
                share = 0.5 if shared else 1.0
            offsets[e * n + p + 1] = found
    return (
        offsets,
        position[:found].copy(),
        total[:found].copy(),
        when[:found].copy(),
        when_error[:found].copy(),
        size[:found].copy(),
        in_time[:found].copy(),
        ignored,
    )
