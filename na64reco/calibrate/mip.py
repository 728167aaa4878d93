"""The peak of minimum-ionising particles: Landau's distribution convoluted with a normal one.

Landau's density is SciPy's (L. D. Landau, J. Phys. USSR 8 (1944) 201; computed with the rational
approximations of K. S. Kölbig, B. Schorr, Comp. Phys. Comm. 31 (1984) 97 in Boost), the noise and
photon statistics of the channel are the normal distribution. Fitted to a histogram by maximum
likelihood (S. Baker, R. D. Cousins, NIM 221 (1984) 437) over a flat background.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["MipFit", "fit_mip", "landau_gauss"]

Array = NDArray[np.float64]

FEWEST: Final = 300
"""Signals that a fit needs."""
BINS: Final = 100
RANGE: Final = (0.75, 1.4)
"""What is fitted, in units of the peak's place: near enough that another tail than Landau's (that
of a cut-off, thick or sampling detector) moves the result by no more than about 1 %."""
MEAN_BELOW: Final = 2.0
"""Signals above this, in units of the most probable one, are no single ionising particle (a hard
radiative loss, a second particle) and are left out of the mean."""
MEAN_ABOVE: Final = 0.4
"""Signals below are noise or grazed the channel."""

_STEPS: Final = 61
_RANGE: Final = 5.0
"""The normal distribution is summed in so many steps over so many standard deviations."""


@dataclass(frozen=True, eq=False)
class MipFit:
    """The peak of one channel, in ADC counts."""

    most_probable: float
    """Of the ionisation, before the normal smearing."""
    most_probable_error: float
    width: float
    """Landau's scale xi (4.02 of them are the full width at half maximum)."""
    sigma: float
    """Of the normal distribution."""
    mean: float
    """Of signals between 0.4 and 2 times the most probable one."""
    mean_error: float
    entries: int
    """Signals between 0.4 and 2 times the most probable one."""
    chi2: float
    ndf: int
    edges: Array
    counts: Array
    expected: Array
    """By the fit, shape of counts."""


@cache
def _landau() -> tuple[Array, Array]:
    """Landau's density around its maximum: places in units of xi, densities per xi."""
    from scipy.stats import landau

    # SciPy's variable is the one of a stable distribution: (2 / pi) of Landau's lambda.
    places = np.concatenate([np.linspace(-8, 30, 3801), np.geomspace(30.01, 3000, 800)])
    density = landau.pdf(places * (2 / np.pi)) * (2 / np.pi)
    return places - places[np.argmax(density)], density


def landau_gauss(x: Array, most_probable: float, width: float, sigma: float) -> Array:
    """Density of Landau's distribution (its maximum, its scale xi) smeared with a normal one.

    Parameters
    ----------
    x
        Any shape.
    """
    places, density = _landau()
    steps = np.linspace(-_RANGE, _RANGE, _STEPS)
    weights = np.exp(-0.5 * steps**2)
    weights /= weights.sum()
    at = (x[..., None] - sigma * steps - most_probable) / width
    values = np.interp(at, places, density, left=0.0, right=0.0) / width
    smeared: Array = values @ weights
    return smeared


def fit_mip(values: Array, expected: float, *, search: float = 2.0) -> MipFit | None:
    """Find and fit the peak.

    Parameters
    ----------
    values
        Signals of the channel in time, ADC counts, shape (signals,).
    expected
        About where the peak should be, ADC counts.
    search
        By which factor it may be off.

    Returns
    -------
    None if there are too few signals, or no peak
    """
    from scipy.optimize import least_squares

    near = np.sort(values[(values > expected / search / 1.5) & (values < expected * search * 1.5)])
    if len(near) < FEWEST:
        return None
    place = _mode(near)
    if not expected / search < place < expected * search:
        return None
    edges = np.linspace(RANGE[0] * place, RANGE[1] * place, BINS + 1)
    counts = np.histogram(values, edges)[0].astype(np.float64)
    if counts.sum() < FEWEST:
        return None
    step = edges[1] - edges[0]
    # Simpson's rule in each bin.
    middles = (edges[:-1] + edges[1:]) / 2

    def model(parameters: Array) -> Array:
        number, most_probable, width, sigma, background = parameters
        at = np.concatenate([edges, middles])
        f = landau_gauss(at, most_probable * place, width * place, sigma * place)
        per_bin = (f[:BINS] + f[1 : BINS + 1] + 4 * f[BINS + 1 :]) * step / 6
        everything: Array = counts.sum() * (number * per_bin + background / BINS)
        return np.maximum(everything, 1e-9)

    def deviance(parameters: Array) -> Array:
        m = model(parameters)
        ratio = np.where(counts > 0, counts * np.log(np.maximum(counts, 1) / m), 0.0)
        root: Array = np.sign(counts - m) * np.sqrt(2 * np.maximum(m - counts + ratio, 0.0))
        return root

    found = least_squares(
        deviance,
        [1.0, 0.98, 0.05, 0.08, 0.01],
        bounds=([0.3, 0.6, 0.008, 0.01, 0.0], [2.0, 1.4, 0.4, 0.5, 0.7]),
        x_scale=[0.1, 0.02, 0.01, 0.02, 0.01],
    )
    _, most_probable, width, sigma, background = found.x
    if background > 0.5 or not found.success:
        return None
    information = found.jac.T @ found.jac
    error = float(np.sqrt(np.linalg.pinv(information)[1, 1]))
    peak = most_probable * place
    single = values[(values > MEAN_ABOVE * peak) & (values < MEAN_BELOW * peak)]
    return MipFit(
        most_probable=float(peak),
        most_probable_error=error * place,
        width=float(width * place),
        sigma=float(sigma * place),
        mean=float(single.mean()),
        mean_error=float(single.std() / np.sqrt(len(single))),
        entries=len(single),
        chi2=float(2 * found.cost),
        ndf=BINS - 5,
        edges=edges,
        counts=counts,
        expected=model(found.x),
    )


def _mode(ordered: Array) -> float:
    """The densest place: halves of halves (D. R. Bickel, R. Fruehwirth, CSDA 50 (2006) 3500)."""
    while len(ordered) > 50:
        half = len(ordered) // 2
        widths = ordered[half:] - ordered[: len(ordered) - half]
        first = int(np.argmin(widths))
        ordered = ordered[first : first + half + 1]
        if half + 1 >= len(ordered) and half < 26:
            break
    return float(np.median(ordered))
