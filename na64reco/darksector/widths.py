"""Widths of a vector boson into pairs; zero below the pair's threshold.

Charged leptons, neutrinos and scalars: arXiv:2206.03101v2, eq. 7-9. Fermions chi: the same with
g_D (pseudo-Dirac, whose small mass splitting is left out), or with the axial current
(g_D / 2) chibar gamma^mu gamma^5 chi (Majorana), arXiv:1807.01730.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from na64reco.errors import ModelError, did_you_mean

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["ChiKind", "chi_width", "fermion_width", "neutrino_width", "velocity"]

ChiKind = Literal["scalar", "pseudo-dirac", "majorana"]
"""What a dark chi is."""


def velocity(energy: ArrayLike, mass: float | NDArray[np.float64]) -> NDArray[np.float64]:
    """beta of each of two particles of this mass with this total energy at rest; 0 below 2 m.

    Parameters
    ----------
    energy, mass
        GeV, any shapes that broadcast.
    """
    energy = np.asarray(energy, dtype=np.float64)
    with np.errstate(divide="ignore"):
        # (E - 2m)(E + 2m): no cancellation at threshold
        square = (energy - 2 * mass) * (energy + 2 * mass) / energy**2
    return np.asarray(np.sqrt(np.maximum(square, 0.0)))


def fermion_width(
    energy: ArrayLike, mass: float | NDArray[np.float64], coupling: ArrayLike
) -> NDArray[np.float64]:
    """g^2/(4 pi) m/3 (1 + 2 r^2) sqrt(1 - 4 r^2), r = mass / energy: into a Dirac pair, GeV.

    Parameters
    ----------
    energy
        Mass of the (virtual) vector boson, GeV.
    mass
        Of the fermion, GeV.
    coupling
        To the vector current; complex allowed.
    """
    energy = np.asarray(energy, dtype=np.float64)
    strength = np.abs(coupling) ** 2 / (4 * np.pi)
    ratio = mass / energy
    return np.asarray(strength * energy / 3 * (1 + 2 * ratio**2) * velocity(energy, mass))


def neutrino_width(energy: ArrayLike, coupling: ArrayLike) -> NDArray[np.float64]:
    """g^2/(4 pi) m/6: into one flavour of left-handed neutrinos, GeV."""
    strength = np.abs(np.asarray(coupling)) ** 2 / (4 * np.pi)
    return np.asarray(strength * np.asarray(energy, dtype=np.float64) / 6)


def chi_width(
    kind: str, energy: ArrayLike, mass: float | NDArray[np.float64], alpha: float
) -> NDArray[np.float64]:
    """Into a pair of dark particles, GeV.

    With b = sqrt(1 - 4 r^2): alpha_D m/12 b^3 (complex scalar), alpha_D m/3 (1 + 2 r^2) b
    (pseudo-Dirac), alpha_D m/6 b^3 (Majorana).

    Parameters
    ----------
    kind
        Of chi.
    energy, mass
        Of the (virtual) vector boson and of chi, GeV.
    alpha
        alpha_D.

    Raises
    ------
    ModelError
        If the kind is not known.
    """
    energy = np.asarray(energy, dtype=np.float64)
    beta = velocity(energy, mass)
    if kind == "scalar":
        return np.asarray(alpha * energy / 12 * beta**3)
    if kind == "majorana":
        return np.asarray(alpha * energy / 6 * beta**3)
    if kind == "pseudo-dirac":
        return np.asarray(alpha * energy / 3 * (1 + 2 * (mass / energy) ** 2) * beta)
    msg = f"There is no dark particle of kind {kind!r}. {did_you_mean(kind, get_args(ChiKind))}"
    raise ModelError(msg)
