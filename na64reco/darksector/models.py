"""Models of new vector bosons: couplings, widths, branching ratios.

A model knows its couplings up to one overall strength (epsilon, g), and its dark sector. Mass and
strength are arguments, so that everything is vectorised in them. A new model is one class with
`vertex`, `neutrinos` and `hadrons`, made known by `register_model`; or a YAML file (see
`na64reco.darksector.generic`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final, Literal, get_args

import numpy as np

from na64reco.constants import ELECTRON_MASS, MUON_MASS, TAU_MASS
from na64reco.darksector.hadrons import baryonic_ratio, electromagnetic_ratio
from na64reco.darksector.loop import ELECTRIC_CHARGE, loop_coupling
from na64reco.darksector.widths import (
    ChiKind,
    chi_width,
    fermion_width,
    neutrino_width,
)
from na64reco.errors import ModelError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "CHANNELS",
    "INVISIBLE",
    "LEPTON_MASSES",
    "BMinusL",
    "DarkPhoton",
    "DarkSector",
    "LMuLTau",
    "Lepton",
    "VectorModel",
    "check_positive",
]

Lepton = Literal["electron", "muon", "tau"]
LEPTON_MASSES: Final[dict[Lepton, float]] = {
    "electron": ELECTRON_MASS,
    "muon": MUON_MASS,
    "tau": TAU_MASS,
}
"""GeV."""
_LEPTONS: Final[dict[str, Lepton]] = {"e e": "electron", "mu mu": "muon", "tau tau": "tau"}
CHANNELS: Final = (*_LEPTONS, "hadrons", "nu nu", "chi chi")
"""Names of what a vector boson decays to."""
INVISIBLE: Final = ("nu nu", "chi chi")
"""What leaves no energy behind."""


def check_positive(**values: ArrayLike) -> None:
    """Complain about values that are not positive and finite.

    Raises
    ------
    ModelError
        With the name and the value found.
    """
    for name, value in values.items():
        found = np.asarray(value, dtype=np.float64)
        wrong = ~((found > 0) & np.isfinite(found))
        if np.any(wrong):
            msg = f"{name} must be positive and finite, found {found[wrong].flat[0]:g}"
            raise ModelError(msg)


@dataclass(frozen=True)
class DarkSector:
    """A stable dark particle chi that the vector boson decays to."""

    kind: ChiKind = "scalar"
    alpha: float = 0.1
    """alpha_D = g_D^2 / (4 pi); 0 for a decoupled dark sector."""
    mass_ratio: float = 1 / 3
    """m_chi / m; below 1/2 for decays on the mass shell."""

    def __post_init__(self) -> None:
        """Complain about what is unphysical."""
        if self.kind not in get_args(ChiKind):
            msg = (
                f"There is no dark particle of kind {self.kind!r}. "
                f"{did_you_mean(self.kind, get_args(ChiKind))}"
            )
            raise ModelError(msg)
        if not 0 <= self.alpha <= 1:
            msg = (
                f"alpha_D = {self.alpha} is outside [0, 1]: above 1 the widths computed here, at "
                f"lowest order, mean nothing"
            )
            raise ModelError(msg)
        check_positive(mass_ratio=self.mass_ratio)

    @property
    def coupling(self) -> float:
        """g_D."""
        return float(np.sqrt(4 * np.pi * self.alpha))

    def require_on_shell(self) -> None:
        """Complain if the vector boson cannot decay to chi chi.

        Raises
        ------
        ModelError
            If m_chi is not below half the mass.
        """
        if not self.mass_ratio < 0.5:
            msg = (
                f"m_chi = {self.mass_ratio:g} m is not below m / 2: there is no decay to chi chi "
                f"on the mass shell; choose mass_ratio < 0.5, or resonant production alone"
            )
            raise ModelError(msg)


@dataclass(frozen=True)
class VectorModel(ABC):
    """A vector boson; masses and energies in GeV, arrays of any shapes that broadcast."""

    dark: DarkSector | None = None

    strength: ClassVar[str] = "g"
    """What the overall coupling is called."""

    @property
    @abstractmethod
    def name(self) -> str:
        """As in `load_model`."""

    @abstractmethod
    def vertex(
        self, lepton: Lepton, q2: ArrayLike, coupling: ArrayLike, mass: ArrayLike
    ) -> NDArray[np.complex128]:
        """Coupling to the vector current of a lepton, e being 0.303, at momentum transfer q2."""

    @abstractmethod
    def neutrinos(self, q2: ArrayLike, coupling: ArrayLike, mass: ArrayLike) -> NDArray[np.float64]:
        """Sum over flavours of the squared coupling to left-handed neutrinos."""

    @abstractmethod
    def hadronic_width(
        self, energy: ArrayLike, coupling: ArrayLike, mass: ArrayLike
    ) -> NDArray[np.float64]:
        """Into hadrons, GeV, of a boson of this virtual mass."""

    def epsilon2(
        self, q2: ArrayLike, coupling: ArrayLike, mass: ArrayLike, *, lepton: Lepton = "electron"
    ) -> NDArray[np.float64]:
        """`|coupling to a lepton / e|^2`, with which a dark photon's cross sections are multiplied.

        Parameters
        ----------
        q2
            GeV^2; mass^2 for radiation, s for annihilation.
        coupling, mass
            Of the model.
        lepton
            Electron or muon.
        """
        found = np.abs(self.vertex(lepton, q2, coupling, mass)) ** 2
        return np.asarray(found / ELECTRIC_CHARGE**2)

    def virtual_widths(
        self,
        energy: ArrayLike,
        coupling: ArrayLike,
        mass: ArrayLike,
        *,
        channels: Sequence[str] = CHANNELS,
    ) -> dict[str, NDArray[np.float64]]:
        """Widths, GeV, of a boson of virtual mass ``energy``, by channel (see `CHANNELS`).

        The dark particles keep their mass, ``mass_ratio`` times ``mass``.

        Raises
        ------
        ModelError
            If a mass or coupling is not positive, or a channel is not known.
        """
        check_positive(mass=mass, coupling=coupling, energy=energy)
        energy = np.asarray(energy, dtype=np.float64)
        mass = np.asarray(mass, dtype=np.float64)
        shape = np.broadcast_shapes(energy.shape, mass.shape, np.shape(coupling))
        return {
            channel: np.broadcast_to(self._width_to(channel, energy, coupling, mass), shape)
            for channel in channels
        }

    def _width_to(
        self,
        channel: str,
        energy: NDArray[np.float64],
        coupling: ArrayLike,
        mass: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        if channel in _LEPTONS:
            lepton = _LEPTONS[channel]
            vertex = self.vertex(lepton, energy**2, coupling, mass)
            return fermion_width(energy, LEPTON_MASSES[lepton], vertex)
        if channel == "hadrons":
            return self.hadronic_width(energy, coupling, mass)
        if channel == "nu nu":
            return neutrino_width(energy, np.sqrt(self.neutrinos(energy**2, coupling, mass)))
        if channel == "chi chi":
            dark = self.dark
            if dark is None:
                return np.zeros(energy.shape)
            return chi_width(dark.kind, energy, dark.mass_ratio * mass, dark.alpha)
        msg = f"There is no channel {channel!r}. {did_you_mean(channel, CHANNELS)}"
        raise ModelError(msg)

    def widths(self, mass: ArrayLike, coupling: ArrayLike) -> dict[str, NDArray[np.float64]]:
        """Partial widths on the mass shell, GeV, by channel."""
        return self.virtual_widths(mass, coupling, mass)

    def width(self, mass: ArrayLike, coupling: ArrayLike) -> NDArray[np.float64]:
        """Total width, GeV."""
        return np.asarray(sum(self.widths(mass, coupling).values()))

    def branching_ratios(
        self, mass: ArrayLike, coupling: ArrayLike
    ) -> dict[str, NDArray[np.float64]]:
        """By channel; their sum is 1.

        Raises
        ------
        ModelError
            If no channel is open.
        """
        widths = self.widths(mass, coupling)
        total = np.asarray(sum(widths.values()))
        if np.any(total == 0):
            lowest = np.broadcast_to(mass, total.shape)[total == 0].flat[0]
            msg = (
                f"{self.name} of mass {lowest:g} GeV has no open decay: it is stable; give it a "
                f"dark sector, or a mass above {2 * ELECTRON_MASS:g} GeV (two electrons)"
            )
            raise ModelError(msg)
        return {name: np.asarray(value / total) for name, value in widths.items()}

    def invisible_ratio(self, mass: ArrayLike, coupling: ArrayLike) -> NDArray[np.float64]:
        """Branching ratio to neutrinos and dark particles together."""
        ratios = self.branching_ratios(mass, coupling)
        return np.asarray(sum(ratios[name] for name in INVISIBLE))


@dataclass(frozen=True)
class DarkPhoton(VectorModel):
    """A' that mixes with the photon: epsilon e times the electric charge."""

    strength: ClassVar[str] = "epsilon"

    @property
    def name(self) -> str:
        """As in `load_model`."""
        return "dark-photon"

    def vertex(
        self,
        lepton: Lepton,  # noqa: ARG002 - universal
        q2: ArrayLike,
        coupling: ArrayLike,
        mass: ArrayLike,
    ) -> NDArray[np.complex128]:
        """-epsilon e."""
        shape = np.broadcast_shapes(np.shape(q2), np.shape(coupling), np.shape(mass))
        found = -ELECTRIC_CHARGE * np.asarray(coupling, dtype=np.complex128)
        return np.broadcast_to(found, shape)

    def neutrinos(self, q2: ArrayLike, coupling: ArrayLike, mass: ArrayLike) -> NDArray[np.float64]:
        """None."""
        shape = np.broadcast_shapes(np.shape(q2), np.shape(coupling), np.shape(mass))
        return np.zeros(shape)

    def hadronic_width(
        self,
        energy: ArrayLike,
        coupling: ArrayLike,
        mass: ArrayLike,  # noqa: ARG002
    ) -> NDArray[np.float64]:
        """alpha epsilon^2 m/3 R(m)."""
        charge = ELECTRIC_CHARGE * np.asarray(coupling)
        return fermion_width(energy, 0.0, charge) * electromagnetic_ratio(energy)


