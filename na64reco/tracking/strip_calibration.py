"""Resolution and timing of strip planes from the tracks that go through them.

**Resolution.** A plane's hits are compared with what the same track's other hits say there. The
core of these residuals is as wide as expected where all resolutions are right; they are multiplied
by the width of the pulls until it is 1 everywhere. Where other planes know a place much worse than
the plane itself does, its resolution is known badly: the error says so.

**Times.** Strips where the other planes' hits say that the track went through, whenever they fired:
what is found does not depend on the windows of the starting conditions. If a plane's are so far off
that its hits are lost, the others make the track; if all are, the most frequent time of all its
strips stands in for the start.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from na64reco.errors import DataError
from na64reco.tracking.clusters import find_clusters
from na64reco.tracking.efficiency import only
from na64reco.tracking.finding import find_candidates
from na64reco.tracking.fit import Fits, fit_tracks, residuals
from na64reco.tracking.layout import make_layout
from na64reco.tracking.multiplexing import unfold_hits
from na64reco.tracking.planes import PROJECTIONS, TECHNOLOGIES, strip_planes
from na64reco.tracking.reconstruct import measurements

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.calibration import Conditions, StripConditions
    from na64reco.events import Hits
    from na64reco.setup import Setup
    from na64reco.tracking.layout import Layout
    from na64reco.tracking.planes import Planes

__all__ = ["StripFit", "apply_strips", "fit_strips"]

_FEWEST: Final = 200
"""Hits of a plane on tracks."""
_ITERATIONS: Final = 12
_SETTLED: Final = 0.003
"""Largest change of a resolution, relative, that needs no other iteration."""
_MAD: Final = 1.4826
_MAD_LOSS: Final = 1.65
"""How much worse than the rms the median deviation knows a width: 1 / sqrt(0.37)."""
_ROAD: Final = 1.5
"""Half width of the road about a track in which strips count, pitches, besides 3 errors."""
_BIN: Final = 5.0
"""ns, of the histogram of all strips' times."""
_FAR: Final = 3.0
"""Time widths by which the most frequent time must be off to replace the start."""
_TAILS: Final = 4.0
"""Standard deviations beyond which strips are of other particles or noise."""


@dataclass(frozen=True, eq=False)
class StripFit:
    """What was found for one plane."""

    key: tuple[str, int, int]
    """(technology, station number, projection index)."""
    name: str
    """Such as "MM1 X"."""
    start: StripConditions
    resolution: float
    """mm."""
    resolution_error: float
    pull: float
    """Width of the pulls by the starting conditions."""
    time: float
    """ns."""
    time_error: float
    time_width: float
    """ns."""
    time_width_error: float
    entries: int
    """Hits on tracks."""
    strips: int
    """Near tracks, in time."""
    times: NDArray[np.float64]
    """Of all strips near tracks, ns."""


class _Tracks(NamedTuple):
    measured: NDArray[np.float64]
    fits: Fits
    event: NDArray[np.int64]


def apply_strips(fits: tuple[StripFit, ...], conditions: Conditions) -> Conditions:
    """The conditions with what was found in place of theirs."""
    mm, gem = dict(conditions.mm), dict(conditions.gem)
    for f in fits:
        of = mm if f.key[0] == "mm" else gem
        of[f.key[1:]] = replace(
            f.start, resolution=f.resolution, time=f.time, time_width=f.time_width
        )
    return replace(conditions, mm=mm, gem=gem)


def fit_strips(
    mm: Hits | None,
    gem: Hits | None,
    setup: Setup,
    conditions: Conditions,
    *,
    spectrometer: str,
) -> tuple[StripFit, ...]:
    """Resolution and timing of all strip planes of a spectrometer.

    Raises
    ------
    DataError
        If there are no strip planes' hits, or fewer than 200 tracks with a hit in a plane.
    SetupError, ConditionsError
        As `reconstruct_tracks`.
    """
    if mm is None and gem is None:
        msg = "strips: tracks need hits of the collections MM or GEM; there are none"
        raise DataError(msg)
    start = strip_planes(setup, conditions)
    planes = start._replace(time=_modes(mm, gem, start))
    layout = make_layout(setup, planes, spectrometer=spectrometer)
    unfolded = None if mm is None else unfold_hits(mm, setup, planes)
    tracks = _find(unfolded, gem, planes, layout)
    resolution, errors, entries, first_pull = _resolutions(tracks, planes, layout)
    planes = planes._replace(resolution=resolution)
    times = _times(tracks, unfolded, gem, planes, layout)
    found = []
    for column, plane in enumerate(layout.planes):
        technology = TECHNOLOGIES[planes.technology[plane]]
        key = (technology, int(planes.station[plane]), int(planes.projection[plane]))
        of = conditions.mm if technology == "mm" else conditions.gem
        near = times[column]
        station = next(n for n, s in setup.stations_of(technology).items() if s.number == key[1])
        if len(near) < _FEWEST:
            msg = (
                f"{station} {PROJECTIONS[key[2]]}: {len(near)} strips near tracks, at least "
                f"{_FEWEST} are needed for their times. Give more events, or a smaller min_charge"
            )
            raise DataError(msg)
        time, width, strips = _core(near)
        found.append(
            StripFit(
                key=key,
                name=f"{station} {PROJECTIONS[key[2]]}",
                start=of[key[1:]],
                resolution=float(resolution[plane]),
                resolution_error=float(errors[column]),
                pull=float(first_pull[column]),
                time=time,
                time_error=width / np.sqrt(strips),
                time_width=width,
                time_width_error=width / np.sqrt(2 * strips),
                entries=int(entries[column]),
                strips=strips,
                times=near,
            )
        )
    return tuple(found)


