"""Where tracks that the strip planes measure cross the straws, and the hits they leave there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from na64reco.errors import DataError
from na64reco.tracking.clusters import find_clusters
from na64reco.tracking.finding import find_candidates
from na64reco.tracking.fit import fit_tracks, residuals
from na64reco.tracking.layout import make_layout
from na64reco.tracking.multiplexing import unfold_hits
from na64reco.tracking.planes import PROJECTIONS, choose_spectrometer, strip_planes
from na64reco.tracking.propagation import propagate
from na64reco.tracking.reconstruct import measurements
from na64reco.tracking.straw_points import STRAW, add_straw_planes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from na64reco.calibration import Conditions
    from na64reco.events import Hits
    from na64reco.setup import Setup
    from na64reco.tracking.fit import Fits
    from na64reco.tracking.layout import Layout
    from na64reco.tracking.planes import Planes

__all__ = ["StrawCrossings", "StrawLayer", "find_crossings", "join_crossings"]

_GOOD: Final = 0.01
"""p-value of a track that is trusted."""
_REACH: Final = 0.75
"""Largest distance of a hit's wire from the track, pitches: its own straw, and a misalignment."""


@dataclass(frozen=True)
class StrawLayer:
    """One layer of a straw plane."""

    station: str
    number: int
    projection: int
    layer: int
    radius: float
    """mm."""

    @property
    def name(self) -> str:
        """Such as "ST3 X layer 0"."""
        return f"{self.station} {PROJECTIONS[self.projection]} layer {self.layer}"


@dataclass(frozen=True, eq=False)
class StrawCrossings:
    """Hits of straws near tracks, one row each, and what the tracks say there."""

    layers: tuple[StrawLayer, ...]
    layer: NDArray[np.int64]
    """Of each hit, index into ``layers``."""
    time: NDArray[np.float64]
    """ns."""
    offset: NDArray[np.float64]
    """Track less wire, by the alignment to start from, mm."""
    error: NDArray[np.float64]
    """Standard deviation of the track's place, mm."""
    lever: NDArray[np.float64]
    """Track across the measured direction, from the station's centre, mm."""
    tracks: int
    """That cross the straws' stations or not."""


def join_crossings(parts: Sequence[StrawCrossings]) -> StrawCrossings:
    """Of several runs of one setup."""
    return StrawCrossings(
        layers=parts[0].layers,
        layer=np.concatenate([p.layer for p in parts]),
        time=np.concatenate([p.time for p in parts]),
        offset=np.concatenate([p.offset for p in parts]),
        error=np.concatenate([p.error for p in parts]),
        lever=np.concatenate([p.lever for p in parts]),
        tracks=sum(p.tracks for p in parts),
    )


def find_crossings(
    mm: Hits | None,
    gem: Hits | None,
    straw: Hits,
    setup: Setup,
    conditions: Conditions,
    *,
    spectrometer: str,
) -> StrawCrossings:
    """Match straw hits with the tracks of a spectrometer's strip planes.

    Of events with one candidate, whose fit is good. Straws never take part in these tracks.

    Raises
    ------
    DataError
        If there are no hits of strip planes, or no straws that the tracks can reach.
    SetupError, ConditionsError
        As `reconstruct_tracks`.
    """
    if mm is None and gem is None:
        msg = "straws: tracks need hits of the collections MM or GEM; there are none"
        raise DataError(msg)
    planes = strip_planes(setup, conditions)
    layout = make_layout(setup, planes, spectrometer=spectrometer)
    clusters = find_clusters(None if mm is None else unfold_hits(mm, setup, planes), gem, planes)
    candidates = find_candidates(clusters, layout._replace(field=None))
    first = candidates.offsets[:-1][candidates.number == 1]
    measured = measurements(candidates, clusters, planes, layout)[first]
    fits = fit_tracks(measured, candidates.seed[first], planes, layout)
    event = np.flatnonzero(candidates.number == 1)
    good = np.flatnonzero(fits.ok & (fits.p_value > _GOOD))
    wide, lookup = _with_straws(setup, conditions, spectrometer, planes)
    hits = _in_order(measured[good], _Detector(planes, layout), wide)
    seeds = fits.first[good].copy()
    # Straws may stand before the first plane; there are no magnets between.
    seeds[:, :2] += seeds[:, 2:4] * (wide.layout.z[0] - layout.z[0])
    fits = fit_tracks(hits, seeds, wide.planes, wide.layout)
    columns = np.flatnonzero(wide.planes.technology[wide.layout.planes] == STRAW)
    index = wide.layout.planes[columns]
    # With a hit at 0 in each straw layer, residuals are minus what the other planes say there.
    hits[:, columns] = 0.0
    value, sigma = (a[:, columns] for a in residuals(hits, fits, *wide))
    at = _Places(
        event[good],
        -value - wide.planes.origin[index],
        np.sqrt(np.maximum(sigma**2 - wide.planes.resolution[index] ** 2, 1e-12)),
        _across(fits, index, wide, setup),
    )
    layers = tuple(_describe(setup, int(p), lookup) for p in index)
    return _match(straw, layers, wide.planes, index, at)


class _Detector(NamedTuple):
    planes: Planes
    layout: Layout


class _Places(NamedTuple):
    """Of tracks in straw layers, mm; arrays of shape (tracks, layers)."""

    event: NDArray[np.int64]
    """Shape (tracks,)."""
    place: NDArray[np.float64]
    """Along the measured direction, from the station's centre."""
    error: NDArray[np.float64]
    lever: NDArray[np.float64]


