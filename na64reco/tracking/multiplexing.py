"""Micromegas with several strips on each readout channel: from channels back to strips.

A channel that fires stands for all of its strips. Since two channels are neighbours only in one
place (`Station.channel_of_strip`), neighbouring strips that all fire are nearly always the ones
that were hit; where two particles cross a plane, some of their channels may be neighbours
elsewhere by chance. Those candidates stay, and the track finder chooses.
"""

# ruff: noqa: PLR0917 - kernels take flat arrays

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np
from numba import njit

from na64reco.events import Hits
from na64reco.tracking.clusters import STRIP_WINDOW
from na64reco.tracking.kernels import ZERO

if TYPE_CHECKING:
    from na64reco.setup import Setup
    from na64reco.tracking.planes import Planes

__all__ = ["MIN_SIZE", "unfold_hits"]

MIN_SIZE: Final = 2
"""Neighbouring strips that make a candidate. One strip alone could be any of its channel's."""
_DE_BRUIJN: Final = np.uint64(0x03F79D71B4CB0A89)
_PLACES: Final = np.zeros(64, np.int64)
"""Place of the one bit of a word times the constant above, by its first six bits (C. Leiserson et
al., Using de Bruijn Sequences to Index a 1 in a Computer Word, 1998)."""
for _bit in range(64):
    _PLACES[((1 << _bit) * int(_DE_BRUIJN) & (2**64 - 1)) >> 58] = _bit
_OUTSIDE: Final = 65535  # no station has such a strip: the clusters count it as malformed


def unfold_hits(hits: Hits, setup: Setup, planes: Planes, *, min_size: int = MIN_SIZE) -> Hits:
    """Micromegas hits with strips in the place of channels; the same object without multiplexing.

    In each plane, the strips of all channels that fire above the plane's minimum charge and
    within the time window of strips are put side by side. At least ``min_size`` neighbours (dead
    strips between them do not part them) are a candidate, unless all of its channels belong to
    longer candidates. A hit counts once in every candidate that its channel is part of, with its
    whole charge. Hits of other planes stay as they are, malformed ones get a strip outside of the
    plane.
    """
    stations = [s for s in setup.stations_of("mm").values() if s.multiplexing > 1]
    if not stations:
        return hits
    most = max(s.multiplexing for s in stations)
    widest = max(s.channels for s in stations)
    n = len(planes.z)
    strips_of = np.full((n, widest // 2, most), -1, np.int64)
    channel_of = np.full((n, widest), -1, np.int64)
    readout = np.zeros(n, np.int64)
    for station in stations:
        for p in planes.lookup[0, station.number]:
            if p >= 0:
                readout[p] = station.channels // station.multiplexing
                channel_of[p, : station.channels] = station.channel_of_strip
                order = np.argsort(station.channel_of_strip, kind="stable")
                strips_of[p, : readout[p], : station.multiplexing] = order.reshape(readout[p], -1)
    columns = hits.columns
    offsets, source, strip = _unfold(
        hits.offsets,
        np.ascontiguousarray(columns["station"], np.uint8),
        np.ascontiguousarray(columns["projection"], np.uint8),
        np.ascontiguousarray(columns["strip"], np.uint16),
        np.ascontiguousarray(columns["charge"], np.float32),
        np.ascontiguousarray(columns["time"], np.float32),
        planes.lookup[0],
        planes.min_charge,
        planes.time,
        STRIP_WINDOW * planes.time_width,
        planes.dead,
        readout,
        strips_of,
        channel_of,
        min_size,
    )
    unfolded = {name: column[source] for name, column in columns.items()}
    return Hits(offsets, unfolded | {"strip": strip})


@njit(cache=True, nogil=True, error_model="numpy")
def _runs(order, n, dead, run, length):  # type: ignore[no-untyped-def]
    """Number the candidates among the strips ``order[:n]`` (rising); counts strips of each."""
    found = -1
    last = -2
    for i in range(n):
        strip = order[i]
        joined = last >= 0
        for between in range(last + 1, strip):
            if between >= len(dead) or not dead[between]:
                joined = False
                break
        if not joined:
            found += 1
            length[found] = 0
        run[strip] = found
        length[found] += 1
        last = strip
    return found + 1


@njit(cache=True, nogil=True, error_model="numpy")
def _unfold(  # type: ignore[no-untyped-def]
    offsets, station, projection, strip, charge, time, lookup, min_charge, middle, window, dead,
    readout, strips_of, channel_of, min_size,
):  # fmt: skip
    events, most = len(offsets) - 1, strips_of.shape[2]
    planes, width = channel_of.shape
    out_offsets = np.zeros(events + 1, np.int64)
    source = np.empty(len(strip) * most, np.int64)
    out = np.empty(len(strip) * most, np.uint16)
    # Strips that are on, by plane and as bits: nothing is done for the many others.
    words = np.zeros((planes, (width + 63) // 64), np.uint64)
    order = np.empty(width, np.int64)
    one, last = np.uint64(1), np.uint64(63)
    run, length = np.empty(width, np.int64), np.empty(width)
    best = np.empty(width)  # longest candidate of each channel
    keep = np.full((planes, width), -1)  # the last event that keeps a strip
    made = 0
    for e in range(events):
        for h in range(offsets[e], offsets[e + 1]):
            p = lookup[station[h], projection[h]] if projection[h] < lookup.shape[1] else -1
            if p < 0 or readout[p] == 0:
                continue
            good = strip[h] < readout[p] and max(min_charge[p], 1e-30) <= charge[h] < math.inf
            if good and abs(time[h] - middle[p]) <= window[p]:
                for k in range(most):
                    s = strips_of[p, strip[h], k]
                    if s >= 0 and not dead[p, s]:
                        words[p, s >> 6] |= one << (np.uint64(s) & last)
        for p in range(planes):
            n = ZERO
            for w in range(words.shape[1]):
                here = words[p, w]
                while here:
                    lowest = here & (~here + one)
                    order[n] = 64 * w + _PLACES[(lowest * _DE_BRUIJN) >> np.uint64(58)]
                    here ^= lowest
                    n += 1
                words[p, w] = 0
            if n == 0:
                continue
            runs = _runs(order, n, dead[p], run, length)
            for i in range(n):
                best[channel_of[p, order[i]]] = 0
            for i in range(n):
                c = channel_of[p, order[i]]
                best[c] = max(best[c], length[run[order[i]]])
            i = 0
            for r in range(runs):
                end = i + int(length[r])
                alone = False  # has a channel that no longer candidate explains
                for k in range(i, end):
                    alone |= best[channel_of[p, order[k]]] <= length[r]
                if length[r] >= min_size and alone:
                    for k in range(i, end):
                        keep[p, order[k]] = e
                i = end
        for h in range(offsets[e], offsets[e + 1]):
            p = lookup[station[h], projection[h]] if projection[h] < lookup.shape[1] else -1
            whole = p < 0 or readout[p] == 0
            bad = not whole and (
                strip[h] >= readout[p] or not math.isfinite(charge[h]) or not math.isfinite(time[h])
            )
            if whole or bad:
                source[made], out[made] = h, _OUTSIDE if bad else strip[h]
                made += 1
                continue
            if charge[h] < min_charge[p] or abs(time[h] - middle[p]) > window[p]:
                continue
            for k in range(most):
                s = strips_of[p, strip[h], k]
                if s >= 0 and keep[p, s] == e:
                    source[made], out[made] = h, s
                    made += 1
        out_offsets[e + 1] = made
    return out_offsets, source[:made].copy(), out[:made].copy()