@dataclass(frozen=True)
class LMuLTau(VectorModel):
    """Z' of L_mu - L_tau: g to muon and tau, e Pi(q2) to what is charged otherwise.

    arXiv:2404.06982, eq. 2.1 and 2.3. *Vanilla* without a dark sector, *dark* with one.
    """

    @property
    def name(self) -> str:
        """As in `load_model`."""
        return "lmutau-vanilla" if self.dark is None else "lmutau-dark"

    def vertex(
        self, lepton: Lepton, q2: ArrayLike, coupling: ArrayLike, mass: ArrayLike
    ) -> NDArray[np.complex128]:
        """e Pi(q2), g, -g; the loop's part for muon and tau, of a percent of e, is left out."""
        shape = np.broadcast_shapes(np.shape(q2), np.shape(coupling), np.shape(mass))
        g = np.asarray(coupling, dtype=np.complex128)
        if lepton == "electron":
            found = ELECTRIC_CHARGE * g * loop_coupling(q2)
        else:
            found = g if lepton == "muon" else -g
        return np.broadcast_to(found, shape)

    def neutrinos(self, q2: ArrayLike, coupling: ArrayLike, mass: ArrayLike) -> NDArray[np.float64]:
        """2 g^2."""
        shape = np.broadcast_shapes(np.shape(q2), np.shape(coupling), np.shape(mass))
        return np.broadcast_to(2 * np.asarray(coupling, dtype=np.float64) ** 2, shape)

    def hadronic_width(
        self, energy: ArrayLike, coupling: ArrayLike, mass: ArrayLike
    ) -> NDArray[np.float64]:
        """By the loop, as a dark photon of epsilon = `|Pi|`."""
        charge = self.vertex("electron", np.asarray(energy) ** 2, coupling, mass)
        return fermion_width(energy, 0.0, charge) * electromagnetic_ratio(energy)


