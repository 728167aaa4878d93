r"""The motion of atomic electrons, which smears the energy of annihilations.

For a positron of energy E_+ and an electron of E_-, P_- at an angle of cosine z,
s = 2 m_e^2 + 2 E_+ (E_- - z P_-) (arXiv:2404.06982, section 5). The kinetic energies of a shell of
binding energy B are exponential with mean B, the directions are isotropic. With
k = E_- - z P_- = m_e e^w and E_- = m_e cosh y, k is reached by electrons of y > |w|, so that its
density is, per atom,

.. math:: \rho(k) = \sum_i \frac{n_i}{2 B_i}
          \int_{|w|}^\infty dy\, e^{-(m_e / B_i)(\cosh y - 1)}

which leaves one smooth integral, whatever the width of the resonance. Binding energies: W. T. Elam,
B. D. Ravel, J. R. Sieber, Radiat. Phys. Chem. 63 (2002) 121, by `xraydb`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np
import xraydb
from scipy.interpolate import CubicSpline

from na64reco.constants import ELECTRON_MASS
from na64reco.darksector.quadrature import panel_nodes
from na64reco.errors import ModelError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["AtomicElectrons", "Shell", "atomic_electrons"]

_ORBITALS: Final = (
    (("K",), (2,)),
    (("L1",), (2,)),
    (("L2", "L3"), (2, 4)),
    (("M1",), (2,)),
    (("M2", "M3"), (2, 4)),
    (("N1",), (2,)),
    (("M4", "M5"), (4, 6)),
    (("N2", "N3"), (2, 4)),
    (("O1",), (2,)),
    (("N4", "N5"), (4, 6)),
    (("O2", "O3"), (2, 4)),
    (("P1",), (2,)),
    (("N6", "N7"), (6, 8)),
    (("O4", "O5"), (4, 6)),
    (("P2", "P3"), (2, 4)),
)
"""In the order in which they are filled (Madelung's rule; its exceptions move outer electrons
between shells of a few eV), up to radon."""
_LARGEST_EXPONENT: Final = 60.0
_SMALLEST_W: Final = 1e-4
_POINTS: Final = 600


@dataclass(frozen=True)
class Shell:
    """A subshell."""

    name: str
    electrons: int
    binding: float
    """GeV."""


@dataclass(frozen=True)
class AtomicElectrons:
    """The electrons of an atom."""

    symbol: str
    z: int
    shells: tuple[Shell, ...]

    @property
    def largest_w(self) -> float:
        """|ln(k / m_e)| beyond which there is nothing."""
        deepest = max(shell.binding for shell in self.shells)
        return float(np.arccosh(1 + _LARGEST_EXPONENT * deepest / ELECTRON_MASS))

    @cached_property
    def _logarithm(self) -> CubicSpline:
        """ln of the density against ln(w + w_0): smooth over all shells' scales."""
        edges = np.geomspace(_SMALLEST_W, self.largest_w + _SMALLEST_W, _POINTS) - _SMALLEST_W
        edges[0] = 0.0
        nodes, weights = panel_nodes(edges)
        hyperbolic = 2 * np.sinh(nodes / 2) ** 2  # cosh - 1
        total = np.zeros(_POINTS)
        for shell in self.shells:
            integrand = weights * np.exp(-ELECTRON_MASS / shell.binding * hyperbolic)
            panels = integrand.reshape(_POINTS - 1, -1).sum(axis=1)
            total[:-1] += shell.electrons / (2 * shell.binding) * np.cumsum(panels[::-1])[::-1]
        kept = slice(None, -1)
        return CubicSpline(np.log(edges[kept] + _SMALLEST_W), np.log(total[kept]))

    def density(self, k: ArrayLike) -> NDArray[np.float64]:
        """Electrons per GeV of k = E_- - z P_-; its integral is Z.

        Parameters
        ----------
        k
            GeV, positive, any shape.
        """
        w = np.abs(np.log(np.asarray(k, dtype=np.float64) / ELECTRON_MASS))
        inside = w < self.largest_w
        at = np.log(np.where(inside, w, 0.0) + _SMALLEST_W)
        found = np.exp(self._logarithm(np.minimum(at, self._logarithm.x[-1])))
        return np.where(inside, found, 0.0)


@lru_cache(maxsize=128)
def atomic_electrons(z: int) -> AtomicElectrons:
    """The electrons of an element.

    Parameters
    ----------
    z
        Atomic number, 1 to 86.

    Raises
    ------
    ModelError
        For other numbers.
    """
    if not 1 <= z <= 86:
        msg = f"Z = {z} is outside 1 to 86, the elements whose shells are filled here"
        raise ModelError(msg)
    edges = {name: edge.energy for name, edge in xraydb.xray_edges(z).items()}
    left = z
    shells: list[Shell] = []
    for names, room in _ORBITALS:
        for name, most in zip(names, room, strict=True):
            here = min(left, most)
            if here == 0:
                continue
            # Outer shells without an edge of their own: as loosely bound as the loosest known.
            binding = edges.get(name) or min(e for e in edges.values() if e > 0)
            shells.append(Shell(name, here, binding * 1e-9))
            left -= here
    return AtomicElectrons(xraydb.atomic_symbol(z), z, tuple(shells))
