"""Events of a new boson in a dump: where, by which lepton, with which energy and at which angle.

Drawn from what `yields` integrates: track lengths by depth, energy and charge times cross sections.
The angle of strahlung is that of the exact cross section, in units of the angle at which
E^2 theta^2 x = m^2 (1 - x) / x + m_e^2 x: so its distribution hardly depends on the lepton's
energy. The boson of an annihilation goes along the positron. Angles are relative to the lepton,
whose own angle to the beam is not followed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from na64reco.constants import ELECTRON_MASS
from na64reco.darksector.annihilation import resonance_energy
from na64reco.darksector.missing_energy import annihilation_by_energy
from na64reco.darksector.quadrature import graded
from na64reco.darksector.strahlung import LEPTONS, angular_spectrum, x_range
from na64reco.errors import ModelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.darksector.models import VectorModel
    from na64reco.darksector.yields import DumpYield, Production

__all__ = ["Generator", "Produced"]

_POINTS: Final = 1500
"""Of x, for what is drawn from."""
_SHARES: Final = 12
_ANGLES: Final = 81
_SMALLEST: Final = -10.0
"""ln of (theta / typical)^2 from which angles are drawn."""
_LARGEST: Final = 12.0
_PEAK: Final = graded(2e-4, 0.3, 16)


class _Drawn(NamedTuple):
    group: NDArray[np.int64]
    charge: NDArray[np.int64]
    lepton: NDArray[np.float64]
    energy: NDArray[np.float64]
    angle: NDArray[np.float64]


_NOTHING: Final = _Drawn(
    np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0), np.empty(0), np.empty(0)
)


@dataclass(frozen=True)
class Produced:
    """Bosons; every array has the shape (events,)."""

    resonant: NDArray[np.bool_]
    """By annihilation, else by strahlung."""
    charge: NDArray[np.int64]
    """Of the lepton; 0 for muons of either."""
    lepton: NDArray[np.float64]
    """Its energy, GeV."""
    energy: NDArray[np.float64]
    """Of the boson, GeV."""
    angle: NDArray[np.float64]
    """Between both, rad."""
    layer: NDArray[np.int64]
    """Of the dump's stack."""
    depth: NDArray[np.float64]
    """cm behind the dump's face."""


