"""Figures of docs/limits.md: `make figures`, or `python docs/make_limits.py [NAME...]`."""

# ruff: noqa: T201 - prints the figures that the page quotes

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from na64reco.darksector.generic import load_model
from na64reco.darksector.trident import trident_limit
from na64reco.inference.limits import LimitSetter
from na64reco.inference.search import load_search
from na64reco.report.limits import Overlay, coupling_plane, mixing_plane, relic_plane
from na64reco.report.published import DARK_PHOTON_2019

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from na64reco.darksector.models import VectorModel
    from na64reco.darksector.yields import Production
    from na64reco.inference.limits import CouplingLimits

IMAGES = Path(__file__).parent / "images"

# Close to two muon masses and to the resonance's ends curves bend.
BENDS = np.concatenate((np.linspace(0.205, 0.26, 18), np.linspace(0.28, 0.36, 9)))


def limits(
    names: str,
    model: VectorModel,
    mass: NDArray[np.float64],
    *,
    production: Production = "all",
) -> CouplingLimits:
    """Of one search, or several with + between them."""
    searches = tuple(load_search(name) for name in names.split("+"))
    return LimitSetter(searches, production=production).limits(model, mass)


def grid(low: float, high: float, number: int) -> NDArray[np.float64]:
    """MeV; as many masses evenly in the logarithm, and those where curves bend."""
    even = np.geomspace(low, high, number) / 1e3
    return np.unique(np.concatenate((even, BENDS[(low < 1e3 * BENDS) & (high > 1e3 * BENDS)])))


def ccfr(low: float, high: float) -> Overlay:
    """Neutrino tridents, at 95 % as in the papers; MeV."""
    mass = np.geomspace(low, high, 40) / 1e3
    return Overlay(r"CCFR, $\nu N \to \nu N \mu\mu$, 95 % CL", mass, trident_limit(mass))


def epsilon() -> Figure:
    """Dark photons from strahlung: (m, epsilon), with PRL 123, 121801 and the 1e13 to come."""
    model = load_model("dark-photon")
    mass = grid(1, 1000, 40)
    curves = {
        name: limits(name, model, mass, production="strahlung")
        for name in ("na64e-2018", "na64e-2024", "na64e-1e13-electron")
    }
    other = DARK_PHOTON_2019
    at = limits("na64e-2018", model, other.mass, production="strahlung")
    print("dark photon, ours over published:", np.round(at.coupling / other.coupling, 3))
    return mixing_plane(model, curves, overlays=[other], title="dark photon, strahlung, 90 % CL")


def vanilla() -> Figure:
    """(m, g) as Fig. 4, left, of arXiv:2404.06982 and Fig. 3 of arXiv:2401.01708."""
    model = load_model("lmutau-vanilla")
    electrons, muons = grid(1e-3, 1000, 40), grid(1, 1000, 40)
    curves = {
        "NA64-e, 2.84e11": limits("na64e-2018", model, grid(1, 1000, 30)),
        "NA64-e, 9.1e11": limits("na64e-2024", model, electrons),
        r"NA64-$\mu$, 2e10": limits("na64mu-2024", model, muons),
    }
    curves["both together"] = limits("na64e-2024+na64mu-2024", model, grid(0.3, 30, 16))
    title = r"$L_\mu - L_\tau$, vanilla, 90 % CL"
    return coupling_plane(
        model,
        curves,
        overlays=[ccfr(1, 1000)],
        cosmology=True,
        dashed=("both together",),
        title=title,
    )


def dark() -> Figure:
    """(m, g) as Fig. 4, right, of arXiv:2404.06982."""
    mass = grid(1e-3, 1000, 40)
    strong, weak = (load_model("lmutau-dark", alpha=alpha) for alpha in (0.1, 0.02))
    curves = {
        r"NA64-e, 9.1e11, $\alpha_D$ = 0.1": limits("na64e-2024", strong, mass),
        r"NA64-e, 9.1e11, $\alpha_D$ = 0.02": limits("na64e-2024", weak, mass),
        r"NA64-$\mu$, 2e10": limits("na64mu-2024", strong, grid(1, 1000, 40)),
    }
    title = r"$L_\mu - L_\tau$, dark, $m = 3 m_\chi$, 90 % CL"
    dashed = (r"NA64-e, 9.1e11, $\alpha_D$ = 0.02",)
    others = [ccfr(1, 1000)]
    return coupling_plane(strong, curves, overlays=others, relic=True, dashed=dashed, title=title)


def relic() -> Figure:
    """(m_chi, y) as Fig. 4 of arXiv:2401.01708: g_chi = 0.05."""
    model = load_model("lmutau-dark", alpha=0.05**2 / (4 * np.pi))
    mass = grid(5, 1500, 45)
    curves = {
        r"NA64-$\mu$, 2e10": limits("na64mu-2024", model, mass),
        "NA64-e, 9.1e11": limits("na64e-2024", model, mass),
        r"NA64-$\mu$, 1e11 (projection)": limits("na64mu-1e11", model, mass),
    }
    title = r"$L_\mu - L_\tau$, $m = 3 m_\chi$, $g_\chi = 0.05$, 90 % CL"
    return relic_plane(model, curves, overlays=[ccfr(5, 1500)], title=title)


def projections() -> Figure:
    """(m, g) as Fig. 7 of arXiv:2206.03101 and Fig. 6 of arXiv:2110.15111."""
    model = load_model("lmutau-dark", alpha=0.1)
    mass = grid(1, 1000, 40)
    curves = {
        "NA64-e, 2.84e11": limits("na64e-2018", model, mass),
        r"NA64-e, 1e13 $e^-$": limits("na64e-1e13-electron", model, mass),
        r"NA64-e, 1e13 $e^+$": limits("na64e-1e13-positron", model, mass),
        r"NA64-$\mu$, 1e11": limits("na64mu-1e11", model, mass),
    }
    title = r"$L_\mu - L_\tau$, dark, $\alpha_D = 0.1$, $m = 3 m_\chi$, 90 % CL"
    return coupling_plane(model, curves, overlays=[ccfr(1, 1000)], relic=True, title=title)


FIGURES = {f.__name__: f for f in (epsilon, vanilla, dark, relic, projections)}


def main(names: list[str]) -> None:
    """Draw these, or all."""
    for name in names or FIGURES:
        FIGURES[name]().savefig(IMAGES / f"limits_{name}.png", dpi=110)
        print(f"limits_{name}.png")


if __name__ == "__main__":
    main(sys.argv[1:])
