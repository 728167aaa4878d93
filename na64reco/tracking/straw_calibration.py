"""Drift times of straws from tracks: t0, r-t relation, resolution, and where the planes stand.

The mean drift time is a polynomial of the distance from the wire, T(r) = t0 + a1 r + a2 r^2 + ...
A track says where it passes only within an error s; the mean time of hits whose track passes at
the offset o is T averaged over it, and the averages of |x|^k for a Gaussian about o of width s are
known in closed form (`folded_moments`). So t0 and a_k follow from linear least squares that the
rounding-off of the V at the wire does not bias, as it does where distances are fitted to times. The
straws left and right of the track tell the plane's shift, and with the distance along the wire its
rotation: their derivatives are known too (a Gauss-Newton fit, one per straw plane).

Hits are fewer towards the wall, so a hit's track was more likely nearer to the wire than the offset
says: by s^2 d(ln p)/do with the density p of the offsets seen (M. C. K. Tweedie; see B. Efron, J.
Amer. Statist. Assoc. 106 (2011) 1602, eq. 1.4), which is taken from the data.

What conditions want, distances by time, is the inverse of T, as a polynomial again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.special import erf

from na64reco.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.tracking.straw_tracks import StrawCrossings, StrawLayer

__all__ = ["DEGREE", "LayerFit", "PlaneFit", "fit_straws", "folded_moments"]

DEGREE: Final = 3
"""Of T."""
POWERS: Final = 4
"""Of the distance as polynomial of the time."""
_FEWEST: Final = 200
"""Hits of a layer."""
_ITERATIONS: Final = 12
_OUTLIER: Final = 4.0
"""Standard deviations; crosstalk, noise, other particles."""
_BINS: Final = 24
_WALL: Final = 2.0
"""Standard deviations of the track to stay away from the wall: beyond it there are no hits."""
_MRAD: Final = 1e-3


@dataclass(frozen=True, eq=False)
class LayerFit:
    """What was found for one layer."""

    layer: StrawLayer
    t0: float
    """ns."""
    t0_error: float
    time_max: float
    """From t0 to the drift time from the wall, ns."""
    time_max_error: float
    rt: tuple[float, ...]
    """As `StrawConditions.rt`, mm."""
    resolution: float
    """rms of the distance's error over the straw, mm."""
    resolution_error: float
    time_resolution: float
    """rms of a drift time, ns."""
    coefficients: NDArray[np.float64]
    """t0, a1, a2, ...: T(r) in ns, r in mm."""
    covariance: NDArray[np.float64]
    """Of the coefficients, the plane's shift and rotation being free."""
    entries: int
    """Hits used."""

    def drift_time(self, distance: NDArray[np.float64]) -> NDArray[np.float64]:
        """Mean time at a distance, mm -> ns."""
        return np.asarray(np.polynomial.polynomial.polyval(np.abs(distance), self.coefficients))


@dataclass(frozen=True, eq=False)
class PlaneFit:
    """What was found for one straw plane: both layers and their common place."""

    station: str
    number: int
    projection: int
    layers: tuple[LayerFit, ...]
    shift: float
    """To be added to the shift that offsets were computed with, mm."""
    shift_error: float
    rotation: float
    """To be added, mrad."""
    rotation_error: float


