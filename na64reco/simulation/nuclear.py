"""Photonuclear and electronuclear reactions in an electron's shower in the ECAL.

Cross section: sigma(gamma N) = 114.3 + 1.647 ln^2(0.0213 k / GeV) ub per nucleon and the shadowing
A_eff / A = 0.22 + 0.78 A^-0.11 (L. B. Bezrukov, E. V. Bugaev, Sov. J. Nucl. Phys. 33 (1981) 635),
at photon energies k above 1 GeV: 0.075 mb per nucleon in lead.

Track length: with x = E / E0 and u = ln(1/x), electrons and positrons have together, in radiation
lengths,

    T du = [0.437 (1/x - 1) + ln 2 x w(u)] du,  w(u) = integral ds u^(s-1) / Gamma(s):

Rossi's approximation A (High-Energy Particles, 1952) for the shower, plus the beam particle itself
with the energy losses of W. Heitler's spectrum. They radiate photons with the spectrum of complete
screening, of which each flies 9/7 radiation lengths; the tracks carry in addition virtual photons
(equivalent-photon approximation).

Hadrons: the photon's energy goes to 2 + Poisson pions, kaons and nucleons with shares that fill
the simplex evenly (assumed), as many as a photon-nucleon collision of that energy has charged
particles in one hemisphere (0.88 + 0.44 ln s + 0.118 ln^2 s in all, W. Thome et al., NP B129 (1977)
365, for protons); in 12 % of the cases it is a rho0 that decays to two pions (sigma(gamma p ->
rho0 p) = 9-14 ub). Composition (assumed): pions 0.84, a third of them neutral, which stay with the
shower; kaons 0.10, a quarter of them KL; nucleons 0.06. Left out: reactions below 1 GeV and slow
fragments (they stay in the ECAL), KS as such (they count as pions).
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.special import gammaln

from na64reco.constants import ALPHA, ELECTRON_MASS, PROTON_MASS
from na64reco.simulation.tracks import KAON, MASSES, PHOTON, PION, PROTON

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.setup.model import Calorimeter

__all__ = [
    "SOFTEST",
    "electron_tracks",
    "equivalent_photons",
    "fragments",
    "hadron_composition",
    "momentum_of",
    "nucleons_per_area",
    "photon_cross_section",
    "photon_energies",
    "reactions_per_shower",
    "transverse_momenta",
]

SOFTEST: Final = 1.0
"""GeV; photons below do not react."""

_AVOGADRO: Final = 6.02214076e23
_DENSITY: Final = {"Pb": 11.35, "Fe": 7.874, "Cu": 8.96, "Sc": 1.06}
"""g/cm3; Sc is polystyrene, taken as carbon."""
_NUCLEONS: Final = {"Pb": 207.2, "Fe": 55.845, "Cu": 63.546, "Sc": 12.011}

_RHO_SHARE: Final = 0.12
_RHO_MOMENTUM: Final = 0.362
"""Of its pions, GeV/c (PDG 2024)."""
_PT: Final = 0.35
"""Mean transverse momentum of hadrons, GeV/c."""
_VIRTUALITY: Final = 0.6
"""Largest Q^2 of photons that act like real ones, the squared mass of the rho, GeV^2."""

_GRID = 400


def photon_cross_section(energy: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Photon-nucleon cross section in mb at energies in GeV, without shadowing."""
    return np.asarray(0.1143 + 1.647e-3 * np.log(0.0213 * np.asarray(energy)) ** 2)


def equivalent_photons(
    share: NDArray[np.float64], mass: float = ELECTRON_MASS
) -> NDArray[np.float64]:
    """Virtual photons per share y of a lepton's energy, dn / dy, for a lepton of a mass in GeV.

    (alpha / 2 pi) {[1 + (1-y)^2] / y ln(Q2max / Q2min) - 2 m^2 y (1 / Q2min - 1 / Q2max)} with
    Q2min = m^2 y^2 / (1-y) and Q2max that of the rho (V. M. Budnev et al., Phys. Rep. 15 (1975)
    181, eq. 6.17).
    """
    low = mass**2 * share**2 / (1 - share)
    flux = (1 + (1 - share) ** 2) / share * np.log(_VIRTUALITY / low)
    flux -= 2 * mass**2 * share * (1 / low - 1 / _VIRTUALITY)
    return np.asarray(np.where(low < _VIRTUALITY, ALPHA / (2 * np.pi) * flux, 0.0))


