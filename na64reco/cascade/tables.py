"""Cross sections and losses of the materials of a stack on a grid of energies, for the kernel."""

# ruff: noqa: PLR0917 - kernels take flat arrays

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numba import njit

from na64reco.cascade.collisions import (
    ELECTRON_DENSITY,
    annihilation_total,
    bhabha_total,
    compton_total,
    moller_total,
    restricted_loss,
)
from na64reco.cascade.photoelectric import photoelectric
from na64reco.cascade.radiation import (
    ALPHA_RE2,
    brems_shape,
    coulomb_correction,
    electron_share,
    lpm_energy,
    pair_shape,
)
from na64reco.constants import ELECTRON_MASS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.cascade.stack import Stack

__all__ = ["Tables", "make_tables"]

_PER_E_FOLD: Final = 20
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(64)


class Tables(NamedTuple):
    """Per material (first axis) and energy (last axis, logarithmic): 1/cm and GeV/cm."""

    log_first: float
    per_log: float
    """Grid points per unit of ln(E)."""
    brems: NDArray[np.float64]
    """Photons above the cut; against kinetic energy."""
    brems_share: NDArray[np.float64]
    """Running sum over elements, shape (materials, elements, energies)."""
    moller: NDArray[np.float64]
    bhabha: NDArray[np.float64]
    annihilation: NDArray[np.float64]
    loss_minus: NDArray[np.float64]
    """Ionisation and bremsstrahlung below the cut, GeV/cm."""
    loss_plus: NDArray[np.float64]
    pair: NDArray[np.float64]
    """Against the photon's energy."""
    pair_share: NDArray[np.float64]
    compton: NDArray[np.float64]
    photo: NDArray[np.float64]
    z: NDArray[np.float64]
    """Shape (materials, elements)."""
    coulomb: NDArray[np.float64]
    lpm: NDArray[np.float64]
    """Energy scale of the LPM effect, GeV; infinite to leave it out. Shape (materials,)."""
    radiation_length: NDArray[np.float64]
    """cm."""
    cut: float
    """Smallest energy of photons and knock-on electrons that are made, GeV."""


@njit(cache=True, nogil=True)
def _integrate_brems(total, low, high, z, coulomb, nodes, weights, hard):  # type: ignore[no-untyped-def]
    """Integral of dsigma (``hard``) or of k dsigma / E over ln y (y) from low to high."""
    if high <= low:
        return 0.0
    a, b = np.log(low), np.log(high)
    result = 0.0
    for i in range(len(nodes)):
        y = np.exp(0.5 * (a + b) + 0.5 * (b - a) * nodes[i])
        result += weights[i] * brems_shape(y, total, z, coulomb) * (1.0 if hard else y)
    return 0.5 * (b - a) * result


@njit(cache=True, nogil=True)
def _integrate_pair(k, z, coulomb, nodes, weights):  # type: ignore[no-untyped-def]
    """Integral over x; the edges need points, hence u with x = u^2 (3 - 2 u)."""
    least = ELECTRON_MASS / k
    if least >= 0.5:
        return 0.0
    result = 0.0
    for i in range(len(nodes)):
        u = 0.5 + 0.5 * nodes[i]
        x = least + (1.0 - 2.0 * least) * u * u * (3.0 - 2.0 * u)
        jacobian = (1.0 - 2.0 * least) * 6.0 * u * (1.0 - u)
        result += 0.5 * weights[i] * jacobian * pair_shape(x, k, z, coulomb)
    return result


def make_tables(stack: Stack, *, cut: float, most: float, lpm: bool) -> Tables:
    """Tables of the materials of ``stack``.

    Parameters
    ----------
    cut
        Photons and knock-on electrons below are not made one by one, GeV.
    most
        Largest energy, GeV.
    lpm
        Whether radiation is suppressed after Landau, Pomeranchuk and Migdal.
    """
    materials = stack.materials
    log_first = np.log(min(cut, 2e-4))
    points = int(np.ceil((np.log(most * 1.01) - log_first) * _PER_E_FOLD)) + 2
    grid = np.exp(log_first + np.arange(points) / _PER_E_FOLD)
    elements = max(len(layer.material.composition) for layer in materials)
    shape = (len(materials), points)
    found = {
        name: np.zeros(shape) for name in ("moller", "bhabha", "annihilation", "compton", "photo")
    }
    minus, plus = np.zeros(shape), np.zeros(shape)
    brems, pair = np.zeros((2, len(materials), elements, points))
    z, coulomb = np.ones((len(materials), elements)), np.zeros((len(materials), elements))
    scale, lengths = np.empty(len(materials)), np.empty(len(materials))
    for m, layer in enumerate(materials):
        material, density = layer.material, layer.rho
        lengths[m] = material.radiation_length / density
        scale[m] = lpm_energy(lengths[m]) if lpm else np.inf
        electrons = ELECTRON_DENSITY * material.z_over_a * density
        relative = density / material.density
        for i, e in enumerate(grid):
            found["moller"][m, i] = electrons * moller_total(e, cut)
            found["bhabha"][m, i] = electrons * bhabha_total(e, cut)
            found["annihilation"][m, i] = electrons * annihilation_total(e)
            found["compton"][m, i] = electrons * compton_total(e)
            found["photo"][m, i] = density * photoelectric(e, material)
            minus[m, i] = relative * restricted_loss(e, cut, material, positron=False)
            plus[m, i] = relative * restricted_loss(e, cut, material, positron=True)
        for k, (element, share) in enumerate(material.composition):
            z[m, k], coulomb[m, k] = element.z, coulomb_correction(element.z)
            atoms = ELECTRON_DENSITY / element.a * share * density
            strength = atoms * ALPHA_RE2 * element.z * (element.z + electron_share(element.z))
            for i, e in enumerate(grid):
                total = e + ELECTRON_MASS
                arguments = (float(element.z), coulomb[m, k], _NODES, _WEIGHTS)
                brems[m, k, i] = strength * _integrate_brems(
                    total, cut / total, e / total, *arguments, True
                )
                soft = strength * total
                soft *= _integrate_brems(total, 1e-9, min(cut, e) / total, *arguments, False)
                minus[m, i] += soft
                plus[m, i] += soft
                pair[m, k, i] = strength * _integrate_pair(e, *arguments)
    return Tables(
        log_first=float(log_first),
        per_log=float(_PER_E_FOLD),
        brems=brems.sum(axis=1),
        brems_share=_running_share(brems),
        loss_minus=minus,
        loss_plus=plus,
        pair=pair.sum(axis=1),
        pair_share=_running_share(pair),
        z=z,
        coulomb=coulomb,
        lpm=scale,
        radiation_length=lengths,
        cut=cut,
        **found,
    )


def _running_share(values: NDArray[np.float64]) -> NDArray[np.float64]:
    total = values.sum(axis=1, keepdims=True)
    share = np.divide(values, total, out=np.zeros_like(values), where=total > 0)
    return np.cumsum(share, axis=1)
