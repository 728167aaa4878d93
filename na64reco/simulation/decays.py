"""Decays of pions, kaons and muons: how often, into what, with which momenta.

Masses, mean lives, branching ratios and Dalitz slopes are those of the Particle Data Group 2024
(https://pdg.lbl.gov); of the K+- and KL channels those above 1e-3, scaled up to a sum of one.
Matrix elements:

* K -> 3 pi: 1 + g u with u = (s3 - s0) / m_pi^2, pi 3 the odd one;
* K -> pi l nu: the Dalitz density of PDG's note on K_l3 form factors, with
  f+(t) = 1 + lambda+ t / m_pi^2 and a constant xi;
* mu -> e nu nu: (p_mu p_nu_e)(p_e p_nu_mu), the V-A interaction, for unpolarised muons.

Left out: radiative decays, the polarisation of muons.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Final

import numpy as np

from na64reco.constants import ELECTRON_MASS, KAON_MASS, MUON_MASS, PION_MASS
from na64reco.simulation.kinematics import boost, three_body, two_body

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.simulation.kinematics import Density

__all__ = [
    "PION0_MASS",
    "SPECIES",
    "Channel",
    "Particle",
    "Products",
    "Species",
    "decay",
    "decay_length",
    "decay_probability",
]

PION0_MASS: Final = 0.1349768
KAON0_MASS: Final = 0.497611
"""GeV."""


class Particle(IntEnum):
    """What decays end in."""

    ELECTRON = 0
    MUON = 1
    PION = 2
    PION0 = 3
    NEUTRINO = 4
    PHOTON = 5


_MASSES: Final = {
    Particle.ELECTRON: ELECTRON_MASS,
    Particle.MUON: MUON_MASS,
    Particle.PION: PION_MASS,
    Particle.PION0: PION0_MASS,
    Particle.NEUTRINO: 0.0,
    Particle.PHOTON: 0.0,
}


@dataclass(frozen=True)
class Channel:
    """One way to decay."""

    name: str
    ratio: float
    """Branching ratio."""
    products: tuple[Particle, ...]
    charges: tuple[int, ...]
    """Of the products, relative to the parent; of a neutral parent, up to a common sign."""
    slope: float = 0.0
    """Linear slope g of K -> 3 pi; the odd pion is the last."""
    lambda_plus: float = 0.0
    """Slope of the form factor of K -> pi l nu."""


@dataclass(frozen=True)
class Species:
    """What can decay."""

    name: str
    mass: float
    """GeV."""
    ctau: float
    """Mean life times the speed of light, mm."""
    channels: tuple[Channel, ...]


_E, _MU, _PI, _PI0, _NU = (
    Particle.ELECTRON,
    Particle.MUON,
    Particle.PION,
    Particle.PION0,
    Particle.NEUTRINO,
)

_XI: Final = -0.13
"""f-/f+ of K_l3, from lambda+ and lambda0; it matters for muons only."""

SPECIES: Final = {
    "pion": Species(
        "pion",
        PION_MASS,
        7804.5,
        (
            Channel("mu nu", 0.999877, (_MU, _NU), (1, 0)),
            Channel("e nu", 1.230e-4, (_E, _NU), (1, 0)),
        ),
    ),
    "kaon": Species(
        "kaon",
        KAON_MASS,
        3711.0,
        (
            Channel("mu nu", 0.6356, (_MU, _NU), (1, 0)),
            Channel("pi pi0", 0.2067, (_PI, _PI0), (1, 0)),
            Channel("pi pi pi", 0.05583, (_PI, _PI, _PI), (1, 1, -1), slope=-0.211),
            Channel("pi0 e nu", 0.0507, (_PI0, _E, _NU), (0, 1, 0), lambda_plus=0.0286),
            Channel("pi0 mu nu", 0.03352, (_PI0, _MU, _NU), (0, 1, 0), lambda_plus=0.0286),
            Channel("pi0 pi0 pi", 0.0176, (_PI0, _PI0, _PI), (0, 0, 1), slope=0.626),
        ),
    ),
    "kaon0_long": Species(
        "kaon0_long",
        KAON0_MASS,
        15340.0,
        (
            Channel("pi e nu", 0.4055, (_PI, _E, _NU), (1, -1, 0), lambda_plus=0.0282),
            Channel("pi mu nu", 0.2704, (_PI, _MU, _NU), (1, -1, 0), lambda_plus=0.0282),
            Channel("pi0 pi0 pi0", 0.1952, (_PI0, _PI0, _PI0), (0, 0, 0)),
            Channel("pi pi pi0", 0.1254, (_PI, _PI, _PI0), (1, -1, 0), slope=0.678),
            Channel("pi pi", 0.001967, (_PI, _PI), (1, -1)),
        ),
    ),
    "muon": Species(
        "muon", MUON_MASS, 658_638.4, (Channel("e nu nu", 1.0, (_E, _NU, _NU), (1, 0, 0)),)
    ),
}
"""By name. Charged ones stand for both charges."""


def decay_length(species: Species, momentum: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean path before the decay, mm: p c tau / m."""
    return np.asarray(momentum * species.ctau / species.mass)