def _with_straws(
    setup: Setup, conditions: Conditions, spectrometer: str, planes: Planes
) -> tuple[_Detector, NDArray[np.int64]]:
    """A spectrometer that lists all straws on the way up to its calorimeter, for the fit only."""
    chosen = choose_spectrometer(setup, spectrometer)
    strips = [*chosen.upstream, *chosen.downstream]
    first, last = _reach(setup, spectrometer)
    straws = [
        n
        for n, s in setup.stations_of("straw").items()
        if first < s.z - s.spacing and s.z + s.spacing < last and n not in strips
    ]
    middle = min(setup.magnets[m].z for m in chosen.magnets)
    up = [*chosen.upstream, *(n for n in straws if setup.stations[n].z < middle)]
    down = [*chosen.downstream, *(n for n in straws if setup.stations[n].z >= middle)]
    listed = tuple(n for n in (*up, *down) if setup.stations[n].technology == "straw")
    if not listed:
        msg = (
            f"setup {setup.name}: no straw station stands where tracks of the spectrometer "
            f"{spectrometer!r} can be followed to; name another one (--spectrometer)"
        )
        raise DataError(msg)
    other = chosen.model_copy(update={"upstream": tuple(up), "downstream": tuple(down)})
    wide = setup.model_copy(update={"spectrometers": {**setup.spectrometers, spectrometer: other}})
    wide_planes, lookup = add_straw_planes(planes, wide, conditions, listed)
    layout = make_layout(wide, wide_planes, spectrometer=spectrometer)
    return _Detector(wide_planes, layout), lookup


def _reach(setup: Setup, spectrometer: str) -> tuple[float, float]:
    """z between which tracks of a spectrometer are known: up to other magnets and calorimeters."""
    chosen = choose_spectrometer(setup, spectrometer)
    z = [setup.stations[n].z for n in (*chosen.upstream, *chosen.downstream)]
    things = [(m.start, m.end) for n, m in setup.magnets.items() if n not in chosen.magnets]
    calorimeters = (c for c in (setup.ecal, setup.vhcal, setup.hcal) if c is not None)
    for c in calorimeters:
        depth = sum(s.layers for s in c.sections.values()) * c.layer_thickness
        things.append((c.z, c.z + depth))
    before = max((end for _, end in things if end < min(z)), default=-np.inf)
    return before, min(start for start, _ in things if start > max(z))


def _in_order(
    measured: NDArray[np.float64], detector: _Detector, wide: _Detector
) -> NDArray[np.float64]:
    """The same measurements among those of straws, which have none."""

    def keys(of: _Detector) -> list[tuple[float, ...]]:
        planes, chosen = of.planes, of.layout.planes
        columns = (planes.technology, planes.station, planes.projection, planes.z)
        return list(zip(*(c[chosen].tolist() for c in columns), strict=True))

    known = keys(wide)
    hits = np.full((len(measured), len(known)), np.nan)
    hits[:, [known.index(key) for key in keys(detector)]] = measured
    return hits


def _describe(setup: Setup, plane: int, lookup: NDArray[np.int64]) -> StrawLayer:
    number, projection, layer = (int(i[0]) for i in np.nonzero(lookup == plane))
    name, station = next(
        (n, s) for n, s in setup.stations_of("straw").items() if s.number == number
    )
    return StrawLayer(name, number, projection, layer, station.pitch / 2)


def _across(
    fits: Fits, index: NDArray[np.int64], detector: _Detector, setup: Setup
) -> NDArray[np.float64]:
    """Tracks across the measured direction of each straw layer, from the station's centre, mm."""
    planes, layout = detector
    lever = np.empty((len(fits.ok), len(index)))
    stations = {s.number: s for s in setup.stations_of("straw").values()}
    before = float(layout.dipoles.start.min())
    for column, plane in enumerate(index):
        z = float(planes.z[plane])
        upstream = z <= before
        state = fits.first if upstream else fits.last
        start = float(layout.z[0] if upstream else layout.z[-1])
        there = propagate(state, start, z, layout.dipoles)
        station = stations[int(planes.station[plane])]
        lever[:, column] = (there[:, 1] - station.y) * planes.cos[plane] - (
            there[:, 0] - station.x
        ) * planes.sin[plane]
    return lever


def _match(
    straw: Hits,
    layers: tuple[StrawLayer, ...],
    planes: Planes,
    index: NDArray[np.int64],
    at: _Places,
) -> StrawCrossings:
    """Hits whose wire a track passes nearby."""
    row = np.full(len(straw), -1, np.int64)
    row[at.event] = np.arange(len(at.event))
    of_hit = row[straw.event_index()]
    station, projection, layer, wire = (
        straw[n].astype(np.int64) for n in ("station", "projection", "layer", "wire")
    )
    time = straw["time"].astype(np.float64)
    found: dict[str, list[NDArray[np.float64]]] = {
        n: [] for n in ("time", "offset", "error", "lever")
    }
    which = []
    for column, (plane, described) in enumerate(zip(index, layers, strict=True)):
        mine = np.flatnonzero(
            (of_hit >= 0)
            & (station == described.number)
            & (projection == described.projection)
            & (layer == described.layer)
            & np.isfinite(time)
        )
        track = of_hit[mine]
        middle = (planes.channels[plane] - 1) / 2
        position = (wire[mine] - middle + described.layer / 2) * planes.pitch[plane]
        offset = at.place[track, column] - position - planes.shift[plane]
        near = np.abs(offset) < _REACH * planes.pitch[plane]
        found["time"].append(time[mine][near])
        found["offset"].append(offset[near])
        found["error"].append(at.error[track, column][near])
        found["lever"].append(at.lever[track, column][near])
        which.append(np.full(int(near.sum()), column))
    columns = {n: np.concatenate(v) for n, v in found.items()}
    return StrawCrossings(layers, np.concatenate(which), **columns, tracks=len(at.event))
