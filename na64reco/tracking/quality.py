"""Quality of the tracking, as histograms: residuals, pulls, efficiency, clusters and tracks.

A plane's residuals and pulls are those of the best track's hits against the same track's other
hits, its efficiency is that of `efficiency`. With the truth of a simulation (``MC_momentum``)
there are also the errors of the momentum, and with them the wrong tracks; the truth is that before
the first magnet, so this is for the spectrometer about that one only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Final

import hist
import numpy as np

from na64reco.errors import DataError
from na64reco.events import has_collection, has_scalar, read_hits, read_scalar
from na64reco.tracking.clusters import find_clusters
from na64reco.tracking.efficiency import only, plane_of, probe_plane
from na64reco.tracking.finding import OK, find_candidates
from na64reco.tracking.fit import fit_tracks, residuals
from na64reco.tracking.layout import make_layout
from na64reco.tracking.multiplexing import unfold_hits
from na64reco.tracking.planes import PROJECTIONS, TECHNOLOGIES, strip_planes
from na64reco.tracking.reconstruct import FIT_FAILED, measurements

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.calibration import Conditions
    from na64reco.events import Hits
    from na64reco.setup import Setup
    from na64reco.tracking.clusters import Clusters
    from na64reco.tracking.finding import Candidates
    from na64reco.tracking.fit import Fits
    from na64reco.tracking.layout import Layout
    from na64reco.tracking.planes import Planes

__all__ = ["WRONG", "PlaneEfficiency", "TrackQuality", "track_quality"]

WRONG: Final = 5.0
"""Standard deviations from the true momentum beyond which a track is wrong."""

_FIELDS: Final = ("station", "projection", "strip", "charge", "time")
_CHUNK: Final = 5000  # tracks whose states at all planes are held at once


@dataclass(frozen=True)
class PlaneEfficiency:
    """Of one plane, with the 68 % interval of Wilson, J. Am. Stat. Assoc. 22 (1927) 209."""

    plane: str
    found: int
    probes: int
    """Tracks, found without this plane, that cross it."""
    value: float
    """NaN without probes."""
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class TrackQuality:
    """What can be said of the tracks in some events; sums are those of all their events."""

    setup: str
    spectrometer: str
    events: int
    residual: hist.Hist[Any]
    """Axes plane, residual (mm, measured less expected by the other planes' hits)."""
    pull: hist.Hist[Any]
    """Axes plane, pull: the same over its expected standard deviation."""
    probe: hist.Hist[Any]
    """Axes plane, position (mm along the measured direction), found (0 or 1)."""
    cluster_size: hist.Hist[Any]
    """Axes plane, size (strips), of the best tracks' clusters."""
    unused: hist.Hist[Any]
    """Axis plane: in-time clusters that belong to no track."""
    tracks: hist.Hist[Any]
    """Axis tracks: candidates per event."""
    reason: hist.Hist[Any]
    """Axis reason, as `track.reason`."""
    chi2: hist.Hist[Any]
    """Axis chi2 / ndf, of the best track."""
    p_value: hist.Hist[Any]
    """Axis p-value, of the best track."""
    momentum: hist.Hist[Any]
    """Axis (momentum - true) / true; empty without truth."""
    momentum_pull: hist.Hist[Any]
    """Axis (momentum - true) / error; what lies beyond 5 is in the flow bins."""

    @property
    def planes(self) -> tuple[str, ...]:
        """Names, along the beam."""
        return tuple(self.residual.axes[0])

    @property
    def found(self) -> float:
        """Share of events with a fitted track; NaN without events."""
        return self._share(float(self.reason[hist.loc(OK)]), self.events)

    @property
    def wrong(self) -> float:
        """Share of tracks whose momentum is more than `WRONG` errors off; NaN without truth."""
        pulls = self.momentum_pull.values(flow=True)
        return self._share(float(pulls[0] + pulls[-1]), float(pulls.sum()))

    @property
    def efficiencies(self) -> tuple[PlaneEfficiency, ...]:
        """Of every plane, along the beam."""
        counts = self.probe.values(flow=True).sum(axis=1)
        results = []
        for plane, row in zip(self.planes, counts, strict=False):
            found, probes = round(row[1]), round(row[0] + row[1])
            low, high = _wilson(found, probes)
            value = self._share(found, probes)
            results.append(PlaneEfficiency(plane, found, probes, value, low, high))
        return tuple(results)

    @property
    def unused_per_event(self) -> NDArray[np.float64]:
        """In-time clusters of each plane that belong to no track: noise and parts of tracks."""
        values = np.asarray(self.unused.values(), np.float64)
        return values / self.events if self.events else np.full(len(values), np.nan)

    @staticmethod
    def _share(part: float, whole: float) -> float:
        return part / whole if whole else float("nan")

    def __add__(self, other: TrackQuality) -> TrackQuality:
        """Of the events of both.

        Raises
        ------
        ValueError
            Where they are of different setups or spectrometers, or of planes that differ.
        """
        if not isinstance(other, TrackQuality):
            return NotImplemented
        mine = (self.setup, self.spectrometer, self.planes)
        theirs = (other.setup, other.spectrometer, other.planes)
        if mine != theirs:
            msg = (
                f"track quality of setup {self.setup}, spectrometer {self.spectrometer!r}, "
                f"{len(self.planes)} planes, cannot be added to that of {other.setup}, "
                f"{other.spectrometer!r}, {len(other.planes)} planes: all must be the same"
            )
            raise ValueError(msg)
        sums: dict[str, Any] = {
            f.name: getattr(self, f.name) + getattr(other, f.name)
            for f in fields(self)
            if f.name not in {"setup", "spectrometer"}
        }
        return replace(self, **sums)


def _wilson(found: int, probes: int) -> tuple[float, float]:
    if not probes:
        return float("nan"), float("nan")
    p = found / probes
    middle = (p + 0.5 / probes) / (1 + 1 / probes)
    half = np.sqrt(p * (1 - p) / probes + 0.25 / probes**2) / (1 + 1 / probes)
    return float(max(0.0, middle - half)), float(min(1.0, middle + half))


def track_quality(
    hits: Any, setup: Setup, conditions: Conditions, *, spectrometer: str = "main"
) -> TrackQuality:
    """Find and fit the tracks of some events and see how good they are.

    Parameters
    ----------
    hits
        Events as from `na64reco.events.open_events`, or a mapping of the collections "MM" and
        "GEM" (one may be missing) to their `Hits`, to which "MC_momentum" (events,), GeV/c before
        the magnets, may be added.

    Raises
    ------
    DataError
        Where there are neither MM nor GEM hits.
    SetupError
        Where the spectrometer is unknown or cannot measure a momentum.
    ConditionsError
        Where the conditions lack a plane.
    """
    mm, gem, true = _read(hits)
    planes = strip_planes(setup, conditions)
    layout = make_layout(setup, planes, spectrometer=spectrometer)
    clusters = find_clusters(None if mm is None else unfold_hits(mm, setup, planes), gem, planes)
    candidates = find_candidates(clusters, layout)
    measured = measurements(candidates, clusters, planes, layout)
    fits = fit_tracks(measured, candidates.seed, planes, layout, max_dropped=1)
    quality = _empty(setup, spectrometer, planes, layout, len(clusters))
    event, best = _best(candidates, fits)

    reason = candidates.reason.copy()
    reason[np.diff(candidates.offsets) > 0] = FIT_FAILED
    reason[event] = OK
    quality.reason.fill(reason)
    quality.tracks.fill(candidates.number)
    quality.chi2.fill(fits.chi2[best] / np.maximum(fits.ndf[best], 1))
    quality.p_value.fill(fits.p_value[best])
    _fill_clusters(quality, clusters, candidates, best, layout)
    _fill_residuals(quality, measured[best], only(fits, best), planes, layout)
    for column, name in enumerate(quality.planes):
        along, hit = probe_plane(clusters, column, setup, planes, layout)
        quality.probe.fill(name, along, hit.astype(np.int64))
    first_magnet = min(setup.magnets, key=lambda name: setup.magnets[name].z)
    if true is not None and first_magnet in setup.spectrometers[spectrometer].magnets:
        p = 1 / np.abs(fits.first[best, 4])
        error = np.sqrt(fits.first_covariance[best, 4, 4]) * p**2
        off = p - true[event]
        quality.momentum.fill(off / true[event])
        quality.momentum_pull.fill(off / error)
    return quality


def _read(hits: Any) -> tuple[Hits | None, Hits | None, NDArray[np.float64] | None]:
    true: Any = None
    if isinstance(hits, Mapping):
        mm, gem, true = hits.get("MM"), hits.get("GEM"), hits.get("MC_momentum")
    else:
        mm, gem = (
            read_hits(hits, name, _FIELDS) if has_collection(hits, name) else None
            for name in ("MM", "GEM")
        )
        if has_scalar(hits, "MC_momentum"):
            true = read_scalar(hits, "MC_momentum")
    if mm is None and gem is None:
        msg = "the quality of tracks needs hits of the collections MM or GEM; there are none"
        raise DataError(msg)
    return mm, gem, None if true is None else np.asarray(true, np.float64)


def _names(planes: Planes, chosen: NDArray[np.int64]) -> list[str]:
    return [
        f"{TECHNOLOGIES[planes.technology[p]].upper()}{planes.station[p]}"
        f"{PROJECTIONS[planes.projection[p]]}"
        for p in chosen
    ]


def _empty(
    setup: Setup, spectrometer: str, planes: Planes, layout: Layout, events: int
) -> TrackQuality:
    plane = hist.axis.StrCategory(
        _names(planes, layout.planes), name="plane", label="plane", flow=False
    )
    half = float((planes.channels * planes.pitch)[layout.planes].max() / 2)
    axis = hist.axis.Regular
    return TrackQuality(
        setup=setup.name,
        spectrometer=spectrometer,
        events=events,
        residual=hist.Hist(plane, axis(200, -1, 1, name="residual", label="residual [mm]")),
        pull=hist.Hist(plane, axis(100, -5, 5, name="pull", label="pull")),
        probe=hist.Hist(
            plane,
            axis(20, -half, half, name="position", label="position [mm]"),
            hist.axis.Integer(0, 2, name="found", label="found", flow=False),
        ),
        cluster_size=hist.Hist(
            plane, hist.axis.Integer(1, 12, name="size", label="cluster size [strips]")
        ),
        unused=hist.Hist(plane),
        tracks=hist.Hist(hist.axis.Integer(0, 8, name="tracks", label="tracks per event")),
        reason=hist.Hist(hist.axis.Integer(0, 8, name="reason", label="reason")),
        chi2=hist.Hist(axis(100, 0, 5, name="chi2", label=r"$\chi^2$ / ndf")),
        p_value=hist.Hist(axis(50, 0, 1, name="p_value", label="p-value")),
        momentum=hist.Hist(axis(200, -0.1, 0.1, name="momentum", label="(momentum - true) / true")),
        momentum_pull=hist.Hist(
            axis(100, -WRONG, WRONG, name="pull", label="(momentum - true) / error")
        ),
    )


def _best(candidates: Candidates, fits: Fits) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(event, candidate) of the first candidate in each event whose fit is good."""
    owner = np.repeat(np.arange(len(candidates.offsets) - 1), np.diff(candidates.offsets))
    good = np.flatnonzero(fits.ok)
    event, position = np.unique(owner[good], return_index=True)
    return event, good[position]


def _fill_clusters(
    quality: TrackQuality,
    clusters: Clusters,
    candidates: Candidates,
    best: NDArray[np.int64],
    layout: Layout,
) -> None:
    unused = clusters.in_time.copy()
    unused[candidates.hits[candidates.hits >= 0]] = False
    counts = np.bincount(plane_of(clusters)[unused], minlength=clusters.planes)
    for name, column in zip(quality.planes, range(len(layout.planes)), strict=True):
        quality.unused.fill(name, weight=counts[layout.planes[column]])
        own = candidates.hits[best, column]
        quality.cluster_size.fill(name, clusters.size[own[own >= 0]])


def _fill_residuals(
    quality: TrackQuality,
    measured: NDArray[np.float64],
    fits: Fits,
    planes: Planes,
    layout: Layout,
) -> None:
    for start in range(0, len(measured), _CHUNK):
        some = slice(start, start + _CHUNK)
        part = only(fits, np.arange(len(measured))[some])
        values, sigma = residuals(measured[some], part, planes, layout)
        for column, name in enumerate(quality.planes):
            good = np.isfinite(values[:, column]) & (sigma[:, column] > 0)
            quality.residual.fill(name, values[good, column])
            quality.pull.fill(name, values[good, column] / sigma[good, column])
