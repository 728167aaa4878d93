"""A dump as an incoming beam sees it: how far its leptons go, at which energy, in which material.

Track lengths of electrons and positrons come from `na64reco.cascade`; those of the dumps of
shipped searches are kept in `data/dumps` (`python -m na64reco.darksector.dump` remakes them, one
minute). A muon crosses the dump: its track length is the thickness.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from na64reco.cascade.stack import Layer, Stack
from na64reco.cascade.track_length import depth_lengths
from na64reco.darksector.strahlung_tables import NUCLEI
from na64reco.errors import ModelError, did_you_mean

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.materials import Material

__all__ = ["BEAMS", "LOWEST_ENERGY", "Dump", "Scatterer", "load_dump", "shashlik"]

BEAMS: Final = ("electron", "positron", "muon")

LOWEST_ENERGY: Final = 15.0
"""GeV, to which leptons are followed: where the tables of cross sections begin."""

_AVOGADRO: Final = 6.02214076e23
_SHOWERS: Final = 400_000
_DEPTH: Final = 0.5
"""Thickness of a group of layers, radiation lengths."""
_GROUPS: Final = 32
_PRODUCTION_CUT: Final = 0.1
_MUON_LOSS: Final = 0.005
"""Share of its energy that a muon loses in 40 radiation lengths of lead and plastic, about."""
_LARGEST_GUESS: Final = 0.05


@dataclass(frozen=True)
class Scatterer:
    """One element of a material."""

    z: int
    density: float
    """Atoms per cm^3."""
    table: str
    """Whose cross sections are taken."""
    factor: float
    """What they are multiplied with: 1 for an element with a table of its own."""


def _scatterers(layer: Layer) -> tuple[Scatterer, ...]:
    by_z = {nucleus.z: name for name, nucleus in NUCLEI.items()}
    found = []
    for element, share in layer.material.composition:
        nearest = min(by_z, key=lambda z, own=element.z: abs(z - own))  # type: ignore[misc]
        density = layer.rho * share * _AVOGADRO / element.a
        factor = (element.z / nearest) ** 2
        found.append(Scatterer(element.z, density, by_z[nearest], factor))
    return tuple(found)


@dataclass(frozen=True)
class Dump:
    """Track lengths of one beam particle's shower in a stack of layers."""

    particle: str
    energy: float
    """Of the beam, GeV."""
    stack: Stack
    edges: NDArray[np.float64]
    """Energies of leptons, GeV, shape (bins + 1,)."""
    charges: tuple[int, ...]
    """Of the leptons: -1 and 1 in a shower; 0 for muons of either charge."""
    groups: NDArray[np.int64]
    """Of each layer: its row in ``length``."""
    length: NDArray[np.float64]
    """cm per bin and beam particle, shape (groups, charges, bins)."""

    @property
    def lepton(self) -> str:
        """Whose cross sections are needed."""
        return "muon" if self.particle == "muon" else "electron"

    @property
    def materials(self) -> tuple[Material, ...]:
        """In the order of `scatterers`."""
        return tuple(layer.material for layer in self.stack.materials)

    @cached_property
    def scatterers(self) -> tuple[tuple[Scatterer, ...], ...]:
        """Elements by material.

        Raises
        ------
        ModelError
            If more than 5 % of the nuclei's charges squared has no table of cross sections.
        """
        found = tuple(_scatterers(layer) for layer in self.stack.materials)
        thickness = np.bincount(
            self.stack.index, weights=np.diff(self.stack.boundaries), minlength=len(found)
        )
        weight, guessed = 0.0, 0.0
        for length, elements in zip(thickness, found, strict=True):
            for element in elements:
                own = length * element.density * element.z**2
                weight += own
                guessed += own if element.factor != 1 else 0.0
        if guessed > _LARGEST_GUESS * weight:
            msg = (
                f"{guessed / weight:.0%} of this dump's Z^2 is of elements without a table of "
                f"cross sections (there are {', '.join(NUCLEI)}): only small admixtures are "
                f"scaled by Z^2; add the nucleus to strahlung_tables.NUCLEI and remake the table"
            )
            raise ModelError(msg)
        return found

    @cached_property
    def material_of_group(self) -> NDArray[np.int64]:
        """Index into `materials` by row of ``length``."""
        found = np.zeros(len(self.length), dtype=np.int64)
        found[self.groups] = self.stack.index
        return found

    def by_material(self) -> NDArray[np.float64]:
        """cm per bin, shape (materials, charges, bins)."""
        found = np.zeros((len(self.materials), *self.length.shape[1:]))
        np.add.at(found, self.material_of_group, self.length)
        return found

    @property
    def centres(self) -> NDArray[np.float64]:
        """Energies in the middle of the bins, GeV."""
        return 0.5 * (self.edges[1:] + self.edges[:-1])


