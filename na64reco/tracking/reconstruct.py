"""Hits of the trackers to the columns ``track.*``, ``mm.*``, ``gem.*``, ``straw.*``."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numba import njit

from na64reco.errors import DataError
from na64reco.tracking.clusters import chambers, count_in_time, find_clusters
from na64reco.tracking.finding import NO_UPSTREAM, find_candidates, search_tables
from na64reco.tracking.fit import drop, fit, fit_tables
from na64reco.tracking.layout import calorimeter_behind, make_layout
from na64reco.tracking.multiplexing import unfold_hits
from na64reco.tracking.multiplicity import most_behind
from na64reco.tracking.planes import TECHNOLOGIES, strip_planes
from na64reco.tracking.room import Room
from na64reco.tracking.runge_kutta import OUTSIDE, transport
from na64reco.tracking.straw_points import add_straw_planes, add_straw_points, straw_stations
from na64reco.tracking.straw_sides import fit_with_sides
from na64reco.tracking.straws import straw_columns
from na64reco.tracking.track_columns import FIT_FAILED, TrackColumns, to_face

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import NDArray

    from na64reco.calibration import Conditions
    from na64reco.events import Hits
    from na64reco.setup import Setup
    from na64reco.tracking.clusters import Clusters
    from na64reco.tracking.finding import Candidates
    from na64reco.tracking.fit import Fits
    from na64reco.tracking.layout import Layout
    from na64reco.tracking.planes import Planes

__all__ = [
    "FIT_FAILED",
    "OUTSIDE_MAP",
    "measurements",
    "reconstruct_tracks",
    "to_face",
    "unfolded_hits",
]

OUTSIDE_MAP: Final = 6

_BLOCK: Final = 8192
"""Events that are done at a time: what is kept of them in between stays near the processor."""


def reconstruct_tracks(
    mm: Hits | None,
    gem: Hits | None,
    straw: Hits | None,
    setup: Setup,
    conditions: Conditions,
    *,
    spectrometer: str = "main",
    unfolded: bool = False,
    wanted: Collection[str] | None = None,
) -> dict[str, NDArray[Any]]:
    """Reconstruct the track that triggered, in every event.

    Parameters
    ----------
    mm, gem, straw
        Hits of the same events; None where the file lacks the collection (not all three). Straws
        join the tracks where the spectrometer lists their stations; else they are only counted.
    spectrometer
        Of the setup. Tracks are extrapolated to the calorimeter behind it: the ECAL, or, where its
        planes stand behind the ECAL, the HCAL (``track.x_ecal`` and the like are then of its face).
    unfolded
        `mm` has strips in the place of channels already (`unfolded_hits`).
    wanted
        Columns to give, all by default.

    Returns
    -------
    dict
        Columns of shape (events,), see `na64reco.reconstruction.columns`. Where there is no
        track, ``track.found`` is False, ``track.reason`` says why (0 found, 1 too few hits before
        the magnets, 2 too few behind, 3 no match in x or y, 4 fit failed, 5 more combinations
        than can be searched, 6 the track leaves the field map of a magnet) and the rest is NaN
        (0 for integers). ``track.time`` is relative to the mean time of in-time hits.

    Raises
    ------
    DataError
        Where all collections are missing, or are of different numbers of events.
    SetupError
        Where the spectrometer is unknown or cannot measure a momentum.
    ConditionsError
        Where the conditions lack a plane.
    """
    lengths = {
        name: len(h) for name, h in (("MM", mm), ("GEM", gem), ("ST", straw)) if h is not None
    }
    if not lengths:
        msg = "tracking needs at least one of the collections MM, GEM, ST; the file has none"
        raise DataError(msg)
    if len(set(lengths.values())) > 1:
        listing = ", ".join(f"{name} {n}" for name, n in lengths.items())
        msg = f"tracking: collections of different numbers of events ({listing})"
        raise DataError(msg)
    events = next(iter(lengths.values()))
    planes = strip_planes(setup, conditions)
    straw_planes = None
    if straw is not None and (listed := straw_stations(setup, spectrometer)):
        planes, straw_planes = add_straw_planes(planes, setup, conditions, listed)
    layout = make_layout(setup, planes, spectrometer=spectrometer)
    tracks = TrackColumns.empty(events, wanted)
    counts = {
        t: np.zeros(events, np.int32)
        for t in TECHNOLOGIES
        if wanted is None or f"{t}.clusters" in wanted
    }
    if mm is None and gem is None:
        tracks.reason[:] = NO_UPSTREAM
    else:
        behind = calorimeter_behind(setup, float(layout.z[layout.last_plane]))
        if mm is not None and not unfolded:
            mm = unfold_hits(mm, setup, planes)
        prepared = search_tables(layout, chambers(planes)), fit_tables(planes, layout), Room()
        for start in range(0, events, _BLOCK):
            stop = min(start + _BLOCK, events)
            strips, pads, tubes = (
                None if h is None else h.slice(start, stop) for h in (mm, gem, straw)
            )
            clusters = find_clusters(strips, pads, planes, room=prepared[2])
            for technology, count in counts.items():
                count[start:stop] = count_in_time(clusters, planes, technology)
            mirror = None
            if tubes is not None and straw_planes is not None:
                clusters, mirror = add_straw_points(
                    clusters, tubes, setup, conditions, planes, straw_planes
                )
            candidates, fits = _find_and_fit(clusters, mirror, planes, layout, prepared)
            if tracks.wants("most_behind"):
                tracks.fill_most_behind(start, most_behind(clusters, planes, layout))
            tracks.fill(start, candidates, fits, behind)
            if layout.field is not None:
                _outside_map(tracks.reason[start:stop], candidates, layout)
    columns = tracks.columns(wanted) | {f"{t}.clusters": n for t, n in counts.items()}
    return columns | straw_columns(straw, events, setup, conditions)


def _find_and_fit(
    clusters: Clusters,
    mirror: NDArray[np.float64] | None,
    planes: Planes,
    layout: Layout,
    prepared: tuple[Any, Any, Room],
) -> tuple[Candidates, Fits]:
    """Of the fits, variances only.

    ``mirror``: see `add_straw_points`; ``prepared``: tables of finder and fit, and room.
    """
    search, tables, room = prepared
    # Without the field, which it does not need: else its kernels are compiled once more.
    candidates = find_candidates(clusters, layout._replace(field=None), tables=search, room=room)
    measured = measurements(candidates, clusters, planes, layout)
    if mirror is None:
        fits = fit(measured, candidates.seed, tables, covariances=False, room=room)
    else:
        mirrored = measurements(candidates, replace(clusters, position=mirror), planes, layout)
        fits, measured = fit_with_sides(measured, mirrored, candidates.seed, planes, layout)
    drop(measured, fits, tables)
    return candidates, fits


def unfolded_hits(mm: Hits | None, setup: Setup, conditions: Conditions) -> Hits | None:
    """Strips in the place of channels, to be done once for several spectrometers."""
    return None if mm is None else unfold_hits(mm, setup, strip_planes(setup, conditions))


def measurements(
    candidates: Candidates, clusters: Clusters, planes: Planes, layout: Layout
) -> NDArray[np.float64]:
    """Global u of the candidates' hits for `fit_tracks`, NaN where there is none."""
    values: NDArray[np.float64] = _measured(
        candidates.hits, clusters.position, planes.origin[layout.planes]
    )
    return values


@njit(cache=True, nogil=True, error_model="numpy")
def _measured(hits, position, origin):  # type: ignore[no-untyped-def]
    values = np.empty(hits.shape)
    for t in range(hits.shape[0]):
        for c in range(hits.shape[1]):
            h = hits[t, c]
            values[t, c] = position[h] + origin[c] if h >= 0 else math.nan
    return values


def _outside_map(reason: NDArray[np.uint8], candidates: Candidates, layout: Layout) -> None:
    """Say of events without a good fit whether their best candidate is beside a field map."""
    assert layout.field is not None
    failed = np.flatnonzero(reason == FIT_FAILED)
    seeds = candidates.seed[candidates.offsets[failed]]
    status = transport(seeds, layout.z[0], layout.z[-1], layout.field).status
    reason[failed[status == OUTSIDE]] = OUTSIDE_MAP
