r"""Nuclei as a lepton sees them: form factors, and the flux of photons they amount to.

Elastic, screened by the atom's electrons and cut off by the nucleus' size:

.. math::
   G_2(t) = Z^2 \left(\frac{t}{t + t_a}\right)^2 \left(\frac{t_d}{t + t_d}\right)^2, \quad
   t_a = (Z^{1/3} m_e / 111)^2, \quad t_d = 0.164\,A^{-2/3}\,\mathrm{GeV}^2,

inelastic, on Z protons:

.. math::
   G_2(t) = Z \left(\frac{t}{t + t_a'}\right)^2
            \frac{1 + \tau(\mu_p^2 - 1)}{(1 + t/0.71\,\mathrm{GeV}^2)^4}, \quad
   t_a' = (Z^{2/3} m_e / 773)^2, \quad \tau = t / 4 m_p^2

(K. J. Kim, Y.-S. Tsai, Phys. Rev. D 8 (1973) 3109; arXiv:0906.0580, appendix A, which squares the
last fraction: the proton's dipole form factors give it as here).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numba import njit

from na64reco.constants import ELECTRON_MASS, PROTON_MASS
from na64reco.errors import ModelError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["CARBON", "COPPER", "IRON", "LEAD", "TUNGSTEN", "Nucleus", "form_factor", "photon_flux"]

_ATOMIC_MASS_UNIT: Final = 0.93149410242
"""GeV."""
_MOMENT: Final = 2.792847
"""Magnetic moment of the proton, nuclear magnetons."""
_DIPOLE: Final = 0.71
"""GeV^2."""


@dataclass(frozen=True)
class Nucleus:
    """A nucleus at rest.

    Raises
    ------
    ModelError
        For Z below 1 or A below Z.
    """

    z: int
    a: float
    """Mass number, or the mean of an element."""

    def __post_init__(self) -> None:
        if not (self.z >= 1 and self.z <= self.a < 300):
            msg = f"a nucleus needs 1 <= Z <= A < 300, found Z={self.z}, A={self.a}"
            raise ModelError(msg)

    @property
    def mass(self) -> float:
        """GeV; the atom's less that of its electrons."""
        return self.a * _ATOMIC_MASS_UNIT - self.z * ELECTRON_MASS

    @property
    def screening(self) -> float:
        """t_a, GeV^2."""
        return float((self.z ** (1 / 3) * ELECTRON_MASS / 111) ** 2)

    @property
    def size(self) -> float:
        """t_d, GeV^2."""
        return float(0.164 * self.a ** (-2 / 3))

    @property
    def screening_inelastic(self) -> float:
        """t_a', GeV^2."""
        return float((self.z ** (2 / 3) * ELECTRON_MASS / 773) ** 2)

    def parameters(self, *, inelastic: bool = False) -> NDArray[np.float64]:
        """What the compiled integrals take: M, Z^2, t_a, t_d, Z or 0, t_a'."""
        z = float(self.z)
        share = z if inelastic else 0.0
        return np.array(
            [self.mass, z * z, self.screening, self.size, share, self.screening_inelastic]
        )


LEAD: Final = Nucleus(82, 207.0)
"""A as in the tables of arXiv:2101.12192."""
TUNGSTEN: Final = Nucleus(74, 183.84)
COPPER: Final = Nucleus(29, 63.546)
IRON: Final = Nucleus(26, 55.845)
CARBON: Final = Nucleus(6, 12.011)


@njit(cache=True, nogil=True, error_model="numpy")
def form_factor(t: float, nucleus: NDArray[np.float64]) -> float:
    """G_2(t); t = -q^2 in GeV^2, nucleus = `Nucleus.parameters`."""
    shape = t / (t + nucleus[2]) * nucleus[3] / (t + nucleus[3])
    result = nucleus[1] * shape * shape
    if nucleus[4] > 0:
        atom = t / (t + nucleus[5])
        dipole = (1 + t / _DIPOLE) ** 2
        magnetic = 1 + t / (4 * PROTON_MASS**2) * (_MOMENT**2 - 1)
        result += nucleus[4] * atom * atom * magnetic / (dipole * dipole)
    return float(result)


_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(16)


@njit(cache=True, nogil=True, error_model="numpy")
def _elastic_flux(low: float, high: float, a: float, d: float) -> float:
    """Elastic flux over Z^2."""
    if high <= low:
        return 0.0
    if low > d:
        # In v = low / t nothing cancels and the integrand is all but a polynomial.
        first = low / high
        total = 0.0
        for node, weight in zip(_NODES, _WEIGHTS):  # noqa: B905 - numba
            v = first + 0.5 * (1 - first) * (1 + node)
            both = (1 + a / low * v) * (1 + d / low * v)
            total += weight * v * (1 - v) / (both * both)
        return float(0.5 * (1 - first) * total * (d / low) ** 2)
    # Partial fractions of (t - low) d^2 / ((t + a)^2 (t + d)^2).
    log_a = np.log((high + a) / (low + a))
    log_d = np.log((high + d) / (low + d))
    squares = log_a + (low + a) / (high + a) - 1 + log_d + (low + d) / (high + d) - 1
    mixed = (low + d) * log_d - (low + a) * log_a
    return float((d / (d - a)) ** 2 * (squares - 2 * mixed / (d - a)))


@njit(cache=True, nogil=True, error_model="numpy")
def flux_kernel(low: float, high: float, nucleus: NDArray[np.float64]) -> float:
    """`photon_flux` for one pair of bounds."""
    result = nucleus[1] * _elastic_flux(low, high, nucleus[2], nucleus[3])
    if nucleus[4] > 0 and high > low:
        panels = 12
        width = np.log(high / low) / panels
        for panel in range(panels):
            for node, weight in zip(_NODES, _WEIGHTS):  # noqa: B905 - numba
                t = low * np.exp(width * (panel + 0.5 * (1 + node)))
                atom = t / (t + nucleus[5])
                dipole = (1 + t / _DIPOLE) ** 2
                magnetic = 1 + t / (4 * PROTON_MASS**2) * (_MOMENT**2 - 1)
                inelastic = nucleus[4] * atom * atom * magnetic / (dipole * dipole)
                result += 0.5 * width * weight * (t - low) / t * inelastic
    return float(result)


def photon_flux(
    low: ArrayLike, high: ArrayLike, nucleus: Nucleus, *, inelastic: bool = False
) -> NDArray[np.float64]:
    """Flux chi: integral from low to high over t of (t - low) G_2(t) / t^2 (arXiv:0906.0580, A17).

    Parameters
    ----------
    low, high
        t_min, t_max, GeV^2; broadcast against each other.

    Raises
    ------
    ModelError
        Unless 0 < low.
    """
    first, last = np.broadcast_arrays(
        np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)
    )
    if not np.all(first > 0):
        msg = f"the smallest momentum transfer t_min must be positive, found {np.min(first)}"
        raise ModelError(msg)
    parameters = nucleus.parameters(inelastic=inelastic)
    flat = [flux_kernel(a, b, parameters) for a, b in zip(first.flat, last.flat, strict=True)]
    return np.array(flat).reshape(first.shape)
