r"""Bremsstrahlung of electrons and pair production by photons on atoms.

Bethe-Heitler cross sections with screening and Coulomb correction, as in H. W. Koch, J. W. Motz,
Rev. Mod. Phys. 31 (1959) 920 with the screening functions of J. C. Butcher, H. Messel, Nucl. Phys.
20 (1960) 15 and the atomic electrons as in Y.-S. Tsai, Rev. Mod. Phys. 46 (1974) 815:

.. math::
   k \frac{d\sigma}{dk} = \alpha r_e^2 Z(Z+\xi)\,\{[1+(1-y)^2]\,B_1 - \tfrac23(1-y)\,B_2\},\qquad
   k \frac{d\sigma}{dE_+} = \alpha r_e^2 Z(Z+\xi)\,\{[x^2+(1-x)^2]\,B_1 + \tfrac23x(1-x)\,B_2\}

with y = k/E, x = E+/k and B_i = Phi_i(delta) - 4/3 ln Z - 4 f_c(Z). At delta = 0 these are Tsai's
formulas of complete screening (his eqs. 3.83 and 3.90). The Coulomb correction f_c is that of high
energies: below 50 MeV it is left out of bremsstrahlung, as in EGS4 (W. R. Nelson, H. Hirayama,
D. W. O. Rogers, SLAC-265, eq. 2.7.13), and multiplied by 1 - 6 MeV / k (at least
-1) in pair production, which gives NIST's attenuation in lead from 4 to 20 MeV.

The Landau-Pomeranchuk-Migdal suppression is that of A. B. Migdal as parametrised by T. Stanev et
al., Phys. Rev. D 25 (1982) 1291; see S. Klein, Rev. Mod. Phys. 71 (1999) 1501.
"""

from __future__ import annotations

import math
from typing import Final

from numba import njit

from na64reco.constants import ALPHA, ELECTRON_MASS

__all__ = [
    "ALPHA_RE2",
    "brackets",
    "brems_shape",
    "coulomb_brems",
    "coulomb_correction",
    "coulomb_pair",
    "electron_share",
    "lpm_brems",
    "lpm_energy",
    "lpm_pair",
    "pair_shape",
    "screening",
]

CLASSICAL_RADIUS: Final = 2.8179403205e-13
"""cm."""
ALPHA_RE2: Final = ALPHA * CLASSICAL_RADIUS**2
"""alpha r_e^2, cm^2."""
_COULOMB_ABOVE: Final = 0.050
"""GeV, of the electron."""
_COULOMB_FROM: Final = 0.006
"""GeV, of the photon."""
_LIGHT: Final = {1: (5.31, 6.144), 2: (4.79, 5.621), 3: (4.74, 5.805), 4: (4.71, 5.924)}
_HBAR_C: Final = 1.973269804e-14
"""GeV cm."""


def coulomb_correction(z: int) -> float:
    """f_c of H. Davies, H. A. Bethe, L. C. Maximon, Phys. Rev. 93 (1954) 788; PDG 2024, 34.28."""
    a = (ALPHA * z) ** 2
    return a * (1 / (1 + a) + 0.20206 - 0.0369 * a + 0.0083 * a**2 - 0.002 * a**3)


def electron_share(z: int) -> float:
    """xi: the atomic electrons act like xi more units of Z; L'_rad / (L_rad - f_c) of Tsai."""
    if z in _LIGHT:
        nucleus, electrons = _LIGHT[z]
    else:
        nucleus, electrons = math.log(184.15 * z ** (-1 / 3)), math.log(1194 * z ** (-2 / 3))
    return electrons / (nucleus - coulomb_correction(z))


@njit(cache=True, nogil=True, error_model="numpy")
def screening(delta):  # type: ignore[no-untyped-def]
    """Phi_1 and Phi_2 of Butcher and Messel, screening of the nucleus by a Thomas-Fermi atom."""
    if delta > 1.0:
        phi = 21.12 - 4.184 * math.log(delta + 0.952)
        return phi, phi
    return (
        20.867 - delta * (3.242 - 0.625 * delta),
        20.209 - delta * (1.930 + 0.086 * delta),
    )


@njit(cache=True, nogil=True, error_model="numpy")
def brackets(delta, z, coulomb):  # type: ignore[no-untyped-def]
    """B_1 and B_2, never negative, with the Coulomb correction ``coulomb``."""
    first, second = screening(delta)
    less = 4.0 / 3.0 * math.log(z) + 4.0 * coulomb
    return max(first - less, 0.0), max(second - less, 0.0)


