"""Strips of Micromegas and GEM.

A charged particle ionises the gas of a chamber once: the Landau-distributed charge is shared by the
strips of all its projections, up to a fluctuation of each (`_SHARING`). A projection sees it with
the plane's efficiency, as a cloud (normal, of the plane's diffusion) that covers several strips;
every strip adds its gain, noise and time.
Strips below threshold are not read out. Two particles on one strip make one hit. Where several
strips share a readout channel, a hit has the channel's number and the charge of all its strips.
The amplifiers' shaping lets the charge of particles out of time fade with exp(-(t / 70 ns)^2 / 2).
Single noisy strips are added. Left out: delta electrons, inclined tracks.
"""

# ruff: noqa: PLR0917 - kernels take flat arrays
from __future__ import annotations

from math import erf
from typing import TYPE_CHECKING, Any

import numba
import numpy as np

from na64reco.events.columns import Hits
from na64reco.simulation.detector import PROJECTION_INDEX

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.setup.model import Setup
    from na64reco.simulation.detector import Detector
    from na64reco.simulation.tracks import Tracks
    from na64reco.simulation.transport import Beamline, Paths

__all__ = ["TRACKER_WINDOW", "strip_hits"]

TRACKER_WINDOW = 100.0
"""Half of the trackers' readout window, ns."""

_REACH = 5
"""Strips to either side of a cloud's centre that are looked at."""

_FADE = 70.0
"""ns."""

_SHARING = {"mm": 0.14, "gem": 0.07}
"""rms by which the logarithm of a projection's share of the charge fluctuates.

The ratio of the charges in x and y of the COMPASS GEM has a mean near one and a width below 0.1
(B. Ketzer et al., Nucl. Instrum. Meth. A 535 (2004) 314): 0.07 for each. Twice that for
Micromegas, whose strips lie on top of each other: `assumed`."""


@numba.njit(cache=True, nogil=True)
def _strips(
    rng: Any,
    first: NDArray[np.int64],
    times: NDArray[np.float64],
    charged: NDArray[np.bool_],
    surface: NDArray[np.int64],
    geometry: NDArray[np.float64],
    response: NDArray[np.float64],
    chamber: NDArray[np.int64],
    gains: NDArray[np.float64],
    channel_of: NDArray[np.int64],
    strip_gains: NDArray[np.float64],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    tx: NDArray[np.float64],
    ty: NDArray[np.float64],
    window: float,
    counts: NDArray[np.int64],
    out_plane: NDArray[np.int64],
    out_strip: NDArray[np.uint16],
    out_charge: NDArray[np.float32],
    out_time: NDArray[np.float32],
) -> int:
    planes, most = gains.shape
    charge = np.zeros(most)
    moment = np.zeros(most)
    touched = np.zeros(most, dtype=np.int64)
    crowd = 1
    for event in range(len(first) - 1):
        crowd = max(crowd, first[event + 1] - first[event])
    ionisation = np.zeros(crowd)
    total = 0
    for event in range(len(first) - 1):
        begin = total
        for plane in range(planes):
            if plane == 0 or chamber[plane] != chamber[plane - 1]:
                for k in range(first[event + 1] - first[event]):
                    fluctuation = -np.log(max(rng.standard_normal() ** 2, 1e-5))
                    ionisation[k] = max(0.1, 1 + 0.25 * fluctuation)
            x0, y0, dz, cosine, sine, pitch, channels, readout = geometry[plane]
            strips = int(channels)
            (
                shift,
                efficiency,
                mpv,
                sharing,
                noise,
                rate,
                threshold,
                cloud,
                spread,
                t0,
                sigma_t,
            ) = response[plane]
            s = surface[plane]
            n = 0
            for row in range(first[event], first[event + 1]):
                if not charged[row] or np.isnan(x[row, s]) or abs(times[row]) > window:
                    continue
                dx = x[row, s] + dz * tx[row, s] - x0
                dy = y[row, s] + dz * ty[row, s] - y0
                half = channels * pitch / 2
                if abs(dx * sine - dy * cosine) > half or rng.random() > efficiency:
                    continue
                u = dx * cosine + dy * sine - shift + spread * rng.standard_normal()
                position = u / pitch + (channels - 1) / 2
                middle = int(np.floor(position + 0.5))
                if middle < -_REACH or middle >= strips + _REACH:
                    continue
                q = mpv * ionisation[row - first[event]] * np.exp(sharing * rng.standard_normal())
                q *= np.exp(-0.5 * (times[row] / _FADE) ** 2)
                width = cloud / pitch * np.sqrt(2.0)
                lower = erf((middle - _REACH - 0.5 - position) / width)
                for strip in range(middle - _REACH, middle + _REACH + 1):
                    upper = erf((strip + 0.5 - position) / width)
                    part = 0.5 * q * (upper - lower)
                    lower = upper
                    if strip < 0 or strip >= strips or part < 0.5:
                        continue
                    channel = channel_of[plane, strip]
                    part *= strip_gains[plane, strip]
                    if part == 0.0:
                        continue
                    if charge[channel] == 0.0:
                        touched[n] = channel
                        n += 1
                    charge[channel] += part
                    moment[channel] += part * times[row]
            for _ in range(rng.poisson(rate)):
                strip = rng.integers(0, int(readout))
                if charge[strip] == 0.0:
                    touched[n] = strip
                    n += 1
                    part = threshold + 3 * noise + noise * rng.standard_exponential()
                    charge[strip] = part
                    moment[strip] = part * window * (2 * rng.random() - 1)
            for k in range(n):
                strip = touched[k]
                q = charge[strip]
                seen = (q + noise * rng.standard_normal()) * gains[plane, strip]
                when = moment[strip] / q
                charge[strip] = 0.0
                moment[strip] = 0.0
                if seen > threshold and total < len(out_plane):
                    out_plane[total] = plane
                    out_strip[total] = strip
                    out_charge[total] = seen
                    out_time[total] = when + t0 + sigma_t * rng.standard_normal()
                    total += 1
        counts[event] = total - begin
    return total


