"""Hits of the trackers to the columns ``track.*``, ``mm.*``, ``gem.*``, ``straw.*``."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from na64reco.errors import DataError
from na64reco.tracking.clusters import count_in_time, find_clusters
from na64reco.tracking.finding import NO_UPSTREAM, OK, find_candidates
from na64reco.tracking.fit import drop_wrong_hits, fit_tracks
from na64reco.tracking.layout import calorimeter_behind, make_layout
from na64reco.tracking.multiplexing import unfold_hits
from na64reco.tracking.multiplicity import most_behind
from na64reco.tracking.planes import strip_planes
from na64reco.tracking.runge_kutta import OUTSIDE, transport
from na64reco.tracking.straw_points import add_straw_planes, add_straw_points, straw_stations
from na64reco.tracking.straw_sides import fit_with_sides
from na64reco.tracking.straws import straw_columns

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from numpy.typing import NDArray

    from na64reco.calibration import Conditions
    from na64reco.events import Hits
    from na64reco.setup import Setup
    from na64reco.setup.model import Calorimeter
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

FIT_FAILED: Final = 4
OUTSIDE_MAP: Final = 6

_REALS: Final = (
    "momentum",
    "momentum_error",
    "chi2",
    "p_value",
    "angle_in",
    "slope_x_in",
    "slope_y_in",
    "slope_x_out",
    "slope_y_out",
    "x_ecal",
    "y_ecal",
    "x_ecal_error",
    "y_ecal_error",
    "time",
)


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
    columns = _track_columns(events)
    counted = {t for t in ("mm", "gem") if _is_wanted(f"{t}.clusters", wanted)}
    if mm is None and gem is None:
        make_layout(setup, planes, spectrometer=spectrometer)  # a bad setup is still an error
        columns["track.reason"][:] = NO_UPSTREAM
        columns |= {f"{t}.clusters": np.zeros(events, np.int32) for t in counted}
    else:
        layout = make_layout(setup, planes, spectrometer=spectrometer)
        if mm is not None and not unfolded:
            mm = unfold_hits(mm, setup, planes)
        clusters = find_clusters(mm, gem, planes)
        columns |= {f"{t}.clusters": count_in_time(clusters, planes, t) for t in counted}
        mirror = None
        if straw is not None and straw_planes is not None:
            clusters, mirror = add_straw_points(
                clusters, straw, setup, conditions, planes, straw_planes
            )
        # Without the field, which it does not need: else its kernels are compiled once more.
        candidates = find_candidates(clusters, layout._replace(field=None))
        measured = measurements(candidates, clusters, planes, layout)
        if mirror is None:
            fits = fit_tracks(measured, candidates.seed, planes, layout)
        else:
            mirrored = measurements(candidates, replace(clusters, position=mirror), planes, layout)
            fits, measured = fit_with_sides(measured, mirrored, candidates.seed, planes, layout)
        drop_wrong_hits(measured, fits, planes, layout)
        if _is_wanted("track.most_behind", wanted):
            columns["track.most_behind"] = most_behind(clusters, planes, layout)
        behind = calorimeter_behind(setup, float(layout.z[layout.last_plane]))
        _fill(columns, candidates, fits, behind, wanted)
        if layout.field is not None:
            _outside_map(columns, candidates, layout)
    columns = {name: values for name, values in columns.items() if _is_wanted(name, wanted)}
    return columns | straw_columns(straw, events, setup, conditions)


def unfolded_hits(mm: Hits | None, setup: Setup, conditions: Conditions) -> Hits | None:
    """Strips in the place of channels, to be done once for several spectrometers."""
    return None if mm is None else unfold_hits(mm, setup, strip_planes(setup, conditions))


def measurements(
    candidates: Candidates, clusters: Clusters, planes: Planes, layout: Layout
) -> NDArray[np.float64]:
    """Global u of the candidates' hits for `fit_tracks`, NaN where there is none."""
    if not len(clusters.position):
        return np.full(candidates.hits.shape, np.nan)
    return np.where(
        candidates.hits >= 0,
        clusters.position[candidates.hits] + planes.origin[layout.planes],
        np.nan,
    )


def _is_wanted(name: str, wanted: Collection[str] | None) -> bool:
    return wanted is None or name in wanted


