"""Muon pairs from photons of showers in the ECAL: which energy, how shared, where.

The number of pairs per photon energy k is the cross section (`na64reco.cascade.muon_pairs`, in
lead: the scintillator makes 2 % of them) times the photons' track length,

    dT/dk = q(k/E) E X0 / k^2,

q being what the cascade finds for 100 GeV electrons in the ECAL (0.572 in Rossi's approximation A).
Depths are a gamma distribution, that of the track length of photons above 20 GeV in the cascade.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from na64reco.cascade.muon_pairs import muon_pair_angles, muon_pair_total, sample_share
from na64reco.materials import find_material

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.materials import Element

__all__ = [
    "DEPTH_SCALE",
    "DEPTH_SHAPE",
    "LEAST_SHARE",
    "Dimuons",
    "dimuon_yield",
    "draw_dimuons",
    "photon_track",
]

LEAST_SHARE: Final = 0.2
"""Pairs of less of the electron's energy are not made: the ECAL would see too much to tell."""

DEPTH_SHAPE: Final = 2.0
DEPTH_SCALE: Final = 1.16
"""Radiation lengths."""

_AT: Final = np.array([0.2, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0])
_TRACK: Final = np.array([0.57, 0.57, 0.565, 0.55, 0.53, 0.51, 0.48, 0.45, 0.42, 0.38, 0.32, 0.22])
"""q at k/E, smoothed; statistical error 1 to 5 %."""
_LEAD_RADIATION_LENGTH: Final = 6.37
"""g/cm^2."""


def _lead() -> Element:
    return find_material("lead").composition[0][0]


def photon_track(share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return q at k/E = ``share``, shape (n,)."""
    return np.asarray(np.interp(share, _AT, _TRACK))


def _density(energy: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Grid of k/E, and pairs per electron and unit of it."""
    share = np.geomspace(LEAST_SHARE, 1.0, 400)
    atoms = 6.02214076e23 / _lead().a
    coefficient = atoms * muon_pair_total(share * energy, _lead())
    track = photon_track(share) * _LEAD_RADIATION_LENGTH / share**2
    return share, track * coefficient


def dimuon_yield(energy: float) -> float:
    """Pairs of at least `LEAST_SHARE` of the energy per electron of ``energy`` GeV.

    In lead; the ECAL has 2 % more from its scintillator.
    """
    share, density = _density(energy)
    return float(np.trapezoid(density, share))


@dataclass(frozen=True, eq=False)
class Dimuons:
    """Drawn pairs; every array has the shape (n,)."""

    energy: NDArray[np.float64]
    """Of the pair, GeV."""
    share: NDArray[np.float64]
    """Of the pair's energy that the mu+ has."""
    slopes: tuple[NDArray[np.float64], ...]
    """x and y of the mu+, x and y of the mu-, against the electron's direction, rad."""
    depth: NDArray[np.float64]
    """Radiation lengths."""


def draw_dimuons(rng: np.random.Generator, energy: NDArray[np.float64]) -> Dimuons:
    """One pair for each electron.

    Parameters
    ----------
    energy
        Of the electrons, GeV, shape (n,).
    """
    if not len(energy):
        empty = np.empty(0)
        return Dimuons(empty, empty, (empty,) * 4, empty)
    grid, density = _density(float(np.median(energy)))
    steps = 0.5 * (density[1:] + density[:-1]) * np.diff(grid)
    running = np.concatenate(([0.0], np.cumsum(steps)))
    share = np.interp(rng.random(len(energy)) * running[-1], running, grid)
    pair = np.maximum(share * energy, 1.0)
    x = sample_share(rng, pair, _lead())
    slopes = muon_pair_angles(rng, pair, x, _lead())
    depth = np.clip(rng.gamma(DEPTH_SHAPE, DEPTH_SCALE, len(energy)), 0.05, 15)
    return Dimuons(pair, x, slopes, depth)