def strip_hits(
    rng: np.random.Generator,
    setup: Setup,
    detector: Detector,
    technology: str,
    line: Beamline,
    first: NDArray[np.int64],
    tracks: Tracks,
    paths: Paths,
) -> Hits:
    """Hits of all stations of one technology, ``mm`` or ``gem``."""
    geometry, response, surface, station_of, projection_of = [], [], [], [], []
    gains: list[NDArray[np.float64]] = []
    strip_gains: list[NDArray[np.float64]] = []
    channel_of: list[NDArray[np.int64]] = []
    sharing = _SHARING[technology]
    for name, station in setup.stations_of(technology).items():
        for projection, angle in station.angles.items():
            plane = detector.strips[technology, station.number, PROJECTION_INDEX[projection]]
            a = np.radians(angle) + 1e-3 * plane.rotation
            dz = station.projection_z(projection) - station.z
            size = (station.channels, station.readout_channels)
            geometry.append((station.x, station.y, dz, np.cos(a), np.sin(a), station.pitch, *size))
            response.append(
                (
                    plane.shift,
                    plane.efficiency,
                    plane.charge,
                    sharing,
                    plane.noise,
                    plane.noise_strips,
                    plane.threshold,
                    plane.diffusion,
                    plane.position_spread,
                    plane.time_offset,
                    plane.time_resolution,
                )
            )
            # Strips that share a channel have their gains before they are added up.
            shared = station.multiplexing > 1
            gains.append(np.ones(station.readout_channels) if shared else plane.gain)
            strip_gains.append(plane.gain if shared else np.ones(station.channels))
            channel_of.append(station.channel_of_strip)
            surface.append(line.surface(name))
            station_of.append(station.number)
            projection_of.append(PROJECTION_INDEX[projection])
    most = max((len(c) for c in channel_of), default=0)
    table, own = np.zeros((len(gains), most)), np.zeros((len(gains), most))
    channels = np.zeros((len(gains), most), dtype=np.int64)
    for number, gain in enumerate(gains):
        table[number, : len(gain)] = gain
        own[number, : len(channel_of[number])] = strip_gains[number]
        channels[number, : len(channel_of[number])] = channel_of[number]
    events = len(first) - 1
    counts = np.zeros(events, dtype=np.int64)
    room = (len(tracks) * (2 * _REACH + 1) + 4 * events + 100) * max(len(gains), 1)
    plane_out = np.empty(room, dtype=np.int64)
    strip = np.empty(room, dtype=np.uint16)
    charge = np.empty(room, dtype=np.float32)
    time = np.empty(room, dtype=np.float32)
    total = 0
    if gains:
        total = _strips(
            rng,
            first,
            tracks.time,
            tracks.charge != 0,
            np.array(surface, dtype=np.int64),
            np.array(geometry, dtype=np.float64),
            np.array(response),
            np.array(station_of, dtype=np.int64),
            table,
            channels,
            own,
            paths.x,
            paths.y,
            paths.tx,
            paths.ty,
            TRACKER_WINDOW,
            counts,
            plane_out,
            strip,
            charge,
            time,
        )
    planes = plane_out[:total]
    columns: dict[str, NDArray[Any]] = {
        "station": np.array(station_of, dtype=np.uint8)[planes],
        "projection": np.array(projection_of, dtype=np.uint8)[planes],
        "strip": strip[:total].copy(),
        "charge": charge[:total].copy(),
        "time": time[:total].copy(),
    }
    return Hits(np.concatenate((np.zeros(1, dtype=np.int64), np.cumsum(counts))), columns)
