r"""What a vector boson adds to the magnetic moment of the muon.

.. math:: \Delta a_\mu = \frac{g^2}{8\pi^2} F(m / m_\mu),\quad
          F(x) = \int_0^1 dz \frac{2 z (1-z)^2}{(1-z)^2 + x^2 z}

(arXiv:2206.03101v2, eq. 2), which is eq. 3 of arXiv:2110.15111 with x = 1 - z there. F(0) = 1; for
a heavy boson F -> 2 / (3 x^2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from na64reco.constants import MUON_MASS
from na64reco.darksector.models import check_positive
from na64reco.darksector.quadrature import panel_nodes
from na64reco.errors import ModelError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["Measured", "anomaly", "coupling_band", "coupling_for", "difference", "loop_integral"]

# Panels in u = 1 - z: the integrand has scales x (u small, light boson) and 1 / x^2 (u close to
# 1, heavy boson).
_SMALL: Final = np.geomspace(1e-12, 0.5, 48)
_EDGES: Final = np.concatenate(([0.0], _SMALL, 1 - _SMALL[-2::-4], [1.0]))
_NODES, _WEIGHTS = panel_nodes(_EDGES)


@dataclass(frozen=True)
class Measured:
    """A value of a_mu and its standard error."""

    value: float
    error: float

    def __post_init__(self) -> None:
        """Complain about what is not a measurement."""
        if not (np.isfinite(self.value) and np.isfinite(self.error) and self.error >= 0):
            msg = f"a_mu needs a finite value and an error >= 0, found {self.value} +- {self.error}"
            raise ModelError(msg)


def difference(experiment: Measured, theory: Measured) -> Measured:
    """Experiment minus theory, errors in quadrature.

    >>> difference(Measured(116592059e-11, 22e-11), Measured(116591810e-11, 43e-11)).error > 48e-11
    True
    """
    return Measured(
        experiment.value - theory.value, float(np.hypot(experiment.error, theory.error))
    )


def loop_integral(ratio: ArrayLike) -> NDArray[np.float64]:
    """F of the mass over the lepton's mass; any shape."""
    ratio = np.asarray(ratio, dtype=np.float64)
    square = ratio[..., None] ** 2
    integrand = 2 * (1 - _NODES) * _NODES**2 / (_NODES**2 + square * (1 - _NODES))
    return np.asarray(integrand @ _WEIGHTS)


def anomaly(
    mass: ArrayLike, coupling: ArrayLike, *, lepton_mass: float = MUON_MASS
) -> NDArray[np.float64]:
    """Delta a of a lepton.

    Parameters
    ----------
    mass
        Of the boson, GeV, any shape.
    coupling
        g to the lepton's vector current (e epsilon for a dark photon).
    lepton_mass
        GeV.

    Raises
    ------
    ModelError
        If a mass is not positive.
    """
    check_positive(mass=mass, lepton_mass=lepton_mass)
    strength = np.abs(np.asarray(coupling)) ** 2 / (8 * np.pi**2)
    return np.asarray(strength * loop_integral(np.asarray(mass) / lepton_mass))


def coupling_for(mass: ArrayLike, value: ArrayLike) -> NDArray[np.float64]:
    """Coupling to the muon that makes this Delta a_mu; 0 where it is not positive."""
    value = np.maximum(np.asarray(value, dtype=np.float64), 0.0)
    return np.sqrt(value / anomaly(mass, 1.0))


def coupling_band(
    mass: ArrayLike, experiment: Measured, theory: Measured, *, sigmas: float = 2.0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Couplings to the muon that explain experiment minus theory within so many sigmas.

    Parameters
    ----------
    mass
        GeV, any shape.
    experiment, theory
        a_mu.
    sigmas
        Half width of the band.

    Returns
    -------
    low, high
        Shape of mass; low is 0 where no new particle is needed.

    Raises
    ------
    ModelError
        If the whole band is negative: a vector boson only adds.
    """
    check_positive(sigmas=sigmas)
    wanted = difference(experiment, theory)
    high = wanted.value + sigmas * wanted.error
    if high <= 0:
        msg = (
            f"experiment - theory = {wanted.value:.3g} +- {wanted.error:.2g} is negative by more "
            f"than {sigmas:g} sigma, and a vector boson only adds to a_mu"
        )
        raise ModelError(msg)
    return coupling_for(mass, wanted.value - sigmas * wanted.error), coupling_for(mass, high)
