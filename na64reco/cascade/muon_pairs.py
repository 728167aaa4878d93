r"""Muon pairs from photons on nuclei: cross section, energies, angles.

H. Burkhardt, S. R. Kelner, R. P. Kokoulin, CERN-SL-2002-016 (AP), CLIC Note 511 (2002); also in the
Geant4 Physics Reference Manual, "Gamma conversion into a muon pair":

.. math::
   \frac{d\sigma}{dx} = 4\alpha Z^2 r_\mu^2\,(1 - \tfrac43 x(1-x)) \ln W

with x the share of the photon's energy k that the mu+ takes, and W the screened logarithm with the
nucleus' form factor. With it, the pairs in a dump: the cross section folded with the photons' track
length per beam particle, dT/dk.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from na64reco.cascade.collisions import ELECTRON_DENSITY
from na64reco.cascade.radiation import CLASSICAL_RADIUS
from na64reco.constants import ALPHA, ELECTRON_MASS, MUON_MASS
from na64reco.materials import find_material

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from na64reco.cascade.track_length import TrackLengths
    from na64reco.materials import Element, Material

__all__ = [
    "muon_pair_angles",
    "muon_pair_coefficient",
    "muon_pair_share",
    "muon_pair_total",
    "muon_pair_yield",
    "sample_share",
]

_MU: Final = MUON_MASS
_RADIUS2: Final = (CLASSICAL_RADIUS * ELECTRON_MASS / MUON_MASS) ** 2
_ROOT_E: Final = math.sqrt(math.e)
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(32)


def muon_pair_share(x: ArrayLike, k: ArrayLike, element: Element) -> NDArray[np.float64]:
    """dsigma/dx per atom, cm^2; ``x``: of the mu+, ``k``: of the photon, GeV (broadcast)."""
    share, photon = np.broadcast_arrays(np.asarray(x, np.float64), np.asarray(k, np.float64))
    product = np.clip(share * (1 - share), 1e-9, None)
    delta = _MU**2 / (2 * photon * product)
    size = (1.54 if element.z > 1 else 1.49) * element.a**0.27
    screened = (183.0 if element.z > 1 else 202.4) * element.z ** (-1 / 3)
    w = screened / size * _MU / ELECTRON_MASS * (1 + (size * _ROOT_E - 2) * delta / _MU)
    w /= 1 + screened * _ROOT_E * delta / ELECTRON_MASS
    inside = (np.minimum(share, 1 - share) * photon > _MU) & (photon > 4 * _MU)
    logarithm = np.where(inside & (w > 1), np.log(np.maximum(w, 1)), 0.0)
    return np.asarray(4 * ALPHA * element.z**2 * _RADIUS2 * (1 - 4 / 3 * product) * logarithm)


def muon_pair_total(k: ArrayLike, element: Element) -> NDArray[np.float64]:
    """Cross section per atom, cm^2; ``k``: of the photon, GeV, shape (n,)."""
    photon = np.atleast_1d(np.asarray(k, np.float64))[:, None]
    # W falls to 1 next to the edges, so the integral runs over where both muons exist.
    least = np.minimum(_MU / photon, 0.5)
    x = least + (1 - 2 * least) * (0.5 + 0.5 * _NODES)
    integral = (muon_pair_share(x, photon, element) * _WEIGHTS).sum(axis=1)
    return np.asarray(0.5 * (1 - 2 * least[:, 0]) * integral)


def muon_pair_coefficient(k: ArrayLike, material: Material) -> NDArray[np.float64]:
    """Pairs per g/cm^2 of a photon's path, cm^2/g; ``k``: GeV, shape (n,)."""
    return np.asarray(
        sum(
            ELECTRON_DENSITY / element.a * share * muon_pair_total(k, element)
            for element, share in material.composition
        )
    )