@njit(cache=True, nogil=True, error_model="numpy")
def coulomb_brems(coulomb, energy):  # type: ignore[no-untyped-def]
    """The Coulomb correction for an electron of this total energy, GeV."""
    return coulomb if energy > _COULOMB_ABOVE else 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def coulomb_pair(coulomb, energy):  # type: ignore[no-untyped-def]
    """The Coulomb correction for a photon of this energy, GeV."""
    return coulomb * max(1.0 - _COULOMB_FROM / energy, -1.0)


@njit(cache=True, nogil=True, error_model="numpy")
def brems_shape(y, energy, z, coulomb):  # type: ignore[no-untyped-def]
    """k dsigma/dk over alpha r_e^2 Z (Z + xi); y = k/E, ``energy`` the electron's total E, GeV."""
    rest = 1.0 - y
    if rest * energy <= ELECTRON_MASS:
        return 0.0
    delta = 136.0 * z ** (-1.0 / 3.0) * ELECTRON_MASS * y / (energy * rest)
    b1, b2 = brackets(delta, z, coulomb_brems(coulomb, energy))
    return max((1.0 + rest * rest) * b1 - 2.0 / 3.0 * rest * b2, 0.0)


@njit(cache=True, nogil=True, error_model="numpy")
def pair_shape(x, energy, z, coulomb):  # type: ignore[no-untyped-def]
    """dsigma/dx over alpha r_e^2 Z (Z + xi); x = E+/k, ``energy`` the photon's, GeV."""
    if min(x, 1.0 - x) * energy <= ELECTRON_MASS:
        return 0.0
    delta = 136.0 * z ** (-1.0 / 3.0) * ELECTRON_MASS / (energy * x * (1.0 - x))
    b1, b2 = brackets(delta, z, coulomb_pair(coulomb, energy))
    return (x * x + (1.0 - x) * (1.0 - x)) * b1 + 2.0 / 3.0 * x * (1.0 - x) * b2


def lpm_energy(radiation_length: float) -> float:
    """Energy that sets the scale of the suppression, GeV: 7.7 TeV per cm of radiation length.

    alpha m_e^2 X0 / (4 pi hbar c) (Klein, eq. 13); ``radiation_length`` in cm.
    """
    return ALPHA * ELECTRON_MASS**2 * radiation_length / (4 * math.pi * _HBAR_C)


@njit(cache=True, nogil=True, error_model="numpy")
def _migdal(s_prime, z):  # type: ignore[no-untyped-def]
    """xi, G and phi of Migdal's formula as Stanev et al. have them."""
    s1 = math.sqrt(2.0) * z ** (2.0 / 3.0) / 184.15**2
    xi = 1.0
    if s_prime < s1:
        xi = 2.0
    elif s_prime < 1.0:
        h = math.log(s_prime) / math.log(s1)
        xi = 1.0 + h - 0.08 * (1.0 - h) * (1.0 - (1.0 - h) ** 2) / math.log(s1)
    s = s_prime / math.sqrt(xi)
    if s >= 1.55:
        return xi, 1.0 - 0.0230655 / s**4, 1.0 - 0.01190476 / s**4
    phi = 1.0 - math.exp(
        -6.0 * s * (1.0 + (3.0 - math.pi) * s) + s**3 / (0.623 + 0.796 * s + 0.658 * s * s)
    )
    psi = 1.0 - math.exp(
        -4.0 * s - 8.0 * s * s / (1.0 + 3.936 * s + 4.97 * s * s - 0.05 * s**3 + 7.5 * s**4)
    )
    return xi, 3.0 * psi - 2.0 * phi, phi


@njit(cache=True, nogil=True, error_model="numpy")
def lpm_brems(y, energy, z, scale):  # type: ignore[no-untyped-def]
    """Suppression of bremsstrahlung; ``scale`` = `lpm_energy`."""
    rest = 1.0 - y
    if rest <= 0.0:
        return 1.0
    xi, g, phi = _migdal(math.sqrt(0.125 * scale * y / (rest * energy)), z)
    full = (4.0 - 4.0 * y + 3.0 * y * y) / 3.0
    return min(xi / 3.0 * (y * y * g + 2.0 * (1.0 + rest * rest) * phi) / full, 1.0)


@njit(cache=True, nogil=True, error_model="numpy")
def lpm_pair(x, energy, z, scale):  # type: ignore[no-untyped-def]
    """Suppression of pair production; ``scale`` = `lpm_energy`."""
    rest = 1.0 - x
    if rest <= 0.0 or x <= 0.0:
        return 1.0
    xi, g, phi = _migdal(math.sqrt(0.125 * scale / (x * rest * energy)), z)
    full = 1.0 - 4.0 / 3.0 * x * rest
    return min(xi / 3.0 * (g + 2.0 * (x * x + rest * rest) * phi) / full, 1.0)
