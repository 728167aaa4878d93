"""Beam momentum stations: hits of scintillator hodoscopes to coordinates.

A slab says that the particle went through it, no more: its centre is the coordinate, pitch /
sqrt(12) the resolution. Neighbouring slabs that fire together are one particle in their overlap:
the coordinate is their mean. A coordinate is in the global frame, along the direction that the
station measures, as those of `na64reco.tracking.reconstruct.measurements`.

These coordinates are not in the fit. The errors of slabs are not normal, and those of stations
that stand close together are not independent, so that neither chi2 nor p-value would be right.
"""

# ruff: noqa: PLR0917 - kernels take flat arrays

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.events import Hits
    from na64reco.setup import Setup

__all__ = ["IN_TIME", "HodoscopePoints", "hodoscope_points"]

IN_TIME: Final = 3.0
"""Half width of the window for hits, ns: several times the resolution of scintillator slabs and
of the trigger, assumed."""


@dataclass(frozen=True)
class HodoscopePoints:
    """Points of all stations; those of station s in event e begin at offsets[e * stations + s]."""

    stations: tuple[str, ...]
    """Along the beam."""
    offsets: NDArray[np.int64]
    """Shape (events * stations + 1,)."""
    position: NDArray[np.float64]
    """Global x cos a + y sin a, mm."""
    sigma: NDArray[np.float64]
    """mm."""
    time: NDArray[np.float64]
    """Mean of the slabs, ns."""
    size: NDArray[np.int64]
    """Slabs."""
    ignored: NDArray[np.int64]
    """Shape (events,): hits with a NaN or infinite time, or outside the geometry."""


def hodoscope_points(
    hits: Hits, setup: Setup, *, time: float = 0.0, window: float = IN_TIME
) -> HodoscopePoints:
    """Points in every event.

    Parameters
    ----------
    hits
        Collection ``BMS``: station, channel, time.
    time, window
        Hits within ``window`` of ``time`` (ns) count.

    Returns
    -------
    HodoscopePoints
        No hits, stations that the setup lacks and channels that a station lacks make no points.
    """
    known = setup.stations_of("bms")
    lookup = np.full(256, -1, np.int64)
    constants = np.zeros((len(known), 3))
    for s, station in enumerate(known.values()):
        lookup[station.number] = s
        angle = math.radians(next(iter(station.angles.values())))
        origin = station.x * math.cos(angle) + station.y * math.sin(angle)
        constants[s] = station.channels, station.pitch, origin
    return HodoscopePoints(
        tuple(known),
        *_points(
            hits.offsets,
            hits.columns["station"].astype(np.uint8),
            hits.columns["channel"].astype(np.uint16),
            hits.columns["time"].astype(np.float32),
            lookup,
            constants,
            time,
            window,
        ),
    )


@njit(cache=True, nogil=True, error_model="numpy")
def _points(  # type: ignore[no-untyped-def]
    offsets, station, channel, time, lookup, constants, middle, window
):
    events, n = len(offsets) - 1, len(constants)
    total = offsets[events]
    starts = np.zeros(events * n + 1, np.int64)
    position, sigma, mean = np.empty(total), np.empty(total), np.empty(total)
    size = np.empty(total, np.int64)
    ignored = np.zeros(events, np.int64)
    most = 1
    for s in range(n):
        most = max(most, int(constants[s, 0]))
    fired, when = np.zeros((n, most), np.bool_), np.zeros((n, most))
    made = 0
    for e in range(events):
        fired[:, :] = False
        for h in range(offsets[e], offsets[e + 1]):
            s, t = lookup[station[h]], time[h] - middle
            if s < 0 or channel[h] >= constants[s, 0] or not math.isfinite(t):
                ignored[e] += 1
                continue
            c = channel[h]
            # of two hits of a slab the one nearer to the trigger
            if abs(t) <= window and (not fired[s, c] or abs(t) < abs(when[s, c])):
                fired[s, c], when[s, c] = True, t
        for s in range(n):
            channels, pitch, origin = int(constants[s, 0]), constants[s, 1], constants[s, 2]
            c = 0
            while c < channels:
                if not fired[s, c]:
                    c += 1
                    continue
                first, sum_time = c, 0.0
                while c < channels and fired[s, c]:
                    sum_time += when[s, c]
                    c += 1
                slabs = c - first
                position[made] = (0.5 * (first + c - 1) - 0.5 * (channels - 1)) * pitch + origin
                sigma[made] = pitch / math.sqrt(12.0)
                mean[made] = sum_time / slabs
                size[made] = slabs
                made += 1
            starts[e * n + s + 1] = made
    return (
        starts,
        position[:made].copy(),
        sigma[:made].copy(),
        mean[:made].copy(),
        size[:made].copy(),
        ignored,
    )
