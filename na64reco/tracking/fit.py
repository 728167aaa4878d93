"""Kalman filter over all candidates: five track parameters with covariance, at both ends.

The state (x, y, tx, ty, q/p) is a small deviation from a reference track that is followed
exactly (`field`), so the filter is linear but the bending is not linearised; where the fit ends
up far from its reference it is repeated about the result. Multiple scattering in every thin layer
(`layout`) is process noise: cov(tx, ty) = theta^2 (1 + tx^2 + ty^2) ((1 + tx^2, tx ty), (tx ty,
1 + ty^2)), see E. J. Wolin, L. L. Ho, Nucl. Instrum. Meth. A 329 (1993) 493, eq. 16. A filter
along the beam gives the state at its end (ECAL) and the chi2, one against the beam the state at
the first plane: each is the best estimate from all hits at its place. R. Fruehwirth, Nucl.
Instrum. Meth. A 262 (1987) 444.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from na64reco.tracking.field import Field
from na64reco.tracking.kalman import filter_tracks
from na64reco.tracking.layout import MAGNET, PLANE, SCATTERER

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.tracking.field import Dipoles
    from na64reco.tracking.layout import Layout
    from na64reco.tracking.planes import Planes

__all__ = ["Fits", "fit_tracks", "residuals"]


@dataclass(frozen=True)
class Fits:
    """Fitted tracks; states are (x, y, tx, ty, q/p) in mm and c/GeV, q/p before the magnets."""

    ok: NDArray[np.bool_]
    """Shape (tracks,): the fit converged; the rest is NaN where not."""
    first: NDArray[np.float64]
    """State at the first plane, shape (tracks, 5)."""
    first_covariance: NDArray[np.float64]
    """Shape (tracks, 5, 5)."""
    last: NDArray[np.float64]
    """State at the ECAL's z, shape (tracks, 5)."""
    last_covariance: NDArray[np.float64]
    """Shape (tracks, 5, 5)."""
    chi2: NDArray[np.float64]
    ndf: NDArray[np.int64]
    p_value: NDArray[np.float64]


def fit_tracks(
    measured: NDArray[np.float64], seeds: NDArray[np.float64], planes: Planes, layout: Layout
) -> Fits:
    """Fit candidates.

    Parameters
    ----------
    measured
        Shape (tracks, planes of the spectrometer): x cos + y sin in the global frame (cluster
        position plus `Planes.origin`), mm; NaN where the track has no hit.
    seeds
        Shape (tracks, 5): states at the layout's first element.
    """
    n = len(seeds)
    first, last = np.empty((n, 5)), np.empty((n, 5))
    first_covariance, last_covariance = np.empty((n, 5, 5)), np.empty((n, 5, 5))
    chi2 = np.empty(n)
    nothing = np.empty((0, 0, 0))
    ok, ndf, p_value = filter_tracks(
        np.ascontiguousarray(measured, np.float64),
        np.ascontiguousarray(seeds, np.float64),
        _tables(planes, layout),
        first,
        first_covariance,
        last,
        last_covariance,
        chi2,
        nothing,
    )
    return Fits(ok, first, first_covariance, last, last_covariance, chi2, ndf, p_value)


