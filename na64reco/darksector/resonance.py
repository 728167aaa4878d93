r"""Annihilation of a shower's positrons: the whole line shape, whatever its width.

With s = 2 m_e^2 + 2 E_+ k, k being the electron's E_- - z P_- of density rho(k) per atom
(`atomic_motion`), the integral over the positrons' energy is done first:

.. math:: N = \int ds\, \sigma(s)\, L(s), \quad
          L(s) = \sum n \int dk\, \rho(k) \frac{m_e}{2 k^2}\, T_+(E_+) \eta(E_+), \quad
          E_+ = \frac{s - 2 m_e^2}{2 k}

(the cross section is that of `annihilation.cross_section_in_atom`). L is smooth, knows nothing of
the boson and is tabulated; sigma(s) is integrated on panels graded around the resonance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.interpolate import CubicSpline, PchipInterpolator

from na64reco.constants import ELECTRON_MASS, MUON_MASS
from na64reco.darksector.annihilation import cross_section
from na64reco.darksector.atomic_motion import atomic_electrons
from na64reco.darksector.models import INVISIBLE
from na64reco.darksector.quadrature import graded, panel_nodes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from na64reco.darksector.acceptance import Acceptance
    from na64reco.darksector.dump import Dump
    from na64reco.darksector.models import VectorModel

__all__ = ["PICOBARN", "ResonantLengths", "positron_density"]

PICOBARN: Final = 1e-36
"""cm^2."""

_STEP: Final = 0.006
"""Of ln s."""
_PEAK_EDGES: Final = 48
_SHELL_EDGES: Final = 24
_PANEL: Final = 0.05
"""Of ln s, away from the resonance."""
_BLOCK: Final = 16


def positron_density(dump: Dump) -> tuple[PchipInterpolator, ...]:
    """T_+(E), cm/GeV, by material: smooth, with the bins' lengths as integrals; 0 outside."""
    found = []
    for lengths in dump.by_material()[:, dump.charges.index(1)]:
        below = np.concatenate(([0.0], np.cumsum(lengths)))
        found.append(PchipInterpolator(dump.edges, below, extrapolate=False).derivative())
    return tuple(found)


@dataclass(frozen=True)
class ResonantLengths:
    """L(s) of a dump and an acceptance."""

    first: float
    """ln s of the table's first point."""
    last: float
    length: CubicSpline
    """events per pb GeV^2, against ln s."""

    @classmethod
    def of(cls, dump: Dump, acceptance: Acceptance) -> ResonantLengths:
        """From track lengths."""
        densities = positron_density(dump)
        low, high = max(dump.edges[0], acceptance.lowest), dump.edges[-1]
        atoms = {
            element.z: atomic_electrons(element.z)
            for elements in dump.scatterers
            for element in elements
        }
        reach = max(atom.largest_w for atom in atoms.values())
        ends = np.log(2 * ELECTRON_MASS * np.array([low, high]))
        grid = np.arange(ends[0] - reach, ends[1] + reach, _STEP)
        total = np.zeros(len(grid))
        energies = dump.edges[(dump.edges >= low) & (dump.edges <= high)]
        # Below, track lengths are smooth over some bins.
        kept = (energies > 0.9 * high) | (np.arange(len(energies)) % 3 == 0)
        energies = np.unique(np.append(energies[kept], low))
        smeared = acceptance.threshold + acceptance.smearing * np.linspace(-5, 5, 11)
        energies = np.unique(np.append(energies, smeared[(smeared > low) & (smeared < high)]))
        product = np.exp(grid) - 2 * ELECTRON_MASS**2
        for density, elements in zip(densities, dump.scatterers, strict=True):
            for element in elements:
                atom = atoms[element.z]
                # w = ln(k / m_e): the shells' scales around 0, and the energies' edges.
                shells = graded(2e-5, atom.largest_w, _SHELL_EDGES)
                edges = np.log(product[:, None] / (2 * ELECTRON_MASS * energies[::-1]))
                inside = np.clip(shells, edges[:, :1], edges[:, -1:])
                edges = np.sort(np.concatenate((edges, inside), axis=1), axis=1)
                edges = np.clip(edges, -atom.largest_w, atom.largest_w)
                w, weights = panel_nodes(edges)
                k = ELECTRON_MASS * np.exp(w)
                energy = np.clip(product[:, None] / (2 * k), low, high)
                seen = np.nan_to_num(density(energy)) * acceptance(energy)
                inner = weights * atom.density(k) * seen * ELECTRON_MASS / (2 * k)
                total += element.density * inner.sum(axis=1)
        return cls(float(grid[0]), float(grid[-1]), CubicSpline(grid, PICOBARN * total))

    def __call__(self, log_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """L at ln(s / GeV^2); 0 outside."""
        inside = (log_s > self.first) & (log_s < self.last)
        found = self.length(np.clip(log_s, self.first, self.last))
        return np.where(inside, np.maximum(found, 0.0), 0.0)

    def events(
        self,
        model: VectorModel,
        mass: ArrayLike,
        coupling: ArrayLike,
        *,
        channels: Sequence[str] = INVISIBLE,
    ) -> NDArray[np.float64]:
        """Per beam particle; mass (GeV) and coupling are broadcast; 0 below two electrons.

        Raises
        ------
        ModelError
            As the model.
        """
        masses, couplings = np.broadcast_arrays(
            np.asarray(mass, dtype=np.float64), np.asarray(coupling, dtype=np.float64)
        )
        found = np.zeros(masses.size)
        flat, strengths = masses.ravel(), couplings.ravel()
        chosen = np.flatnonzero(flat > 2 * ELECTRON_MASS * (1 + 1e-9))
        for start in range(0, len(chosen), _BLOCK):
            rows = chosen[start : start + _BLOCK]
            m, g = flat[rows], strengths[rows]
            offset, weights = panel_nodes(self._edges(model, m, g))
            sigma = cross_section(model, offset, m[:, None], g[:, None], channels=channels)
            lengths = self(np.log1p(offset) + 2 * np.log(m[:, None]))
            found[rows] = np.sum(weights * sigma * lengths, axis=1) * m**2
        return found.reshape(masses.shape)

    def _edges(
        self, model: VectorModel, mass: NDArray[np.float64], coupling: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Panels in s / m^2 - 1, shape (masses, edges)."""
        square = mass[:, None] ** 2
        around = graded(1e-6, 0.3, 7)
        width = model.width(mass, coupling) / mass
        count = int(np.ceil((self.last - self.first) / _PANEL))
        even = np.exp(np.linspace(self.first, self.last, count + 1)) / square - 1
        parts = [
            even,
            graded(np.maximum(width, 1e-30) / 2, 1e3, _PEAK_EDGES),
            4 * MUON_MASS**2 / square * (1 + around) - 1,
        ]
        if model.dark is not None:
            dark = 4 * model.dark.mass_ratio**2 * (1 + around) - 1
            parts.append(np.broadcast_to(dark, (len(mass), len(dark))))
        edges = np.sort(np.concatenate(parts, axis=1), axis=1)
        lowest = np.maximum(even[:, :1], 4 * ELECTRON_MASS**2 / square - 1)
        return np.clip(edges, lowest, np.maximum(even[:, -1:], lowest))
