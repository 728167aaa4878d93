r"""Expected events per beam particle: track lengths times cross sections times acceptance.

Electrons and positrons (arXiv:2206.03101, eq. 11), n being the density of atoms, E_F the energy
that the boson carries off and eta the acceptance:

.. math:: N = \sum n \int dE\,dE_F\, T_\pm(E) \frac{d\sigma}{dE_F} \eta(E_F)\, B_\mathrm{inv}
          + \sum n \int dE\, T_+(E)\, \sigma(e^+ e^- \to \mathrm{invisible}) \eta(E)

The sums are over materials and elements. Muons (arXiv:2110.15111, eq. 6): the first term with the
thickness of the dump and the muons' cross section.

The boson of the first term is on its mass shell. In the second the full line shape counts, with
the electrons' motion in their atoms. Below two electron masses it is left out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, get_args

import numpy as np

from na64reco.darksector.models import check_positive
from na64reco.darksector.resonance import PICOBARN, ResonantLengths
from na64reco.darksector.strahlung_shape import iww_fractions_above
from na64reco.darksector.strahlung_tables import load_table
from na64reco.errors import ModelError, did_you_mean

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from na64reco.darksector.acceptance import Acceptance
    from na64reco.darksector.dump import Dump
    from na64reco.darksector.models import VectorModel

__all__ = ["DumpYield", "Production", "YieldCurve"]

Production = Literal["all", "strahlung", "resonant"]

_BLOCK: Final = 8
"""Masses at a time: what is in memory stays small."""


@dataclass(frozen=True)
class YieldCurve:
    """Events per beam particle; all arrays have the shape of mass and coupling, broadcast."""

    mass: NDArray[np.float64]
    """GeV."""
    coupling: NDArray[np.float64]
    strahlung: NDArray[np.float64]
    resonant: NDArray[np.float64]

    @property
    def total(self) -> NDArray[np.float64]:
        """Of both ways."""
        return self.strahlung + self.resonant


@dataclass(frozen=True)
class DumpYield:
    """Yields in one dump with one acceptance; what does not depend on the model is kept."""

    dump: Dump
    acceptance: Acceptance
    inelastic: bool = True
    """Whether strahlung counts that breaks the nucleus up."""
    spectrum: Literal["exact", "iww"] = "exact"
    """Of the energies of the boson; see `strahlung_shape`. Muons know the exact one only."""
    _radiated: dict[float, float] = field(default_factory=dict, repr=False, compare=False)
    _annihilated: list[ResonantLengths] = field(default_factory=list, repr=False, compare=False)

    def __call__(
        self,
        model: VectorModel,
        mass: ArrayLike,
        coupling: ArrayLike,
        *,
        production: Production = "all",
    ) -> YieldCurve:
        """Events per beam particle.

        Parameters
        ----------
        model
            The boson.
        mass, coupling
            GeV, and the model's coupling; broadcast.
        production
            Which of the two terms; the other is 0.

        Raises
        ------
        ModelError
            For masses outside the tables (1 keV to 3 GeV), or as the model.
        """
        if production not in get_args(Production):
            known = did_you_mean(production, get_args(Production))
            msg = f"There is no production {production!r}. {known}"
            raise ModelError(msg)
        check_positive(mass=mass, coupling=coupling)
        masses, couplings = np.broadcast_arrays(
            np.asarray(mass, dtype=np.float64), np.asarray(coupling, dtype=np.float64)
        )
        strahlung, resonant = np.zeros(masses.shape), np.zeros(masses.shape)
        if production != "resonant":
            strahlung = self.strahlung(model, masses, couplings)
        if production != "strahlung" and self.dump.lepton == "electron":
            resonant = self.resonant(model, masses, couplings)
        return YieldCurve(masses, couplings, strahlung, resonant)

    def per_epsilon2(self, mass: ArrayLike) -> NDArray[np.float64]:
        """Strahlung of a vector that couples with epsilon e, over epsilon^2; always invisible."""
        masses = np.asarray(mass, dtype=np.float64)
        new = np.array(
            [m for m in np.unique(masses) if float(m) not in self._radiated], dtype=np.float64
        )
        for start in range(0, len(new), _BLOCK):
            block = new[start : start + _BLOCK]
            self._radiated.update(zip(block.tolist(), self._radiate(block).tolist(), strict=True))
        found = [self._radiated[m] for m in masses.ravel().tolist()]
        return np.array(found, dtype=np.float64).reshape(masses.shape)

    def _radiate(self, mass: NDArray[np.float64]) -> NDArray[np.float64]:
        made = self.radiated(mass).sum(axis=(1, 2))
        return np.asarray(np.sum(made * self.accepted(mass[:, None], self.dump.centres), axis=1))

    def radiated(self, mass: ArrayLike) -> NDArray[np.float64]:
        """Strahlung by energy of the lepton, whatever the boson's, over epsilon^2.

        Parameters
        ----------
        mass
            GeV, shape (masses,).

        Returns
        -------
        array
            Events per beam particle, shape (masses, groups of layers, charges, bins).
        """
        dump = self.dump
        mass = np.asarray(mass, dtype=np.float64)
        rate = np.zeros((len(mass), len(dump.materials), len(dump.centres)))
        for m, elements in enumerate(dump.scatterers):
            for element in elements:
                table = load_table(element.table, dump.lepton, inelastic=self.inelastic)
                sigma = table.cross_section(mass[:, None], dump.centres)
                rate[:, m] += PICOBARN * element.density * element.factor * sigma
        return np.asarray(rate[:, dump.material_of_group, None] * dump.length)

    def accepted(self, mass: ArrayLike, energy: ArrayLike) -> NDArray[np.float64]:
        """Share of the strahlung by leptons of an energy (GeV) that is kept; broadcast.

        The spectrum is that on lead for all elements.
        """
        m, e = np.broadcast_arrays(
            np.asarray(mass, dtype=np.float64), np.asarray(energy, dtype=np.float64)
        )
        steps, rises = self.acceptance.steps(self.dump.energy)
        return np.asarray(self.fractions_above(steps / e[..., None], m, e) @ rises)

    def fractions_above(
        self, x: NDArray[np.float64], mass: ArrayLike, energy: ArrayLike
    ) -> NDArray[np.float64]:
        """Share of the strahlung above x, shape (..., values), at masses and energies (...)."""
        if self.spectrum == "iww" and self.dump.lepton == "electron":
            return iww_fractions_above(x, mass, energy)
        return load_table("lead", self.dump.lepton).fractions_above(x, mass, energy)

    def strahlung(
        self, model: VectorModel, mass: ArrayLike, coupling: ArrayLike
    ) -> NDArray[np.float64]:
        """The first term; parameters and errors as `__call__`.

        Raises
        ------
        ModelError
            If the dark particle is too heavy for a boson on its mass shell.
        """
        if model.dark is not None and model.dark.alpha > 0:
            model.dark.require_on_shell()
        lepton: Literal["electron", "muon"] = "muon" if self.dump.lepton == "muon" else "electron"
        mass = np.asarray(mass, dtype=np.float64)
        strength = model.epsilon2(mass**2, coupling, mass, lepton=lepton)
        return np.asarray(
            self.per_epsilon2(mass) * strength * model.invisible_ratio(mass, coupling)
        )

    def resonant(
        self, model: VectorModel, mass: ArrayLike, coupling: ArrayLike
    ) -> NDArray[np.float64]:
        """The second term; parameters and errors as `__call__`."""
        if not self._annihilated:
            self._annihilated.append(ResonantLengths.of(self.dump, self.acceptance))
        return self._annihilated[0].events(model, mass, coupling)
