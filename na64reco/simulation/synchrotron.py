"""Synchrotron radiation of electrons in the magnets, and what the SRD sees of it.

Photons are emitted uniformly along the arc, on average 5 alpha gamma / (2 sqrt 3) per radian of
bending, tangentially (the opening angle 1/gamma = 5 urad is neglected), with the exact spectrum

    dN/d xi ~ integral from xi to infinity of K_5/3(t) dt,   xi = E / E_c,
    E_c = 0.665 keV (E_e / GeV)^2 (B / T)

(H. Wiedemann, Particle Accelerator Physics; J. D. Jackson, 14.6). Soft photons are absorbed in the
window: its depth in attenuation lengths grows from 7/9 of its radiation lengths above the pair
threshold to 1/E (Compton) and 1/E^3 (photoelectric effect) below; coefficients `assumed`. The SRD
has a resolution a / sqrt(E / MeV). Heavier particles radiate nothing; with the small chance
`KNOCK_ON` (assumed) they send a knock-on electron or a fragment into a module.
"""

# ruff: noqa: PLR0917 - kernels take flat arrays
from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numba
import numpy as np
from scipy.special import kv

from na64reco.constants import ALPHA, BEND_PER_TESLA_MM, ELECTRON_MASS
from na64reco.simulation.tracks import ELECTRON, PHOTON

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.setup.model import Setup
    from na64reco.simulation.tracks import Tracks
    from na64reco.simulation.transport import Paths

__all__ = ["critical_energy", "photon_quantiles", "srd_energies"]

KNOCK_ON = 2e-4
"""Chance that a hadron or muon gives the SRD energy."""

PHOTONS_PER_RADIAN = 5 * ALPHA / (2 * np.sqrt(3))
"""Divided by gamma."""


def critical_energy(energy: float, field: float) -> float:
    """Half of the radiated power lies above it, GeV; electron energy in GeV, field in T."""
    return 0.665e-6 * energy**2 * abs(field)


@cache
def photon_quantiles(points: int = 4001) -> NDArray[np.float64]:
    """Table of xi^(1/3) at equally spaced v = sqrt(1 - u), u the cumulative number of photons.

    Both ends are smooth in these variables: u ~ xi^(1/3) for soft photons, 1 - u ~ exp(-xi) for
    hard ones.
    """
    t = np.geomspace(1e-12, 60.0, 60_001)
    kernel = kv(5 / 3, t)
    steps = np.diff(np.log(t))

    def cumulative(values: NDArray[np.float64]) -> NDArray[np.float64]:
        # Trapezoids in log t.
        area = 0.5 * (values[1:] * t[1:] + values[:-1] * t[:-1]) * steps
        return np.concatenate(([0.0], np.cumsum(area)))

    above = cumulative(kernel)
    above = above[-1] - above
    # Exchanging the integrals: N(<xi) = int_0^xi t K(t) dt + xi int_xi^inf K(t) dt.
    number = cumulative(t * kernel) + t * above
    u = number / number[-1]
    v = np.sqrt(np.maximum(0.0, 1 - u))
    return np.interp(np.linspace(0, 1, points), v[::-1], np.cbrt(t)[::-1])


@numba.njit(cache=True, nogil=True)
def sample_photon(rng: Any, quantiles: NDArray[np.float64]) -> float:
    """Energy of one photon over the critical energy."""
    position = np.sqrt(rng.random()) * (len(quantiles) - 1)
    low = min(int(position), len(quantiles) - 2)
    root = quantiles[low] + (position - low) * (quantiles[low + 1] - quantiles[low])
    return float(root**3)


@numba.njit(cache=True, nogil=True)
def _radiate(
    rng: Any,
    quantiles: NDArray[np.float64],
    magnets: NDArray[np.float64],
    srd: NDArray[np.float64],
    charge: NDArray[np.int8],
    entry: NDArray[np.float64],
    rows: NDArray[np.int64],
    modules: int,
    energies: NDArray[np.float64],
) -> None:
    z_srd, x_low, width, y_low, height, window, resolution = srd
    for row in rows:
        for m in range(len(magnets)):
            start, length, field = magnets[m]
            x, y, tx, ty, p = entry[row, m]
            if np.isnan(x):
                break
            theta = np.arctan(tx)
            rise = ty * np.cos(theta)
            curvature = -charge[row] * BEND_PER_TESLA_MM * field / p
            sine_out = np.sin(theta) + curvature * length
            if curvature == 0.0 or abs(sine_out) >= 1:
                continue
            turn = np.arcsin(sine_out) - theta
            critical = 0.665e-6 * p * p * abs(field)
            for _ in range(rng.poisson(PHOTONS_PER_RADIAN * p / ELECTRON_MASS * abs(turn))):
                share = rng.random()
                here = theta + share * turn
                z = start + (np.sin(here) - np.sin(theta)) / curvature
                x_srd = x + (np.cos(theta) - np.cos(here)) / curvature
                x_srd += np.tan(here) * (z_srd - z)
                module = int(np.floor((x_srd - x_low) / width))
                y_srd = y + rise * (share * turn / curvature + (z_srd - z) / np.cos(here))
                if module < 0 or module >= modules or not 0 <= y_srd - y_low < height:
                    continue
                energy = critical * sample_photon(rng, quantiles)
                mev = max(1e3 * energy, 1e-3)
                depth = window * (7 / 9 + 0.3 / mev + (0.06 / mev) ** 3)
                if rng.random() < np.exp(-depth):
                    energies[row, module] += energy
        for module in range(modules):
            energy = energies[row, module]
            if energy > 0:
                smeared = energy + resolution * np.sqrt(1e-3 * energy) * rng.standard_normal()
                energies[row, module] = max(0.0, smeared)


def srd_energies(
    rng: np.random.Generator, setup: Setup, tracks: Tracks, paths: Paths
) -> NDArray[np.float64]:
    """Energy in each SRD module, GeV, shape (rows, modules)."""
    srd = setup.srd
    if srd is None:
        return np.zeros((len(tracks), 0))
    energies = np.zeros((len(tracks), srd.modules))
    magnets = sorted(setup.magnets.values(), key=lambda m: m.z)
    _radiate(
        rng,
        photon_quantiles(),
        np.array([(m.start, m.length, m.field) for m in magnets]),
        np.array(
            [
                srd.z,
                srd.x - srd.modules * srd.module_width / 2,
                srd.module_width,
                srd.y - srd.module_height / 2,
                srd.module_height,
                srd.window_x0,
                srd.resolution,
            ]
        ),
        tracks.charge,
        paths.entry,
        np.flatnonzero((tracks.kind == ELECTRON) & (tracks.charge != 0)),
        srd.modules,
        energies,
    )
    heavy = np.flatnonzero((tracks.kind != ELECTRON) & (tracks.kind != PHOTON))
    hit = heavy[rng.random(len(heavy)) < KNOCK_ON]
    energies[hit, rng.integers(0, srd.modules, len(hit))] += rng.exponential(0.01, len(hit))
    return energies