def _track_columns(events: int) -> dict[str, NDArray[Any]]:
    columns: dict[str, NDArray[Any]] = {
        "track.found": np.zeros(events, np.bool_),
        "track.reason": np.zeros(events, np.uint8),
        "track.charge": np.zeros(events, np.int8),
        "track.ndf": np.zeros(events, np.int32),
        "track.hits": np.zeros(events, np.int32),
        "track.dropped": np.zeros(events, np.int32),
        "track.candidates": np.zeros(events, np.int32),
        "track.most_behind": np.zeros(events, np.int32),
    }
    return columns | {f"track.{name}": np.full(events, np.nan, np.float32) for name in _REALS}


def _best(candidates: Candidates, fits: Fits) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(event, candidate) of the first candidate in each event whose fit is good."""
    owner = np.repeat(np.arange(len(candidates.offsets) - 1), np.diff(candidates.offsets))
    good = np.flatnonzero(fits.ok)
    event = owner[good]  # in rising order
    first = np.ones(len(event), np.bool_)
    first[1:] = event[1:] != event[:-1]
    return event[first], good[first]


def _fill(
    columns: dict[str, NDArray[Any]],
    candidates: Candidates,
    fits: Fits,
    calorimeter: Calorimeter,
    wanted: Collection[str] | None,
) -> None:
    columns["track.reason"][:] = candidates.reason
    columns["track.reason"][np.diff(candidates.offsets) > 0] = FIT_FAILED
    columns["track.candidates"][:] = candidates.number
    event, chosen = _best(candidates, fits)
    columns["track.reason"][event] = OK
    columns["track.found"][event] = True
    first, last = fits.first[chosen].T.copy(), fits.last[chosen]
    qp = first[4]
    x, y, x_error, y_error = to_face(last, fits.last_covariance[:, :2, :2][chosen], calorimeter)
    values: dict[str, Callable[[], NDArray[Any]]] = {
        "charge": lambda: np.sign(qp),
        "ndf": lambda: fits.ndf[chosen],
        "hits": lambda: fits.ndf[chosen] + 5,
        "dropped": lambda: fits.dropped[chosen],
        "momentum": lambda: 1 / np.abs(qp),
        "momentum_error": lambda: np.sqrt(fits.first_covariance[chosen, 4, 4]) / qp**2,
        "chi2": lambda: fits.chi2[chosen],
        "p_value": lambda: fits.p_value[chosen],
        "angle_in": lambda: 1e3 * np.arctan(np.hypot(first[2], first[3])),
        "slope_x_in": lambda: 1e3 * first[2],
        "slope_y_in": lambda: 1e3 * first[3],
        "slope_x_out": lambda: 1e3 * last[:, 2],
        "slope_y_out": lambda: 1e3 * last[:, 3],
        "x_ecal": lambda: x,
        "y_ecal": lambda: y,
        "x_ecal_error": lambda: x_error,
        "y_ecal_error": lambda: y_error,
        "time": lambda: candidates.time[chosen],
    }
    for name, value in values.items():
        if _is_wanted(f"track.{name}", wanted):
            columns[f"track.{name}"][event] = value()


def _outside_map(columns: dict[str, NDArray[Any]], candidates: Candidates, layout: Layout) -> None:
    """Say of events without a good fit whether their best candidate is beside a field map."""
    assert layout.field is not None
    failed = np.flatnonzero(columns["track.reason"] == FIT_FAILED)
    seeds = candidates.seed[candidates.offsets[failed]]
    status = transport(seeds, layout.z[0], layout.z[-1], layout.field).status
    columns["track.reason"][failed[status == OUTSIDE]] = OUTSIDE_MAP


def to_face(
    states: NDArray[np.float64], covariances: NDArray[np.float64], calorimeter: Calorimeter
) -> tuple[NDArray[np.float64], ...]:
    """Where tracks meet a calorimeter's front face, in its own frame, and the errors, mm.

    ``states`` (tracks, 5) and covariances (of x and y at least) are those at the calorimeter's z.
    The face is perpendicular to the axis, which has the slope ``slope_x``: a track at global
    x - x0 = d meets it at z - z0 = -d t / (1 + tx t), t = slope_x.
    """
    slope = calorimeter.slope_x
    cosine = 1 / math.sqrt(1 + slope * slope)
    d = states[:, 0] - calorimeter.x
    factor = 1 / (1 + states[:, 2] * slope)
    dz = -d * slope * factor
    x = (d + states[:, 2] * dz) * cosine - dz * slope * cosine
    y = states[:, 1] - calorimeter.y + states[:, 3] * dz
    # The face is so nearly at constant z that the errors are those at its centre's z.
    return x, y, np.sqrt(covariances[:, 0, 0]) * factor, np.sqrt(covariances[:, 1, 1])
