r"""Muons in matter: what they radiate, knock on and lose, per atom or electron.

With E the muon's total energy, nu the transfer, v = nu / E, mu its mass (GeV; cross sections in
cm^2):

- Bremsstrahlung: A. A. Petrukhin, V. V. Shestakov, Can. J. Phys. 46 (1968) S377, with the nuclear
  form factor and atomic electrons of S. R. Kelner, R. P. Kokoulin, A. A. Petrukhin, preprint MEPhI
  024-95 (1995) and Phys. At. Nucl. 60 (1997) 576.
- Pairs e+ e-: R. P. Kokoulin, A. A. Petrukhin, Proc. 11th ICRC (1969) and 12th ICRC (1971), with
  atomic electrons after S. R. Kelner, Phys. At. Nucl. 61 (1998) 448.
- Knock-on electrons: H. J. Bhabha's formula of spin 1/2 with photons radiated by the electron, as
  in D. E. Groom, N. V. Mokhov, S. I. Striganov, ADNDT 78 (2001) 183, sect. 3.
- Nuclear: V. V. Borog, A. A. Petrukhin, Proc. 14th ICRC (1975) 6, 1949.

The formulas stand together in the Geant4 Physics Reference Manual, "Muon incident".
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from na64reco.cascade.collisions import ELECTRON_DENSITY
from na64reco.cascade.radiation import CLASSICAL_RADIUS
from na64reco.constants import ALPHA, ELECTRON_MASS, MUON_MASS, PROTON_MASS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.materials import Element, Material

__all__ = [
    "PROCESSES",
    "PROCESS_LIMITS",
    "largest_knock_on",
    "muon_brems",
    "muon_knock_on",
    "muon_nuclear",
    "muon_pair",
    "restricted_ionisation",
    "spectrum",
]

PROCESSES: Final = ("brems", "pair", "knock-on", "nuclear")

_M: Final = ELECTRON_MASS
_MU: Final = MUON_MASS
_RATIO: Final = _MU / _M
_ROOT_E: Final = math.sqrt(math.e)
_ALPHA_R: Final = ALPHA * CLASSICAL_RADIUS
_LAMBDA2: Final = 0.4
"""Of the nucleon's form factor, GeV^2."""
PROCESS_LIMITS: Final = {"brems": 0.0, "pair": 4 * _M, "knock-on": 0.0, "nuclear": 0.2}
"""Smallest transfers, GeV; the nuclear formula begins at the pion's production."""

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(24)


def _logarithm_constants(z: int) -> tuple[float, float]:
    """B and B' of the screened logarithms: Thomas-Fermi, hydrogen."""
    return (202.4, 446.0) if z == 1 else (183.0, 1429.0)


def muon_brems(energy: float, nu: NDArray[np.float64], element: Element) -> NDArray[np.float64]:
    """dsigma/dnu per atom, cm^2/GeV; ``energy``: total, ``nu``: of the photon, shape (n,)."""
    z = element.z
    b, b_electrons = _logarithm_constants(z)
    v = nu / energy
    inside = nu < energy - _MU
    v = np.where(inside, v, 0.5)
    delta = 0.5 * _MU**2 * v / (energy * (1 - v))
    size = 1.54 * element.a**0.27
    reduced = size if z == 1 else size ** (1 - 1 / z)
    screened = b * z ** (-1 / 3)
    nucleus = np.log(
        screened
        * (_MU + delta * (reduced * _ROOT_E - 2))
        / (reduced * (_M + delta * _ROOT_E * screened))
    )
    screened = b_electrons * z ** (-2 / 3)
    argument = screened * _MU
    argument = argument / (
        (1 + delta * _RATIO / (_M * _ROOT_E)) * (_M + delta * _ROOT_E * screened)
    )
    electrons = np.where(nu < energy / (1 + 0.5 * _MU * _RATIO / energy), np.log(argument), 0.0)
    shape = z * (z * np.maximum(nucleus, 0) + np.maximum(electrons, 0)) * (1 - v + 0.75 * v * v)
    found = 16 / 3 * ALPHA * (CLASSICAL_RADIUS / _RATIO) ** 2 * shape / nu
    return np.where(inside, found, 0.0)


