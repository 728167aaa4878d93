"""Figures of docs/darksector.md: `python docs/make_darksector.py`."""

# ruff: noqa: T201 - prints the figures that the page quotes

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from na64reco.constants import ALPHA, ELECTRON_MASS, MUON_MASS
from na64reco.darksector.acceptance import Acceptance
from na64reco.darksector.annihilation import (
    cross_section_at_rest,
    cross_section_in_atom,
    cross_section_with_spread,
    resonance_energy,
    resonance_integral,
    spread_beam,
)
from na64reco.darksector.atomic_motion import atomic_electrons
from na64reco.darksector.dump import load_dump, shashlik
from na64reco.darksector.g_minus_2 import Measured, coupling_band
from na64reco.darksector.generic import load_model
from na64reco.darksector.loop import averaged_loop, loop_coupling
from na64reco.darksector.missing_energy import missing_energy
from na64reco.darksector.relic import paper_coupling, thermal_coupling
from na64reco.darksector.yields import DumpYield
from na64reco.inference.search import load_search
from na64reco.inference.search_yields import SearchYields

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

IMAGES = Path(__file__).parent / "images"


def loop(axes: Axes) -> None:
    """Fig. 2 of arXiv:2404.06982."""
    mass = np.unique(np.concatenate((np.linspace(0.002, 0.5, 400), np.linspace(0.2, 0.225, 400))))
    for alpha, colour in ((0.1, "black"), (0.02, "tab:red")):
        width = load_model("lmutau-dark", alpha=alpha).widths(mass, 1e-4)["chi chi"]
        shell = np.abs(loop_coupling(mass**2)) ** 2
        change = averaged_loop(mass, width, 4 / 9 * mass**2) / shell - 1
        axes.plot(1e3 * mass, 100 * change, color=colour, lw=1, label=rf"$\alpha_D$ = {alpha}")
    axes.axhspan(-1, 1, color="0.92", zorder=0)
    axes.axvline(2e3 * MUON_MASS, color="0.6", lw=0.7, ls=":")
    axes.set(xlabel="$m$ (MeV)", ylabel=r"$I_{|\Pi|^2}/|\Pi|^2 - 1$ (%)", title="loop")
    axes.legend(frameon=False)


def lead(axes: Axes) -> None:
    """Fig. 3 of arXiv:2404.06982: m = 225 MeV, g = 0.03."""
    model, mass, coupling = load_model("lmutau-vanilla"), 0.225, 0.03
    centre = float(resonance_energy(mass))
    steps = np.geomspace(1e-7, 1, 300)
    near = centre * (1 + np.concatenate((-0.5 * steps[::-1], steps)))
    rest = 82 * cross_section_at_rest(model, near, mass, coupling, channels=("nu nu",))
    energy = np.concatenate((np.linspace(20, 100, 300), np.linspace(48, 51, 200)))
    energy.sort()
    moving = cross_section_in_atom(
        model, energy, mass, coupling, atomic_electrons(82), channels=("nu nu",)
    )
    axes.semilogy(near, rest, color="black", lw=1, label="at rest")
    axes.semilogy(energy, moving, color="tab:red", lw=1, label="moving")
    axes.set(xlim=(20, 100), xlabel="$E_+$ (GeV)", ylabel="pb per atom")
    axes.set_title(r"$e^+e^-\to Z'\to\nu\bar\nu$, lead, 225 MeV")
    axes.legend(frameon=False)


