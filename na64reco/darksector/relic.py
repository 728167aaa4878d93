r"""How much dark matter is left: freeze-out of chi chi -> (virtual boson) -> Standard Model.

The cross section is that of the boson's line, sigma = 48 pi / (g_chi^2 beta^2) Gamma_chi Gamma_SM /
[(s - m^2)^2 + m^2 Gamma^2] with the widths of a boson of mass sqrt(s), twice that where chi is its
own antiparticle; its thermal average that of P. Gondolo and G. Gelmini, Nucl. Phys. B 360 (1991)
145, eq. 3.8. The abundance follows

.. math:: \frac{d\ln Y}{d\ln x} = -\frac{f s \langle\sigma v\rangle}{H}
          \left(1 + \frac{1}{3}\frac{d\ln h}{d\ln T}\right)\left(Y - Y_{eq}^2 / Y\right)

with x = m_chi / T, Y particles and antiparticles together, f = 1/2 for a complex scalar or
pseudo-Dirac pair (whose splitting is left out), 1 for a Majorana fermion.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.integrate import solve_ivp
from scipy.interpolate import CubicSpline
from scipy.special import kve

from na64reco.constants import ELECTRON_MASS, KAON_MASS, MUON_MASS, PION_MASS, TAU_MASS
from na64reco.darksector.early_universe import (
    entropy_degrees,
    entropy_density,
    entropy_slope,
    hubble,
)
from na64reco.darksector.hadrons import HIGHEST as HADRONS_END
from na64reco.darksector.models import CHANNELS, DarkPhoton, check_positive
from na64reco.darksector.quadrature import graded, panel_nodes
from na64reco.darksector.widths import chi_width, velocity
from na64reco.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

    from na64reco.darksector.models import DarkSector, VectorModel
    from na64reco.darksector.widths import ChiKind

__all__ = [
    "CM3_PER_SECOND",
    "OBSERVED",
    "annihilation_rate",
    "freeze_out",
    "paper_coupling",
    "relic_abundance",
    "thermal_coupling",
    "yield_variable",
]

OBSERVED: Final = 0.1200
"""Omega h^2 of dark matter (Planck 2018, arXiv:1807.06209)."""
CM3_PER_SECOND: Final = 1.16733e-17
"""Of 1 / GeV^2, times c."""
_TODAY: Final = 2891.2 / 1.05371e-5
"""Entropy density over critical density / h^2, 1 / GeV (Particle Data Group 2024)."""
_STATES: Final[dict[ChiKind, int]] = {"scalar": 1, "pseudo-dirac": 2, "majorana": 2}
_FIRST: Final = 3.0
_LAST: Final = 1e4
_HEAVIEST: Final = 2.0
"""GeV; with x > 16 at freeze-out, pairs then stay below `HADRONS_END` but for e^-25."""
_SM: Final = tuple(channel for channel in CHANNELS if channel != "chi chi")


@dataclass(frozen=True)
class _Rate:
    """<sigma v>, 1 / GeV^2, against ln x."""

    curve: CubicSpline

    def __call__(self, x: ArrayLike) -> NDArray[np.float64]:
        return np.asarray(np.exp(self.curve(np.log(x))))


def _dark(model: VectorModel) -> DarkSector:
    if model.dark is None or model.dark.alpha == 0:
        msg = f"{model.name} has no dark sector: there is no relic; give it one (alpha > 0)"
        raise ModelError(msg)
    return model.dark


def _pair_cross_section(
    model: VectorModel, mass: float, coupling: float, energy: NDArray[np.float64]
) -> NDArray[np.float64]:
    """sigma(chi chi -> SM), 1 / GeV^2, of the pair's energy at rest."""
    dark = _dark(model)
    chi = dark.mass_ratio * mass
    widths = model.virtual_widths(energy, coupling, mass, channels=_SM)
    final = np.asarray(sum(widths.values()))
    initial = chi_width(dark.kind, energy, chi, dark.alpha)
    total = float(model.width(mass, coupling))
    line = ((energy - mass) * (energy + mass)) ** 2 + (mass * total) ** 2
    factor = 48 * np.pi / (_STATES[dark.kind] * velocity(energy, chi)) ** 2
    if dark.kind == "majorana":
        factor = 2 * factor
    return np.asarray(factor * initial * final / line)