def muon_pair_yield(
    lengths: TrackLengths, densities: dict[str, float], *, above: float = 0.0
) -> NDArray[np.float64]:
    """Pairs per beam particle in the bins of ``lengths``.

    Parameters
    ----------
    densities
        g/cm^3 of the materials of ``lengths``.
    above
        Smallest energy of the photon, GeV.

    Returns
    -------
    array
        Shape (bins,).
    """
    middle = np.sqrt(lengths.edges[1:] * lengths.edges[:-1])
    total = np.zeros(len(middle))
    for m, name in enumerate(lengths.materials):
        path = lengths.photon[m] * np.diff(lengths.edges) * densities[name]
        total += path * muon_pair_coefficient(middle, find_material(name))
    return np.where(lengths.edges[:-1] >= above * (1 - 1e-9), total, 0.0)


def sample_share(
    rng: np.random.Generator, k: NDArray[np.float64], element: Element
) -> NDArray[np.float64]:
    """Share x of the mu+ for photons of the energies ``k``, GeV, shape (n,)."""
    found = np.full(len(k), 0.5)
    most = muon_pair_share(0.5, np.maximum(k, 4.0001 * _MU), element)
    # The shape is at most (1 / (2/3)) of that in the middle: 1 - 4/3 x (1 - x) grows to the edges
    # while W falls.
    todo = np.flatnonzero(most > 0)
    while len(todo):
        least = _MU / k[todo]
        x = least + (1 - 2 * least) * rng.random(len(todo))
        accepted = 1.5 * most[todo] * rng.random(len(todo)) < muon_pair_share(x, k[todo], element)
        found[todo[accepted]] = x[accepted]
        todo = todo[~accepted]
    return found


def muon_pair_angles(
    rng: np.random.Generator, k: NDArray[np.float64], x: NDArray[np.float64], element: Element
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Slopes of the pair's members against the photon, rad, as Burkhardt et al. sample them.

    Returns
    -------
    plus_x, plus_y, minus_x, minus_y
        Shape (n,) each.
    """
    n = len(k)
    product = x * (1 - x)
    c1 = (0.35 * element.a**0.27) ** 2 * _MU / (product * k)
    t = np.zeros(n)
    psi = np.zeros(n)
    todo = np.arange(n)
    while len(todo):
        trial, angle = rng.random(len(todo)), 2 * np.pi * rng.random(len(todo))
        spin = 4 * product[todo] * trial * (1 - trial)
        top = np.maximum(1 - product[todo], 1e-9)
        weight = 1 - 2 * product[todo] + spin
        first = weight / (1 + c1[todo] / np.maximum(trial, 1e-12) ** 2) / top
        second = 1 - 2 * product[todo] + spin * (1 + np.cos(2 * angle))
        second /= 1 - 2 * product[todo] + 2 * spin
        # Both conditions at once: t from the first factor, psi from the second given t.
        accepted = (rng.random(len(todo)) < first) & (rng.random(len(todo)) < second)
        t[todo[accepted]], psi[todo[accepted]] = trial[accepted], angle[accepted]
        todo = todo[~accepted]
    c2 = 4 / np.sqrt(product)
    size = (_MU / (2 * k * product * t)) ** 2
    size += (ELECTRON_MASS / (183.0 * element.z ** (-1 / 3) * _MU)) ** 2
    c2 = c2 * size**2
    most2 = (1.9 / element.a**0.27) ** 2 * (1 / t - 1)
    # rho^3 / (rho^4 + C2) up to rho_max.
    beta = np.log1p(most2**2 / c2)
    rho = (c2 * np.expm1(beta * rng.random(n))) ** 0.25
    u = np.sqrt(np.maximum(1 / t - 1, 0))
    plus, minus = u + 0.5 * rho * np.cos(psi), u - 0.5 * rho * np.cos(psi)
    plus, minus = plus * _MU / (x * k), minus * _MU / ((1 - x) * k)
    phi0 = 2 * np.pi * rng.random(n)
    phi = np.divide(rho * np.sin(psi), u, out=np.zeros(n), where=u > 0)
    a, b = phi0 + 0.5 * phi, phi0 - 0.5 * phi + np.pi
    return plus * np.cos(a), plus * np.sin(a), minus * np.cos(b), minus * np.sin(b)
