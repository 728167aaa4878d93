"""Layers that a beam crosses one after the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from na64reco.errors import SetupError
from na64reco.materials import Material, find_material

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

__all__ = ["Layer", "Stack"]


@dataclass(frozen=True)
class Layer:
    """One layer normal to the beam."""

    material: Material
    thickness: float
    """cm."""
    density: float | None = None
    """g/cm^3, where it isn't the material's."""

    def __post_init__(self) -> None:
        if not self.thickness > 0:
            msg = f"layer of {self.material.name}: thickness {self.thickness} cm must be positive"
            raise SetupError(msg)

    @property
    def rho(self) -> float:
        """Density, g/cm^3."""
        return self.material.density if self.density is None else self.density


@dataclass(frozen=True)
class Stack:
    """Layers along z from 0, and how wide they are."""

    layers: tuple[Layer, ...]
    half_width: float = np.inf
    """cm; a particle that leaves sideways is lost."""

    @classmethod
    def sandwich(
        cls,
        plates: Iterable[tuple[str, float]],
        repeat: int = 1,
        *,
        densities: dict[str, float] | None = None,
        half_width: float = np.inf,
    ) -> Stack:
        """Plates (material, thickness in cm), the whole group ``repeat`` times.

        Raises
        ------
        SetupError
            For an unknown material or a thickness that is not positive.
        """
        known = densities or {}
        group = tuple(
            Layer(find_material(name), thickness, known.get(name)) for name, thickness in plates
        )
        if not group or repeat < 1:
            msg = f"a stack needs layers; found {len(group)} plates, repeat={repeat}"
            raise SetupError(msg)
        return cls(group * repeat, half_width)

    @property
    def boundaries(self) -> NDArray[np.float64]:
        """z of all faces, cm, shape (layers + 1,)."""
        return np.concatenate(([0.0], np.cumsum([layer.thickness for layer in self.layers])))

    @property
    def materials(self) -> tuple[Layer, ...]:
        """One layer of each material (and density), in the order of first appearance."""
        seen: dict[tuple[str, float | None], Layer] = {}
        for layer in self.layers:
            seen.setdefault((layer.material.name, layer.density), layer)
        return tuple(seen.values())

    @property
    def index(self) -> NDArray[np.int64]:
        """Of each layer: its material's place in `materials`."""
        keys = [(layer.material.name, layer.density) for layer in self.materials]
        return np.array(
            [keys.index((layer.material.name, layer.density)) for layer in self.layers], np.int64
        )
