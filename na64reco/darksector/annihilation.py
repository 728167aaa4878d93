r"""Resonant annihilation of positrons, with the electrons at rest or moving in their atoms.

.. math:: \sigma(s) = \frac{12\pi}{\beta_e^2}
          \frac{\Gamma_{ee}(\sqrt s)\,\Gamma_F(\sqrt s)}{(s - m^2)^2 + m^2 \Gamma^2}

per electron, beta_e being the electrons' velocity at rest of the pair, and the partial widths those
of a boson of mass sqrt(s) (Particle Data Group 2024, eq. 49.8, in the form of a spin-1 propagator).
For m_e -> 0 and a Z' of L_mu - L_tau that is A.3 and A.4 of arXiv:2206.03101v2, with the factor s
that A.3 of its first version lacks: (4 pi alpha / 3) alpha_Z' |Pi|^2 s / [...] to neutrinos,
(pi alpha alpha_D / 3) |Pi|^2 s (1 - 4 m_chi^2/s)^(3/2) / [...] to scalars.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.special import voigt_profile

from na64reco.constants import ELECTRON_MASS, MUON_MASS
from na64reco.darksector.models import CHANNELS, INVISIBLE, check_positive
from na64reco.darksector.quadrature import graded, panel_nodes
from na64reco.darksector.widths import velocity
from na64reco.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike, NDArray

    from na64reco.darksector.atomic_motion import AtomicElectrons
    from na64reco.darksector.models import VectorModel

__all__ = [
    "GEV2_PICOBARN",
    "cross_section",
    "cross_section_at_rest",
    "cross_section_in_atom",
    "cross_section_with_spread",
    "resonance_energy",
    "resonance_integral",
    "spread_beam",
]

GEV2_PICOBARN: Final = 0.389379372e9
"""pb GeV^2 (Particle Data Group 2024)."""

_PEAK_EDGES: Final = 48
_SHELL_EDGES: Final = 16
_BLOCK: Final = 64


def resonance_energy(mass: ArrayLike) -> NDArray[np.float64]:
    """Energy of the positron, GeV, at which an electron at rest gives s = m^2."""
    mass = np.asarray(mass, dtype=np.float64)
    return (mass**2 - 2 * ELECTRON_MASS**2) / (2 * ELECTRON_MASS)


def _check(mass: ArrayLike, channels: Sequence[str]) -> None:
    check_positive(mass=mass)
    if np.any(np.asarray(mass) <= 2 * ELECTRON_MASS):
        msg = (
            f"mass {np.min(mass):g} GeV is not above two electrons ({2 * ELECTRON_MASS:.6g} GeV): "
            f"it is never on resonance"
        )
        raise ModelError(msg)
    if not channels:
        msg = f"No channel was given; known: {', '.join(CHANNELS)}"
        raise ModelError(msg)


def cross_section(
    model: VectorModel,
    offset: ArrayLike,
    mass: ArrayLike,
    coupling: ArrayLike,
    *,
    channels: Sequence[str] = INVISIBLE,
) -> NDArray[np.float64]:
    """sigma(e+ e- -> channels) per electron, pb.

    Parameters
    ----------
    model
        The boson.
    offset
        s / m^2 - 1: exact close to the resonance, however narrow.
    mass
        GeV.
    coupling
        Of the model.
    channels
        Names of final states, summed; see `models.CHANNELS`.

    Returns
    -------
    array
        Of the shape to which offset, mass and coupling broadcast; 0 below two electrons.

    Raises
    ------
    ModelError
        For a mass below two electrons, or an unknown channel.
    """
    _check(mass, channels)
    mass = np.asarray(mass, dtype=np.float64)
    offset = np.asarray(offset, dtype=np.float64)
    if not np.all(np.isfinite(offset)):
        wrong = offset[~np.isfinite(offset)].flat[0]
        msg = f"the offset s / m^2 - 1 must be finite, found {wrong}"
        raise ModelError(msg)
    width = model.width(mass, coupling) / mass
    lowest = (2 * ELECTRON_MASS / mass) ** 2 * (1 + 1e-12) - 1
    energy = mass * np.sqrt(1 + np.maximum(offset, lowest))
    wanted = tuple(dict.fromkeys((*channels, "e e")))
    widths = model.virtual_widths(energy, coupling, mass, channels=wanted)
    final = np.asarray(sum(widths[channel] for channel in dict.fromkeys(channels)))
    beta2 = velocity(energy, ELECTRON_MASS) ** 2
    denominator = mass**4 * (offset**2 + width**2)
    found = 12 * np.pi / beta2 * widths["e e"] * final / denominator
    return np.where(offset > lowest, GEV2_PICOBARN * found, 0.0)


def cross_section_at_rest(
    model: VectorModel,
    energy: ArrayLike,
    mass: ArrayLike,
    coupling: ArrayLike,
    *,
    channels: Sequence[str] = INVISIBLE,
) -> NDArray[np.float64]:
    """sigma(e+ e- -> channels) per electron at rest, pb, for positrons of this energy (GeV)."""
    check_positive(energy=energy, mass=mass)
    mass = np.asarray(mass, dtype=np.float64)
    offset = 2 * ELECTRON_MASS * (np.asarray(energy) - resonance_energy(mass)) / mass**2
    return cross_section(model, offset, mass, coupling, channels=channels)


def resonance_integral(
    model: VectorModel,
    mass: ArrayLike,
    coupling: ArrayLike,
    *,
    channels: Sequence[str] = INVISIBLE,
) -> NDArray[np.float64]:
    """Integral over the positron's energy of the cross section per electron, pb GeV.

    For a narrow width: pi m Gamma / (2 m_e) times the cross section at the peak.
    """
    peak = cross_section(model, 0.0, mass, coupling, channels=channels)
    width = model.width(mass, coupling)
    return np.asarray(peak * np.pi * np.asarray(mass) * width / (2 * ELECTRON_MASS))


def _edges(
    energy: NDArray[np.float64],
    mass: NDArray[np.float64],
    relative_width: NDArray[np.float64],
    chi: float | None,
    largest_w: float,
) -> NDArray[np.float64]:
    """Panels in s / m^2 - 1, shape (energies, edges); ``chi`` is a ratio of masses."""
    w = graded(2e-4, largest_w, _SHELL_EDGES)
    k = ELECTRON_MASS * np.exp(w)
    square = mass[:, None] ** 2
    shells = 2 * (ELECTRON_MASS**2 + energy[:, None] * k) / square - 1
    around = graded(1e-6, 0.3, 7)
    parts = [
        shells,
        graded(np.maximum(relative_width, 1e-30) / 2, 1e3, _PEAK_EDGES),
        4 * MUON_MASS**2 / square * (1 + around) - 1,
    ]
    if chi is not None:
        parts.append(np.broadcast_to(4 * chi**2 * (1 + around) - 1, (len(energy), len(around))))
    edges = np.sort(np.concatenate(parts, axis=1), axis=1)
    return np.clip(edges, shells[:, :1], shells[:, -1:])


def cross_section_in_atom(
    model: VectorModel,
    energy: ArrayLike,
    mass: ArrayLike,
    coupling: ArrayLike,
    atom: AtomicElectrons,
    *,
    channels: Sequence[str] = INVISIBLE,
) -> NDArray[np.float64]:
    """sigma(e+ e- -> channels) per atom, pb, its electrons moving (arXiv:2404.06982, eq. 5.2).

    The numerator A(E_+) grows like E_+, as it does for an electron at rest, which keeps the
    integral over the positron's energy (for <m_e^2/k^2> = 1); the coupling and the thresholds are
    taken at the true s.

    Parameters
    ----------
    model
        The boson.
    energy
        Of the positron, GeV.
    mass, coupling
        Of the boson; any shapes that broadcast with the energy's.
    atom
        See `atomic_motion.atomic_electrons`.
    channels
        Names of final states, summed.

    Returns
    -------
    array
        Of the shape to which energy, mass and coupling broadcast.

    Raises
    ------
    ModelError
        For what is not positive, a mass below two electrons or an unknown channel.
    """
    check_positive(energy=energy)
    _check(mass, channels)
    energies, masses, couplings = np.broadcast_arrays(
        *(np.asarray(given, dtype=np.float64) for given in (energy, mass, coupling))
    )
    shape = energies.shape
    energies, masses, couplings = energies.ravel(), masses.ravel(), couplings.ravel()
    widths = model.width(masses, couplings) / masses
    chi = None if model.dark is None else model.dark.mass_ratio
    result = np.empty_like(energies)
    for start in range(0, len(energies), _BLOCK):
        block = slice(start, start + _BLOCK)
        m, twice = masses[block, None], 2 * energies[block, None]
        edges = _edges(energies[block], masses[block], widths[block], chi, atom.largest_w)
        offset, weights = panel_nodes(edges)
        k = (m**2 * (1 + offset) - 2 * ELECTRON_MASS**2) / twice
        seen = atom.density(k) * ELECTRON_MASS / k
        sigma = cross_section(model, offset, m, couplings[block, None], channels=channels)
        result[block] = np.sum(weights * seen * sigma * m**2 / twice, axis=1)
    return result.reshape(shape)


def _check_spread(energy: ArrayLike, spread: float) -> None:
    check_positive(energy=energy, spread=spread)
    if not spread < 0.15:
        msg = f"a beam's spread of {spread:g} is not below 0.15: there would be negative energies"
        raise ModelError(msg)


def cross_section_with_spread(
    model: VectorModel,
    energy: ArrayLike,
    mass: ArrayLike,
    coupling: ArrayLike,
    spread: float,
    *,
    channels: Sequence[str] = INVISIBLE,
) -> NDArray[np.float64]:
    """Per electron at rest, pb, averaged over a beam of Gaussian energy spread.

    Near the resonance: a Voigt profile, numerators taken at s = m^2.

    Parameters
    ----------
    energy
        Mean, GeV.
    spread
        Standard deviation over mean.
    """
    _check_spread(energy, spread)
    energy = np.asarray(energy, dtype=np.float64)
    mass = np.asarray(mass, dtype=np.float64)
    scale = 2 * ELECTRON_MASS / mass**2
    width = model.width(mass, coupling) / mass
    offset = scale * (energy - resonance_energy(mass))
    profile = voigt_profile(offset, scale * spread * energy, width)
    peak = cross_section(model, 0.0, mass, coupling, channels=channels)
    return np.asarray(peak * np.pi * width * profile)


def spread_beam(
    sigma: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    energy: ArrayLike,
    spread: float,
) -> NDArray[np.float64]:
    """A smooth cross section averaged over a beam of Gaussian energy spread.

    Parameters
    ----------
    sigma
        Of energies, GeV, any shape.
    energy
        Mean, GeV, any shape.
    spread
        Standard deviation over mean.
    """
    _check_spread(energy, spread)
    deviations, weights = panel_nodes(np.linspace(-6.0, 6.0, 13))
    weights = weights * np.exp(-0.5 * deviations**2) / np.sqrt(2 * np.pi)
    at = np.asarray(energy, dtype=np.float64)[..., None] * (1 + spread * deviations)
    return np.asarray(sigma(at) @ weights)
