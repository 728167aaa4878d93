r"""Neutrino tridents, nu_mu N -> nu_mu N mu+ mu-, with the boson of L_mu - L_tau.

Contact interaction and boson add in the vector current of muons, t being the momentum transfer
between the neutrinos (W. Altmannshofer et al., arXiv:1406.2332):

.. math:: C_V = \tfrac12 + 2 s_W^2 + \frac{v^2 g^2}{m^2 - t}, \quad C_A = \tfrac12

For a heavy boson the cross section over that of the Standard Model is `heavy_ratio`. In general
it is an integral (`trident_ratio`) over the phase space of nu gamma -> nu mu+ mu- at tree level,
muon mass kept, at one energy of the neutrino, with the equivalent photons of the whole nucleus
(form factor 1 / (1 + Q^2 R^2 / 12)^2; single protons are left out): quasi-random points, weights
from traces of explicit matrices.

CCFR measured 0.82 +- 0.28 for it (S. R. Mishra et al., Phys. Rev. Lett. 66 (1991) 3117), on iron.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

from na64reco.constants import MUON_MASS
from na64reco.darksector.models import check_positive
from na64reco.errors import ModelError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["CCFR", "heavy_ratio", "trident_limit", "trident_ratio"]

CCFR: Final = (0.82, 0.28)
"""Cross section over that of the Standard Model, and its error."""
_ENERGY: Final = 160.0
"""GeV, of CCFR's neutrinos, assumed; twice as much makes limits of light bosons 25 % weaker."""
_RADIUS: Final = (3 / 5) ** 0.5 * 1.2 * 56 ** (1 / 3) * 5.0677
"""1/GeV: root mean square of iron's charge, a ball of 1.2 A^(1/3) fm."""

_WEAK_ANGLE: Final = 0.2312
"""sin^2 (Particle Data Group 2024)."""
_VACUUM: Final = 246.22
"""GeV."""
_VECTOR: Final = 0.5 + 2 * _WEAK_ANGLE
_AXIAL: Final = 0.5
_POINTS: Final = 2**14

_METRIC: Final = np.diag([1.0, -1.0, -1.0, -1.0])


def _matrices() -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
    """Gamma matrices with upper index, shape (4, 4, 4), and gamma_5."""
    pauli = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
    gamma = np.zeros((4, 4, 4), dtype=np.complex128)
    gamma[0] = np.diag([1, 1, -1, -1])
    gamma[1:, :2, 2:], gamma[1:, 2:, :2] = pauli, -pauli
    return gamma, 1j * gamma[0] @ gamma[1] @ gamma[2] @ gamma[3]


_GAMMA, _FIVE = _matrices()


@dataclass(frozen=True, eq=False)
class _Tridents:
    """Points of phase space; sums over them are cross sections, up to one factor."""

    t: NDArray[np.float64]
    """GeV^2, negative, shape (points,)."""
    vector: NDArray[np.float64]
    """Weight with C_V^2."""
    axial: NDArray[np.float64]
    """With C_A^2; C_V C_A comes with what is odd in the muons' charge and adds up to nothing."""

    def total(self, more: NDArray[np.float64]) -> NDArray[np.float64]:
        """With this added to C_V, shape (..., points)."""
        c = _VECTOR + more
        return np.asarray((c**2 * self.vector + _AXIAL**2 * self.axial).sum(axis=-1))


def _slash(p: NDArray[np.float64]) -> NDArray[np.complex128]:
    return np.asarray(np.einsum("pa,aij->pij", p @ _METRIC, _GAMMA))


def _momenta(
    s: NDArray[np.float64], u: NDArray[np.float64]
) -> tuple[tuple[NDArray[np.float64], ...], NDArray[np.float64], NDArray[np.float64]]:
    """k1, q, k2, p-, p+ of nu gamma -> nu mu mu in their rest frame, t, and the density's inverse.

    The mass of the pair and t are even in their logarithms, the muons' angle to the photon in the
    pair's rest frame in its rapidity.
    """
    lightest = 4 * MUON_MASS**2
    span = np.log(s / lightest)
    pair = lightest * np.exp(u[0] * span)  # mass squared
    most = s - pair
    depth = np.log(1e8)
    t = -most * np.exp(-u[1] * depth)
    beta = np.sqrt(1 - lightest / pair)
    reach = np.arctanh(beta * (1 - 1e-12))
    rapidity = (2 * u[2] - 1) * reach
    cosine = np.clip(np.tanh(rapidity) / np.maximum(beta, 1e-12), -1, 1)
    phi = 2 * np.pi * u[3]
    # d(pair) dt d(cosine) d(phi) beta / s^2, up to a factor.
    weight = pair * span * -t * depth * 2 * reach * (1 - np.tanh(rapidity) ** 2) / s**2

    def vector(e: ArrayLike, x: ArrayLike, y: ArrayLike, z: ArrayLike) -> NDArray[np.float64]:
        return np.stack(np.broadcast_arrays(e, x, y, z), axis=-1).astype(np.float64)

    # Rest frame of the pair: photon along z, neutrinos in the x-z plane.
    root = np.sqrt(pair)
    photon = (pair - t) / (2 * root)
    before = (s + t) / (2 * root)  # k1.P = (s + t) / 2 with P = q + k1 - k2
    q = vector(photon, 0.0, 0.0, photon)
    # k1.q = s / 2.
    c = np.clip(1 - s / (2 * before * photon), -1, 1)
    k1 = before[:, None] * vector(1.0, np.sqrt(1 - c**2), 0.0, c)
    k2 = q + k1 - vector(root, 0.0, 0.0, 0.0)
    momentum = beta * root / 2
    sine = np.sqrt(1 - cosine**2)
    minus = vector(
        root / 2,
        momentum * sine * np.cos(phi),
        momentum * sine * np.sin(phi),
        momentum * cosine,
    )
    plus = vector(root, 0.0, 0.0, 0.0) - minus
    return (k1, q, k2, minus, plus), t, weight