def decay_probability(
    species: Species, momentum: NDArray[np.float64], path: NDArray[np.float64] | float
) -> NDArray[np.float64]:
    """Probability to decay within a path, mm."""
    return np.asarray(-np.expm1(-path / decay_length(species, momentum)))


@dataclass(frozen=True, eq=False)
class Products:
    """Products of many decays; the first axis is the product, in order of parents."""

    parent: NDArray[np.int64]
    """Index of the decay."""
    particle: NDArray[np.int8]
    """See `Particle`; never a pi0, which has become two photons."""
    charge: NDArray[np.int8]
    momentum: NDArray[np.float64]
    """E, px, py, pz in GeV, shape (products, 4)."""


def _density(species: Species, channel: Channel) -> Density | None:
    masses = [_MASSES[p] for p in channel.products]
    mass = species.mass
    if species.name == "muon":

        def michel(e1: NDArray[np.float64], e2: NDArray[np.float64]) -> NDArray[np.float64]:
            # The second is the electron's antineutrino; the first, the electron, sets no weight.
            del e1
            return np.asarray(e2 * (mass**2 - masses[0] ** 2 - 2 * mass * e2))

        return michel
    if channel.slope:
        centre = (mass**2 + sum(m**2 for m in masses)) / 3

        def pions(e1: NDArray[np.float64], e2: NDArray[np.float64]) -> NDArray[np.float64]:
            odd = mass**2 + masses[2] ** 2 - 2 * mass * (mass - e1 - e2)
            return np.asarray(1 + channel.slope * (odd - centre) / PION_MASS**2)

        return pions
    if channel.lambda_plus:
        pion, lepton = masses[0], masses[1]

        def semileptonic(e1: NDArray[np.float64], e2: NDArray[np.float64]) -> NDArray[np.float64]:
            neutrino = mass - e1 - e2
            short = (mass**2 + pion**2 - lepton**2) / (2 * mass) - e1
            a = mass * (2 * e2 * neutrino - mass * short)
            a += lepton**2 * (0.25 * short - neutrino)
            b = lepton**2 * (neutrino - 0.5 * short)
            c = 0.25 * lepton**2 * short
            t = mass**2 + pion**2 - 2 * mass * e1
            form = 1 + channel.lambda_plus * t / PION_MASS**2
            return np.asarray(form**2 * (a + b * _XI + c * _XI**2))

        return semileptonic
    return None


def decay(
    rng: np.random.Generator,
    species: Species,
    parent: NDArray[np.float64],
    charge: NDArray[np.int8],
    *,
    channel: str | None = None,
) -> Products:
    """Let particles decay.

    Parameters
    ----------
    parent
        Four-momenta, shape (rows, 4).
    charge
        Of the parents, shape (rows,).
    channel
        Name of the only channel to take; by default all at their branching ratios.

    Raises
    ------
    ValueError
        If there is no such channel.
    """
    rows = len(parent)
    channels = [c for c in species.channels if channel in {None, c.name}]
    if not channels:
        known = ", ".join(c.name for c in species.channels)
        msg = f"{species.name} has no decay {channel!r}; there are {known}"
        raise ValueError(msg)
    ratios = np.array([c.ratio for c in channels])
    drawn = rng.choice(len(channels), size=rows, p=ratios / ratios.sum())
    sign = np.where(charge != 0, charge, rng.choice(np.array([-1, 1]), rows))
    found: list[tuple[NDArray[np.int64], Particle, NDArray[np.int64], NDArray[np.float64]]] = []
    for number, one in enumerate(channels):
        which = np.flatnonzero(drawn == number)
        if not len(which):
            continue
        masses = tuple(_MASSES[p] for p in one.products)
        bodies: tuple[NDArray[np.float64], ...]
        if len(masses) == 2:
            bodies = two_body(rng, len(which), species.mass, (masses[0], masses[1]))
        else:
            three = (masses[0], masses[1], masses[2])
            bodies = three_body(rng, len(which), species.mass, three, _density(species, one))
        for particle, relative, at_rest in zip(one.products, one.charges, bodies, strict=True):
            moving = boost(at_rest, parent[which])
            if particle is not Particle.PION0:
                found.append((which, particle, relative * sign[which], moving))
                continue
            neutral = np.zeros(len(which), dtype=np.int64)
            photons = two_body(rng, len(which), PION0_MASS, (0.0, 0.0))
            found += [(which, Particle.PHOTON, neutral, boost(p, moving)) for p in photons]
    if not found:
        return Products(
            np.empty(0, np.int64), np.empty(0, np.int8), np.empty(0, np.int8), np.empty((0, 4))
        )
    of = np.concatenate([w for w, *_ in found])
    order = np.argsort(of, kind="stable")
    particles = np.concatenate([np.full(len(w), p, dtype=np.int8) for w, p, *_ in found])
    charges = np.concatenate([c for _, _, c, _ in found]).astype(np.int8)
    momenta = np.concatenate([m for *_, m in found])
    return Products(of[order], particles[order], charges[order], momenta[order])
