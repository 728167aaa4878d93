"""Materials: composition, density, ionisation. One table for whatever crosses matter.

Densities, mean excitation energies and radiation lengths: Particle Data Group 2024, atomic and
nuclear properties (https://pdg.lbl.gov/AtomicNuclearProperties); density effect: R. M.
Sternheimer, M. J. Berger, S. M. Seltzer, Atomic Data and Nuclear Data Tables 30 (1984) 261.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from na64reco.errors import SetupError, did_you_mean

__all__ = ["MATERIALS", "Element", "Material", "find_material"]


@dataclass(frozen=True)
class Element:
    """One kind of nucleus."""

    symbol: str
    z: int
    a: float
    """g/mol."""


_H = Element("H", 1, 1.008)
_C = Element("C", 6, 12.011)
_N = Element("N", 7, 14.007)
_O = Element("O", 8, 15.999)
_AL = Element("Al", 13, 26.9815)
_SI = Element("Si", 14, 28.0855)
_AR = Element("Ar", 18, 39.948)
_FE = Element("Fe", 26, 55.845)
_CU = Element("Cu", 29, 63.546)
_W = Element("W", 74, 183.84)
_PB = Element("Pb", 82, 207.2)


@dataclass(frozen=True)
class Material:
    """What a layer is made of."""

    name: str
    density: float
    """g/cm^3."""
    excitation: float
    """Mean excitation energy, eV."""
    radiation_length: float
    """g/cm^2."""
    sternheimer: tuple[float, float, float, float, float, float]
    """C-bar, x0, x1, a, k, delta0 of the density effect."""
    composition: tuple[tuple[Element, float], ...]
    """Elements and their shares of the mass."""

    @property
    def z_over_a(self) -> float:
        """Mean Z/A, mol/g."""
        return sum(share * element.z / element.a for element, share in self.composition)

    def density_effect(self, beta_gamma: float) -> float:
        """delta of the Bethe formula (PDG 2024, eq. 34.7)."""
        c, x0, x1, a, k, delta0 = self.sternheimer
        x = math.log10(beta_gamma)
        if x >= x1:
            return 2 * math.log(10) * x - c
        if x >= x0:
            return float(2 * math.log(10) * x - c + a * (x1 - x) ** k)
        return float(delta0 * 10 ** (2 * (x - x0)))


def _pure(  # noqa: PLR0917 - a row of a table
    name: str,
    element: Element,
    density: float,
    excitation: float,
    radiation_length: float,
    sternheimer: tuple[float, float, float, float, float, float],
) -> Material:
    return Material(name, density, excitation, radiation_length, sternheimer, ((element, 1.0),))


MATERIALS: Final = {
    material.name: material
    for material in (
        Material(
            "polystyrene",
            1.06,
            68.7,
            43.79,
            (3.2999, 0.1647, 2.5031, 0.16454, 3.2224, 0.0),
            ((_H, 0.077418), (_C, 0.922582)),
        ),
        Material(
            "air",
            1.205e-3,
            85.7,
            36.62,
            (10.5961, 1.7418, 4.2759, 0.10914, 3.3994, 0.0),
            ((_C, 0.000124), (_N, 0.755268), (_O, 0.231781), (_AR, 0.012827)),
        ),
        Material(
            "mylar",
            1.40,
            78.7,
            39.95,
            (3.3262, 0.1562, 2.6507, 0.12679, 3.3076, 0.0),
            ((_H, 0.041959), (_C, 0.625016), (_O, 0.333025)),
        ),
        _pure("carbon", _C, 2.265, 78.0, 42.70, (2.8680, -0.0178, 2.3415, 0.26142, 2.8697, 0.12)),
        _pure("diamond", _C, 3.52, 78.0, 42.70, (2.4272, -0.0178, 2.3415, 0.26142, 2.8697, 0.12)),
        _pure("aluminium", _AL, 2.70, 166.0, 24.01, (4.2395, 0.1708, 3.0127, 0.0802, 3.6345, 0.12)),
        _pure("silicon", _SI, 2.329, 173.0, 21.82, (4.4355, 0.2015, 2.8716, 0.14921, 3.2546, 0.14)),
        _pure("iron", _FE, 7.874, 286.0, 13.84, (4.2911, -0.0012, 3.1531, 0.14680, 2.9632, 0.12)),
        _pure("copper", _CU, 8.96, 322.0, 12.86, (4.4190, -0.0254, 3.2792, 0.14339, 2.9044, 0.08)),
        _pure("tungsten", _W, 19.30, 727.0, 6.76, (5.4059, 0.2167, 3.4960, 0.15509, 2.8447, 0.14)),
        _pure("lead", _PB, 11.35, 823.0, 6.37, (6.2018, 0.3776, 3.8073, 0.09359, 3.1608, 0.14)),
    )
}  # fmt: skip
"""By name. Diamond: graphite's constants with C-bar for its density (C grows with ln(1/plasma
energy^2))."""


def find_material(name: str) -> Material:
    """The material of this name.

    Raises
    ------
    SetupError
        If there is none.
    """
    try:
        return MATERIALS[name]
    except KeyError:
        msg = f"There is no material {name!r}. {did_you_mean(name, MATERIALS)}"
        raise SetupError(msg) from None