def nucleons_per_area(part: Calorimeter) -> float:
    """Nucleons per mb in a calorimeter's whole depth, each counted with its shadowing."""
    sampling = part.sampling
    layers = sum(section.layers for section in part.sections.values())
    total = 0.0
    for material, thickness in (
        (sampling.absorber, sampling.absorber_thickness),
        ("Sc", sampling.scintillator_thickness),
    ):
        shadowing = 0.22 + 0.78 * _NUCLEONS[material] ** -0.11
        total += 0.1 * layers * thickness * _DENSITY[material] * shadowing
    return total * _AVOGADRO * 1e-27


def _beam_particle(u: NDArray[np.float64]) -> NDArray[np.float64]:
    """Integral of w from 0 to u: integral ds u^s / Gamma(s + 1) over positive s."""
    s = np.geomspace(1e-4, 60, 600)
    # Below the first s the integrand is 1.
    integrand = np.exp(s * np.log(u)[:, None] - gammaln(s + 1))
    return np.asarray(s[0] + np.trapezoid(integrand, s, axis=1))


@lru_cache(maxsize=1)
def electron_tracks() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Tracks of electrons and positrons in a shower.

    Returns
    -------
    x
        Shares of the beam energy, falling from 1 to 1e-3.
    length
        Radiation lengths at about each of them.
    """
    edges = np.concatenate((np.geomspace(1e-12, 1e-2, 150), np.linspace(0.012, np.log(1e3), 1500)))
    beam = np.diff(_beam_particle(edges), prepend=0.0)
    edges = np.concatenate(([0.0], edges))
    u = 0.5 * (edges[1:] + edges[:-1])
    x = np.exp(-u)
    return x, 0.437 * (1 / x - 1) * np.diff(edges) + np.log(2) * x * beam


@lru_cache(maxsize=1)
def _photon_tracks() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Cross-section-weighted photon tracks in a 100 GeV shower.

    Returns
    -------
    v
        Photon energies over the shower's, rising from 1e-3 to 1.
    above
        mb x radiation lengths of photons above them; the last is 0.
    """
    v = np.geomspace(1e-3, 1, _GRID)
    x, length = electron_tracks()
    y = v[:, None] / x
    within = y < 1
    y = np.where(within, y, 0.5)
    radiated = 9 / 7 * (4 / 3 - 4 / 3 * y + y**2) / v[:, None]
    virtual = equivalent_photons(y) / x
    per_share = np.sum(np.where(within, length * (radiated + virtual), 0.0), axis=1)
    weighted = per_share * photon_cross_section(100 * v)
    steps = 0.5 * (weighted[1:] + weighted[:-1]) * np.diff(v)
    return v, np.concatenate((np.cumsum(steps[::-1])[::-1], [0.0]))


def reactions_per_shower(
    part: Calorimeter, energy: NDArray[np.float64], *, least: float = SOFTEST
) -> NDArray[np.float64]:
    """Mean number of reactions of photons above ``least`` GeV in electrons' showers of up to 1 TeV.

    The showers (energies in GeV) are contained in the calorimeter. Tracks scale with the energy;
    for the cross section's slow rise to low energies, 100 GeV is taken.
    """
    v, above = _photon_tracks()
    per_length = nucleons_per_area(part) / part.radiation_lengths
    return np.asarray(per_length * np.interp(least / np.maximum(energy, least), v, above))