def residuals(
    measured: NDArray[np.float64], fits: Fits, planes: Planes, layout: Layout
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Unbiased residual (mm) of each hit and its expected standard deviation.

    Each plane is compared with what the hits of all other planes say there: the filters along
    and against the beam, combined. NaN where there is no hit or no fit.

    Returns
    -------
    tuple
        Two arrays (tracks, planes of the spectrometer).
    """
    n, columns = np.shape(measured)
    chosen = layout.planes
    # Per track and plane: predicted u and its variance cannot simply be averaged, since each of
    # the two filters lacks some of the parameters; hence the full states.
    store = np.full((n, 2 * columns, 35), np.nan)
    scratch = np.empty((n, 5, 5))
    filter_tracks(
        np.ascontiguousarray(measured, np.float64),
        np.ascontiguousarray(fits.first),
        _tables(planes, layout),
        np.empty((n, 5)),
        scratch,
        np.empty((n, 5)),
        scratch.copy(),
        np.empty(n),
        store,
    )
    out, sigma = np.full((n, columns), np.nan), np.full((n, columns), np.nan)
    for c in range(columns):
        good = np.isfinite(measured[:, c]) & fits.ok & np.isfinite(store[:, c, 0])
        good &= np.isfinite(store[:, columns + c, 0])
        if not good.any():
            continue
        forward, backward = store[good, c], store[good, columns + c]
        reference = forward[:, 5:10]
        cov_f, cov_b = forward[:, 10:].reshape(-1, 5, 5), backward[:, 10:].reshape(-1, 5, 5)
        # (C_f^-1 + C_b^-1)^-1 = C_f (C_f + C_b)^-1 C_b: a product, since in a difference the
        # directions that only one filter knows would cancel; scaled, since units differ.
        scale = np.sqrt(np.einsum("nii->ni", cov_f + cov_b))
        inverse = np.linalg.inv((cov_f + cov_b) / (scale[:, :, None] * scale[:, None, :]))
        inverse /= scale[:, :, None] * scale[:, None, :]
        covariance = cov_f @ inverse @ cov_b
        state = np.einsum("nij,nj->ni", cov_f @ inverse, backward[:, :5])
        state += np.einsum("nij,nj->ni", cov_b @ inverse, forward[:, :5])
        h = np.array([planes.cos[chosen[c]], planes.sin[chosen[c]], 0, 0, 0])
        out[good, c] = measured[good, c] - (reference + state) @ h
        variance = np.einsum("i,nij,j->n", h, covariance, h)
        sigma[good, c] = np.sqrt(variance + planes.resolution[chosen[c]] ** 2)
    return out, sigma


def _magnets(layout: Layout) -> Dipoles | Field:
    """What the fit crosses as magnets."""
    return layout.dipoles if layout.field is None else layout.field


def _elements(layout: Layout) -> list[tuple[float, int, int, float, float]]:
    """z, kind, number, end in z, scattering of what stands along the beam.

    Magnets are cut into the pieces of the field, which follow planes and material at the same z.
    """
    ends = layout.dipoles.end
    elements = [
        (float(z), int(kind), int(n), float(ends[n] if kind == MAGNET else z), float(scatter))
        for z, kind, n, scatter in zip(
            layout.z, layout.kind, layout.number, layout.scatter, strict=True
        )
    ]
    if layout.field is None:
        return elements
    first = elements[0][0]
    elements = [e for e in elements if e[1] != MAGNET]
    elements += [
        (float(start), MAGNET, p, float(end), 0.0)
        for p, (start, end) in enumerate(zip(layout.field.start, layout.field.end, strict=True))
        if start >= first
    ]
    return sorted(elements, key=lambda e: e[:2])


def _path(layout: Layout, *, forward: bool) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Planes, magnets and the end, in the order of the filter, with what lies before each.

    Between two of them the slopes of the reference stay the same, so the scatterers there add up:
    one with rms angle theta adds, at a distance a behind it, theta^2 (1, a, a^2) times one matrix
    to the covariance of slopes, of slopes with positions, and of positions.

    Returns
    -------
    tuple
        (n, 2): kind and number of the element; (n, 4): drift up to it (mm) and the sums of
        theta^2 (1, a, a^2) of the scatterers on the way, theta as in `Layout.scatter`.
    """
    elements = _elements(layout)
    if not forward:
        last = max(e for e, element in enumerate(elements) if element[1] == PLANE)
        elements = elements[last::-1]
    names, values = [], []
    here, total, sums = elements[0][0], 0.0, [0.0, 0.0, 0.0]
    for start, kind, number, end, scatter in elements:
        near, far = (start, end) if forward else (end, start)
        step = near - here
        total += step
        sums[2] += step * (2 * sums[1] + step * sums[0])
        sums[1] += step * sums[0]
        here = far
        if kind == SCATTERER:
            sums[0] += scatter**2
            continue
        names.append((kind, number))
        values.append((total, *sums))
        total, sums = 0.0, [0.0, 0.0, 0.0]
    return np.array(names, np.int64), np.array(values, np.float64)


def _tables(planes: Planes, layout: Layout) -> tuple[Any, ...]:
    """What the kernels need to know: few arrays, since each costs time at every call.

    Planes (cos, sin, variance), magnets (length, field, loss), both ways of `_path`, the distance
    from the last plane to the end, and the field where magnets are not just uniform.
    """
    chosen, magnets = layout.planes, _magnets(layout)
    strength = magnets.base if isinstance(magnets, Field) else magnets.field
    return (
        np.stack((planes.cos[chosen], planes.sin[chosen], planes.resolution[chosen] ** 2), axis=1),
        np.stack((magnets.end - magnets.start, strength, magnets.loss), axis=1),
        *_path(layout, forward=True),
        *_path(layout, forward=False),
        layout.z[-1] - layout.z[layout.last_plane],
        layout.field,
    )