def slater_profile(q: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compton profile of carbon by Slater's rules (nodeless orbitals, atomic units, 6 in all)."""
    inner, outer = 6 - 0.3, (6 - 2 * 0.85 - 3 * 0.35) / 2
    p = np.linspace(0, 60, 60001)
    step = p[1]
    total = np.zeros_like(q)
    for electrons, amplitude in (
        (2, 1 / (inner**2 + p**2) ** 2),
        (2, (3 * outer**2 - p**2) / (outer**2 + p**2) ** 3),
        (2, p / (outer**2 + p**2) ** 3),
    ):
        density = amplitude**2
        norm = np.sum(density * p**2) * step  # of 4 pi n p^2, 4 pi taken out
        inward = np.cumsum((density * p)[::-1])[::-1] * step
        total += electrons * 0.5 * np.interp(np.abs(q), p, inward) / norm
    return total


def diamond(axes: Axes) -> None:
    """Fig. 5 of arXiv:2404.06982: 17 MeV, beam of 0.5 %."""
    model, mass, coupling, spread = load_model("dark-photon-visible"), 0.017, 1e-4, 0.005
    centre = float(resonance_energy(mass))
    energy = np.linspace(0.9, 1.12, 221) * centre
    final = ("e e",)
    rest = 6 * cross_section_with_spread(model, energy, mass, coupling, spread, channels=final)
    carbon = atomic_electrons(6)
    moving = spread_beam(
        lambda e: cross_section_in_atom(model, e, mass, coupling, carbon, channels=final),
        energy,
        spread,
    )
    area = float(resonance_integral(model, mass, coupling, channels=final))

    def orbitals(e: NDArray[np.float64]) -> NDArray[np.float64]:
        k = ELECTRON_MASS * centre / e
        profile = slater_profile((1 - k / ELECTRON_MASS) / ALPHA) / (ALPHA * ELECTRON_MASS)
        return area * profile * k / e

    slater = spread_beam(orbitals, energy, spread)
    top = float(np.max(rest))
    for values, colour, name in (
        (rest, "black", "at rest"),
        (moving, "0.5", "exponential, virial"),
        (slater, "tab:green", "orbitals of Slater"),
    ):
        axes.plot(1e3 * energy, values / top, color=colour, lw=1, label=name)
        print(f"{name}: peak {np.max(values) / top:.3f} of the one at rest")
    axes.set(xlabel="$E_B$ (MeV)", ylabel="over the peak at rest", title="diamond, 17 MeV, 0.5 %")
    axes.legend(frameon=False, fontsize="small")


def targets(axes: Axes) -> None:
    """The band of the muon's moment and the thermal targets of L_mu - L_tau."""
    mass = np.geomspace(2e-3, 1, 60)
    experiment, theory = Measured(116592059e-11, 22e-11), Measured(116591810e-11, 43e-11)
    low, high = coupling_band(mass, experiment, theory)
    name = r"$(g-2)_\mu$, 2$\sigma$"
    axes.fill_between(1e3 * mass, low, high, color="tab:green", alpha=0.3, label=name)
    few = np.geomspace(3e-3, 1, 12)
    for kind, style in (("scalar", "-"), ("majorana", "--"), ("pseudo-dirac", ":")):
        model = load_model("lmutau-dark", kind=kind)
        g = [thermal_coupling(model, float(m)) for m in few]
        axes.plot(1e3 * few, g, color="black", ls=style, lw=1, label=f"{kind}, freeze-out")
    scaled = paper_coupling(load_model("lmutau-dark"), mass)
    axes.plot(1e3 * mass, scaled, color="tab:blue", lw=1, label="eq. 2.2")
    axes.set(xscale="log", yscale="log", xlabel="$m$ (MeV)", ylabel="$g$")
    axes.set_title(r"$\alpha_D$ = 0.1, $m_\chi = m/3$")
    axes.legend(frameon=False, fontsize="x-small")


# PRL 123, 121801 (2019), Fig. 3: MeV, epsilon; read off, 2 %.
PUBLISHED = np.array(
    [
        (1.0, 7.544e-6),
        (1.919, 9.638e-6),
        (6.66, 2.348e-5),
        (13.36, 4.262e-5),
        (57.19, 1.812e-4),
        (119.9, 4.328e-4),
        (247.7, 1.146e-3),
        (500.0, 3.357e-3),
        (1006.0, 1.098e-2),
    ]
)


def published(axes: Axes) -> None:
    """Dark photons of 2019, strahlung alone, and what the page's table quotes."""
    mass = np.geomspace(1e-3, 1.0, 60)
    model, dump = load_model("dark-photon"), load_dump(shashlik(), 100.0)
    shipped = SearchYields(load_search("na64e-2018"))
    curves: dict[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {}
    for shape in ("exact", "iww"):
        yields = DumpYield(dump, Acceptance(50.0, plateau=0.5), spectrum=shape)
        curves[shape] = lambda m, y=yields: 2.84e11 * y.per_epsilon2(m)
    curves["na64e-2018"] = lambda m: (
        shipped.events(model, m, 1e-5, production="strahlung").total[0] * 1e10
    )
    for (name, events), colour in zip(
        curves.items(), ("black", "tab:blue", "tab:red"), strict=True
    ):
        axes.loglog(1e3 * mass, np.sqrt(2.3026 / events(mass)), color=colour, lw=1, label=name)
        ratio = np.sqrt(2.3026 / events(PUBLISHED[:, 0] / 1e3)) / PUBLISHED[:, 1]
        print(f"ours over published, {name}:", np.round(ratio, 3))
    axes.loglog(*PUBLISHED.T, "o", color="0.4", ms=4, label="PRL 123, 121801")
    axes.set(xlabel="$m$ (MeV)", ylabel=r"$\epsilon$", title="dark photon, 2.84e11 electrons")
    axes.legend(frameon=False)


def energies(axes: Axes) -> None:
    """Missing energy per beam particle."""
    edges = np.linspace(30, 100, 71)
    for particle, style in (("electron", "-"), ("positron", "--")):
        yields = DumpYield(load_dump(shashlik(), 100.0, particle), Acceptance(30.0))
        for mass, colour in ((0.01, "tab:blue"), (0.25, "tab:red")):
            found = missing_energy(yields, load_model("lmutau-dark"), mass, 1e-3, edges)
            density = found.total / np.diff(edges) / found.strahlung.sum()
            axes.stairs(
                density, edges, color=colour, ls=style, label=f"{1e3 * mass:g} MeV, {particle}s"
            )
    axes.set(yscale="log", xlabel="missing energy (GeV)", ylabel="per GeV, over all strahlung")
    axes.set_title(r"$L_\mu - L_\tau$, dark")
    axes.legend(frameon=False)


def main() -> None:
    """Draw them."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    published(axes[0])
    energies(axes[1])
    figure.savefig(IMAGES / "yields.png", dpi=110)
    figure, axes = plt.subplots(2, 2, figsize=(10, 7.5), layout="constrained")
    for draw, where in zip((loop, lead, diamond, targets), axes.flat, strict=True):
        draw(where)
    figure.savefig(IMAGES / "darksector.png", dpi=110)


if __name__ == "__main__":
    main()
