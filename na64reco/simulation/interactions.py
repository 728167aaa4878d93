"""Hadrons in matter: interaction lengths by kind and material, electromagnetic share of showers.

Interaction lengths of setups are those of nucleons. The Particle Data Group's tables (Atomic and
nuclear properties of materials, 2024) list them beside those of pions; kaons interact less than
pions by about 8 % (S. P. Denisov et al., NP B61 (1973) 62, 6-60 GeV; recalled). They are taken as
independent of energy (to 10 % true from 5 to 300 GeV).

A share f of a shower's energy goes into neutral pions and so becomes electromagnetic:

    <f> = 1 - (E / E0)^(k - 1), k = 0.82,

with E0 = 0.7 GeV in iron and copper, 1.3 GeV in lead for mesons and 2.6 GeV for baryons, which have
to leave a baryon (T. A. Gabriel et al., NIM A 338 (1994) 336; D. E. Groom, NIM A 572 (2007) 633).
It fluctuates with an rms of 0.15 at all energies (assumed: 0.2 to 0.25 of <f> at 100 GeV), here as
a beta distribution, which ends at 0 and 1: its upper tail is charge exchange.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from na64reco.simulation.tracks import KAON, MASSES, PION, PROTON

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.setup.model import Sampling

__all__ = [
    "SHARE_RMS",
    "available_energy",
    "electromagnetic_share",
    "interacting_less",
    "share_fluctuation",
]

SHARE_RMS: Final = 0.15
"""Of the electromagnetic share."""

_DENSITY: Final = {"Pb": 11.35, "Fe": 7.874, "Cu": 8.96, "Sc": 1.06}
"""g/cm3; Sc is polystyrene."""

_NUCLEON: Final = {"Pb": 199.6, "Fe": 132.1, "Cu": 137.3, "Sc": 81.7}
_PION: Final = {"Pb": 226.2, "Fe": 160.8, "Cu": 165.9, "Sc": 113.7}
"""Interaction lengths, g/cm2."""

_KAON_OVER_PION: Final = 1.08

_POWER: Final = 0.82
_SCALE: Final = {"Pb": 1.3, "Fe": 0.7, "Cu": 0.7}
_BARYON_SCALE: Final = 2.6
"""E0, GeV."""


def interacting_less(sampling: Sampling) -> NDArray[np.float64]:
    """Interaction lengths over those of nucleons by kind of particle, shape (kinds,).

    Kinds that do not interact strongly have 1.
    """
    nucleon = pion = 0.0
    for material, thickness in (
        (sampling.absorber, sampling.absorber_thickness),
        ("Sc", sampling.scintillator_thickness),
    ):
        mass = thickness * _DENSITY[material]
        nucleon += mass / _NUCLEON[material]
        pion += mass / _PION[material]
    result = np.ones(len(MASSES))
    result[PION] = nucleon / pion
    result[KAON] = _KAON_OVER_PION * nucleon / pion
    return result


def electromagnetic_share(
    energy: NDArray[np.float64], kind: NDArray[np.int8], absorber: str
) -> NDArray[np.float64]:
    """Mean electromagnetic share of showers, between 0.05 and 0.9."""
    scale = np.where(kind == PROTON, _BARYON_SCALE, _SCALE[absorber])
    return np.clip(1 - np.maximum(energy / scale, 1.0) ** (_POWER - 1), 0.05, 0.9)


def share_fluctuation(rng: np.random.Generator, mean: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shares between 0 and 1 of the means given and the rms `SHARE_RMS`."""
    size = mean * (1 - mean) / SHARE_RMS**2 - 1
    return rng.beta(mean * size, (1 - mean) * size)


def available_energy(
    energy: NDArray[np.float64], kind: NDArray[np.int8], charge: NDArray[np.int8]
) -> NDArray[np.float64]:
    """What a hadron of a total energy can deposit, GeV.

    Nucleons keep their mass, antiprotons (of negative charge) bring it twice.
    """
    mass = np.where(kind == PROTON, MASSES[PROTON], 0.0)
    return np.maximum(0.0, energy - np.where(charge < 0, -mass, mass))
