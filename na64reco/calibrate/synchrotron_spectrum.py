r"""The spectrum that electrons leave in a module of the synchrotron-radiation detector.

A module catches the photons of a part of the arc: a Poisson number of them, each with the closed
form (M. Sands, SLAC-121, 1970, eq. 5.9; H. Wiedemann, Particle Accelerator Physics)

.. math:: \frac{dN}{d\xi} \propto \int_\xi^\infty K_{5/3}(t)\,dt, \qquad \xi = E / E_c,

E_c from the beam's momentum and the field. Their sum is smeared with the module's resolution; in a
few events two electrons are not told apart. What the beam's momentum and the field fix is the
scale; the mean number of photons, which follows from width and place of the module, is fitted
along within 3 % of that. It is a matter of how many events have a signal at all, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from na64reco.constants import ALPHA, ELECTRON_MASS
from na64reco.tracking.field import SYNCHROTRON_CRITICAL

if TYPE_CHECKING:
    from na64reco.setup import Setup

__all__ = ["SpectrumFit", "fit_spectrum", "photon_share_above", "photons_caught", "sum_spectrum"]

Array = NDArray[np.float64]

FEWEST: Final = 1000
"""Signals that a fit needs."""
BINS: Final = 120
RANGE: Final = (0.25, 6.0)
"""What is fitted, in critical energies: below, windows absorb photons."""

PLACE: Final = 0.03
"""How well the mean number of photons is known from the module's width and place, relative."""
EFFICIENCY: Final = 0.01
"""How near to all events have an electron with its signal in time."""
DOUBLE: Final = (0.03, 0.03)
"""Share of events with two electrons that make one pulse, and how well it is known."""

_STEP: Final = 0.005
"""Of the grid of energies, in critical energies."""
_POINTS: Final = 8192


@dataclass(frozen=True, eq=False)
class SpectrumFit:
    """The spectrum of one module."""

    counts_per_gev: float
    counts_per_gev_error: float
    photons: float
    """Mean number per electron."""
    photons_error: float
    double: float
    """Share of events with two electrons."""
    entries: int
    """Signals in the range fitted."""
    chi2: float
    ndf: int
    edges: Array
    """ADC counts."""
    counts: Array
    expected: Array
    """By the fit, shape of counts."""


@cache
def _cumulative() -> tuple[Array, Array]:
    """ln(xi), and the share of photons below."""
    from scipy.integrate import cumulative_simpson
    from scipy.special import kv

    log = np.linspace(np.log(1e-9), np.log(60.0), 12_001)
    xi = np.exp(log)
    # The integral of K_5/3 is 2 K_2/3 less that of K_1/3.
    inner = cumulative_simpson(xi * kv(1 / 3, xi), x=log, initial=0.0)
    density = 2 * kv(2 / 3, xi) - (inner[-1] - inner)
    # Below the first point the density goes as xi^(-2/3).
    number = 3 * xi[0] * density[0] + cumulative_simpson(xi * density, x=log, initial=0.0)
    return log, number / number[-1]


def photon_share_above(xi: Array) -> Array:
    """Share of the photons with more than xi critical energies.

    >>> import numpy as np
    >>> [round(float(v), 3) for v in photon_share_above(np.array([0.1, 1.0]))]
    [0.463, 0.087]
    """
    log, number = _cumulative()
    above: Array = 1 - np.interp(np.log(np.maximum(xi, 1e-9)), log, number)
    return above


def sum_spectrum(photons: float) -> Array:
    """Chance of each sum of a Poisson number of photons, on the grid k * 0.005 critical energies.

    The compound Poisson distribution by its characteristic function.
    """
    edges = (np.arange(_POINTS + 1) - 0.5) * _STEP
    above = photon_share_above(np.maximum(edges, 0.0))
    above[0] = 1.0
    single = above[:-1] - above[1:]
    wave = np.exp(photons * (np.fft.rfft(single) - 1))
    return np.maximum(np.fft.irfft(wave, _POINTS), 0.0)


