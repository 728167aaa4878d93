"""Straw hits as points on a track: each layer a plane, left or right of the wire resolved.

A track passes the wire at the drift distance on either side. In the other layer, staggered by half
a pitch, the hit of the same particle agrees with only one of the sides, unless one of the two
tracks runs along a wire: what stays open goes to the track finder as two points.
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
_AGREE: Final = 4.0  # standard deviations between the two layers of a pair
_SLOPE: Final = 0.02  # largest angle to the nominal beam that a pair allows for
_NO_TIME: Final = 1e4  # ns: a straw says nothing about the time of its track


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
) -> Clusters:
    """Clusters of strips together with the points of the straws of `add_straw_planes`.

    A point has no charge and no time of its own; only hits within the physical drift times count.
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
    sides = _sides(
        hits.offsets,
        plane,
        points.wire,
        points.distance,
        planes.station * len(PROJECTIONS) + planes.projection,
        planes.z,
        planes.pitch,
        planes.resolution,
        slope,
    )
    event = np.repeat(np.arange(len(clusters)), np.diff(hits.offsets))
    row = np.concatenate([(event * n + plane)[sides[:, s]] for s in (0, 1)])
    position = np.concatenate(
        [(points.wire + sign * points.distance)[sides[:, s]] for s, sign in ((0, -1), (1, 1))]
    )
    order = np.lexsort((position, row))
    row, position = row[order], position[order]
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
    return replace(
        clusters,
        offsets=clusters.offsets + before,
        position=merge(clusters.position, position),
        charge=merge(clusters.charge, 0.0),
        time=merge(clusters.time, 0.0),
        time_error=merge(clusters.time_error, _NO_TIME),
        size=size,
        in_time=in_time,
    )


@njit(cache=True, nogil=True, error_model="numpy")
def _sides(offsets, plane, wire, distance, group, z, pitch, resolution, slope):  # type: ignore[no-untyped-def]
    """Whether each hit may be (left, right) of its wire, shape (hits, 2).

    Both, where no hit of the staggered layer agrees with one of the sides only.
    """
    sides = np.zeros((len(plane), 2), np.bool_)
    for e in range(len(offsets) - 1):
        for h in range(offsets[e], offsets[e + 1]):
            p = plane[h]
            if p < 0:
                continue
            for k in range(offsets[e], offsets[e + 1]):
                q = plane[k]
                if q < 0 or q == p or group[q] != group[p]:
                    continue
                if abs(wire[k] - wire[h]) > 0.75 * pitch[p]:
                    continue
                dz = z[q] - z[p]
                sigma = math.sqrt(resolution[p] ** 2 + resolution[q] ** 2)
                road = _AGREE * sigma + _SLOPE * abs(dz)
                gap = wire[k] - wire[h] - slope[p] * dz
                for s in range(2):
                    for t in range(2):
                        off = gap + (2 * t - 1) * distance[k] - (2 * s - 1) * distance[h]
                        if abs(off) <= road:
                            sides[h, s] = True
            if not (sides[h, 0] or sides[h, 1]):
                sides[h, :] = True
    return sides
