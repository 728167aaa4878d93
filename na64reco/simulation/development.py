"""Hadrons' ways through a stack of calorimeters: collisions, ionisation, showers.

A hadron ionises up to the point where it collides, which is exponentially distributed in its own
interaction lengths (see `interactions`). What it does not keep there (see `leading`) becomes a
shower; what it keeps flies on to the next collision, up to four in all. Behind each of these
points the longitudinal profile is that of R. K. Bock, T. Hansl-Kofahl, L. P. S. Shah, NIM 186
(1981) 533: an electromagnetic part, gamma-distributed in radiation lengths, and a hadronic part,
gamma-distributed in nuclear interaction lengths, with

    alpha = 0.62 + 0.32 ln E, beta = 0.22 per X0, gamma = 0.91 - 0.02 ln E per lambda,

each stretched by a factor of its own that fluctuates by 20 % (assumed). These are profiles of
whole showers, with their leading hadrons: all lengths are 15 % shorter here, so that the showers of
50 and 100 GeV pions in iron come out between those without leading hadrons and C. W. Fabjan, T.
Ludlam's depth for 95 % of the energy (Ann. Rev. Nucl. Part. Sci. 32 (1982) 335).

For rare events collisions can be drawn later than they happen, with a weight: density over density
where there is a collision, probability over probability where the hadron leaves the stack. Leading
hadrons are then drawn more often by the same factor, so that there are as many of them per length
as there should be.
"""

# ruff: noqa: PLR0917 - arrays of one row per hadron
from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.special import gammainc

from na64reco.simulation.interactions import (
    available_energy,
    electromagnetic_share,
    share_fluctuation,
)
from na64reco.simulation.ionisation import mean_one
from na64reco.simulation.leading import leading_hadrons

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.setup.model import Setup
    from na64reco.simulation.hadrons import Stack

__all__ = ["Development", "develop"]

COLLISIONS: Final = 4
"""Behind the fourth nothing leads."""

_STRETCH_RMS: Final = 0.2
"""Of the logarithm of the two parts' lengths."""
_SHORTER: Final = 1.15
"""Than Bock's, as leading hadrons make showers longer."""
_CHARGED_PER_GEV: Final = 0.15
"""Charged particles behind the ECAL per GeV of a shower that goes on there, assumed."""


@dataclass(frozen=True, eq=False)
class Development:
    """Showers along the stack."""

    parts: NDArray[np.float64]
    """GeV, electromagnetic and hadronic, shape (rows, parts, 2)."""
    ionisation: NDArray[np.float64]
    """GeV, shape (rows, parts)."""
    charged_behind_ecal: NDArray[np.int64]
    """Particles, shape (rows,)."""
    available: NDArray[np.float64]
    """GeV, shape (rows,)."""
    weight: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Ways:
    """Where hadrons collide: columns are the collisions."""

    points: NDArray[np.float64]
    """Interaction lengths; infinite where the hadron leaves the stack. Shape (rows, COLLISIONS)."""
    shower: NDArray[np.float64]
    """Share of the energy that showers there, 0 where there is no collision, same shape."""
    charged: NDArray[np.bool_]
    """On the way there, same shape."""
    weight: NDArray[np.float64]


def _ways(
    rng: np.random.Generator,
    begin: NDArray[np.float64],
    end: NDArray[np.float64],
    energy: NDArray[np.float64],
    kind: NDArray[np.int8],
    charge: NDArray[np.int8],
    stretch: float,
) -> _Ways:
    """Collisions between ``begin`` and ``end``, in interaction lengths."""
    rows = len(energy)
    points = np.full((rows, COLLISIONS), np.inf)
    shower = np.zeros((rows, COLLISIONS))
    charged = np.zeros((rows, COLLISIONS), dtype=np.bool_)
    weight, left = np.ones(rows), np.ones(rows)
    here, flying, ionises = begin.copy(), np.arange(rows), charge != 0
    for number in range(COLLISIONS):
        drawn = rng.exponential(1.0, len(flying))
        point = here[flying] + stretch * drawn
        out = point >= end[flying]
        rest = end[flying] - here[flying]
        with np.errstate(over="ignore"):
            density = stretch * np.exp(-drawn * (stretch - 1))
        weight[flying] *= np.where(out, np.exp(-rest * (1 - 1 / stretch)), density)
        charged[flying, number] = ionises[flying]
        flying, point = flying[~out], point[~out]
        points[flying, number] = here[flying] = point
        if number < COLLISIONS - 1:
            kept, swapped, factor = leading_hadrons(
                rng, energy[flying] * left[flying], kind[flying], favoured=stretch
            )
            weight[flying] *= factor
        else:
            kept, swapped = np.zeros(len(flying)), np.zeros(len(flying), dtype=np.bool_)
        shower[flying, number] = left[flying] * (1 - kept)
        left[flying] *= kept
        ionises[flying] ^= swapped
        flying = flying[kept > 0]
    return _Ways(points, shower, charged, weight)


