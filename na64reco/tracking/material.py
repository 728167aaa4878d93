"""Energy lost in matter and in magnets: means and fluctuations for the fit, in closed form.

Ionisation of muons and hadrons after Bethe with Sternheimer's density effect, synchrotron
radiation, and bremsstrahlung of electrons after Bethe and Heitler. Equations are those of the
Particle Data Group 2024 review, "Passage of particles through matter" (ch. 34), unless said.
`layer_loss` is what the fit takes for a layer of material.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

from na64reco.constants import ELECTRON_MASS, MUON_MASS
from na64reco.errors import DataError, did_you_mean
from na64reco.materials import MATERIALS
from na64reco.tracking.field import (
    SYNCHROTRON_CRITICAL,
    SYNCHROTRON_LOSS,
    SYNCHROTRON_SQUARE,
)

if TYPE_CHECKING:
    from na64reco.materials import Material

__all__ = [
    "Loss",
    "bethe",
    "bremsstrahlung",
    "electron_ionisation",
    "ionisation",
    "landau_width",
    "layer_loss",
    "max_transfer",
    "most_probable_loss",
    "synchrotron",
]

_K: Final = 0.307075e-3
"""4 pi N_A r_e^2 m_e c^2, GeV cm^2 / mol; table 34.1."""
_FWHM: Final = 2 * math.sqrt(2 * math.log(2))
_MASSES: Final = {"electron": ELECTRON_MASS, "positron": ELECTRON_MASS, "muon": MUON_MASS}


class Loss(NamedTuple):
    """Mean and standard deviation of what is lost."""

    mean: float
    sigma: float


def max_transfer(beta_gamma: float, mass: float) -> float:
    """Largest energy given to one electron, GeV; eq. 34.4. ``mass`` in GeV."""
    gamma = math.sqrt(1 + beta_gamma**2)
    ratio = ELECTRON_MASS / mass
    return 2 * ELECTRON_MASS * beta_gamma**2 / (1 + 2 * gamma * ratio + ratio**2)


def _excitation(substance: Material) -> float:
    """Mean excitation energy, GeV."""
    return substance.excitation * 1e-9


def bethe(beta_gamma: float, mass: float, substance: Material) -> float:
    """Mean ionisation loss, GeV cm^2/g, of a particle of unit charge; eq. 34.5."""
    beta2 = beta_gamma**2 / (1 + beta_gamma**2)
    twice = 2 * ELECTRON_MASS * beta_gamma**2
    logarithm = math.log(twice * max_transfer(beta_gamma, mass) / _excitation(substance) ** 2)
    bracket = 0.5 * logarithm - beta2 - substance.density_effect(beta_gamma) / 2
    return _K * substance.z_over_a / beta2 * bracket


def landau_width(beta_gamma: float, depth: float, substance: Material) -> float:
    """xi of Landau's distribution, GeV, behind ``depth`` g/cm^2; the full width is 4 xi; 34.2.9."""
    return _K / 2 * substance.z_over_a * depth * (1 + beta_gamma**2) / beta_gamma**2


def most_probable_loss(beta_gamma: float, depth: float, substance: Material) -> float:
    """Most probable ionisation loss, GeV, behind ``depth`` g/cm^2; eq. 34.12."""
    beta2 = beta_gamma**2 / (1 + beta_gamma**2)
    xi = landau_width(beta_gamma, depth, substance)
    first = math.log(2 * ELECTRON_MASS * beta_gamma**2 / _excitation(substance))
    second = math.log(xi / _excitation(substance))
    return xi * (first + second + 0.200 - beta2 - substance.density_effect(beta_gamma))


def ionisation(momentum: float, mass: float, depth: float, substance: Material) -> Loss:
    """Energy lost to ionisation, GeV, in ``depth`` g/cm^2.

    sigma is that of the Gaussian as wide at half maximum as Landau's distribution, 4 xi: what the
    bulk of tracks sees. The variance proper is that of rare, hard knock-on electrons.
    """
    beta_gamma = momentum / mass
    width = 4 * landau_width(beta_gamma, depth, substance)
    return Loss(bethe(beta_gamma, mass, substance) * depth, width / _FWHM)


def synchrotron(momentum: float, mass: float, field: float, length: float) -> Loss:
    """Energy radiated, GeV, in a field (T) across the path over ``length`` mm.

    Photons have <u> = 8 u_c / (15 sqrt 3) and <u^2> = 11 u_c^2 / 27, and their number is
    Poisson's, so the variance is <E> <u^2> / <u> (M. Sands, SLAC-121, 1970, sec. 5.2).
    """
    ratio = ELECTRON_MASS / mass
    mean = SYNCHROTRON_LOSS * ratio**4 * momentum**2 * field**2 * length
    critical = SYNCHROTRON_CRITICAL * ratio**3 * momentum**2 * abs(field)
    return Loss(mean, math.sqrt(mean * critical * SYNCHROTRON_SQUARE))


def bremsstrahlung(thickness: float) -> Loss:
    """Share z of its energy that an electron keeps in ``thickness`` radiation lengths t.

    <z> = exp(-t), var z = exp(-t ln 3 / ln 2) - exp(-2 t): R. Fruehwirth, Comput. Phys. Commun.
    154 (2003) 131, from the spectrum of H. Bethe, W. Heitler, Proc. R. Soc. A 146 (1934) 83.
    The first member is the mean of z itself, not of 1 - z.
    """
    mean = math.exp(-thickness)
    return Loss(mean, math.sqrt(max(0.0, 3 ** (-thickness / math.log(2)) - mean * mean)))


def electron_ionisation(momentum: float, substance: Material) -> float:
    """Mean loss of an electron to collisions (Moller scattering), GeV cm^2/g; eq. 34.24."""
    beta_gamma = momentum / ELECTRON_MASS
    gamma = math.sqrt(1 + beta_gamma**2)
    beta2 = (beta_gamma / gamma) ** 2
    argument = ELECTRON_MASS**2 * beta_gamma**2 * (gamma - 1) / (2 * _excitation(substance) ** 2)
    bracket = math.log(argument) + 1 - beta2 - (2 * gamma - 1) / gamma**2 * math.log(2)
    bracket += ((gamma - 1) / gamma) ** 2 / 8 - substance.density_effect(beta_gamma)
    return _K / 2 * substance.z_over_a / beta2 * bracket


def layer_loss(
    thickness: float, momentum: float, particle: str, *, substance: str = "mylar"
) -> Loss:
    """Energy, GeV, lost to ionisation in a layer of ``thickness`` radiation lengths.

    Setups give radiation lengths and no substance: light ones have about the g/cm^2 of mylar in
    one (36 to 44; silicon 22). Bremsstrahlung is left out on purpose: its distribution has a peak
    at no loss and a long tail, and its mean would shift all tracks for the sake of a few.

    Raises
    ------
    DataError
        Where the particle or the substance is unknown.
    """
    if substance not in MATERIALS:
        msg = f"no properties of {substance!r} are known. {did_you_mean(substance, MATERIALS)}"
        raise DataError(msg)
    if particle not in _MASSES:
        msg = f"no energy loss of {particle!r} is known. {did_you_mean(particle, _MASSES)}"
        raise DataError(msg)
    of = MATERIALS[substance]
    depth = thickness * of.radiation_length
    lost = ionisation(momentum, _MASSES[particle], depth, of)
    if particle == "muon":
        return lost
    return Loss(electron_ionisation(momentum, of) * depth, lost.sigma)