@dataclass(frozen=True)
class BMinusL(VectorModel):
    """Z' of B - L: -g to leptons and the three light neutrinos, g/3 to quarks.

    The right-handed neutrinos are taken as heavy: each light flavour has half a Dirac width.
    """

    @property
    def name(self) -> str:
        """As in `load_model`."""
        return "b-l"

    def vertex(
        self,
        lepton: Lepton,  # noqa: ARG002 - universal
        q2: ArrayLike,
        coupling: ArrayLike,
        mass: ArrayLike,
    ) -> NDArray[np.complex128]:
        """-g."""
        shape = np.broadcast_shapes(np.shape(q2), np.shape(coupling), np.shape(mass))
        return np.broadcast_to(-np.asarray(coupling, dtype=np.complex128), shape)

    def neutrinos(self, q2: ArrayLike, coupling: ArrayLike, mass: ArrayLike) -> NDArray[np.float64]:
        """3 g^2."""
        shape = np.broadcast_shapes(np.shape(q2), np.shape(coupling), np.shape(mass))
        return np.broadcast_to(3 * np.asarray(coupling, dtype=np.float64) ** 2, shape)

    def hadronic_width(
        self,
        energy: ArrayLike,
        coupling: ArrayLike,
        mass: ArrayLike,  # noqa: ARG002
    ) -> NDArray[np.float64]:
        """g^2/(4 pi) m/3 R of the baryon number."""
        return fermion_width(energy, 0.0, np.asarray(coupling)) * baryonic_ratio(energy)