def photons_caught(setup: Setup) -> Array:
    """Mean number of photons in each module of the SRD, shape (modules,).

    5 alpha gamma / (2 sqrt 3) photons are radiated per radian (M. Sands, eq. 5.10). A photon flies
    on along the tangent; that of the point z on the path arrives at x(z) + x'(z) (z_srd - z), so
    that a width covers the angle width / (z_srd - z). The window lets exp(-7/9 of its thickness in
    radiation lengths) through.
    """
    srd = setup.srd
    assert srd is not None
    magnets = [m for m in setup.magnets.values() if m.field]
    z = np.concatenate([np.linspace(m.start, m.end, 201) for m in magnets])
    z.sort()
    slope = np.array([setup.beam_slope(float(v)) for v in z])
    lands = np.array([setup.beam_x(float(v)) for v in z]) + slope * (srd.z - z)
    edges = srd.x + (np.arange(srd.modules + 1) - srd.modules / 2) * srd.module_width
    order = np.argsort(lands)
    angle = np.abs(np.diff(np.interp(edges, lands[order], slope[order])))
    per_radian = 5 * ALPHA * setup.beam.momentum / ELECTRON_MASS / (2 * np.sqrt(3))
    caught: Array = per_radian * angle * np.exp(-7 / 9 * srd.window_x0)
    return caught


def critical_energy(setup: Setup) -> float:
    """Of the beam in the strongest magnet, GeV."""
    field = max(abs(m.field) for m in setup.magnets.values())
    return float(SYNCHROTRON_CRITICAL * setup.beam.momentum**2 * field)


def fit_spectrum(
    values: Array,
    critical: float,
    resolution: float,
    start: float,
    *,
    electrons: int,
    photons: float,
    double: tuple[float, float] = DOUBLE,
) -> SpectrumFit | None:
    """Fit scale and number of photons of a module.

    Parameters
    ----------
    values
        Signals in time, ADC counts, shape (signals,).
    critical
        Critical energy, GeV.
    resolution
        Of the sum E: resolution * sqrt(E * 1 MeV).
    start
        ADC counts per GeV to begin with.
    electrons
        Events that the signals are from.
    photons
        Mean number expected.
    double
        Share of events with two electrons in one pulse, and its uncertainty.

    Returns
    -------
    None if there are too few signals in the range, or they do not look like this at all
    """
    from scipy.optimize import least_squares
    from scipy.special import ndtr

    edges = np.linspace(RANGE[0], RANGE[1], BINS + 1) * critical * start
    counts = np.histogram(values, edges)[0].astype(np.float64)
    if counts.sum() < FEWEST:
        return None
    energy = np.arange(_POINTS) * _STEP * critical
    used = energy < 2 * RANGE[1] * critical
    spread = resolution * np.sqrt(1e-3 * energy[used])
    spread[0] = 1e-9

    # What is known beforehand, the scale excepted.
    expected = np.array([1.0, photons, 1.0, double[0]])
    errors = np.array([EFFICIENCY, PLACE * photons, np.inf, double[1]])

    def model(parameters: Array) -> Array:
        number, mean, gain, two = parameters
        pmf = (1 - two) * sum_spectrum(mean) + two * sum_spectrum(2 * mean)
        at = edges / (gain * start)
        below = ndtr((at[:, None] - energy[used]) / spread) @ pmf[used]
        per_bin: Array = np.maximum(number * electrons * np.diff(below), 1e-9)
        return per_bin

    def deviance(parameters: Array) -> Array:
        m = model(parameters)
        ratio = np.where(counts > 0, counts * np.log(np.maximum(counts, 1) / m), 0.0)
        root: Array = np.sign(counts - m) * np.sqrt(2 * np.maximum(m - counts + ratio, 0.0))
        known = (parameters - expected) / errors
        return np.concatenate([root, known[[0, 1, 3]]])

    found = least_squares(
        deviance,
        expected,
        bounds=([0.2, 0.05, 0.4, 0.0], [5.0, 60.0, 2.5, 0.3]),
        x_scale=[0.05, 0.2, 0.02, 0.02],
        diff_step=1e-3,
    )
    _, mean, gain, two = found.x
    if not found.success or not 0.41 < gain < 2.45:
        return None
    covariance = np.linalg.pinv(found.jac.T @ found.jac)
    return SpectrumFit(
        counts_per_gev=float(gain * start),
        counts_per_gev_error=float(np.sqrt(covariance[2, 2]) * start),
        photons=float(mean),
        photons_error=float(np.sqrt(covariance[1, 1])),
        double=float(two),
        entries=int(counts.sum()),
        chi2=float(2 * found.cost),
        ndf=BINS - 4,
        edges=edges,
        counts=counts,
        expected=model(found.x),
    )