def muon_pair(energy: float, nu: NDArray[np.float64], element: Element) -> NDArray[np.float64]:
    """dsigma/dnu per atom, cm^2/GeV; ``nu``: of the pair, shape (n,)."""
    z = element.z
    third = z ** (1 / 3)
    inside = (nu > 4 * _M) & (energy - nu > 0.75 * _ROOT_E * _MU * third)
    nu = np.where(inside, nu, min(8 * _M, 0.5 * energy))
    left = energy - nu
    a = 4 * _M / nu
    edge = 6 * _MU**2 / (energy * left)
    # 1 - rho_max, without cancellation; the integral over rho goes in ln(1 - rho).
    least = (a + 2 * edge * (1 - a)) / (1 + (1 - edge) * np.sqrt(1 - a))
    inside &= (least < 1) & (edge < 1)
    log = np.log(np.clip(least, 1e-30, 1))[:, None]
    one_less = np.exp(log * (0.5 + 0.5 * _NODES))
    integrand = one_less * _pair_kernel(one_less, energy, nu[:, None], z)
    integral = -log[:, 0] * 0.5 * (integrand * _WEIGHTS).sum(axis=1)
    strength = z * (z + _pair_electrons(energy, z))
    found = 4 / (3 * math.pi) * _ALPHA_R**2 * strength * left / (energy * nu) * integral
    return np.where(inside, np.maximum(found, 0.0), 0.0)


def _pair_electrons(energy: float, z: int) -> float:
    """zeta: the atomic electrons act like zeta more units of Z."""
    g1, g2 = (4.4e-5, 4.8e-5) if z == 1 else (1.95e-5, 5.3e-5)
    gamma = energy / _MU
    first = 0.073 * math.log(gamma / (1 + g1 * z ** (2 / 3) * gamma)) - 0.26
    if first <= 0:
        return 0.0
    return first / (0.058 * math.log(gamma / (1 + g2 * z ** (1 / 3) * gamma)) - 0.14)


def _pair_kernel(
    one_less: NDArray[np.float64], energy: float, nu: NDArray[np.float64], z: int
) -> NDArray[np.float64]:
    """Phi_e + (m/mu)^2 Phi_mu at 1 - rho = ``one_less``; rho: the pair's asymmetry."""
    b, _ = _logarithm_constants(z)
    third = z ** (1 / 3)
    square = nu**2 / (energy * (energy - nu))
    beta = 0.5 * square
    rest = one_less * (2 - one_less)
    rho2 = 1 - rest
    xi = 0.25 * _RATIO**2 * square * rest
    screen = 2 * _M * _ROOT_E * b / (third * nu) * (1 + xi) / rest
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        inverse = np.log1p(1 / xi)
        y_e = 5 - rho2 + 4 * beta * (1 + rho2)
        y_e /= 2 * (1 + 3 * beta) * np.log(3 + 1 / xi) - rho2 - square * (2 - rho2)
        l_e = np.log(b / third * np.sqrt((1 + xi) * (1 + y_e)) / (1 + screen * (1 + y_e)))
        l_e -= 0.5 * np.log1p((1.5 / _RATIO * third) ** 2 * (1 + xi) * (1 + y_e))
        b_e = ((2 + rho2) * (1 + beta) + xi * (3 + rho2)) * inverse
        b_e += (rest - beta) / (1 + xi) - (3 + rho2)
        b_e = np.where(xi > 1e3, (3 - rho2 + square * (1 + rho2)) / (2 * xi), b_e)
        y_mu = 4 + rho2 + 3 * beta * (1 + rho2)
        y_mu /= (1 + rho2) * (1.5 + square) * np.log(3 + xi) + 1 - 1.5 * rho2
        l_mu = np.log(b * _RATIO / (1.5 * third**2 * (1 + screen * (1 + y_mu))))
        b_mu = ((1 + rho2) * (1 + 1.5 * beta) - (1 + square) * rest / xi) * np.log1p(xi)
        b_mu += xi * (rest - beta) / (1 + xi) + (1 + square) * rest
        b_mu = np.where(xi < 1e-3, (5 - rho2 + beta * (3 + rho2)) * xi / 2, b_mu)
    electron, muon = np.maximum(l_e * b_e, 0), np.maximum(l_mu * b_mu, 0)
    return np.asarray(electron + muon / _RATIO**2)


def largest_knock_on(energy: float) -> float:
    """Largest kinetic energy of an electron that a muon hits, GeV (PDG 2024, eq. 34.4)."""
    gamma2 = (energy / _MU) ** 2
    return 2 * _M * (gamma2 - 1) / (1 + 2 * energy / _MU / _RATIO + 1 / _RATIO**2)