def photon_energies(
    rng: np.random.Generator, energy: NDArray[np.float64], *, least: float = SOFTEST
) -> NDArray[np.float64]:
    """Energies of the photons above ``least`` GeV that react in showers of the energies given."""
    v, above = _photon_tracks()
    wanted = rng.random(len(energy)) * np.interp(least / energy, v, above)
    return np.asarray(np.interp(wanted, above[::-1], v[::-1]) * energy)


def hadron_composition(
    rng: np.random.Generator, rows: int
) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
    """Kinds and charges of fast hadrons; a neutral pion is called a photon."""
    kinds = np.array([PION, PION, PHOTON, KAON, KAON, KAON, PROTON, PROTON, PROTON], dtype=np.int8)
    charges = np.array([1, -1, 0, 1, -1, 0, 1, -1, 0], dtype=np.int8)
    # The rest of the neutral kaons are KS, which decay to pions.
    weights = np.array([0.29, 0.29, 0.285, 0.025, 0.025, 0.025, 0.02, 0.01, 0.03])
    drawn = rng.choice(len(kinds), size=rows, p=weights / weights.sum())
    return kinds[drawn], charges[drawn]


def fragments(
    rng: np.random.Generator, energy: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int8], NDArray[np.int8], NDArray[np.float64]]:
    """Fast hadrons from photons that react.

    Parameters
    ----------
    energy
        Of the photons, GeV, shape (reactions,).

    Returns
    -------
    reaction
        Index, ascending, of each hadron.
    kind, charge
        Of the hadrons; neutral pions are called photons.
    taken
        Share of the photon's energy; shares of a reaction add up to 1.
    """
    rows = len(energy)
    log_s = np.log(2 * PROTON_MASS * np.maximum(energy, SOFTEST) + PROTON_MASS**2)
    charged = 0.88 + 0.44 * log_s + 0.118 * log_s**2
    # Half of the particles go forward, half as many again are neutral.
    number = 2 + rng.poisson(np.maximum(0.0, 0.75 * charged - 2))
    rho = rng.random(rows) < _RHO_SHARE
    number[rho] = 2
    reaction = np.repeat(np.arange(rows), number)
    weight = rng.exponential(1.0, len(reaction))
    taken = weight / np.bincount(reaction, weights=weight, minlength=rows)[reaction]
    kind, charge = hadron_composition(rng, len(reaction))
    from_rho = rho[reaction]
    first = np.concatenate(([True], reaction[1:] != reaction[:-1])) if rows else np.zeros(0, bool)
    kind[from_rho] = PION
    charge[from_rho] = np.where(first[from_rho], 1, -1)
    return reaction, kind, charge, taken


def transverse_momenta(
    rng: np.random.Generator, reaction: NDArray[np.int64], taken: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Transverse momenta (GeV/c) against the photon, and azimuths, of hadrons from `fragments`.

    Two hadrons are back to back like those of a rho0, p_T = 2 p* sqrt(x (1 - x)); more have
    dN / dp_T^2 ~ exp(-p_T / 0.175 GeV), 0.35 GeV on average (assumed), each for itself.

    Parameters
    ----------
    reaction, taken
        Of each hadron, shape (rows,).
    """
    rows = len(reaction)
    pt, phi = rng.gamma(2.0, _PT / 2, rows), rng.uniform(0, 2 * np.pi, rows)
    pair = np.bincount(reaction)[reaction] == 2 if rows else np.zeros(0, np.bool_)
    second = np.flatnonzero(pair)[1::2]
    phi[second] = phi[second - 1] + np.pi
    pt[pair] = 2 * _RHO_MOMENTUM * np.sqrt(taken[pair] * (1 - taken[pair]))
    return pt, phi


def momentum_of(kind: NDArray[np.int8], energy: NDArray[np.float64]) -> NDArray[np.float64]:
    """Momentum of hadrons that took an energy; nucleons have their mass from the nucleus.

    0 where the energy is below the mass.
    """
    mass = np.array(MASSES)[kind]
    total = np.where(kind == PROTON, energy + mass, energy)
    return np.asarray(np.sqrt(np.maximum(total**2 - mass**2, 0.0)))
