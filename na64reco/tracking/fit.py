"""Kalman filter over all candidates: five track parameters with covariance, at both ends.

The state (x, y, tx, ty, q/p) is a small deviation from a reference track that is followed
exactly (`field`), so the filter is linear but the bending is not linearised; where the fit ends
up far from its reference it is repeated about the result. Process noise: multiple scattering in
every thin layer (`layout`), cov(tx, ty) = theta^2 (1 + tx^2 + ty^2) ((1 + tx^2, tx ty), (tx ty,
1 + ty^2)), see E. J. Wolin, L. L. Ho, Nucl. Instrum. Meth. A 329 (1993) 493, eq. 16; ionisation
in it, and synchrotron radiation in the magnets, whose means bend the reference. Bremsstrahlung is
no Gaussian noise: `docs/tracking.md` says what it does. A filter along the beam gives the state at
its end (ECAL) and the chi2, one against the beam the state at the first plane: each is the best
estimate from all hits at its place. R. Fruehwirth, Nucl. Instrum. Meth. A 262 (1987) 444.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from na64reco.errors import DataError
from na64reco.tracking.field import Field
from na64reco.tracking.kalman import filter_tracks
from na64reco.tracking.layout import MAGNET, PLANE, SCATTERER
from na64reco.tracking.outliers import SUSPECT, choose, unbiased
from na64reco.tracking.room import Room

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.tracking.field import Dipoles
    from na64reco.tracking.layout import Layout
    from na64reco.tracking.planes import Planes

__all__ = ["Fits", "drop", "drop_wrong_hits", "fit", "fit_tables", "fit_tracks", "residuals"]

_CHUNK: Final = 2000  # tracks whose states at all planes are held at once


@dataclass(frozen=True)
class Fits:
    """Fitted tracks; states are (x, y, tx, ty, q/p) in mm and c/GeV.

    q/p is that at the first plane, everywhere: what is lost on the way, on average, is added back.
    """

    ok: NDArray[np.bool_]
    """Shape (tracks,): the fit converged, and the hits fix all parameters; else they are NaN."""
    first: NDArray[np.float64]
    """State at the first plane, shape (tracks, 5)."""
    first_variance: NDArray[np.float64]
    """Shape (tracks, 5)."""
    first_covariance: NDArray[np.float64]
    """Shape (tracks, 5, 5); (tracks, 0, 0) where only variances were asked for."""
    last: NDArray[np.float64]
    """State at the ECAL's z, shape (tracks, 5)."""
    last_variance: NDArray[np.float64]
    """Shape (tracks, 5)."""
    last_covariance: NDArray[np.float64]
    """Shape (tracks, 5, 5) or (tracks, 0, 0)."""
    chi2: NDArray[np.float64]
    ndf: NDArray[np.int64]
    p_value: NDArray[np.float64]
    dropped: NDArray[np.int64]
    """Hits that did not belong to the track and were dropped."""
    used: NDArray[np.bool_]
    """Shape (tracks, planes of the spectrometer): the hits that were not."""


def fit_tracks(
    measured: NDArray[np.float64],
    seeds: NDArray[np.float64],
    planes: Planes,
    layout: Layout,
    *,
    max_dropped: int = 0,
) -> Fits:
    """Fit candidates.

    Parameters
    ----------
    measured
        Shape (tracks, planes of the spectrometer): x cos + y sin in the global frame (cluster
        position plus `Planes.origin`), mm; NaN where the track has no hit.
    seeds
        Shape (tracks, 5): states at the layout's first element.
    max_dropped
        How many wrong hits a track may lose, see `drop_wrong_hits`.

    Raises
    ------
    DataError
        Where the shapes do not fit the layout.
    """
    columns, n = len(layout.planes), len(seeds)
    if np.shape(measured) != (n, columns) or np.shape(seeds) != (n, 5):
        msg = (
            f"track fit: measurements of shape {np.shape(measured)} and seeds of shape "
            f"{np.shape(seeds)} do not fit; (tracks, {columns} planes of the spectrometer) and "
            "(tracks, 5) are expected"
        )
        raise DataError(msg)
    measured = np.ascontiguousarray(measured, np.float64)
    tables = fit_tables(planes, layout)
    fits = fit(measured, np.ascontiguousarray(seeds, np.float64), tables)
    if max_dropped > 0:
        drop(measured, fits, tables, max_dropped)
    return fits


