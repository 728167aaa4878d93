"""Two- and three-body decays at rest and Lorentz transformations, many decays at once.

Four-momenta are arrays of shape (rows, 4) with the columns E, px, py, pz in GeV. Three-body final
states are drawn from flat phase space, which is uniform in the energies of two of the particles
within the Dalitz boundary (PDG 2024, 49.4.3), times a matrix element, by rejection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Density = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]

__all__ = ["boost", "directions", "three_body", "two_body"]


def directions(rng: np.random.Generator, rows: int) -> NDArray[np.float64]:
    """Isotropic unit vectors, shape (rows, 3)."""
    cosine = rng.uniform(-1, 1, rows)
    sine = np.sqrt(1 - cosine**2)
    phi = rng.uniform(0, 2 * np.pi, rows)
    return np.column_stack((sine * np.cos(phi), sine * np.sin(phi), cosine))


def boost(at_rest: NDArray[np.float64], parent: NDArray[np.float64]) -> NDArray[np.float64]:
    """Four-momenta in the frame in which the parent, at rest before, has the four-momentum given.

    Parameters
    ----------
    at_rest
        In the parent's rest frame, shape (rows, 4).
    parent
        Shape (rows, 4), time-like.
    """
    energy, vector = parent[:, 0], parent[:, 1:]
    mass = np.sqrt(np.maximum(energy**2 - np.sum(vector**2, axis=1), 0.0))
    along = np.sum(vector * at_rest[:, 1:], axis=1)
    boosted = (energy * at_rest[:, 0] + along) / mass
    shift = (along / (energy + mass) + at_rest[:, 0]) / mass
    return np.column_stack((boosted, at_rest[:, 1:] + shift[:, None] * vector))


def two_body(
    rng: np.random.Generator, rows: int, mass: float, masses: tuple[float, float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Isotropic decays of a particle at rest into two (PDG 2024, eq. 49.16-49.17)."""
    first, second = masses
    energy = (mass**2 + first**2 - second**2) / (2 * mass)
    momentum = np.sqrt(max(energy**2 - first**2, 0.0))
    vector = momentum * directions(rng, rows)
    return (
        np.column_stack((np.full(rows, energy), vector)),
        np.column_stack((np.full(rows, mass - energy), -vector)),
    )


def three_body(
    rng: np.random.Generator,
    rows: int,
    mass: float,
    masses: tuple[float, float, float],
    density: Density | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Decays of a particle at rest into three, the plane of the decay isotropic.

    Parameters
    ----------
    density
        |M|^2 as a function of the energies (GeV) of the first and second particle, not negative;
        by default constant.
    """
    m1, m2, m3 = masses
    high1 = (mass**2 + m1**2 - (m2 + m3) ** 2) / (2 * mass)
    high2 = (mass**2 + m2**2 - (m1 + m3) ** 2) / (2 * mass)

    def weight(e1: NDArray[np.float64], e2: NDArray[np.float64]) -> NDArray[np.float64]:
        """Density within the boundary, 0 outside: there the momenta form no triangle."""
        e3 = mass - e1 - e2
        p1, p2 = np.sqrt(e1**2 - m1**2), np.sqrt(e2**2 - m2**2)
        p3 = np.sqrt(np.maximum(e3**2 - m3**2, 0.0))
        allowed = (e3 >= m3) & (np.abs(p1 - p2) <= p3) & (p3 <= p1 + p2)
        value = np.ones(e1.shape) if density is None else np.maximum(density(e1, e2), 0.0)
        return np.where(allowed, value, 0.0)

    grid1, grid2 = np.meshgrid(np.linspace(m1, high1, 201), np.linspace(m2, high2, 201))
    # Densities are smooth: a grid finds their maximum to far better than 2 %.
    highest = 1.02 * float(weight(grid1, grid2).max())
    energy1, energy2 = np.empty(rows), np.empty(rows)
    missing = np.arange(rows)
    while len(missing):
        e1 = rng.uniform(m1, high1, len(missing))
        e2 = rng.uniform(m2, high2, len(missing))
        taken = rng.random(len(missing)) * highest < weight(e1, e2)
        energy1[missing[taken]], energy2[missing[taken]] = e1[taken], e2[taken]
        missing = missing[~taken]
    energy3 = mass - energy1 - energy2
    p1, p2 = np.sqrt(energy1**2 - m1**2), np.sqrt(energy2**2 - m2**2)
    p3_squared = np.maximum(energy3**2 - m3**2, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        cosine = np.nan_to_num((p3_squared - p1**2 - p2**2) / (2 * p1 * p2))
    cosine = np.clip(cosine, -1, 1)
    axis = directions(rng, rows)
    other = directions(rng, rows)
    normal = np.cross(axis, other)
    normal /= np.linalg.norm(normal, axis=1)[:, None]
    vector1 = p1[:, None] * axis
    vector2 = p2[:, None] * (cosine[:, None] * axis + np.sqrt(1 - cosine**2)[:, None] * normal)
    return (
        np.column_stack((energy1, vector1)),
        np.column_stack((energy2, vector2)),
        np.column_stack((energy3, -vector1 - vector2)),
    )