@dataclass(frozen=True)
class Generator:
    """Draws events of one boson."""

    yields: DumpYield
    """The dump and how strahlung is calculated; its acceptance does not enter."""
    model: VectorModel
    mass: float
    """GeV."""
    coupling: float
    above: float
    """Least energy of the boson, GeV."""
    production: Production = "all"
    _angles: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = field(
        default_factory=list, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        """Complain about an energy that no boson has.

        Raises
        ------
        ModelError
            With the value.
        """
        if not 0 <= self.above < self.yields.dump.energy:
            msg = (
                f"bosons above {self.above} GeV: expected at least 0 and less than the beam's "
                f"{self.yields.dump.energy} GeV"
            )
            raise ModelError(msg)

    @property
    def rate(self) -> float:
        """Events per beam particle."""
        return float(self._strahlung.sum() + self._resonant[1].sum())

    @cached_property
    def _strahlung(self) -> NDArray[np.float64]:
        """Events by group of layers, charge and bin."""
        dump = self.yields.dump
        made = self.yields.radiated(np.array([self.mass]))[0]
        if self.production == "resonant":
            return np.zeros_like(made)
        share = self.yields.fractions_above(
            (self.above / dump.centres)[:, None], self.mass, dump.centres
        )[:, 0]
        lepton = self.model.epsilon2(
            self.mass**2,
            self.coupling,
            self.mass,
            lepton="muon" if dump.lepton == "muon" else "electron",
        )
        strength = lepton * self.model.invisible_ratio(self.mass, self.coupling)
        return np.asarray(made * share * strength)

    @cached_property
    def _resonant(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Edges in energy, and events by material and bin."""
        dump = self.yields.dump
        nothing = np.array([self.above, dump.energy]), np.zeros((len(dump.materials), 1))
        if self.production == "strahlung" or dump.lepton == "muon":
            return nothing
        if self.mass <= 2 * ELECTRON_MASS:
            return nothing
        peak = float(resonance_energy(self.mass)) * (1 + _PEAK)
        edges = np.unique(np.concatenate((dump.edges, peak, [self.above])))
        edges = edges[(edges >= max(self.above, dump.edges[0])) & (edges <= dump.edges[-1])]
        if len(edges) < 2:
            return nothing
        events = annihilation_by_energy(dump, self.model, self.mass, self.coupling, edges)
        return edges, events

    def draw(self, rng: np.random.Generator, size: int) -> Produced:
        """Events; the same generator gives the same events.

        Raises
        ------
        ModelError
            If there are none to draw.
        """
        annihilated = float(self._resonant[1].sum())
        total = self.rate
        if not total > 0:
            msg = (
                f"{self.model.name} of {self.mass:g} GeV has no events above {self.above:g} GeV by "
                f"{self.production} production: nothing can be drawn"
            )
            raise ModelError(msg)
        resonant = rng.random(size) < annihilated / total
        first = self._draw_strahlung(rng, int(size - resonant.sum()))
        second = self._draw_resonant(rng, int(resonant.sum()))
        order = np.argsort(resonant, kind="stable")
        back = np.empty(size, dtype=np.int64)
        back[order] = np.arange(size)
        drawn = _Drawn(*(np.concatenate(both)[back] for both in zip(first, second, strict=True)))
        layer, depth = self._place(rng, drawn.group)
        return Produced(
            resonant, drawn.charge, drawn.lepton, drawn.energy, drawn.angle, layer, depth
        )

    def _draw_strahlung(self, rng: np.random.Generator, size: int) -> _Drawn:
        dump = self.yields.dump
        if size == 0:
            return _NOTHING
        events = self._strahlung
        chosen = rng.choice(events.size, size=size, p=events.ravel() / events.sum())
        group, charge, bins = np.unravel_index(chosen, events.shape)
        lepton = dump.edges[bins] + np.diff(dump.edges)[bins] * rng.random(size)
        # Even steps of ln(x / (1 - x)), as the tables have them.
        low = max(self.above, self.mass) / dump.energy
        t = np.linspace(np.log(low / (1 - low)), 2 * np.log(dump.energy / ELECTRON_MASS), _POINTS)
        used = np.unique(bins)
        grid = np.broadcast_to(1 / (1 + np.exp(-t)), (len(used), _POINTS))
        above = self.yields.fractions_above(grid, self.mass, dump.centres[used])
        least = self.above / dump.centres[used]
        most = self.yields.fractions_above(least[:, None], self.mass, dump.centres[used])[:, 0]
        x = np.empty(size)
        for row, which in enumerate(used):
            mine = bins == which
            wanted = most[row] * rng.random(int(mine.sum()))
            place = np.interp(wanted, above[row, ::-1], t[::-1])
            x[mine] = 1 / (1 + np.exp(-place))
        # Too little energy, at a bin's lower end: such leptons have the bin's mean.
        lepton = np.where(x * lepton < self.above, dump.centres[bins], lepton)
        angle = self._draw_angle(rng, x, lepton)
        charges = np.array(dump.charges, dtype=np.int64)[charge]
        energy = np.maximum(x * lepton, self.above)
        return _Drawn(group.astype(np.int64), charges, lepton, energy, angle)

    def _typical(
        self, x: NDArray[np.float64], energy: NDArray[np.float64] | float
    ) -> NDArray[np.float64]:
        own = LEPTONS[self.yields.dump.lepton]
        square = self.mass**2 * (1 - x) / x + own**2 * x
        return np.asarray(np.sqrt(square / x) / energy)

    def _draw_angle(
        self, rng: np.random.Generator, x: NDArray[np.float64], energy: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        dump = self.yields.dump
        logs = np.linspace(_SMALLEST, _LARGEST, _ANGLES)
        if not self._angles:
            at = float(np.mean(energy))
            low, high = (
                float(end) for end in x_range(self.mass, at, lepton=dump.lepton, x_min=0.0)
            )
            first = np.log(low / (1 - low)) + 0.1
            last = np.log(high / (1 - high)) - 0.1
            places = np.linspace(first, last, _SHARES)
            shares = 1 / (1 + np.exp(-places))
            theta = self._typical(shares, at)[:, None] * np.exp(logs / 2)
            inside = np.minimum(theta, np.pi)
            density = angular_spectrum(
                shares[:, None], inside, self.mass, at, lepton=dump.lepton, x_min=0.0
            )
            density = np.where(theta < np.pi, density * theta, 0.0)
            sums = np.cumsum(0.5 * (density[:, 1:] + density[:, :-1]), axis=1)
            below = np.concatenate((np.zeros((_SHARES, 1)), sums), axis=1) / sums[:, -1:]
            self._angles.append((places, below))
        places, below = self._angles[0]
        position = (np.log(x / (1 - x)) - places[0]) / (places[1] - places[0])
        position = np.clip(position, 0, _SHARES - 1)
        # A row at random, the nearer the likelier: the mean of both distributions.
        row = np.minimum(np.floor(position + rng.random(len(x))).astype(np.int64), _SHARES - 1)
        number, found = rng.random(len(x)), np.empty(len(x))
        for which in np.unique(row):
            mine = row == which
            found[mine] = np.interp(number[mine], below[which], logs)
        return np.asarray(np.minimum(self._typical(x, energy) * np.exp(found / 2), np.pi))

    def _draw_resonant(self, rng: np.random.Generator, size: int) -> _Drawn:
        dump = self.yields.dump
        if size == 0:
            return _NOTHING
        edges, events = self._resonant
        chosen = rng.choice(events.size, size=size, p=events.ravel() / events.sum())
        material, place = np.unravel_index(chosen, events.shape)
        energy = edges[place] + np.diff(edges)[place] * rng.random(size)
        bins = np.clip(np.searchsorted(dump.edges, energy) - 1, 0, len(dump.centres) - 1)
        positrons = dump.length[:, dump.charges.index(1)]
        group = np.empty(size, dtype=np.int64)
        for which in np.unique(material):
            rows = np.flatnonzero(dump.material_of_group == which)
            # Which group, given the bin: the inverse of the sum over groups.
            sums = np.cumsum(positrons[rows], axis=0)
            mine = material == which
            wanted = rng.random(int(mine.sum())) * sums[-1, bins[mine]]
            group[mine] = rows[np.sum(sums[:, bins[mine]] < wanted, axis=0)]
        return _Drawn(group, np.ones(size, dtype=np.int64), energy, energy, np.zeros(size))

    def _place(
        self, rng: np.random.Generator, group: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Layer and depth: evenly along the layers of a group."""
        dump = self.yields.dump
        faces = dump.stack.boundaries
        thickness = np.diff(faces)
        layer = np.empty(len(group), dtype=np.int64)
        for which in np.unique(group):
            mine = group == which
            layers = np.flatnonzero(dump.groups == which)
            share = thickness[layers] / thickness[layers].sum()
            layer[mine] = rng.choice(layers, size=int(mine.sum()), p=share)
        return layer, faces[layer] + thickness[layer] * rng.random(len(group))