def fit(
    measured: NDArray[np.float64],
    seeds: NDArray[np.float64],
    tables: Any,
    *,
    covariances: bool = True,
    room: Room | None = None,
) -> Fits:
    """`fit_tracks` with its `fit_tables`; of the ``covariances``, variances at least.

    With a ``room``, states and variances are in its memory.
    """
    n = len(seeds)
    size = 5 if covariances else 0
    room = room or Room()
    names = ("first", "first_variance", "last", "last_variance")
    first, first_variance, last, last_variance = (room.empty(name, n, 5) for name in names)
    first_covariance, last_covariance = (np.empty((n, size, size)) for _ in range(2))
    chi2 = np.empty(n)
    ok, ndf, p_value = filter_tracks(
        measured, seeds, tables, first, first_variance, first_covariance, last, last_variance,
        last_covariance, chi2, np.empty((0, 0, 0)),
    )  # fmt: skip
    return Fits(
        ok=ok,
        first=first,
        first_variance=first_variance,
        first_covariance=first_covariance,
        last=last,
        last_variance=last_variance,
        last_covariance=last_covariance,
        chi2=chi2,
        ndf=ndf,
        p_value=p_value,
        dropped=np.zeros(n, np.int64),
        used=np.isfinite(measured),
    )


def drop_wrong_hits(
    measured: NDArray[np.float64], fits: Fits, planes: Planes, layout: Layout, *, most: int = 1
) -> None:
    """Drop hits that do not belong to their track, and fit it again; ``fits`` is changed.

    A track with a p-value below `outliers.SUSPECT` loses up to ``most`` hits, one after the other,
    each time the one that `outliers.choose` names. Where the p-value is no better in the end it is
    left with all its hits: then it is more than a wrong hit that is wrong.
    """
    drop(np.asarray(measured, np.float64), fits, fit_tables(planes, layout), most)


def drop(measured: NDArray[np.float64], fits: Fits, tables: Any, most: int = 1) -> None:
    """`drop_wrong_hits` with the `fit_tables`."""
    covariances = fits.first_covariance.shape[1] > 0
    track = np.flatnonzero(fits.ok & (fits.p_value < SUSPECT))
    fitted, hits = _take(fits, track), measured[track]
    for dropped in range(1, most + 1):
        # One degree of freedom must be left to tell that the hit was the wrong one.
        chosen = choose(*_unbiased(hits, fitted.first, tables))
        rows = np.flatnonzero((chosen >= 0) & (fitted.ndf > 1))
        track, hits = track[rows], hits[rows]
        if not len(track):
            return
        hits[np.arange(len(rows)), chosen[rows]] = np.nan
        fitted = fit(hits, fitted.first[rows], tables, covariances=covariances)
        fitted.dropped[:] = dropped
        good = fitted.ok & (fitted.p_value >= SUSPECT)
        for field in fields(Fits):
            getattr(fits, field.name)[track[good]] = getattr(fitted, field.name)[good]
        bad = np.flatnonzero(fitted.ok & ~good)
        track, hits, fitted = track[bad], hits[bad], _take(fitted, bad)


def _take(fits: Fits, rows: NDArray[np.int64]) -> Fits:
    return replace(fits, **{f.name: getattr(fits, f.name)[rows] for f in fields(fits)})