def annihilation_rate(
    model: VectorModel, mass: float, coupling: float, x: ArrayLike
) -> NDArray[np.float64]:
    """<sigma v> of chi with its antiparticle (itself, if Majorana), 1 / GeV^2.

    Parameters
    ----------
    model
        With a dark sector.
    mass, coupling
        Of the boson, GeV.
    x
        m_chi / T, any shape.

    Raises
    ------
    ModelError
        Without a dark sector, or for what is not positive.
    """
    check_positive(mass=mass, coupling=coupling, x=x)
    x = np.asarray(x, dtype=np.float64)
    chi = _dark(model).mass_ratio * mass
    if chi > _HEAVIEST:
        msg = (
            f"m_chi = {chi:g} GeV is above {_HEAVIEST:g} GeV: pairs would reach {HADRONS_END:g} "
            f"GeV, where the description of hadrons ends"
        )
        raise ModelError(msg)
    width = float(model.width(mass, coupling)) / mass
    pole = (mass / (2 * chi)) ** 2 - 1
    # t = s / (4 m_chi^2) - 1, up to a Boltzmann factor of e^-50
    last = (min(2 * chi * (1 + 25 / float(np.min(x))), HADRONS_END) / (2 * chi)) ** 2 - 1
    edges = [np.array([0.0]), np.geomspace(1e-7, last, 60)]
    edges.append(pole + (pole + 1) * graded(max(width, 1e-12) / 2, 10.0, 40))
    thresholds = (ELECTRON_MASS, MUON_MASS, PION_MASS, KAON_MASS, TAU_MASS)
    edges.extend((m / chi) ** 2 * (1 + graded(1e-4, 0.3, 5)) - 1 for m in thresholds)
    cuts = np.clip(np.sort(np.concatenate(edges)), 0.0, last)
    t, weights = panel_nodes(cuts)
    kept = weights > 0
    t, weights = t[kept], weights[kept]
    root = np.sqrt(1 + t)
    weights = weights * t * root * _pair_cross_section(model, mass, coupling, 2 * chi * root)
    at = x.ravel()[:, None]
    bessel = kve(1, 2 * at * root) * np.exp(-2 * at * (t / (root + 1)))
    mean = 4 * x.ravel() / kve(2, x.ravel()) ** 2 * (bessel @ weights)
    return np.asarray(mean.reshape(x.shape))


def freeze_out(
    rate: Callable[[NDArray[np.float64]], ArrayLike],
    mass: float,
    states: float,
    *,
    share: float = 1.0,
) -> float:
    """Omega h^2 of a thermal relic.

    Parameters
    ----------
    rate
        <sigma v>, 1 / GeV^2, of x = m / T.
    mass
        Of the particle, GeV.
    states
        Degrees of freedom, antiparticles included.
    share
        Of pairs that annihilate: 1 if the particle is its own antiparticle, 1/2 if not.

    Raises
    ------
    ModelError
        If the integration fails: the particle never was in equilibrium.
    """
    check_positive(mass=mass, states=states, share=share)

    def equilibrium(x: ArrayLike) -> NDArray[np.float64]:
        """ln Y_eq."""
        temperature = mass / np.asarray(x)
        factor = 45 * states / (4 * np.pi**4 * entropy_degrees(temperature))
        return np.asarray(np.log(factor * np.asarray(x) ** 2 * kve(2, x)) - np.asarray(x))

    # tabulated, for the solver asks one value at a time
    grid = np.linspace(np.log(_FIRST), np.log(_LAST), 400)
    x = np.exp(grid)
    temperature = mass / x
    speed = share * np.asarray(rate(x)) * entropy_density(temperature) / hubble(temperature)
    strength = CubicSpline(grid, np.log(speed * (1 + entropy_slope(temperature) / 3)))
    balance = CubicSpline(grid, equilibrium(x))

    def slope(u: float, y: NDArray[np.float64]) -> NDArray[np.float64]:
        force = np.exp(strength(u) + y)
        return np.asarray(-force * -np.expm1(np.clip(2 * (balance(u) - y), -700, 50)))

    def jacobian(u: float, y: NDArray[np.float64]) -> NDArray[np.float64]:
        force = np.exp(strength(u) + y)
        ratio = np.exp(np.clip(2 * (balance(u) - y), -700, 50))
        return np.asarray([-force * (1 + ratio)])

    start = [float(balance(grid[0]))]
    solution = solve_ivp(
        slope, (grid[0], grid[-1]), start, method="Radau", jac=jacobian, rtol=1e-6, atol=1e-8
    )
    if not solution.success:
        msg = f"freeze-out of a particle of {mass:g} GeV could not be followed: {solution.message}"
        raise ModelError(msg)
    return float(mass * np.exp(solution.y[0, -1]) * _TODAY)