def _split(stack: Stack) -> Stack:
    """Layers thicker than a group in parts, so that depth is known."""
    layers: list[Layer] = []
    for layer in stack.layers:
        thick = layer.thickness * layer.rho / layer.material.radiation_length
        parts = int(np.ceil(thick / _DEPTH))
        layers += [Layer(layer.material, layer.thickness / parts, layer.density)] * parts
    return Stack(tuple(layers), stack.half_width)


def _grouped(stack: Stack) -> NDArray[np.int64]:
    """Row by layer: depth in steps of `_DEPTH`, and material; rows without layers are left out."""
    thick = [
        layer.thickness * layer.rho / layer.material.radiation_length for layer in stack.layers
    ]
    middle = np.cumsum(thick) - 0.5 * np.array(thick)
    depth = np.minimum((middle / _DEPTH).astype(np.int64), _GROUPS - 1)
    _, rows = np.unique(depth * len(stack.materials) + stack.index, return_inverse=True)
    return rows.astype(np.int64)


def load_dump(
    stack: Stack,
    energy: float,
    particle: str = "electron",
    *,
    showers: int = _SHOWERS,
    seed: int = 1,
    workers: int = 2,
    cache: Path | None = None,
) -> Dump:
    """The track lengths of a beam in a dump: shipped, from the user's cache, or simulated.

    Parameters
    ----------
    stack
        The dump's layers.
    energy
        Of the beam, GeV.
    particle
        One of `BEAMS`.
    showers
        How many to simulate; 400,000 take 15 s and leave 0.1 % of statistical error.
    cache
        See `na64reco.cascade.track_length.track_lengths`.

    Raises
    ------
    ModelError
        For another particle, or a beam of less than 15 or more than 200 GeV.
    """
    if particle not in BEAMS:
        msg = f"There is no dump for a beam of {particle!r}. {did_you_mean(particle, BEAMS)}"
        raise ModelError(msg)
    if not LOWEST_ENERGY + 1 <= energy <= 200:
        msg = (
            f"a beam of {energy} GeV: the tables of cross sections are for {LOWEST_ENERGY:g} to "
            f"200 GeV"
        )
        raise ModelError(msg)
    split = _split(stack)
    groups = _grouped(split)
    if particle == "muon":
        thickness = np.bincount(groups, weights=np.diff(split.boundaries)).astype(np.float64)
        edges = energy * np.array([1 - _MUON_LOSS, 1.0])
        return Dump(particle, energy, split, edges, (0,), groups, thickness[:, None, None])
    edges = np.linspace(LOWEST_ENERGY, energy, round(energy - LOWEST_ENERGY) + 1)
    found = depth_lengths(
        split,
        energy,
        particle=particle,
        edges=edges,
        groups=groups,
        showers=showers,
        production_cut=_PRODUCTION_CUT,
        seed=seed,
        workers=workers,
        shipped=_shipped(),
        cache=cache,
    )
    length = found.density * np.diff(edges)
    return Dump(particle, energy, split, edges, (-1, 1), groups, length)


def shashlik() -> Stack:
    """NA64's electromagnetic calorimeter: 150 x (1.5 mm lead + 1.5 mm polystyrene)."""
    return Stack.sandwich([("lead", 0.15), ("polystyrene", 0.15)], 150)


def _shipped() -> Path:
    return Path(str(files("na64reco.darksector") / "data" / "dumps"))


def make() -> None:
    """Simulate the dumps of shipped searches anew, into the package."""
    for old in _shipped().glob("*.npz"):
        old.unlink()
    for particle in ("electron", "positron"):
        load_dump(shashlik(), 100.0, particle, cache=_shipped())
    for new in _shipped().glob("*.npz"):
        new.chmod(0o644)


if __name__ == "__main__":
    make()
