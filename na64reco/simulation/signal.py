"""Signal: an electron of the shower radiates a dark particle in the ECAL.

The beam electron loses energy by bremsstrahlung before: at the depth t radiation lengths, the loss
ln(E_0 / E) is gamma-distributed with the shape 4 t / 3 (H. Bethe, W. Heitler 1934; Y.-S. Tsai, V.
Whitis, Phys. Rev. 149 (1966) 1248), and every depth counts alike, since the chance to radiate per
length hardly depends on the energy. That is the track length of the first electron: 0.87 radiation
lengths above half of the beam energy. The dark particle takes x E, with x from
`na64reco.darksector.strahlung.dsigma_dx` at the beam energy; the rest showers.

Left out: electrons and positrons from pairs (2 % of the track length above 50 GeV of 100), emission
below `LOWEST` of the beam energy, the dependence of the cross section on the energy, the place of
the emission (the rest showers from the front face on), the dark particle's angle, decays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from na64reco.darksector.strahlung import dsigma_dx, x_limits
from na64reco.errors import did_you_mean

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["LOWEST", "MODELS", "missing_share", "sample_emission_energy", "sample_x"]

MODELS: Final = ("dark-photon",)
"""Models that can be simulated."""

LOWEST: Final = 0.3
"""Electrons below this share of the beam energy do not radiate: they never leave the signal box's
missing energy."""

_DEEPEST = 8.0
"""Radiation lengths; the first electron is below `LOWEST` long before."""


def sample_x(
    rng: np.random.Generator, size: int, *, model: str, mass: float, energy: float
) -> NDArray[np.float64]:
    """Shares of the electron's energy that dark particles carry away.

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


def sample_emission_energy(rng: np.random.Generator, size: int) -> NDArray[np.float64]:
    """Energies of the radiating electrons over the beam energy, between `LOWEST` and 1."""
    found: list[NDArray[np.float64]] = []
    missing = size
    while missing > 0:
        depth = rng.uniform(0, _DEEPEST, 8 * missing + 64)
        share = np.exp(-rng.standard_gamma(4 / 3 * depth))
        found.append(share[share > LOWEST][:missing])
        missing -= len(found[-1])
    return np.concatenate(found) if found else np.empty(0)


def missing_share(
    rng: np.random.Generator, size: int, *, model: str, mass: float, energy: float
) -> NDArray[np.float64]:
    """Energies of dark particles over the beam energy; arguments as in `sample_x`."""
    x = sample_x(rng, size, model=model, mass=mass, energy=energy)
    return x * sample_emission_energy(rng, size)