def _plane_of(hits: Hits, technology: int, planes: Planes) -> NDArray[np.int64]:
    """Plane of each hit; -1 where there is none."""
    projection = hits["projection"].astype(np.int64)
    inside = projection < len(PROJECTIONS)
    found = planes.lookup[technology, hits["station"], np.where(inside, projection, 0)]
    return np.where(inside, found, -1)


def _modes(mm: Hits | None, gem: Hits | None, planes: Planes) -> NDArray[np.float64]:
    """Times to start from: those of the conditions, or the most frequent ones if far from them."""
    start = planes.time.copy()
    for technology, hits in enumerate((mm, gem)):
        if hits is None:
            continue
        plane, time = _plane_of(hits, technology, planes), hits["time"]
        strong = np.isfinite(time) & (hits["charge"] >= planes.min_charge[plane]) & (plane >= 0)
        for p in np.unique(plane[strong]):
            mine = time[strong & (plane == p)]
            low, high = np.percentile(mine, (1, 99))
            edges = np.arange(low, high + 2 * _BIN, _BIN)
            counts, _ = np.histogram(mine, edges)
            peak = edges[np.argmax(counts)] + _BIN / 2
            if abs(peak - start[p]) > _FAR * planes.time_width[p]:
                start[p] = peak
    return start


def _find(mm: Hits | None, gem: Hits | None, planes: Planes, layout: Layout) -> _Tracks:
    """Tracks of events with one candidate."""
    clusters = find_clusters(mm, gem, planes)
    candidates = find_candidates(clusters, layout._replace(field=None))
    event = np.flatnonzero(candidates.number == 1)
    first = candidates.offsets[:-1][event]
    measured = measurements(candidates, clusters, planes, layout)[first]
    fits = fit_tracks(measured, candidates.seed[first], planes, layout)
    good = np.flatnonzero(fits.ok)
    return _Tracks(measured[good], only(fits, good), event[good])


def _resolutions(
    tracks: _Tracks, planes: Planes, layout: Layout
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """Resolution of all planes; error, hits and first pull of those of the layout."""
    chosen = layout.planes
    resolution = planes.resolution.copy()
    fits = tracks.fits
    first_pull = None
    for _ in range(_ITERATIONS):
        now = planes._replace(resolution=resolution)
        fits = fit_tracks(tracks.measured, fits.first, now, layout)
        value, sigma = residuals(tracks.measured, fits, now, layout)
        pull = value / sigma
        entries = np.isfinite(pull).sum(axis=0)
        if entries.min(initial=_FEWEST) < _FEWEST:
            few = int(np.argmin(entries))
            plane = chosen[few]
            msg = (
                f"{TECHNOLOGIES[planes.technology[plane]].upper()}{planes.station[plane]} "
                f"{PROJECTIONS[planes.projection[plane]]}: {entries[few]} hits on tracks, at least "
                f"{_FEWEST} are needed for its resolution. Give more events"
            )
            raise DataError(msg)
        width = _MAD * np.nanmedian(np.abs(pull - np.nanmedian(pull, axis=0)), axis=0)
        first_pull = width if first_pull is None else first_pull
        share = resolution[chosen] ** 2 / np.nanmedian(sigma, axis=0) ** 2
        errors = resolution[chosen] / share * _MAD_LOSS / np.sqrt(2 * entries)
        if np.abs(width - 1).max() < _SETTLED:
            break
        resolution[chosen] *= width
    assert first_pull is not None
    return resolution, errors, entries, first_pull


def _times(
    tracks: _Tracks, mm: Hits | None, gem: Hits | None, planes: Planes, layout: Layout
) -> list[NDArray[np.float64]]:
    """Times of strips where the other planes' hits say that tracks went, by layout column."""
    # Of a plane without a hit, too, `residuals` says what the others know: as if it had one at 0.
    filled = np.where(np.isfinite(tracks.measured), tracks.measured, 0.0)
    value, errors = residuals(filled, tracks.fits, planes, layout)
    places = filled - value
    found = []
    for column, plane in enumerate(layout.planes):
        technology = int(planes.technology[plane])
        hits = (mm, gem)[technology]
        if hits is None:
            found.append(np.empty(0))
            continue
        row = np.full(len(hits), -1, np.int64)
        row[tracks.event] = np.arange(len(tracks.event))
        track = row[hits.event_index()]
        mine = np.flatnonzero((_plane_of(hits, technology, planes) == plane) & (track >= 0))
        track = track[mine]
        strip = hits["strip"][mine].astype(np.float64)
        position = (strip - (planes.channels[plane] - 1) / 2) * planes.pitch[plane]
        position += planes.shift[plane] + planes.origin[plane]
        road = _ROAD * planes.pitch[plane] + 3 * errors[track, column]
        time = hits["time"][mine].astype(np.float64)
        near = np.abs(position - places[track, column]) < road
        near &= np.isfinite(time) & (hits["charge"][mine] >= planes.min_charge[plane])
        found.append(time[near])
    return found


def _core(times: NDArray[np.float64]) -> tuple[float, float, int]:
    """Mean and rms without tails, and the number of strips that are not in them."""
    mean = float(np.median(times))
    width = float(_MAD * np.median(np.abs(times - mean)))
    inside = times
    for _ in range(10):
        inside = times[np.abs(times - mean) < _TAILS * width]
        mean, width = float(inside.mean()), float(inside.std())
    return mean, width, len(inside)