def muon_knock_on(energy: float, nu: NDArray[np.float64]) -> NDArray[np.float64]:
    """dsigma/dnu per electron, cm^2/GeV; ``nu``: kinetic energy of the electron, shape (n,)."""
    most = largest_knock_on(energy)
    beta2 = 1 - (_MU / energy) ** 2
    inside = nu < most
    t = np.where(inside, nu, 0.5 * most)
    first = np.log1p(2 * t / _M)
    second = np.log(4 * energy * (energy - t) / _MU**2)
    radiation = 1 + ALPHA / (2 * math.pi) * first * (second - first)
    born = (1 - beta2 * t / most + 0.5 * (t / energy) ** 2) / (beta2 * t * t)
    found = 2 * math.pi * CLASSICAL_RADIUS**2 * _M * born * radiation
    return np.where(inside, found, 0.0)


def muon_nuclear(energy: float, nu: NDArray[np.float64], element: Element) -> NDArray[np.float64]:
    """dsigma/dnu per atom, cm^2/GeV; ``nu``: of the virtual photon, above 0.2 GeV, shape (n,).

    The photon's cross section per nucleon is 49.2 + 11.1 ln nu + 151.8 / sqrt(nu) microbarn, and
    the nucleus acts like 0.22 A + 0.78 A^0.89 nucleons (V. V. Borog, V. G. Kirillov-Ugryumov, A. A.
    Petrukhin, Sov. J. Nucl. Phys. 25 (1977) 46).
    """
    inside = (nu > PROCESS_LIMITS["nuclear"]) & (nu < energy - 0.5 * PROTON_MASS)
    nu = np.where(inside, nu, 1.0)
    v = np.where(inside, nu / energy, 0.5)
    photon = (49.2 + 11.1 * np.log(nu) + 151.8 / np.sqrt(nu)) * 1e-30
    nucleons = 0.22 * element.a + 0.78 * element.a**0.89
    up = energy**2 * (1 - v) / _MU**2 * (1 + (_MU * v) ** 2 / (_LAMBDA2 * (1 - v)))
    scale = math.sqrt(_LAMBDA2)
    down = 1 + nu / scale * (1 + scale / (2 * PROTON_MASS) + nu / scale)
    bracket = 1 - v + 0.5 * v * v * (1 + 2 * _MU**2 / _LAMBDA2)
    found = ALPHA / math.pi * nucleons * photon / nu * (v - 1 + bracket * np.log(up / down))
    return np.where(inside, np.maximum(found, 0.0), 0.0)


def restricted_ionisation(energy: float, cut: float, material: Material) -> float:
    """Mean loss in collisions that give an electron less than ``cut`` GeV each, GeV cm^2/g.

    PDG 2024, eqs. 34.5 and 34.11, with the term of spin 1/2 and the electron's radiation, so that
    this and the knock-on electrons above the cut add up to the same for any cut.
    """
    most = largest_knock_on(energy)
    up = min(cut, most)
    gamma2 = (energy / _MU) ** 2
    beta2 = 1 - 1 / gamma2
    excitation = material.excitation * 1e-9
    delta = material.density_effect(math.sqrt(gamma2 - 1))
    number = 0.5 * math.log(2 * _M * (gamma2 - 1) * up / excitation**2)
    number += -0.5 * beta2 * (1 + up / most) - 0.5 * delta + (up / energy) ** 2 / 8
    electrons = ELECTRON_DENSITY * material.z_over_a
    loss = 4 * math.pi * electrons * CLASSICAL_RADIUS**2 * _M / beta2 * number
    log = np.linspace(math.log(1e-6), math.log(up), 60)
    t = np.exp(log)
    first = np.log1p(2 * t / _M)
    second = np.log(4 * energy * (energy - t) / _MU**2)
    radiated = ALPHA / (2 * math.pi) * first * (second - first)
    extra = np.trapezoid(radiated * (1 - beta2 * t / most), log)
    return float(loss + 2 * math.pi * electrons * CLASSICAL_RADIUS**2 * _M / beta2 * extra)


def spectrum(
    process: str, energy: float, nu: NDArray[np.float64], material: Material
) -> NDArray[np.float64]:
    """Transfers in a material: dsigma/dnu times the atoms (electrons) per g, cm^2/(g GeV).

    Parameters
    ----------
    process
        One of `PROCESSES`.
    energy
        Total, GeV.
    nu
        GeV, shape (n,).

    Raises
    ------
    ValueError
        For another process.
    """
    if process == "knock-on":
        return ELECTRON_DENSITY * material.z_over_a * muon_knock_on(energy, nu)
    of = {"brems": muon_brems, "pair": muon_pair, "nuclear": muon_nuclear}.get(process)
    if of is None:
        msg = f"process {process!r}: expected one of {', '.join(PROCESSES)}"
        raise ValueError(msg)
    total = np.zeros_like(nu)
    for element, share in material.composition:
        total += ELECTRON_DENSITY / element.a * share * of(energy, nu, element)
    return total
