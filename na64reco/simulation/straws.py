"""Straws: drift times in staggered layers.

A charged particle fires the straw that it crosses, with an efficiency that falls to nothing at the
wall, at the time of the true drift-time relation plus the particle's own time. Of several hits on a
wire the first is read out. Some hits fire a neighbour (cross-talk), some wires fire alone. Left
out: signal propagation along the wire, delta electrons, drift-time tails.
"""

# ruff: noqa: PLR0917 - kernels take flat arrays
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numba
import numpy as np

from na64reco.events.columns import Hits
from na64reco.simulation.detector import PROJECTION_INDEX
from na64reco.simulation.strips import TRACKER_WINDOW

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.setup.model import Setup
    from na64reco.simulation.detector import Detector
    from na64reco.simulation.tracks import Tracks
    from na64reco.simulation.transport import Beamline, Paths

__all__ = ["straw_hits"]


@numba.njit(cache=True, nogil=True)
def _straws(
    rng: Any,
    first: NDArray[np.int64],
    times: NDArray[np.float64],
    charged: NDArray[np.bool_],
    surface: NDArray[np.int64],
    geometry: NDArray[np.float64],
    response: NDArray[np.float64],
    most: int,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    tx: NDArray[np.float64],
    ty: NDArray[np.float64],
    window: float,
    counts: NDArray[np.int64],
    out_plane: NDArray[np.int64],
    out_wire: NDArray[np.uint16],
    out_time: NDArray[np.float32],
) -> int:
    fired = np.full(most, np.inf)
    touched = np.zeros(most, dtype=np.int64)
    total = 0
    for event in range(len(first) - 1):
        begin = total
        for plane in range(len(surface)):
            x0, y0, dz, cosine, sine, pitch, channels, stagger = geometry[plane]
            wires = int(channels)
            shift, efficiency, t0, time_max, bow, sigma_t, noise, crosstalk, radius = response[
                plane
            ]
            s = surface[plane]
            n = 0
            for row in range(first[event], first[event + 1]):
                if not charged[row] or np.isnan(x[row, s]) or abs(times[row]) > window:
                    continue
                dx = x[row, s] + dz * tx[row, s] - x0
                dy = y[row, s] + dz * ty[row, s] - y0
                if abs(dx * sine - dy * cosine) > channels * pitch / 2:
                    continue
                position = (dx * cosine + dy * sine - shift) / pitch
                position += (channels - 1) / 2 - stagger
                wire = int(np.floor(position + 0.5))
                if wire < 0 or wire >= wires:
                    continue
                r = abs(position - wire) * pitch / radius
                if r >= 1 or rng.random() > efficiency * (1 - r**10):
                    continue
                when = t0 + time_max * r * (1 - bow + bow * r) + times[row]
                when += sigma_t * rng.standard_normal()
                if np.isinf(fired[wire]):
                    touched[n] = wire
                    n += 1
                fired[wire] = min(fired[wire], when)
                if rng.random() < crosstalk:
                    other = wire + (1 if rng.random() < 0.5 else -1)
                    if 0 <= other < wires:
                        if np.isinf(fired[other]):
                            touched[n] = other
                            n += 1
                        fired[other] = min(fired[other], when + 2 * rng.standard_normal())
            for _ in range(rng.poisson(noise)):
                wire = rng.integers(0, wires)
                if np.isinf(fired[wire]):
                    touched[n] = wire
                    n += 1
                    fired[wire] = t0 + window * (2 * rng.random() - 1)
            for k in range(n):
                wire = touched[k]
                if total < len(out_plane):
                    out_plane[total] = plane
                    out_wire[total] = wire
                    out_time[total] = fired[wire]
                    total += 1
                fired[wire] = np.inf
        counts[event] = total - begin
    return total


def straw_hits(
    rng: np.random.Generator,
    setup: Setup,
    detector: Detector,
    line: Beamline,
    first: NDArray[np.int64],
    tracks: Tracks,
    paths: Paths,
) -> Hits:
    """Hits of all straw stations."""
    geometry, response, surface, labels = [], [], [], []
    most = 1
    for name, station in setup.stations_of("straw").items():
        most = max(most, station.channels)
        for projection, angle in station.angles.items():
            for layer in range(station.layers):
                key = (station.number, PROJECTION_INDEX[projection], layer)
                plane = detector.straws[key]
                a = np.radians(angle) + 1e-3 * plane.rotation
                dz = station.projection_z(projection) - station.z
                dz += (layer - (station.layers - 1) / 2) * station.layer_spacing
                geometry.append(
                    (
                        station.x,
                        station.y,
                        dz,
                        np.cos(a),
                        np.sin(a),
                        station.pitch,
                        station.channels,
                        layer / 2,
                    )
                )
                response.append(
                    (
                        plane.shift,
                        plane.efficiency,
                        plane.t0,
                        plane.time_max,
                        plane.curvature,
                        plane.time_resolution,
                        plane.noise_hits,
                        plane.crosstalk,
                        plane.radius,
                    )
                )
                surface.append(line.surface(name))
                labels.append(key)
    events = len(first) - 1
    counts = np.zeros(events, dtype=np.int64)
    room = (2 * len(tracks) + 3 * events + 100) * max(len(surface), 1)
    plane_out = np.empty(room, dtype=np.int64)
    wire = np.empty(room, dtype=np.uint16)
    time = np.empty(room, dtype=np.float32)
    total = 0
    if surface:
        total = _straws(
            rng,
            first,
            tracks.time,
            tracks.charge != 0,
            np.array(surface, dtype=np.int64),
            np.array(geometry, dtype=np.float64),
            np.array(response),
            most,
            paths.x,
            paths.y,
            paths.tx,
            paths.ty,
            TRACKER_WINDOW,
            counts,
            plane_out,
            wire,
            time,
        )
    table = np.array(labels, dtype=np.uint8).reshape(-1, 3)[plane_out[:total]]
    columns: dict[str, NDArray[Any]] = {
        "station": table[:, 0].copy(),
        "projection": table[:, 1].copy(),
        "layer": table[:, 2].copy(),
        "wire": wire[:total].copy(),
        "time": time[:total].copy(),
    }
    return Hits(np.concatenate((np.zeros(1, dtype=np.int64), np.cumsum(counts))), columns)
