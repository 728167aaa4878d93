"""Shapes of a spectrum that falls towards the signal box: exponential families.

Every shape is a density p(x) ~ exp(theta . T(x)) on the range that is fitted, and stays the same
function outside it. For such families the likelihood has one maximum, where the mean of T in the
data is that of the shape; the covariance of theta is the inverse of N times that of T; and the
number of events in another range varies with theta as the difference of the means of T in the two
ranges (E. Lehmann, G. Casella, Theory of Point Estimation, 2nd ed., section 1.5). Integrals are
Gauss-Legendre sums.

Which shapes: what an electron that lost energy upstream leaves in the ECAL is not known from first
principles. The papers take an exponential (arXiv:2404.06982, section 4); the others bend away from
it to either side, so that their spread tells what the choice matters.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from na64reco.errors import InferenceError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = [
    "ECAL_SHAPES",
    "HCAL_SHAPES",
    "NOMINAL",
    "SHAPES",
    "Integral",
    "Shape",
    "find_shape",
    "integrate",
    "integrate_to",
]

Array: TypeAlias = "NDArray[np.float64]"

NOMINAL: Final = "exponential"
"""The shape whose extrapolation is the estimate."""

_NODES: Final = 96
STEEPEST: Final = 2.0
"""1/GeV: no spectrum falls faster, since the ECAL resolves 4 GeV at 90 GeV."""


@dataclass(frozen=True)
class Shape:
    """A density exp(theta . T(x)), not normalised."""

    name: str
    formula: str
    """For people, x in GeV."""
    parameters: tuple[str, ...]
    limits: tuple[tuple[float, float], ...]
    """Of each parameter. The lower one of the first is where the spectrum stops falling
    towards the box."""
    statistic: Callable[[Array, float], Array]
    """T of (x, scale), shape (parameters, *x.shape); scale is the beam's energy, GeV."""

    def log_density(self, x: Array, theta: Array, scale: float) -> Array:
        """theta . T(x), shape of x."""
        return np.asarray(np.tensordot(theta, self.statistic(x, scale), axes=1))


def _exponential(x: Array, _: float) -> Array:
    return np.stack([x])


def _power(x: Array, scale: float) -> Array:
    return np.stack([np.log(np.maximum(x, 1e-9) / scale)])


def _normal(x: Array, scale: float) -> Array:
    return np.stack([-0.5 * ((scale - x) / 10.0) ** 2])


def _missing_power(x: Array, scale: float) -> Array:
    return np.stack([-np.log(np.maximum(scale - x, 1e-9) / scale)])


def _bent(x: Array, scale: float) -> Array:
    return np.stack([x - 0.5 * x**2 / scale, 0.5 * x**2 / scale])


def _gamma(x: Array, scale: float) -> Array:
    missing = np.maximum(scale - x, 1e-9)
    return np.stack([-missing, np.log(missing / scale)])


def _half_normal(x: Array, _: float) -> Array:
    return np.stack([0.01 * x**2])


def _shifted_power(x: Array, _: float) -> Array:
    return np.stack([np.log1p(np.maximum(x, 0.0))])


ECAL_SHAPES: Final = (
    Shape(NOMINAL, "exp(s x)", ("s",), ((0.0, STEEPEST),), _exponential),
    Shape("power law", "x^k", ("k",), ((0.0, 150.0),), _power),
    Shape("normal", "exp(-h (E0 - x)^2 / 200)", ("h",), ((0.0, 20.0),), _normal),
    Shape("missing-energy power", "(E0 - x)^-k", ("k",), ((0.0, 100.0),), _missing_power),
    Shape(
        "bent exponential",
        "exp of a parabola whose slope runs from s0 at 0 to s1 at E0",
        ("s0", "s1"),
        ((0.0, STEEPEST), (0.0, STEEPEST)),
        _bent,
    ),
    Shape(
        "gamma",
        "(E0 - x)^k exp(-s (E0 - x))",
        ("s", "k"),
        ((0.0, STEEPEST), (-20.0, 20.0)),
        _gamma,
    ),
)
"""Of the ECAL's energy at an empty HCAL."""

HCAL_SHAPES: Final = (
    Shape(NOMINAL, "exp(s x)", ("s",), ((-STEEPEST, STEEPEST),), _exponential),
    Shape("half normal", "exp(h x^2 / 100)", ("h",), ((-20.0, 20.0),), _half_normal),
    Shape("shifted power", "(1 + x)^k", ("k",), ((-20.0, 20.0),), _shifted_power),
)
"""Of the HCAL's energy; towards zero they may rise or fall."""

SHAPES: Final = {"ecal": ECAL_SHAPES, "hcal": HCAL_SHAPES}


def find_shape(name: str, *, shapes: tuple[Shape, ...] = ECAL_SHAPES) -> Shape:
    """A shape by its name.

    Raises
    ------
    InferenceError
        If there is none.
    """
    for shape in shapes:
        if shape.name == name:
            return shape
    msg = f"There is no shape {name!r}. {did_you_mean(name, [s.name for s in shapes])}"
    raise InferenceError(msg)


@cache
def _rule() -> tuple[Array, Array]:
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    return nodes, weights


@dataclass(frozen=True, eq=False)
class Integral:
    """Of a shape over a range, for each of a number of parameter points."""

    log: Array
    """ln of the integral of exp(theta . T), shape (points,)."""
    mean: Array
    """Of T, shape (points, parameters)."""
    covariance: Array
    """Of T, shape (points, parameters, parameters)."""
    third: Array
    """Third central moment of each T, shape (points, parameters)."""


def integrate(shape: Shape, theta: Array, window: tuple[float, float], *, scale: float) -> Integral:
    """Integral of a shape over a range, with the moments of T in it.

    Parameters
    ----------
    theta
        Shape (points, parameters).
    window
        GeV; not empty.
    scale
        The beam's energy, GeV.
    """
    low, high = window
    nodes, weights = _rule()
    x = 0.5 * (low + high) + 0.5 * (high - low) * nodes
    t = shape.statistic(x, scale)
    exponent = theta @ t
    top = exponent.max(axis=1, keepdims=True)
    p = np.exp(exponent - top) * weights
    total = p.sum(axis=1, keepdims=True)
    p /= total
    mean = p @ t.T
    centred = t[None] - mean[:, :, None]
    weighted = centred * p[:, None, :]
    return Integral(
        log=top[:, 0] + np.log(total[:, 0] * 0.5 * (high - low)),
        mean=mean,
        covariance=weighted @ np.swapaxes(centred, 1, 2),
        third=np.einsum("ipk,ipk,ipk->ip", weighted, centred, centred),
    )


def integrate_to(
    shape: Shape, theta: Array, start: float, ends: Array, *, scale: float
) -> tuple[Array, Array]:
    """Integrals from one place to many, of one parameter point.

    Parameters
    ----------
    theta
        Shape (parameters,).
    ends
        GeV, above start, shape (ends,).

    Returns
    -------
    tuple
        Their logarithms, shape (ends,), and the means of T, shape (ends, parameters).
    """
    nodes, weights = _rule()
    half = 0.5 * (ends - start)[:, None]
    t = shape.statistic(start + half * (1 + nodes), scale)
    exponent = np.tensordot(theta, t, axes=1)
    top = exponent.max(axis=1, keepdims=True)
    p = np.exp(exponent - top) * weights * half
    total = p.sum(axis=1)
    return top[:, 0] + np.log(total), np.einsum("pek,ek->ep", t, p) / total[:, None]