def relic_abundance(model: VectorModel, mass: float, coupling: float) -> float:
    """Omega h^2 of chi.

    Parameters
    ----------
    model
        With a dark sector, m_chi < m (else it would annihilate to bosons).
    mass, coupling
        Of the boson.

    Raises
    ------
    ModelError
        Without a dark sector, or if chi is not lighter than the boson.
    """
    dark = _dark(model)
    if not dark.mass_ratio < 1:
        msg = (
            f"m_chi = {dark.mass_ratio:g} m is not below m: chi annihilates to bosons, which is "
            f"not in this calculation; choose mass_ratio < 1"
        )
        raise ModelError(msg)
    grid = np.geomspace(_FIRST, _LAST, 48)
    rates = annihilation_rate(model, mass, coupling, grid)
    rate = _Rate(CubicSpline(np.log(grid), np.log(rates)))
    own = dark.kind == "majorana"
    states = _STATES[dark.kind] * (1 if own else 2)
    return freeze_out(rate, dark.mass_ratio * mass, states, share=1.0 if own else 0.5)


def thermal_coupling(model: VectorModel, mass: float, *, target: float = OBSERVED) -> float:
    """Coupling of the boson with which chi makes all of the dark matter.

    Parameters
    ----------
    model
        With a dark sector.
    mass
        Of the boson, GeV.
    target
        Omega h^2.

    Raises
    ------
    ModelError
        If no coupling between 1e-9 and 3 does.
    """
    check_positive(mass=mass, target=target)
    logarithm, wanted = np.log(1e-3), np.log(target)
    previous: tuple[float, float] | None = None
    for _ in range(30):
        found = np.log(relic_abundance(model, mass, float(np.exp(logarithm)))) - wanted
        if abs(found) < 2e-4:
            return float(np.exp(logarithm))
        slope = -2.0  # Omega goes like 1 / g^2, but for logarithms
        if previous is not None and abs(logarithm - previous[0]) > 1e-12:
            slope = float(np.clip((found - previous[1]) / (logarithm - previous[0]), -3, -0.5))
        previous = (logarithm, found)
        logarithm = float(np.clip(logarithm - found / slope, np.log(1e-9), np.log(3.0)))
        if logarithm == previous[0]:
            break
    msg = (
        f"no coupling between 1e-9 and 3 gives Omega h^2 = {target:g} for {model.name} of mass "
        f"{mass:g} GeV; change alpha_D or mass_ratio"
    )
    raise ModelError(msg)


def yield_variable(model: VectorModel, coupling: ArrayLike) -> NDArray[np.float64]:
    """The variable y on which the relic density depends, far from the resonance.

    (g_D g)^2 (m_chi/m)^4 (arXiv:2401.01708); for a dark photon, by custom, epsilon^2 alpha_D
    (m_chi/m)^4.
    """
    dark = _dark(model)
    squared = dark.alpha if isinstance(model, DarkPhoton) else dark.coupling**2
    return np.asarray(np.asarray(coupling) ** 2 * squared * dark.mass_ratio**4)


def paper_coupling(
    model: VectorModel, mass: ArrayLike, *, factor: float = 1.0
) -> NDArray[np.float64]:
    """g of the relic density as drawn in the papers: (g_D g)^2 (m_chi/m)^4 = f 3e-15 (m_chi/MeV)^2.

    arXiv:2206.03101v2, eq. 5; arXiv:2404.06982, eq. 2.2 (f = 1).

    Parameters
    ----------
    mass
        Of the boson, GeV, any shape.
    factor
        f, 1 to 10 by the kind of chi.

    Raises
    ------
    ModelError
        If f is outside 1 to 10.
    """
    dark = _dark(model)
    check_positive(mass=mass)
    if not 1 <= factor <= 10:
        msg = f"f = {factor:g} is outside 1 to 10, the values of the paper"
        raise ModelError(msg)
    chi = dark.mass_ratio * np.asarray(mass, dtype=np.float64) * 1e3
    return np.asarray(np.sqrt(factor * 3e-15) * chi / (dark.coupling * dark.mass_ratio**2))