def _squared(
    momenta: tuple[NDArray[np.float64], ...],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """|M|^2 with C_V^2 and C_A^2, summed over spins and polarisations; the photon flies along z."""
    k1, q, k2, minus, plus = momenta
    one = np.eye(4)
    left = (one - _FIVE) / 2
    neutrinos = np.einsum(
        "pij,ajk,kl,plm,bmi->pab", _slash(k2), _GAMMA, left, _slash(k1), _GAMMA, optimize=True
    )
    lower = np.einsum("ac,bd,pcd->pab", _METRIC, _METRIC, neutrinos)

    def dot(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.einsum("pa,ab,pb->p", a, _METRIC, b))

    first = (_slash(minus - q) + MUON_MASS * one) / (-2 * dot(minus, q))[:, None, None]
    second = (_slash(q - plus) + MUON_MASS * one) / (-2 * dot(plus, q))[:, None, None]
    out, back = _slash(minus) + MUON_MASS * one, _slash(plus) - MUON_MASS * one
    found = [np.zeros(len(q)), np.zeros(len(q))]
    for polarisation in -_GAMMA[1:3]:  # along x or y, index lowered
        for i, vertex in enumerate((_GAMMA, -_GAMMA @ _FIVE)):
            m = np.einsum("ij,pjk,akl->pail", polarisation, first, vertex, optimize=True)
            m = m + np.einsum("aij,pjk,kl->pail", vertex, second, polarisation, optimize=True)
            bar = np.einsum("ij,pbkj,kl->pbil", _GAMMA[0], m.conj(), _GAMMA[0], optimize=True)
            muons = np.einsum("pij,pajk,pkl,pbli->pab", out, m, back, bar, optimize=True)
            found[i] += np.einsum("pab,pab->p", lower, muons).real
    return found[0], found[1]


def _photons(s: NDArray[np.float64], energy: float) -> NDArray[np.float64]:
    """s times the number of equivalent photons, up to a factor: integral of dQ^2/Q^2 F^2."""
    y = (s / (2 * energy)) ** 2 * _RADIUS**2 / 12
    # F^2 = (1 + y)^-4: the integral of 1/(y (1 + y)^4) in closed form.
    rest = 1 / (1 + y) + 1 / (2 * (1 + y) ** 2) + 1 / (3 * (1 + y) ** 3)
    return np.asarray(np.log1p(1 / y) - rest)


@lru_cache(maxsize=4)
def _tridents(energy: float = _ENERGY) -> _Tridents:
    from scipy.stats import qmc

    u = qmc.Sobol(5, rng=np.random.default_rng(1)).random(_POINTS).T
    # Nuclei give photons up to 1/R, with a tail: s up to ten times that.
    lowest, highest = 4 * MUON_MASS**2 * 1.001, 2 * energy * 10 / _RADIUS
    s = lowest * (highest / lowest) ** u[4]
    momenta, t, weight = _momenta(s, u[:4])
    weight = weight * _photons(s, energy)
    squared = [weight * part for part in _squared(momenta)]
    return _Tridents(t, *squared)


def heavy_ratio(mass: ArrayLike, coupling: ArrayLike) -> NDArray[np.float64]:
    """Cross section over that of the Standard Model for masses (GeV) well above 10 GeV."""
    check_positive(mass=mass)
    more = 2 * (_VACUUM * np.asarray(coupling) / np.asarray(mass)) ** 2
    alone = 1 + 4 * _WEAK_ANGLE
    return np.asarray((1 + (alone + more) ** 2) / (1 + alone**2))


def trident_ratio(
    mass: ArrayLike, coupling: ArrayLike, *, energy: float = _ENERGY
) -> NDArray[np.float64]:
    """Cross section over that of the Standard Model.

    Parameters
    ----------
    mass
        GeV; broadcast with the coupling.
    coupling
        g to muons and muon neutrinos.
    energy
        Of the neutrinos, GeV.
    """
    check_positive(mass=mass, energy=energy)
    points = _tridents(energy)
    g, m = np.broadcast_arrays(coupling, mass)
    more = (_VACUUM * g[..., None]) ** 2 / (m[..., None] ** 2 - points.t)
    return points.total(more) / points.total(np.zeros(1))


def trident_limit(
    mass: ArrayLike, *, measured: tuple[float, float] = CCFR, sigmas: float = 1.96
) -> NDArray[np.float64]:
    """Coupling at which the cross section is `sigmas` above the measured one.

    Parameters
    ----------
    mass
        GeV, shape (masses,).

    Raises
    ------
    ModelError
        If so much is less than the Standard Model alone makes.
    """
    check_positive(mass=mass)
    masses = np.atleast_1d(np.asarray(mass, dtype=np.float64))
    most = measured[0] + sigmas * measured[1]
    if most <= 1:
        msg = f"the Standard Model itself is above {most:g} times its cross section"
        raise ModelError(msg)
    # 1 + a g^2 + b g^4, from two couplings.
    small = 1e-3 * np.maximum(masses, 0.1)
    one, two = (trident_ratio(masses, g) - 1 for g in (small, np.sqrt(2) * small))
    b = (two - 2 * one) / 2
    a = one - b
    root = (np.sqrt(a**2 + 4 * b * (most - 1)) - a) / (2 * b)
    return np.asarray(small * np.sqrt(root))
