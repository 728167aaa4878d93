r"""Coupling limits from a published limit on dark photons (arXiv:2206.03101, eq. 12-15).

.. math:: g^2 = \epsilon_\mathrm{up}^2\, R(g), \quad
          R = \frac{N_{A'}(\epsilon)/\epsilon^2}{N_{Z'}(g)/g^2}

Whatever does not depend on the model cancels in R: exposure, efficiency before the dump, how many
events the limit stands for. R depends on g by the width and, for annihilation, by one more g^2:
solved by iteration.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from na64reco.darksector.models import check_positive
from na64reco.errors import ModelError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from na64reco.darksector.models import VectorModel
    from na64reco.darksector.yields import DumpYield, Production

__all__ = ["RatioLimit", "coupling_by_ratio"]

_MOST: Final = 200


@dataclass(frozen=True)
class RatioLimit:
    """Couplings, and how they were found."""

    mass: NDArray[np.float64]
    coupling: NDArray[np.float64]
    iterations: int
    """Until the slowest of them changed by less than the tolerance."""


def coupling_by_ratio(
    model: VectorModel,
    mass: ArrayLike,
    epsilon: ArrayLike,
    yields: DumpYield,
    *,
    production: Production = "all",
    start: float | None = None,
    tolerance: float = 1e-5,
) -> RatioLimit:
    """Couplings at which a model makes as many events as a dark photon of ``epsilon``.

    Parameters
    ----------
    model
        The boson.
    mass
        GeV, shape (masses,).
    epsilon
        Published limit on invisible dark photons from strahlung alone, same shape.
    yields
        Of the same experiment; its plateau cancels.
    production
        Of the boson in question.
    start
        Coupling with which the iteration begins; by default that at which strahlung into what is
        invisible would do alone, branching ratios left out.

    Raises
    ------
    ModelError
        If there are no events at all, or the iteration does not settle.
    """
    check_positive(epsilon=epsilon, tolerance=tolerance)
    masses, wanted = np.broadcast_arrays(
        np.asarray(mass, dtype=np.float64), np.asarray(epsilon, dtype=np.float64)
    )
    photons = yields.per_epsilon2(masses)
    unit = model.epsilon2(masses**2, 1.0, masses)
    if start is None and np.any(unit == 0):
        msg = f"{model.name} does not couple to electrons: an electron beam tells nothing about it"
        raise ModelError(msg)
    coupling = wanted / np.sqrt(unit) if start is None else np.full(masses.shape, start)
    check_positive(start=coupling)
    changed = np.inf
    for iteration in range(1, _MOST + 1):
        made = yields(model, masses, coupling, production=production).total
        if np.any(made <= 0):
            lowest = masses[made <= 0].flat[0]
            msg = f"{model.name} of {lowest:g} GeV makes no events by {production} production"
            raise ModelError(msg)
        found = wanted * np.sqrt(photons * coupling**2 / made)
        changed = float(np.max(np.abs(found / coupling - 1)))
        coupling = found
        if changed < tolerance:
            return RatioLimit(masses, coupling, iteration)
    msg = f"couplings still change by {changed:.1e} after {_MOST} iterations; begin elsewhere"
    raise ModelError(msg)
