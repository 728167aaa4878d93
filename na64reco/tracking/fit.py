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

# ruff: noqa: PLR0917 - kernels take flat arrays

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numba import njit
from scipy.special import gammaincc

from na64reco.tracking.field import cross_dipole
from na64reco.tracking.layout import MAGNET, PLANE, SCATTERER

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.tracking.layout import Layout
    from na64reco.tracking.planes import Planes

__all__ = ["Fits", "fit_tracks", "residuals"]

# Variances without knowledge, about the reference: mm^2, rad^2; of q/p relative (rms). Large
# beside what is measured (pull of the result towards the reference < 1e-4 standard deviations),
# small enough for the sum of both filters to keep its precision.
_PRIOR: Final = (1e5, 1e5, 1e-1, 1e-1, 0.0)
_PRIOR_MOMENTUM: Final = 10.0
_ITERATIONS: Final = 4
_NEARLY: Final = 0.05  # relative change of q/p that does not need another iteration
_MIN_QP: Final = 1e-6
_MAX_QP: Final = 10.0


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
    chosen = layout.planes
    first, last = np.full((n, 5), np.nan), np.full((n, 5), np.nan)
    first_covariance, last_covariance = np.full((n, 5, 5), np.nan), np.full((n, 5, 5), np.nan)
    chi2 = np.full(n, np.nan)
    nothing = np.empty((0, 0, 0))
    ok = _fit(
        np.ascontiguousarray(measured, np.float64),
        np.ascontiguousarray(seeds, np.float64),
        planes.cos[chosen],
        planes.sin[chosen],
        planes.resolution[chosen],
        layout,
        first,
        first_covariance,
        last,
        last_covariance,
        chi2,
        nothing,
    )
    ndf = np.isfinite(measured).sum(axis=1) - 5
    with np.errstate(invalid="ignore"):
        p_value = np.where(ndf > 0, gammaincc(np.maximum(ndf, 1) / 2, chi2 / 2), np.nan)
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
    _fit(
        np.ascontiguousarray(measured, np.float64),
        np.ascontiguousarray(fits.first),
        planes.cos[chosen],
        planes.sin[chosen],
        planes.resolution[chosen],
        layout,
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


# Of no NaN or infinity is made less by these; they allow fused multiply-add.
_FAST: Final = {"contract", "reassoc", "nsz", "arcp"}


@njit(cache=True, nogil=True, error_model="numpy")
def _transport(d, cov, jacobian, work):  # type: ignore[no-untyped-def]
    """Deviation and covariance through a magnet: d -> J d, C -> J C J^T, in place.

    Only columns 2-4 of J differ from the unit matrix, and row 4 does not.
    """
    for i in range(4):
        for j in range(5):
            s = cov[i, j] if i < 2 else 0.0
            for k in range(2, 5):
                s += jacobian[i, k] * cov[k, j]
            work[i, j] = s
    for j in range(5):
        work[4, j] = cov[4, j]
    for i in range(5):
        for j in range(5):
            if j == 4:
                cov[i, j] = work[i, 4]
                continue
            s = work[i, j] if j < 2 else 0.0
            for k in range(2, 5):
                s += jacobian[j, k] * work[i, k]
            cov[i, j] = s
    d2, d3, d4 = d[2], d[3], d[4]
    for i in range(4):
        s = d[i] if i < 2 else 0.0
        d[i] = s + jacobian[i, 2] * d2 + jacobian[i, 3] * d3 + jacobian[i, 4] * d4


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def _filter(  # type: ignore[no-untyped-def]
    measured, cos, sin, sigma, kind, number, z, scatter, ends, fields, losses, last_plane,
    forward, reference, d, cov, work, store,
):  # fmt: skip
    """Filter one track along or against the beam; ``reference`` travels with it, in place.

    Returns chi2, negative where the reference does not come through. The covariance is symmetric
    and lives in 15 numbers, which the compiler keeps in registers: half the time of loops over a
    matrix. Only magnets, whose Jacobian is full, see the matrix.
    """
    jacobian = work[0]
    x, y, tx, ty = reference[0], reference[1], reference[2], reference[3]
    qp = reference[4]
    d0 = d1 = d2 = d3 = d4 = 0.0
    c00, c11, c22, c33 = _PRIOR[0], _PRIOR[1], _PRIOR[2], _PRIOR[3]
    c44 = (_PRIOR_MOMENTUM * qp) ** 2
    c01 = c02 = c03 = c04 = c12 = c13 = c14 = c23 = c24 = c34 = 0.0
    chi2 = 0.0
    elements = len(kind) if forward else last_plane + 1
    here = z[0] if forward else z[last_plane]
    for k in range(elements):
        e = k if forward else elements - 1 - k
        magnet = kind[e] == MAGNET
        there = ends[number[e]] if magnet and not forward else z[e]
        # Drift: x += step tx, y += step ty.
        step = there - here
        here = there
        x += step * tx
        y += step * ty
        d0 += step * d2
        d1 += step * d3
        c00 += step * (2.0 * c02 + step * c22)
        c01 += step * (c03 + c12 + step * c23)
        c11 += step * (2.0 * c13 + step * c33)
        c02 += step * c22
        c03 += step * c23
        c04 += step * c24
        c12 += step * c23
        c13 += step * c33
        c14 += step * c34
        if kind[e] == SCATTERER:
            norm = 1.0 + tx * tx + ty * ty
            # The root: the way through is longer at an angle.
            variance = (scatter[e] * qp) ** 2 * norm * math.sqrt(norm)
            c22 += variance * (1.0 + tx * tx)
            c33 += variance * (1.0 + ty * ty)
            c23 += variance * tx * ty
        elif kind[e] == PLANE:
            c = number[e]
            if len(store):
                row = store[c if forward else len(measured) + c]
                row[:5] = d0, d1, d2, d3, d4
                row[5:10] = x, y, tx, ty, qp
                row[10:15] = c00, c01, c02, c03, c04
                row[15:20] = c01, c11, c12, c13, c14
                row[20:25] = c02, c12, c22, c23, c24
                row[25:30] = c03, c13, c23, c33, c34
                row[30:35] = c04, c14, c24, c34, c44
            if np.isfinite(measured[c]):
                u, v = cos[c], sin[c]
                g0, g1 = c00 * u + c01 * v, c01 * u + c11 * v
                g2, g3, g4 = c02 * u + c12 * v, c03 * u + c13 * v, c04 * u + c14 * v
                weight = 1.0 / (g0 * u + g1 * v + sigma[c] * sigma[c])
                r = measured[c] - (x + d0) * u - (y + d1) * v
                chi2 += r * r * weight
                k0, k1, k2 = g0 * weight, g1 * weight, g2 * weight
                k3, k4 = g3 * weight, g4 * weight
                d0 += k0 * r
                d1 += k1 * r
                d2 += k2 * r
                d3 += k3 * r
                d4 += k4 * r
                c00 -= k0 * g0
                c01 -= k0 * g1
                c02 -= k0 * g2
                c03 -= k0 * g3
                c04 -= k0 * g4
                c11 -= k1 * g1
                c12 -= k1 * g2
                c13 -= k1 * g3
                c14 -= k1 * g4
                c22 -= k2 * g2
                c23 -= k2 * g3
                c24 -= k2 * g4
                c33 -= k3 * g3
                c34 -= k3 * g4
                c44 -= k4 * g4
        elif magnet:
            m = number[e]
            length = ends[m] - z[e] if forward else z[e] - ends[m]
            reference[:] = x, y, tx, ty, qp
            if not cross_dipole(reference, length, fields[m], losses[m], jacobian):
                return -1.0
            x, y, tx, ty = reference[0], reference[1], reference[2], reference[3]
            qp = reference[4]
            d[:] = d0, d1, d2, d3, d4
            cov[0, :] = c00, c01, c02, c03, c04
            cov[1, :] = c01, c11, c12, c13, c14
            cov[2, :] = c02, c12, c22, c23, c24
            cov[3, :] = c03, c13, c23, c33, c34
            cov[4, :] = c04, c14, c24, c34, c44
            _transport(d, cov, jacobian, work[1])
            d0, d1, d2, d3, d4 = d[0], d[1], d[2], d[3], d[4]
            c00, c01, c02, c03, c04 = cov[0, 0], cov[0, 1], cov[0, 2], cov[0, 3], cov[0, 4]
            c11, c12, c13, c14 = cov[1, 1], cov[1, 2], cov[1, 3], cov[1, 4]
            c22, c23, c24 = cov[2, 2], cov[2, 3], cov[2, 4]
            c33, c34, c44 = cov[3, 3], cov[3, 4], cov[4, 4]
            here += length
    reference[:] = x, y, tx, ty, qp
    d[:] = d0, d1, d2, d3, d4
    cov[0, :] = c00, c01, c02, c03, c04
    cov[1, :] = c01, c11, c12, c13, c14
    cov[2, :] = c02, c12, c22, c23, c24
    cov[3, :] = c03, c13, c23, c33, c34
    cov[4, :] = c04, c14, c24, c34, c44
    return chi2


@njit(cache=True, nogil=True, error_model="numpy")
def _fit(  # type: ignore[no-untyped-def]
    measured, seeds, cos, sin, sigma, layout, first, first_cov, last, last_cov, chi2, store
):
    n = len(seeds)
    ok = np.zeros(n, np.bool_)
    reference, start, d = np.empty(5), np.empty(5), np.empty(5)
    cov, work = np.empty((5, 5)), np.empty((2, 5, 5))
    no_store = np.empty((0, 0))
    empty = len(store) == 0
    z, last_plane = layout.z, layout.last_plane
    kind, number, scatter = layout.kind, layout.number, layout.scatter
    ends, fields, losses = layout.dipoles.end, layout.dipoles.field, layout.dipoles.loss
    for t in range(n):
        start[:] = seeds[t]
        fitted = False
        for iteration in range(_ITERATIONS):
            qp = start[4]
            if not (abs(qp) <= _MAX_QP and abs(start[2]) < 1.0 and abs(start[3]) < 1.0):
                break
            if abs(qp) < _MIN_QP:
                start[4] = qp = math.copysign(_MIN_QP, qp)
            keep = no_store if empty else store[t]
            reference[:] = start
            value = _filter(
                measured[t], cos, sin, sigma, kind, number, z, scatter, ends, fields, losses,
                last_plane, True, reference, d, cov, work, keep,
            )  # fmt: skip
            if not value >= 0.0:
                break
            for i in range(5):
                last[t, i] = reference[i] + d[i]
                for j in range(5):
                    last_cov[t, i, j] = cov[i, j]
            chi2[t] = value
            # Against the beam about the same reference, from its place at the last plane.
            drift = z[last_plane] - z[len(z) - 1]
            reference[0] += drift * reference[2]
            reference[1] += drift * reference[3]
            value = _filter(
                measured[t], cos, sin, sigma, kind, number, z, scatter, ends, fields, losses,
                last_plane, False, reference, d, cov, work, keep,
            )  # fmt: skip
            if not value >= 0.0:
                break
            for i in range(5):
                first[t, i] = reference[i] + d[i]
                for j in range(5):
                    first_cov[t, i, j] = cov[i, j]
                start[i] = first[t, i]
            fitted = True
            if abs(d[4]) <= _NEARLY * abs(qp):
                break
            fitted = iteration == _ITERATIONS - 1
        valid = fitted and chi2[t] >= 0.0
        for i in range(5):
            valid = valid and first_cov[t, i, i] > 0 and last_cov[t, i, i] > 0
            valid = valid and np.isfinite(first[t, i]) and np.isfinite(last[t, i])
        ok[t] = valid
        if not valid:
            first[t, :] = np.nan
            last[t, :] = np.nan
            first_cov[t, :, :] = np.nan
            last_cov[t, :, :] = np.nan
            chi2[t] = np.nan
    return ok
