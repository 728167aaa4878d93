"""Beam momentum stations: scintillator slabs side by side.

A charged particle fires the slab that it crosses, with an efficiency of 0.98 (assumed) and a time
resolution of 0.3 ns (COMPASS, P. Abbon et al., Nucl. Instrum. Meth. A 577 (2007) 455; recalled); in
a share of the cases a neighbour as well, since slabs overlap (assumed). Of several hits of a slab
closer than 10 ns the first is read out.
"""

# ruff: noqa: PLR0917 - kernels take flat arrays
from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numba
import numpy as np

from na64reco.events.columns import Hits
from na64reco.simulation.strips import TRACKER_WINDOW

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.setup.model import Setup
    from na64reco.simulation.tracks import Tracks
    from na64reco.simulation.transport import Beamline, Paths

__all__ = ["hodoscope_hits"]

_EFFICIENCY: Final = 0.98
_OVERLAP: Final = 0.1
"""Chance that the nearer neighbour fires, too."""
_RESOLUTION: Final = 0.3
"""ns."""
_DEAD_TIME: Final = 10.0
"""ns."""
_NOISE: Final = 0.05
"""Mean number of slabs per station that fire by themselves, assumed."""


@numba.njit(cache=True, nogil=True)
def _hodoscopes(
    rng: Any,
    first: NDArray[np.int64],
    times: NDArray[np.float64],
    charged: NDArray[np.bool_],
    surface: NDArray[np.int64],
    geometry: NDArray[np.float64],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    window: float,
    counts: NDArray[np.int64],
    out_station: NDArray[np.int64],
    out_channel: NDArray[np.uint16],
    out_time: NDArray[np.float32],
) -> int:
    total = 0
    out = (out_station, out_channel, out_time)
    for event in range(len(first) - 1):
        begin = total
        for station in range(len(surface)):
            x0, y0, cosine, sine, pitch, channels = geometry[station]
            of_station = total
            s = surface[station]
            for row in range(first[event], first[event + 1]):
                if not charged[row] or np.isnan(x[row, s]) or abs(times[row]) > window:
                    continue
                u = (x[row, s] - x0) * cosine + (y[row, s] - y0) * sine
                v = (y[row, s] - y0) * cosine - (x[row, s] - x0) * sine
                if abs(v) > channels * pitch / 2 or rng.random() > _EFFICIENCY:
                    continue
                position = u / pitch + (channels - 1) / 2
                slab = int(np.floor(position + 0.5))
                slabs = 2 if rng.random() < _OVERLAP else 1
                for k in range(slabs):
                    channel = slab + k * (1 if position > slab else -1)
                    if channel < 0 or channel >= channels:
                        continue
                    when = times[row] + _RESOLUTION * rng.standard_normal()
                    total = _read(of_station, total, station, channel, when, out)
            for _ in range(rng.poisson(_NOISE)):
                when = window * (2 * rng.random() - 1)
                channel = rng.integers(0, int(channels))
                total = _read(of_station, total, station, channel, when, out)
        counts[event] = total - begin
    return total


@numba.njit(cache=True, nogil=True)
def _read(
    begin: int,
    total: int,
    station: int,
    channel: int,
    when: float,
    out: tuple[NDArray[np.int64], NDArray[np.uint16], NDArray[np.float32]],
) -> int:
    """Add a hit, unless its slab has one already within the dead time; returns the new total."""
    out_station, out_channel, out_time = out
    for hit in range(begin, total):
        if out_channel[hit] == channel and abs(out_time[hit] - when) < _DEAD_TIME:
            out_time[hit] = min(out_time[hit], when)
            return total
    if total < len(out_station):
        out_station[total] = station
        out_channel[total] = channel
        out_time[total] = when
        total += 1
    return total


def hodoscope_hits(
    rng: np.random.Generator,
    setup: Setup,
    line: Beamline,
    first: NDArray[np.int64],
    tracks: Tracks,
    paths: Paths,
) -> Hits:
    """Hits of all beam momentum stations.

    Parameters
    ----------
    first
        Event i has the rows first[i]:first[i + 1], shape (events + 1,).
    """
    stations = setup.stations_of("bms")
    geometry = []
    for station in stations.values():
        angle = np.radians(next(iter(station.angles.values())))
        geometry.append(
            (station.x, station.y, np.cos(angle), np.sin(angle), station.pitch, station.channels)
        )
    events = len(first) - 1
    counts = np.zeros(events, dtype=np.int64)
    room = (2 * len(tracks) + events + 100) * max(len(stations), 1)
    station_out = np.empty(room, dtype=np.int64)
    channel = np.empty(room, dtype=np.uint16)
    time = np.empty(room, dtype=np.float32)
    total = _hodoscopes(
        rng,
        first,
        tracks.time,
        tracks.charge != 0,
        np.array([line.surface(name) for name in stations], dtype=np.int64),
        np.array(geometry, dtype=np.float64).reshape(-1, 6),
        paths.x,
        paths.y,
        TRACKER_WINDOW,
        counts,
        station_out,
        channel,
        time,
    )
    numbers = np.array([station.number for station in stations.values()], dtype=np.uint8)
    columns: dict[str, NDArray[Any]] = {
        "station": numbers[station_out[:total]],
        "channel": channel[:total].copy(),
        "time": time[:total].copy(),
    }
    return Hits(np.concatenate((np.zeros(1, dtype=np.int64), np.cumsum(counts))), columns)
