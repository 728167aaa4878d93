"""Efficiency of a plane, from the tracks that the other planes find.

For every plane the tracks are found and fitted anew without its hits, so that whether it has one
does not decide whether the track is there. Where an event's only track is a good one and crosses
the plane's sensitive area, either there is an in-time hit within `WINDOW` standard deviations or
the plane has missed it. Events with more than one cluster in another plane of the same view are
left out: a track with a hit of noise, as good as the right one, points to a wrong place.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from na64reco.tracking.finding import find_candidates
from na64reco.tracking.fit import fit_tracks
from na64reco.tracking.planes import TECHNOLOGIES
from na64reco.tracking.propagation import propagate
from na64reco.tracking.reconstruct import measurements

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.setup import Setup
    from na64reco.tracking.clusters import Clusters
    from na64reco.tracking.fit import Fits
    from na64reco.tracking.layout import Layout
    from na64reco.tracking.planes import Planes

__all__ = ["WINDOW", "only", "plane_of", "probe_plane"]

WINDOW: Final = 5.0
"""Largest distance of a hit from a track that crosses its plane, standard deviations."""

_GOOD: Final = 0.01  # p-value of a track that is trusted to tell where a plane should have a hit
_MARGIN: Final = 2.0  # strips at a plane's edge where a cluster may be cut off


def only(fits: Fits, chosen: NDArray[np.int64]) -> Fits:
    """Some of the fits, in the order of ``chosen``."""
    return replace(fits, **{f.name: getattr(fits, f.name)[chosen] for f in fields(fits)})


def plane_of(clusters: Clusters) -> NDArray[np.int64]:
    """Index of the plane of every cluster."""
    rows = np.repeat(np.arange(len(clusters.offsets) - 1), np.diff(clusters.offsets))
    return rows % clusters.planes


def probe_plane(
    clusters: Clusters, column: int, setup: Setup, planes: Planes, layout: Layout
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Where tracks cross the plane of a ``column`` of the layout, and whether it has seen them.

    Returns
    -------
    tuple
        Positions in the station's frame, mm, and found, each of shape (probes,).
    """
    plane = int(layout.planes[column])
    others = replace(clusters, in_time=clusters.in_time & (plane_of(clusters) != plane))
    candidates = find_candidates(others, layout, max_candidates=1)
    measured = measurements(candidates, others, planes, layout)
    fits = fit_tracks(measured, candidates.seed, planes, layout)
    event = np.repeat(np.arange(len(candidates.number)), np.diff(candidates.offsets))
    good = fits.ok & (fits.p_value > _GOOD) & (candidates.number[event] == 1)
    good &= _unambiguous(others, column, layout)[event]
    event = event[good]
    u, v, error = _crossing(only(fits, np.flatnonzero(good)), plane, planes, layout)
    # The conditions' own shift is part of a cluster's position, not of the strips' places.
    along = u - planes.origin[plane]
    sigma = np.sqrt(error**2 + planes.resolution[plane] ** 2)
    half = planes.channels[plane] * planes.pitch[plane] / 2
    edge = half - _MARGIN * planes.pitch[plane] - WINDOW * sigma
    station = setup.stations_of(TECHNOLOGIES[planes.technology[plane]])
    centre = next(s for s in station.values() if s.number == planes.station[plane])
    across = v - (centre.y * planes.cos[plane] - centre.x * planes.sin[plane])
    inside = (np.abs(along - planes.shift[plane]) < edge) & (np.abs(across) < edge)
    event, along, sigma = event[inside], along[inside], sigma[inside]
    return along, _nearest(clusters, plane, event, along) < WINDOW * sigma


def _unambiguous(others: Clusters, column: int, layout: Layout) -> NDArray[np.bool_]:
    """Events with at most one in-time cluster in each plane of the column's view."""
    views = [view.plane for view in (layout.x, layout.y) if column in view.column]
    peers = views[0] if views else layout.planes
    rows = np.repeat(np.arange(len(others.offsets) - 1), np.diff(others.offsets))
    counts = np.bincount(rows[others.in_time], minlength=len(others.offsets) - 1)
    return np.asarray((counts.reshape(-1, others.planes)[:, peers] <= 1).all(axis=1), np.bool_)


def _crossing(
    fits: Fits, plane: int, planes: Planes, layout: Layout
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Where tracks cross a plane: u, v across it (global, mm), and the error of u.

    From the state on the same side of the magnets; its derivatives are differences.
    """
    z, cos, sin = planes.z[plane], planes.cos[plane], planes.sin[plane]
    before = bool(z <= layout.dipoles.start.min())
    state = fits.first if before else fits.last
    covariance = fits.first_covariance if before else fits.last_covariance
    here = float(layout.z[0] if before else layout.z[-1])
    if not len(state):
        return np.empty(0), np.empty(0), np.empty(0)
    there = propagate(state, here, float(z), layout.dipoles)
    gradient = np.empty((len(state), 5))
    for i in range(5):
        step = 1e-2 * np.sqrt(covariance[:, i, i])
        moved = state.copy()
        moved[:, i] += step
        change = propagate(moved, here, float(z), layout.dipoles) - there
        gradient[:, i] = (change[:, 0] * cos + change[:, 1] * sin) / step
    variance = np.einsum("ni,nij,nj->n", gradient, covariance, gradient)
    u = there[:, 0] * cos + there[:, 1] * sin
    v = there[:, 1] * cos - there[:, 0] * sin
    return u, v, np.sqrt(np.maximum(variance, 0.0))


def _nearest(
    clusters: Clusters, plane: int, event: NDArray[np.int64], along: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Distance of the in-time cluster nearest to a place, per probe, mm; infinite without any."""
    row = event * clusters.planes + plane
    first, last = clusters.offsets[row], clusters.offsets[row + 1]
    nearest = np.full(len(event), np.inf)
    for k in range(int((last - first).max(initial=0))):
        some = first + k < last
        cluster = first[some] + k
        distance = np.abs(clusters.position[cluster] - along[some])
        distance[~clusters.in_time[cluster]] = np.inf
        nearest[some] = np.minimum(nearest[some], distance)
    return nearest
