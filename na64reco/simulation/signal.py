"""Signal: the beam electron radiates a dark particle in the ECAL, which carries x E_0 away.

Energies follow `na64reco.darksector.strahlung.dsigma_dx` at the beam's energy; the rest, (1 - x)
E_0, showers. Left out: emission by electrons of lower energy deeper in the shower, the angle of the
dark particle, decays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from na64reco.darksector.strahlung import dsigma_dx, x_limits
from na64reco.errors import did_you_mean

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["MODELS", "sample_x"]

MODELS = ("dark-photon",)
"""Models that can be simulated."""


def sample_x(
    rng: np.random.Generator, size: int, *, model: str, mass: float, energy: float
) -> NDArray[np.float64]:
    """Shares of the energy that dark particles carry away.

    Parameters
    ----------
    model
        One of `MODELS`.
    mass
        GeV.
    energy
        Of the electron, GeV.

    Raises
    ------
    ValueError
        For an unknown model or an impossible mass.
    """
    if model not in MODELS:
        msg = f"There is no signal model {model!r}. {did_you_mean(model, MODELS)}"
        raise ValueError(msg)
    low, high = x_limits(mass, energy)
    # The spectrum rises steeply towards x = 1, up to 1 - x ~ (m_e / m)^2: steps in log(1 - x).
    rest = np.geomspace(1 - low, 1 - high, 4001)
    x = 1 - rest
    density = dsigma_dx(np.clip(x, low, high), mass, energy)
    area = np.concatenate(([0.0], np.cumsum(0.5 * (density[1:] + density[:-1]) * np.diff(x))))
    return np.asarray(np.interp(rng.random(size) * area[-1], area, x))