def develop(
    rng: np.random.Generator,
    setup: Setup,
    stack: Stack,
    crossed: NDArray[np.bool_],
    energy: NDArray[np.float64],
    kind: NDArray[np.int8],
    charge: NDArray[np.int8],
    start: NDArray[np.float64],
    stretch: float,
) -> Development:
    """Ionisation, collisions and showers; see `hadrons.hadron_energies` for the arguments.

    ``crossed``: parts of the stack that each hadron hits, shape (rows, parts).
    """
    n = stack.ecal_sections
    depths = np.where(crossed, stack.interaction, 0.0)
    radiation = np.where(crossed, stack.radiation, 0.0)
    lengths = depths / stack.longer[kind]
    end = np.cumsum(lengths, axis=1)
    ecal_end = end[:, n - 1]
    begins = start * ecal_end
    ways = _ways(rng, begins, end[:, -1], energy, kind, charge, stretch)

    def before(point: NDArray[np.float64], rows: NDArray[np.int64] | slice) -> NDArray[np.float64]:
        """Share of every part that lies before a point."""
        with np.errstate(invalid="ignore", divide="ignore"):
            inside = 1 - (end[rows] - point[:, None]) / lengths[rows]
            return np.where(crossed[rows], np.clip(inside, 0, 1), 0.0)

    everything = slice(None)
    share = before(begins, everything)
    seen = np.zeros(lengths.shape)
    through = np.zeros(len(energy), dtype=np.bool_)
    here = begins
    for number in range(COLLISIONS):
        rows = np.flatnonzero(ways.charged[:, number])
        point = ways.points[:, number]
        if len(rows):
            seen[rows] += before(point[rows], rows) - before(here[rows], rows)
        through |= ways.charged[:, number] & (here <= ecal_end) & (point > ecal_end)
        here = point
    available = available_energy(energy, kind, charge)
    ionisation = seen * stack.mip * mean_one(rng, seen.shape, 0.08)
    # At the end of its range a particle has nothing left.
    spent = np.minimum(np.cumsum(ionisation, axis=1), available[:, None])
    ionisation = np.diff(spent, axis=1, prepend=np.zeros((len(energy), 1)))
    left = available - spent[:, -1]
    through &= available > spent[:, n - 1]

    parts = np.zeros((*lengths.shape, 2))
    particles = np.zeros(len(energy))
    for number in range(COLLISIONS):
        rows = np.flatnonzero(ways.shower[:, number] > 0)
        if not len(rows):
            continue
        point = ways.points[rows, number]
        part = ways.shower[rows, number]
        share = before(point, rows)
        x0 = np.cumsum((1 - share) * radiation[rows], axis=1)
        nuclear = np.cumsum((1 - share) * depths[rows], axis=1)
        first = np.where((point < ecal_end[rows]), 0, 1)
        found = _shower(rng, setup, energy[rows] * part, kind[rows], first, x0, nuclear)
        found *= (left[rows] * part)[:, None, None]
        parts[rows] += found
        behind = left[rows] * part - found[:, :n].sum(axis=(1, 2))
        particles[rows] += np.where(first == 0, _CHARGED_PER_GEV * behind, 0.0)
    charged = through + rng.poisson(particles)
    return Development(parts, ionisation, charged, available, ways.weight)


def _shower(
    rng: np.random.Generator,
    setup: Setup,
    energy: NDArray[np.float64],
    kind: NDArray[np.int8],
    first: NDArray[np.int64],
    x0: NDArray[np.float64],
    nuclear: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Shares of a shower's energy by part, electromagnetic and hadronic.

    Parameters
    ----------
    first
        0 where it starts in the ECAL, 1 in the HCAL, shape (rows,).
    x0, nuclear
        Radiation and interaction lengths from the start to the end of each part, shape (rows,
        parts).
    """
    log = np.log(np.maximum(energy, 2.0))
    alpha = (0.62 + 0.32 * log)[:, None]
    scale = _SHORTER * np.exp(-_STRETCH_RMS * rng.standard_normal((2, len(energy), 1)))
    slope = (0.91 - 0.02 * log)[:, None]
    mean = np.where(
        first == 0,
        electromagnetic_share(energy, kind, setup.ecal.sampling.absorber),
        electromagnetic_share(energy, kind, setup.hcal.sampling.absorber),
    )
    share = share_fluctuation(rng, mean)[:, None]
    within = np.stack(
        (
            share * gammainc(alpha, 0.22 * x0 * scale[0]),
            (1 - share) * gammainc(alpha, slope * nuclear * scale[1]),
        ),
        axis=-1,
    )
    return np.diff(within, axis=1, prepend=0.0)
