"""How long a boson lives and how far it flies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from na64reco.constants import SPEED_OF_LIGHT
from na64reco.errors import ModelError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from na64reco.darksector.models import VectorModel

__all__ = ["HBAR", "decay_length", "decayed_within", "lifetime"]

HBAR: Final = 6.582119569e-16
"""GeV ns (Particle Data Group 2024)."""


def lifetime(model: VectorModel, mass: ArrayLike, coupling: ArrayLike) -> NDArray[np.float64]:
    """Proper lifetime, ns; infinite where no decay is open."""
    with np.errstate(divide="ignore"):
        return np.asarray(HBAR / model.width(mass, coupling))


def decay_length(
    model: VectorModel, mass: ArrayLike, coupling: ArrayLike, energy: ArrayLike
) -> NDArray[np.float64]:
    """Mean path in the laboratory, beta gamma c tau, mm.

    Parameters
    ----------
    model
        The boson.
    mass, coupling
        Of the boson.
    energy
        GeV, any shape.

    Raises
    ------
    ModelError
        If the energy is below the mass.
    """
    mass = np.asarray(mass, dtype=np.float64)
    energy = np.asarray(energy, dtype=np.float64)
    own = lifetime(model, mass, coupling)
    if np.any(energy < mass):
        msg = f"an energy of {np.min(energy):g} GeV is below the mass, {np.max(mass):g} GeV"
        raise ModelError(msg)
    momentum = np.sqrt((energy - mass) * (energy + mass))
    return np.asarray(momentum / mass * SPEED_OF_LIGHT * own)


def decayed_within(
    model: VectorModel,
    mass: ArrayLike,
    coupling: ArrayLike,
    energy: ArrayLike,
    *,
    start: ArrayLike,
    stop: ArrayLike,
) -> NDArray[np.float64]:
    """Probability to decay between two distances from the production, mm.

    Raises
    ------
    ModelError
        If stop is below start or start below 0.
    """
    start, stop = np.asarray(start, dtype=np.float64), np.asarray(stop, dtype=np.float64)
    if np.any(start < 0) or np.any(stop < start):
        msg = f"distances must be 0 <= start <= stop (mm), found {start} to {stop}"
        raise ModelError(msg)
    length = np.maximum(decay_length(model, mass, coupling, energy), np.finfo(np.float64).tiny)
    return np.asarray(np.exp(-start / length) * -np.expm1(-(stop - start) / length))