def residuals(
    measured: NDArray[np.float64], fits: Fits, planes: Planes, layout: Layout
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Unbiased residual (mm) of each hit and its expected standard deviation.

    Each plane is compared with what the hits of all other planes say there, without those that
    were dropped: the filters along and against the beam, combined. NaN where there is no hit or
    no fit.

    Returns
    -------
    tuple
        Two arrays (tracks, planes of the spectrometer).
    """
    hits = np.where(fits.used, measured, np.nan)
    return _unbiased(hits, fits.first, fit_tables(planes, layout), of=measured)


def _unbiased(
    hits: NDArray[np.float64],
    states: NDArray[np.float64],
    tables: Any,
    *,
    of: NDArray[np.float64] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    n, columns = hits.shape
    values, sigma = np.empty((n, columns)), np.empty((n, columns))
    compared = np.ascontiguousarray(hits if of is None else of, np.float64)
    for start in range(0, n, _CHUNK):
        part = slice(start, start + _CHUNK)
        size = len(hits[part])
        store = np.full((size, 2 * columns, 35), np.nan)
        ends, covariances = np.empty((4, size, 5)), np.empty((size, 0, 0))
        filter_tracks(
            np.ascontiguousarray(hits[part]), np.ascontiguousarray(states[part]), tables,
            ends[0], ends[1], covariances, ends[2], ends[3], covariances, np.empty(size), store,
        )  # fmt: skip
        unbiased(compared[part], store, tables[0], values[part], sigma[part])
    return values, sigma


def _magnets(layout: Layout) -> Dipoles | Field:
    """What the fit crosses as magnets."""
    return layout.dipoles if layout.field is None else layout.field


class _Element(NamedTuple):
    """What stands along the beam, in this order where z is the same."""

    z: float
    kind: int
    number: int
    end: float
    scatter: float = 0.0
    loss: float = 0.0
    noise: float = 0.0


def _elements(layout: Layout) -> list[_Element]:
    """Magnets are cut into the pieces of the field, which follow planes and material at their z."""
    ends = layout.dipoles.end
    elements = [
        _Element(float(z), int(kind), int(n), float(ends[n] if kind == MAGNET else z), float(s), *e)
        for z, kind, n, s, e in zip(
            layout.z, layout.kind, layout.number, layout.scatter, layout.loss.tolist(), strict=True
        )
    ]
    if layout.field is None:
        return elements
    first = elements[0].z
    elements = [e for e in elements if e.kind != MAGNET]
    elements += [
        _Element(float(start), MAGNET, p, float(end))
        for p, (start, end) in enumerate(zip(layout.field.start, layout.field.end, strict=True))
        if start >= first
    ]
    return sorted(elements, key=lambda e: e[:2])


def _path(
    elements: list[_Element], *, forward: bool
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Planes, magnets and the end, in the order of the filter, with what lies before each.

    Between two of them the slopes of the reference stay the same, so the scatterers there add up:
    one with rms angle theta adds, at a distance a behind it, theta^2 (1, a, a^2) times one matrix
    to the covariance of slopes, of slopes with positions, and of positions.

    Returns
    -------
    tuple
        (n, 2): kind and number of the element; (n, 5): drift up to it (mm), the sums of
        theta^2 (1, a, a^2) of the scatterers on the way, theta as in `Layout.scatter`, and of the
        variances of the energy lost in them (GeV^2).
    """
    if not forward:
        last = max(e for e, element in enumerate(elements) if element.kind == PLANE)
        elements = elements[last::-1]
    names, values = [], []
    here, total, sums = elements[0].z, 0.0, [0.0, 0.0, 0.0, 0.0]
    for e in elements:
        near, far = (e.z, e.end) if forward else (e.end, e.z)
        step = near - here
        total += step
        sums[2] += step * (2 * sums[1] + step * sums[0])
        sums[1] += step * sums[0]
        here = far
        if e.kind == SCATTERER:
            sums[0] += e.scatter**2
            sums[3] += e.noise
            continue
        names.append((e.kind, e.number))
        values.append((total, *sums))
        total, sums = 0.0, [0.0, 0.0, 0.0, 0.0]
    return np.array(names, np.int64), np.array(values, np.float64)


def fit_tables(planes: Planes, layout: Layout) -> tuple[Any, ...]:
    """What the kernels need to know: few arrays, since each costs time at every call.

    Planes (cos, sin, variance), magnets (length, field, loss to radiation, loss in matter before,
    noise of radiation), both ways of `_path`, the distance from the last plane to the end, and the
    field where magnets are not just uniform.
    """
    chosen, magnets = layout.planes, _magnets(layout)
    strength = magnets.base if isinstance(magnets, Field) else magnets.field
    elements = _elements(layout)
    before = [sum(e.loss for e in elements if e.end <= start) for start in magnets.start]
    return (
        np.stack((planes.cos[chosen], planes.sin[chosen], planes.resolution[chosen] ** 2), axis=1),
        np.stack(
            (
                magnets.end - magnets.start,
                strength,
                magnets.loss,
                np.array(before, np.float64),
                magnets.noise,
            ),
            axis=1,
        ),
        *_path(elements, forward=True),
        *_path(elements, forward=False),
        layout.z[-1] - layout.z[layout.last_plane],
        layout.field,
    )
