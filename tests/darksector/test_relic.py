"""Freeze-out against closed forms, published cross sections and the papers' targets."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad, solve_ivp
from scipy.special import kn

from na64reco.constants import ALPHA
from na64reco.darksector.generic import load_model
from na64reco.darksector.models import DarkSector, LMuLTau
from na64reco.darksector.relic import (
    CM3_PER_SECOND,
    OBSERVED,
    annihilation_rate,
    freeze_out,
    paper_coupling,
    relic_abundance,
    thermal_coupling,
    yield_variable,
)
from na64reco.errors import ModelError


@pytest.mark.parametrize("mass", [10.0, 30.0, 100.0])
def test_standard_cross_section(mass: float) -> None:
    """2 to 3e-26 cm^3/s make the dark matter, for masses above 10 GeV."""
    most, least = (
        freeze_out(lambda x, r=r: np.full_like(x, r / CM3_PER_SECOND), mass, 2)
        for r in (2e-26, 3e-26)
    )
    assert least < OBSERVED < most


def test_abundance_goes_like_one_over_the_rate() -> None:
    """And twice the rate is needed if half of all pairs only annihilate (but for the start)."""
    values = [freeze_out(lambda x, r=r: np.full_like(x, r), 0.1, 2) for r in (2e-9, 4e-9)]
    assert values[0] / values[1] == pytest.approx(2, rel=0.05)
    half = freeze_out(lambda x: np.full_like(x, 8e-9), 0.1, 4, share=0.5)
    assert half == pytest.approx(values[1], rel=0.05)


@pytest.mark.parametrize(("n", "sigma", "close"), [(0, 4e-9, 0.03), (1, 1e-7, 0.08)])
def test_solution_with_constant_degrees_of_freedom(n: int, sigma: float, close: float) -> None:
    """A mass of 100 MeV freezes out at 5 MeV, where g* is 10.75 and stays.

    Y by x itself, integrated here, to 0.5 %; and the approximation of E. W. Kolb, M. S. Turner, The
    Early Universe (1990), 5.2, less good for p waves: x_f = ln a - (n + 1/2) ln ln a, with a =
    0.038 (n+1) g g*^-1/2 M m sigma_0; Omega h^2 = 1.07e9 (n+1) x_f^(n+1) / (g*^1/2 M sigma_0).
    """
    planck, mass, g, degrees = 1.2209e19, 0.1, 2, 10.75
    found = freeze_out(lambda y: sigma * y ** (-float(n)), mass, g)

    strength = np.sqrt(np.pi / 45 * degrees) * planck * mass * sigma

    def slope(x, y):
        balance = 45 * g / (4 * np.pi**4 * degrees) * x**2 * kn(2, x)
        return -strength * x ** (-2.0 - n) * (y**2 - balance**2)

    start = [45 * g / (4 * np.pi**4 * degrees) * 25 * kn(2, 5)]
    solution = solve_ivp(slope, (5, 600), start, method="Radau", rtol=1e-7, atol=1e-22)
    # then nothing but annihilation: 1/Y grows by the integral of the rate
    rest = strength * (600.0 ** (-1 - n) - 1e4 ** (-1 - n)) / (n + 1)
    left = 1 / (1 / solution.y[0, -1] + rest)
    assert found == pytest.approx(mass * left * 2891.2 / 1.05371e-5, rel=5e-3)

    a = 0.038 * (n + 1) * g / np.sqrt(degrees) * planck * mass * sigma
    x = np.log(a) - (n + 0.5) * np.log(np.log(a))
    expected = 1.07e9 * (n + 1) * x ** (n + 1) / (np.sqrt(degrees) * planck * sigma)
    assert found == pytest.approx(expected, rel=close)


@pytest.mark.parametrize("kind", ["pseudo-dirac", "scalar", "majorana"])
def test_slow_annihilation_in_closed_form(kind: str) -> None:
    """E. Izaguirre et al., Phys. Rev. Lett. 115 (2015) 251301 and arXiv:1807.01730, to electrons:
    16 pi alpha eps^2 alpha_D m_chi^2 / (m^2 - 4 m_chi^2)^2, and for p waves 8 pi/3 v^2 times the
    same (scalar, Majorana times 2 as its current is g_D / 2 and it is its own antiparticle)."""
    chi, ratio, x, alpha, epsilon = 0.05, 0.25, 3000.0, 0.05, 1e-4
    model = load_model("dark-photon", kind=kind, alpha=alpha, mass_ratio=ratio)
    mass = chi / ratio
    common = ALPHA * epsilon**2 * alpha * chi**2 / (mass**2 - 4 * chi**2) ** 2
    v2 = 6 / x
    factor = {
        "pseudo-dirac": 16 * np.pi,
        "scalar": 8 * np.pi / 3 * v2,
        "majorana": 16 * np.pi / 3 * v2 / 2 * 2,
    }[kind]
    found = annihilation_rate(model, mass, epsilon, x)
    assert found == pytest.approx(factor * common, rel=5e-3)


def test_thermal_average_by_another_integral() -> None:
    """Over the relative velocity of a Maxwell-Boltzmann gas, far from relativistic; near the pole.

    m_chi = 0.4999 m: the resonance is inside the thermal spectrum.
    """
    model = load_model("lmutau-dark", kind="pseudo-dirac", alpha=1e-3, mass_ratio=0.4999)
    mass, g, x = 0.02, 1e-3, 4000.0
    chi = 0.4999 * mass
    gamma = float(model.width(mass, g))

    def integrand(kinetic: float) -> float:
        """Kinetic energy of the pair at rest over the temperature."""
        energy = 2 * chi + kinetic * chi / x
        beta = np.sqrt(1 - (2 * chi / energy) ** 2)
        initial = 1e-3 * energy / 3 * (1 + 2 * (chi / energy) ** 2) * beta
        final = g**2 / (4 * np.pi) * energy / 3
        line = (energy**2 - mass**2) ** 2 + (mass * gamma) ** 2
        sigma = 48 * np.pi / (4 * beta**2) * initial * final / line
        return 2 / np.sqrt(np.pi) * np.sqrt(kinetic) * np.exp(-kinetic) * sigma * 2 * beta

    pole = (mass - 2 * chi) * x / chi
    width = gamma * x / chi
    cuts = [0, *(pole + n * width for n in (-30, -3, 0, 3, 30)), 40]
    cuts = sorted(c for c in cuts if 0 <= c <= 40)
    expected = sum(quad(integrand, a, b, limit=200)[0] for a, b in pairwise(cuts))
    assert annihilation_rate(model, mass, g, x) == pytest.approx(expected, rel=5e-3)


def test_targets_of_the_papers() -> None:
    """A pseudo-Dirac chi needs f = 2 of eq. 5 of arXiv:2206.03101; p waves lie 10 to 30 times
    above, beyond its f = 1-10. arXiv:2401.01708 excludes y > 6e-12 for m_chi up to 40 MeV, which is
    a part of the targets: those above it."""
    y = {}
    for kind in ("pseudo-dirac", "majorana", "scalar"):
        model = load_model("lmutau-dark", kind=kind)
        coupling = thermal_coupling(model, 0.12)
        y[kind] = float(yield_variable(model, coupling))
        assert relic_abundance(model, 0.12, coupling) == pytest.approx(OBSERVED, rel=3e-4)
    assert 1 < y["pseudo-dirac"] / (3e-15 * 40**2) < 10
    assert 6e-12 < y["pseudo-dirac"] < y["majorana"] < y["scalar"] < 1e-9
    # g at the target does not depend on alpha_D other than by y
    other = load_model("lmutau-dark", kind="pseudo-dirac", alpha=0.02)
    assert yield_variable(other, thermal_coupling(other, 0.12)) == pytest.approx(
        y["pseudo-dirac"], rel=5e-3
    )


def test_scaling_of_the_papers() -> None:
    """arXiv:2404.06982, eq. 2.2, written out."""
    model = LMuLTau(DarkSector("scalar", 0.1, 1 / 3))
    mass = np.array([0.003, 0.3])
    g = paper_coupling(model, mass)
    left = 4 * np.pi * 0.1 * g**2 / 81
    np.testing.assert_allclose(left, 3e-15 * (mass / 3 * 1e3) ** 2, rtol=1e-12)
    np.testing.assert_allclose(left, yield_variable(model, g), rtol=1e-12)
    np.testing.assert_allclose(paper_coupling(model, mass, factor=4.0), 2 * g)


def test_unphysical_input() -> None:
    with pytest.raises(ModelError, match="no dark sector"):
        relic_abundance(load_model("lmutau-vanilla"), 0.1, 1e-3)
    with pytest.raises(ModelError, match=r"m_chi = 1.2 m is not below m"):
        relic_abundance(load_model("lmutau-dark", mass_ratio=1.2), 0.1, 1e-3)
    with pytest.raises(ModelError, match="outside 1 to 10"):
        paper_coupling(load_model("lmutau-dark"), 0.1, factor=20)
    with pytest.raises(ModelError, match=r"m_chi = 2.5 GeV is above 2 GeV"):
        relic_abundance(load_model("lmutau-dark"), 7.5, 1e-3)
    assert relic_abundance(load_model("lmutau-dark"), 5.7, 1e-3) > 0
    with pytest.raises(ModelError, match="mass must be positive"):
        thermal_coupling(load_model("lmutau-dark"), -0.1)
    with pytest.raises(ModelError, match="no coupling between"):
        thermal_coupling(load_model("lmutau-dark", alpha=1e-12), 0.1, target=1e-6)
