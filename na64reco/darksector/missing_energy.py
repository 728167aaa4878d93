"""Events per missing energy: what the boson carries off, before any acceptance.

Integrated the other way round than `yields`: over the boson's energy last, and with the cross
section of annihilation in atoms at each energy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from na64reco.constants import ELECTRON_MASS
from na64reco.darksector.annihilation import cross_section_in_atom, resonance_energy
from na64reco.darksector.atomic_motion import atomic_electrons
from na64reco.darksector.quadrature import graded, panel_nodes
from na64reco.darksector.resonance import PICOBARN, positron_density
from na64reco.errors import ModelError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from na64reco.darksector.dump import Dump
    from na64reco.darksector.models import VectorModel
    from na64reco.darksector.yields import DumpYield

__all__ = ["MissingEnergy", "annihilation_by_energy", "missing_energy"]

_PEAK: Final = graded(1e-4, 0.5, 12)
"""Around the resonance, relative: electrons in atoms smear it by half a percent and more."""

_WITHIN: Final = np.array([-0.375, -0.125, 0.125, 0.375])
"""Of a bin's width."""


@dataclass(frozen=True)
class MissingEnergy:
    """Spectra per beam particle."""

    edges: NDArray[np.float64]
    """GeV, shape (bins + 1,)."""
    strahlung: NDArray[np.float64]
    """Events by bin."""
    resonant: NDArray[np.float64]

    @property
    def total(self) -> NDArray[np.float64]:
        """Of both ways."""
        return self.strahlung + self.resonant


def missing_energy(
    yields: DumpYield, model: VectorModel, mass: float, coupling: float, edges: ArrayLike
) -> MissingEnergy:
    """The spectrum of one boson; the acceptance of ``yields`` does not enter.

    Parameters
    ----------
    mass, coupling
        GeV, and the model's coupling.
    edges
        Of missing energy, GeV, ascending, shape (bins + 1,).

    Raises
    ------
    ModelError
        For edges that do not ascend, and as `DumpYield`.
    """
    edges = np.asarray(edges, dtype=np.float64)
    if edges.ndim != 1 or len(edges) < 2 or np.any(np.diff(edges) <= 0):
        msg = f"edges of missing energy must ascend, two or more; found {edges}"
        raise ModelError(msg)
    dump = yields.dump
    made = yields.radiated(np.array([mass]))[0].sum(axis=(0, 1))
    # Leptons throughout their bins, so that these do not show.
    energies = dump.centres[:, None] + np.diff(dump.edges)[:, None] * _WITHIN
    above = yields.fractions_above(edges / energies[..., None], mass, energies).mean(axis=1)
    strength = model.epsilon2(
        mass**2, coupling, mass, lepton="muon" if dump.lepton == "muon" else "electron"
    )
    strength = strength * model.invisible_ratio(mass, coupling)
    strahlung = strength * (made @ -np.diff(above, axis=1))
    resonant = np.zeros(len(edges) - 1)
    if dump.lepton == "electron" and mass > 2 * ELECTRON_MASS:
        resonant = annihilation_by_energy(dump, model, mass, coupling, edges).sum(axis=0)
    return MissingEnergy(edges, strahlung, resonant)


def annihilation_by_energy(
    dump: Dump, model: VectorModel, mass: float, coupling: float, edges: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Annihilations into what is invisible, per beam particle.

    Returns
    -------
    array
        By material and by bin of the positron's energy, shape (materials, bins).
    """
    found = np.zeros((len(dump.materials), len(edges) - 1))
    peak = float(resonance_energy(mass)) * (1 + _PEAK)
    inside = peak[(peak > edges[0]) & (peak < edges[-1])]
    fine = np.unique(np.concatenate((edges, dump.edges, inside)))
    fine = fine[(fine >= edges[0]) & (fine <= edges[-1])]
    nodes, weights = panel_nodes(fine)
    seen = (nodes > dump.edges[0]) & (nodes < dump.edges[-1])
    if not seen.any():
        return found
    place = np.searchsorted(edges, nodes[seen], side="right") - 1
    densities = positron_density(dump)
    for m, elements in enumerate(dump.scatterers):
        length = np.nan_to_num(densities[m](nodes[seen]))
        for element in elements:
            atom = atomic_electrons(element.z)
            sigma = cross_section_in_atom(model, nodes[seen], mass, coupling, atom)
            events = PICOBARN * element.density * weights[seen] * length * sigma
            found[m] += np.bincount(place, weights=events, minlength=found.shape[1])
    return found