def folded_moments(
    offset: NDArray[np.float64], error: NDArray[np.float64], degree: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Means of |x|^k, k = 0 ... degree, for x Gaussian about ``offset``, and their derivatives.

    Let M_k and N_k be the means of |x|^k and sign(x) |x|^k. From E[(x - o) g(x)] = s^2 E[g'(x)]
    (C. M. Stein, Ann. Statist. 9 (1981) 1135) follow M_k = o N_{k-1} + (k - 1) s^2 M_{k-2} and
    N_k = o M_{k-1} + (k - 1) s^2 N_{k-2}, from M_0 = 1, N_0 = erf(o / s sqrt 2), and
    M_1 = o N_0 + s sqrt(2 / pi) exp(-o^2 / 2 s^2). dM_k / do = k N_{k-1}.

    Returns
    -------
    tuple
        Both of shape (degree + 1, ...).
    """
    width = np.maximum(error, 1e-9)
    scaled = offset / (np.sqrt(2) * width)
    signed = [erf(scaled)]
    peak = width * np.sqrt(2 / np.pi) * np.exp(-(scaled**2))
    moments = [np.ones_like(offset)]
    for k in range(1, degree + 1):
        # E[|x|^k] = o E[sign |x|^(k-1)] + s^2 E[d/dx sign |x|^(k-1)]; for k = 1 the derivative of
        # the sign is twice a delta function.
        more = peak if k == 1 else (k - 1) * width**2 * moments[k - 2]
        even = offset * signed[k - 1] + more
        odd = offset * moments[k - 1] + ((k - 1) * width**2 * signed[k - 2] if k > 1 else 0.0)
        moments.append(even)
        signed.append(odd)
    slopes = [np.zeros_like(offset), *(k * signed[k - 1] for k in range(1, degree + 1))]
    return np.array(moments), np.array(slopes)


def fit_straws(
    crossings: StrawCrossings, *, degree: int = DEGREE, rotation: bool = True
) -> tuple[PlaneFit, ...]:
    """Fit all straw planes that tracks cross, each one's layers together.

    Parameters
    ----------
    degree
        Of T.
    rotation
        Whether the planes' rotations are fitted, or taken to be right.

    Raises
    ------
    DataError
        If all planes have a layer with fewer than 200 hits on tracks; others are left out.
    """
    inside = (
        np.abs(crossings.offset) < np.array([c.radius for c in crossings.layers])[crossings.layer]
    )
    hits = np.bincount(crossings.layer[inside], minlength=len(crossings.layers))
    keys = dict.fromkeys((c.station, c.number, c.projection) for c in crossings.layers)
    for what, n in zip(crossings.layers, hits, strict=True):
        if n < _FEWEST:
            keys.pop((what.station, what.number, what.projection), None)
    if not keys:
        counts = ", ".join(f"{c.name} {n}" for c, n in zip(crossings.layers, hits, strict=True))
        msg = (
            f"straws: every plane has a layer with fewer than {_FEWEST} hits on tracks ({counts}). "
            "Give more events of a run whose beam crosses them"
        )
        raise DataError(msg)
    return tuple(_fit_plane(crossings, key, degree, rotation=rotation) for key in keys)


@dataclass
class _Layer:
    """Hits of a layer and the state of its fit."""

    what: StrawLayer
    time: NDArray[np.float64]
    offset: NDArray[np.float64]
    error: NDArray[np.float64]
    lever: NDArray[np.float64]
    coefficients: NDArray[np.float64]
    sigma: float
    """rms of a drift time, ns."""
    used: NDArray[np.bool_]
    pulled: NDArray[np.float64]
    """By how much tracks are really nearer to the wire, mm."""


def _fit_plane(
    crossings: StrawCrossings, key: tuple[str, int, int], degree: int, *, rotation: bool
) -> PlaneFit:
    layers = [
        _start(crossings, column, what, degree)
        for column, what in enumerate(crossings.layers)
        if (what.station, what.number, what.projection) == key
    ]
    place = np.zeros(2)  # shift, mm; rotation, mrad
    size = len(layers) * (degree + 1)
    covariance = np.zeros((size + 2, size + 2))
    for _ in range(_ITERATIONS):
        matrix, vector = np.zeros((size + 2, size + 2)), np.zeros(size + 2)
        for number, layer in enumerate(layers):
            own = np.arange(number * (degree + 1), (number + 1) * (degree + 1))
            chosen = np.concatenate((own, [size, size + 1]))
            part, right = _equations(layer, place, degree)
            matrix[np.ix_(chosen, chosen)] += part
            vector[chosen] += right
        free = np.arange(size + 1 + rotation)
        inverse = np.linalg.inv(matrix[np.ix_(free, free)])
        covariance[np.ix_(free, free)] = inverse
        step = inverse @ vector[free]
        for number, layer in enumerate(layers):
            layer.coefficients = layer.coefficients + step[number * (degree + 1) :][: degree + 1]
        place[: 1 + rotation] += step[size:]
        for layer in layers:
            _weigh(layer, place, degree)
    return PlaneFit(
        *key,
        layers=tuple(
            _finish(
                layer,
                covariance[n * (degree + 1) :, n * (degree + 1) :][: degree + 1, : degree + 1],
            )
            for n, layer in enumerate(layers)
        ),
        shift=float(place[0]),
        shift_error=float(np.sqrt(covariance[size, size])),
        rotation=float(place[1]),
        rotation_error=float(np.sqrt(covariance[size + 1, size + 1])),
    )


def _start(crossings: StrawCrossings, column: int, what: StrawLayer, degree: int) -> _Layer:
    mine = crossings.layer == column
    time, offset = crossings.time[mine], crossings.offset[mine]
    inside = np.abs(offset) < what.radius
    # A line through the medians of the inner and the outer half: no constant is needed to start.
    r = np.abs(offset)
    inner = np.median(time[r < what.radius / 2])
    outer = np.median(time[inside & (r >= what.radius / 2)])
    slope = 2 * (outer - inner) / what.radius
    coefficients = np.zeros(degree + 1)
    coefficients[:2] = inner - slope * what.radius / 4, slope
    off = np.abs(time[inside] - coefficients[0] - slope * r[inside])
    layer = _Layer(
        what=what,
        time=time,
        offset=offset,
        error=crossings.error[mine],
        lever=crossings.lever[mine],
        coefficients=coefficients,
        sigma=float(1.4826 * np.median(off)),
        used=inside,
        pulled=_pulled(offset, crossings.error[mine], what.radius),
    )
    _weigh(layer, np.zeros(2), degree)
    return layer


def _pulled(
    offset: NDArray[np.float64], error: NDArray[np.float64], radius: float
) -> NDArray[np.float64]:
    """Of each hit: error^2 times the derivative of the logarithm of the density, towards the wall.

    The two sides of the wire are taken together: what the beam's own profile does cancels, and is
    little within a straw.
    """
    edges = np.linspace(0.0, 1.2 * radius, _BINS + 1)
    counts, _ = np.histogram(np.abs(offset), edges)
    smooth = np.convolve(np.concatenate((counts[:1], counts, counts[-1:])), np.ones(3) / 3, "valid")
    slope = np.gradient(np.log(smooth + 1.0), edges[1])
    centres = (edges[1:] + edges[:-1]) / 2
    at = np.interp(np.abs(offset), centres, slope)
    return np.asarray(error**2 * at * np.sign(offset))


def _model(
    layer: _Layer, place: NDArray[np.float64], degree: int
) -> tuple[NDArray[np.float64], ...]:
    """Offset, moments, expected time, its derivative by the offset, and variance from the track."""
    offset = layer.offset - place[0] + _MRAD * place[1] * layer.lever
    moments, slopes = folded_moments(offset + layer.pulled, layer.error, 2 * degree)
    a = layer.coefficients
    expected = np.tensordot(a, moments[: degree + 1], 1)
    gradient = np.tensordot(a, slopes[: degree + 1], 1)
    square = np.convolve(a, a)  # of T^2, for the variance of T
    variance = np.maximum(np.tensordot(square, moments, 1) - expected**2, 0.0)
    return offset, moments[: degree + 1], expected, gradient, variance


def _equations(
    layer: _Layer, place: NDArray[np.float64], degree: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    _, moments, expected, gradient, variance = _model(layer, place, degree)
    used = layer.used
    slope = gradient[used]
    design = np.vstack((moments[:, used], -slope, _MRAD * layer.lever[used] * slope))
    weight = 1 / (layer.sigma**2 + variance[used])
    residual = layer.time[used] - expected[used]
    return (design * weight) @ design.T, (design * weight) @ residual


def _weigh(layer: _Layer, place: NDArray[np.float64], degree: int) -> None:
    """Which hits count, and the resolution that makes their pulls 1."""
    offset, _, expected, _, variance = _model(layer, place, degree)
    inside = np.abs(offset) < layer.what.radius - _WALL * layer.error
    residual = layer.time - expected
    spread = np.median(np.abs(residual[inside]))
    robust = 1.4826 * spread
    sigma2 = max(robust**2 - float(np.median(variance[inside])), (0.1 * robust) ** 2)
    used = inside
    for _ in range(4):
        used = inside & (residual**2 < _OUTLIER**2 * (sigma2 + variance))
        weight = 1 / (sigma2 + variance[used]) ** 2
        found = float((weight * (residual[used] ** 2 - variance[used])).sum() / weight.sum())
        sigma2 = max(found, (0.1 * robust) ** 2)
    layer.used, layer.sigma = used, float(np.sqrt(sigma2))


def _finish(layer: _Layer, covariance: NDArray[np.float64]) -> LayerFit:
    radius = layer.what.radius
    a = layer.coefficients
    polynomial = np.polynomial.polynomial
    at_wall = radius ** np.arange(len(a))
    time_max = float(a[1:] @ at_wall[1:])
    distances = np.linspace(0.0, radius, 400)
    slope = polynomial.polyval(distances, polynomial.polyder(a))
    if time_max <= 0 or slope.min() <= 0:
        msg = (
            f"{layer.what.name}: the drift times that "
            "tracks give do not grow with the distance everywhere, and cannot be turned into "
            "distances. Look at the picture of the hits; more events, or a better alignment to "
            "start from, may help"
        )
        raise DataError(msg)
    s = (polynomial.polyval(distances, a) - a[0]) / time_max
    powers = np.stack([s**k for k in range(1, POWERS + 1)], axis=1)
    rt = np.linalg.lstsq(powers, distances, rcond=None)[0]
    n = int(layer.used.sum())
    resolution = float(layer.sigma * np.sqrt(np.mean(1 / slope**2)))
    return LayerFit(
        layer=layer.what,
        t0=float(a[0]),
        t0_error=float(np.sqrt(covariance[0, 0])),
        time_max=time_max,
        time_max_error=float(np.sqrt(at_wall[1:] @ covariance[1:, 1:] @ at_wall[1:])),
        rt=(0.0, *(float(c) for c in rt)),
        resolution=resolution,
        resolution_error=resolution / np.sqrt(2 * n),
        time_resolution=layer.sigma,
        coefficients=a,
        covariance=covariance,
        entries=n,
    )
