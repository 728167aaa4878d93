"""Straw hits as points on a track: each layer a plane, left or right of the wire resolved.

A track passes the wire at the drift distance on either side. In the other layer, staggered by half
a pitch, the hit of the same particle stands next to it, and the track runs between the two wires:
that tells the side. Both distances together are the distance of the wires, unless the particle
came at another time than the trigger: that tells the time, to sqrt(2) resolutions / (2 drift
speeds), 3 ns. A hit without such a neighbour goes to the track finder as two points, without time.
"""

# ruff: noqa: PLR0917 - kernels take flat arrays

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np
from numba import njit

from na64reco.tracking.planes import PROJECTIONS, Planes, choose_spectrometer
from na64reco.tracking.straws import layer_conditions, straw_hits

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.calibration import Conditions
    from na64reco.events import Hits
    from na64reco.setup import Setup
    from na64reco.tracking.clusters import Clusters

__all__ = ["STRAW", "add_straw_planes", "add_straw_points", "straw_stations"]

STRAW: Final = 2
"""`Planes.technology` of a straw layer."""
_PAIR_TIME: Final = 25.0
"""Largest time of a pair of hits, ns: that of the strips' clusters, three widths of 8 ns."""
_SLOWEST: Final = 0.01  # mm/ns, for a r-t relation that falls at its ends
_NO_TIME: Final = 1e4  # ns: a straw alone says nothing about the time of its track


def straw_stations(setup: Setup, spectrometer: str) -> tuple[str, ...]:
    """Straw stations that a spectrometer lists among its planes."""
    chosen = choose_spectrometer(setup, spectrometer)
    names = (*chosen.upstream, *chosen.downstream)
    return tuple(n for n in names if setup.stations[n].technology == "straw")


def add_straw_planes(
    planes: Planes, setup: Setup, conditions: Conditions, stations: tuple[str, ...]
) -> tuple[Planes, NDArray[np.int64]]:
    """Planes with every layer of ``stations`` as one more, in the order along the beam.

    Their resolution is that of the drift distance in the conditions.

    Returns
    -------
    tuple
        The planes, and the plane's index by [station number, projection, layer], -1 where none.

    Raises
    ------
    ConditionsError
        Where the conditions lack a layer.
    """
    entries = [
        (setup.stations[n], p, layer)
        for n in stations
        for p in setup.stations[n].projections
        for layer in range(setup.stations[n].layers)
    ]
    old, n = len(planes.z), len(entries)
    lookup = np.full((256, len(PROJECTIONS), 4), -1, np.int64)
    new = {f: np.zeros(n, planes._asdict()[f].dtype) for f in Planes._fields}
    for i, (station, name, layer) in enumerate(entries):
        number = PROJECTIONS.index(name)
        alignment = conditions.alignment.get(("straw", station.number, number))
        shift, rotation = (alignment.shift, alignment.rotation) if alignment else (0.0, 0.0)
        angle = math.radians(station.angles[name]) + rotation * 1e-3
        straw = layer_conditions(setup, conditions, station.number, number, layer)
        middle = (station.layers - 1) / 2
        values = {
            "technology": STRAW,
            "station": station.number,
            "projection": number,
            "z": station.projection_z(name) + (layer - middle) * station.layer_spacing,
            "cos": math.cos(angle),
            "sin": math.sin(angle),
            "origin": station.x * math.cos(angle) + station.y * math.sin(angle),
            "shift": shift,
            "pitch": station.pitch,
            "channels": station.channels,
            "resolution": straw.resolution,
            "time": straw.t0,
            "time_width": straw.time_max,
        }
        for f, value in values.items():
            new[f][i] = value
        lookup[station.number, number, layer] = old + i
    order = np.argsort(np.concatenate((planes.z, new["z"])), kind="stable")
    place = np.argsort(order)
    columns = {
        f: np.concatenate((getattr(planes, f), new[f]))[order]
        for f in Planes._fields
        if f not in {"dead", "lookup"}
    }
    dead = np.concatenate((planes.dead, np.zeros((n, planes.dead.shape[1]), np.bool_)))[order]
    strips = np.where(planes.lookup >= 0, place[planes.lookup], -1)
    straws = np.where(lookup >= 0, place[lookup], -1)
    return Planes(**columns, dead=dead, lookup=strips), straws


def add_straw_points(
    clusters: Clusters,
    hits: Hits,
    setup: Setup,
    conditions: Conditions,
    planes: Planes,
    lookup: NDArray[np.int64],
) -> tuple[Clusters, NDArray[np.float64]]:
    """Clusters of strips together with the points of the straws of `add_straw_planes`.

    A point has no charge; only hits within the physical drift times count.

    Returns
    -------
    tuple
        The clusters, and for each the position on the other side of the wire, mm: NaN for strips.
    """
    points = straw_hits(hits, setup, conditions)
    station, projection, layer = (
        hits.columns[f].astype(np.int64) for f in ("station", "projection", "layer")
    )
    known = points.in_time & (projection < lookup.shape[1]) & (layer < lookup.shape[2])
    plane = np.full(len(station), -1, np.int64)
    plane[known] = lookup[station[known], projection[known], layer[known]]
    n = clusters.planes
    slope = np.array([setup.beam_slope(z) for z in planes.z]) * planes.cos
    sides, when, error = _sides(
        hits.offsets,
        plane,
        points.wire,
        points.distance,
        np.maximum(points.speed, _SLOWEST),
        planes.station * len(PROJECTIONS) + planes.projection,
        planes.z,
        planes.pitch,
        planes.resolution,
        slope,
    )
    event = np.repeat(np.arange(len(clusters)), np.diff(hits.offsets))
    row = np.concatenate([(event * n + plane)[sides[:, s]] for s in (0, 1)])
    wire = np.concatenate([points.wire[sides[:, s]] for s in (0, 1)])
    drift = np.concatenate([sign * points.distance[sides[:, s]] for s, sign in ((0, -1), (1, 1))])
    when, error = (np.concatenate([a[sides[:, s]] for s in (0, 1)]) for a in (when, error))
    order = np.lexsort((wire + drift, row))
    row, wire, drift, when, error = (a[order] for a in (row, wire, drift, when, error))
    before = np.zeros(len(clusters) * n + 1, np.int64)
    np.cumsum(np.bincount(row, minlength=len(clusters) * n), out=before[1:])
    old = np.arange(len(clusters.position)) + np.repeat(before[:-1], np.diff(clusters.offsets))
    # Straw planes have no strips: the points of a row come behind all clusters before it.
    new = np.arange(len(row)) + clusters.offsets[row]
    total = len(old) + len(new)

    def merge(
        values: NDArray[np.float64], value: float | NDArray[np.float64]
    ) -> NDArray[np.float64]:
        out = np.empty(total, values.dtype)
        out[old], out[new] = values, value
        return out

    in_time = np.ones(total, np.bool_)
    in_time[old] = clusters.in_time
    size = np.ones(total, np.int64)
    size[old] = clusters.size
    mirror = np.full(total, np.nan)
    mirror[new] = wire - drift
    joined = replace(
        clusters,
        offsets=clusters.offsets + before,
        position=merge(clusters.position, wire + drift),
        charge=merge(clusters.charge, 0.0),
        time=merge(clusters.time, when),
        time_error=merge(clusters.time_error, error),
        size=size,
        in_time=in_time,
    )
    return joined, mirror


@njit(cache=True, nogil=True, error_model="numpy")
def _sides(  # type: ignore[no-untyped-def]
    offsets, plane, wire, distance, speed, group, z, pitch, resolution, slope
):
    """Whether each hit may be (left, right) of its wire, its time and the error of that.

    Each layer's share of a pair's time has sqrt(2) times the error of the pair.
    """
    n = len(plane)
    sides = np.zeros((n, 2), np.bool_)
    time, error = np.zeros(n), np.full(n, _NO_TIME)
    for e in range(len(offsets) - 1):
        for h in range(offsets[e], offsets[e + 1]):
            p = plane[h]
            if p < 0:
                continue
            nearest = _PAIR_TIME
            for k in range(offsets[e], offsets[e + 1]):
                q = plane[k]
                if q < 0 or q == p or group[q] != group[p]:
                    continue
                if abs(wire[k] - wire[h]) > 0.75 * pitch[p]:
                    continue
                gap = wire[k] - wire[h] - slope[p] * (z[q] - z[p])
                both = speed[h] + speed[k]
                late = (distance[h] + distance[k] - abs(gap)) / both
                if abs(late) < nearest:
                    nearest = abs(late)
                    sides[h, 0], sides[h, 1] = gap < 0, gap > 0
                    time[h] = late
                    error[h] = math.sqrt(2 * (resolution[p] ** 2 + resolution[q] ** 2)) / both
            if not (sides[h, 0] or sides[h, 1]):
                sides[h, :] = True
    return sides, time, error
