"""Resonant annihilation against the papers' formulas, closed forms and sampling."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad

from na64reco.constants import ALPHA, ELECTRON_MASS, MUON_MASS
from na64reco.darksector.annihilation import (
    GEV2_PICOBARN,
    cross_section,
    cross_section_at_rest,
    cross_section_in_atom,
    cross_section_with_spread,
    resonance_energy,
    resonance_integral,
    spread_beam,
)
from na64reco.darksector.atomic_motion import atomic_electrons
from na64reco.darksector.generic import load_model
from na64reco.darksector.loop import loop_coupling
from na64reco.darksector.models import DarkPhoton, DarkSector, LMuLTau
from na64reco.darksector.quadrature import panel_nodes
from na64reco.errors import ModelError

VANILLA = LMuLTau()


def test_formulas_of_the_paper() -> None:
    """arXiv:2206.03101v2, A.3 (with the factor s) and A.4; electrons massless to 1e-5."""
    m, g, alpha = 0.25, 1e-3, 0.1
    dark = LMuLTau(DarkSector("scalar", alpha, 1 / 3))
    s = np.array([0.05, 0.0625, 0.07, 0.2])
    pi2 = np.abs(loop_coupling(s, coupling=g)) ** 2
    below = (s - m**2) ** 2 + (m * dark.width(m, g)) ** 2
    velocity = np.sqrt(np.maximum(1 - 4 * (m / 3) ** 2 / s, 0))
    scalars = np.pi * ALPHA * alpha / 3 * pi2 * s * velocity**3 / below
    found = cross_section(dark, s / m**2 - 1, m, g, channels=("chi chi",))
    np.testing.assert_allclose(found, scalars * GEV2_PICOBARN, rtol=1e-4)
    below = (s - m**2) ** 2 + (m * VANILLA.width(m, g)) ** 2
    neutrinos = 4 * np.pi * ALPHA / 3 * g**2 / (4 * np.pi) * pi2 * s / below
    found = cross_section(VANILLA, s / m**2 - 1, m, g, channels=("nu nu",))
    np.testing.assert_allclose(found, neutrinos * GEV2_PICOBARN, rtol=1e-4)
    ratio = cross_section(VANILLA, 0.3, m, g, channels=("mu mu",)) / cross_section(
        VANILLA, 0.3, m, g, channels=("nu nu",)
    )
    r = MUON_MASS**2 / (1.3 * m**2)
    assert ratio == pytest.approx((1 + 2 * r) * np.sqrt(1 - 4 * r))


def test_unitarity_at_the_peak() -> None:
    """sigma = 12 pi / m^2 B_ee B_F (4 m^2 / (m^2 - 4 m_e^2)): no coupling left in it."""
    model = DarkPhoton()
    m = 0.05
    ratios = model.branching_ratios(m, 1e-4)
    peak = cross_section(model, 0.0, m, 1e-4, channels=("e e",))
    expected = 12 * np.pi / (m**2 - 4 * ELECTRON_MASS**2) * ratios["e e"] ** 2 * GEV2_PICOBARN
    assert peak == pytest.approx(expected, rel=1e-12)


def test_area_of_a_narrow_resonance() -> None:
    """Against quadrature in the energy; and 2 pi^2 alpha eps^2 / m_e B, massless electrons."""
    m, epsilon = 0.2, 0.05
    model = DarkPhoton(DarkSector("scalar", 0.01, 1 / 3))
    centre = float(resonance_energy(m))
    half = float(model.width(m, epsilon)) * m / (2 * ELECTRON_MASS)

    def sigma(energy: float) -> float:
        return float(cross_section_at_rest(model, energy, m, epsilon, channels=("chi chi",)))

    cuts = [centre + n * half for n in (-300, -30, -3, 0, 3, 30, 300)]
    area = sum(quad(sigma, a, b)[0] for a, b in pairwise(cuts))
    area /= 1 - 2 / np.pi / 300  # the tails of a Lorentzian
    found = resonance_integral(model, m, epsilon, channels=("chi chi",))
    assert found == pytest.approx(area, rel=2e-4)
    share = model.branching_ratios(m, epsilon)["chi chi"]
    closed = 2 * np.pi**2 * ALPHA * epsilon**2 / ELECTRON_MASS * share * GEV2_PICOBARN
    assert found == pytest.approx(closed, rel=2e-4)


def _area(mass: float, coupling: float, z: int, channels: tuple[str, ...]) -> float:
    """Integral over the positron's energy of the cross section in an atom, per electron."""
    atom = atomic_electrons(z)
    side = np.geomspace(1e-4, atom.largest_w, 24)
    w, weights = panel_nodes(np.concatenate((-side[::-1], [0.0], side)))
    energy = resonance_energy(mass) * np.exp(w)
    sigma = cross_section_in_atom(VANILLA, energy, mass, coupling, atom, channels=channels)
    return float(np.sum(weights * energy * sigma)) / z


@pytest.mark.parametrize("coupling", [2e-7, 1e-4, 0.03])
@pytest.mark.parametrize("z", [6, 82])
def test_motion_keeps_the_area(coupling: float, z: int) -> None:
    """Relative widths of 1.6e-15, 4e-10 and 3.6e-5: to 1e-3 (arXiv:2404.06982, Fig. 3)."""
    expected = float(resonance_integral(VANILLA, 0.225, coupling))
    assert _area(0.225, coupling, z, ("nu nu", "chi chi")) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("alpha", [1e-14, 1e-6, 1e-3, 0.05, 0.3])
def test_against_direct_integration_for_any_width(alpha: float) -> None:
    """Relative widths of 1e-15 to 1e-2: eq. 5.2 with its arctangent over z, energies summed."""
    model = load_model("dark-photon", alpha=alpha, mass_ratio=1e-3)  # A grows like s
    mass, epsilon, atom = 0.2, 1e-9, atomic_electrons(29)
    gamma = float(model.width(mass, epsilon)) / mass
    energies = np.array([0.9, 0.97, 0.999, 1.01, 1.2]) * float(resonance_energy(mass))
    found = cross_section_in_atom(model, energies, mass, epsilon, atom, channels=("chi chi",))
    expected = np.zeros(5)
    top = float(cross_section(model, 0.0, mass, epsilon, channels=("chi chi",))) * gamma**2
    for shell in atom.shells:
        edges = np.concatenate(([0.0], np.geomspace(1e-14, 60 * shell.binding, 2000)))
        kinetic, weights = panel_nodes(edges)
        weights = weights * np.exp(-kinetic / shell.binding) / shell.binding
        energy = ELECTRON_MASS + kinetic
        momentum = np.sqrt(kinetic * (kinetic + 2 * ELECTRON_MASS))
        for i, positron in enumerate(energies):
            centre = (2 * ELECTRON_MASS**2 + 2 * positron * energy) / mass**2 - 1
            half = 2 * positron * momentum / mass**2
            mean = np.arctan((centre + half) / gamma) - np.arctan((centre - half) / gamma)
            mean = mean / (2 * half * gamma)
            smooth = positron / float(resonance_energy(mass))  # A(E_+)
            expected[i] += shell.electrons * smooth * float(np.sum(weights * mean)) * top
    np.testing.assert_allclose(found, expected, rtol=5e-4)


def test_peak_falls_by_orders_of_magnitude() -> None:
    """Lead, m = 225 MeV (Fig. 3 of arXiv:2404.06982): 200 times at g = 0.03, 1e7 at 1e-4."""
    atom, mass = atomic_electrons(82), 0.225
    energy = np.linspace(48, 51, 601)
    for coupling, least in ((0.03, 1e2), (1e-4, 1e7)):
        rest = 82 * float(cross_section(VANILLA, 0.0, mass, coupling))
        moving = cross_section_in_atom(VANILLA, energy, mass, coupling, atom)
        assert rest / np.max(moving) > least
        centre = float(resonance_energy(mass))
        assert energy[int(np.argmax(moving))] == pytest.approx(centre, rel=2e-3)
        narrow = 2 * float(VANILLA.width(mass, coupling)) / mass * centre
        assert np.ptp(energy[moving > np.max(moving) / 2]) > 50 * narrow


def test_diamond_with_a_beam_of_half_a_percent() -> None:
    """Fig. 5 of arXiv:2404.06982: 17 MeV. At rest the peak is that of a Gaussian."""
    mass, coupling, spread = 0.017, 1e-4, 0.005
    model = load_model("electrophilic")
    centre = float(resonance_energy(mass))
    assert centre == pytest.approx(0.2823, rel=1e-3)
    rest = 6 * float(cross_section_with_spread(model, centre, mass, coupling, spread))
    area = 6 * float(resonance_integral(model, mass, coupling))
    assert model.width(mass, coupling) / mass > 1e-3  # of alpha_D = 0.1: a Voigt profile
    assert 0.5 < rest / (area / (np.sqrt(2 * np.pi) * spread * centre)) < 1
    carbon = atomic_electrons(6)

    def sigma(energy):
        return cross_section_in_atom(model, energy, mass, coupling, carbon)

    moving = float(spread_beam(sigma, centre, spread))
    assert 0.2 < moving / rest < 0.9


def test_vectorised_in_mass_energy_and_coupling() -> None:
    atom, model = atomic_electrons(82), LMuLTau(DarkSector("majorana", 0.1, 1 / 3))
    energy, mass = np.array([45.0, 60.0, 80.0]), np.array([[0.15], [0.2301]])
    coupling = np.array([[1e-4], [3e-4]])
    found = cross_section_in_atom(model, energy, mass, coupling, atom)
    assert found.shape == (2, 3)
    for i in range(2):
        for j in range(3):
            single = cross_section_in_atom(
                model, energy[j], float(mass[i, 0]), float(coupling[i, 0]), atom
            )
            assert found[i, j] == pytest.approx(float(single), rel=1e-10)
    spread = cross_section_with_spread(model, energy, mass, coupling, 0.01)
    one = cross_section_with_spread(model, 60.0, 0.2301, 3e-4, 0.01)
    assert spread[1, 1] == pytest.approx(float(one), rel=1e-12)


def _slater_profile(q: np.ndarray) -> np.ndarray:
    """Compton profile of carbon (6 electrons, atomic units) from Slater's rules."""
    inner, outer = 6 - 0.3, (6 - 2 * 0.85 - 3 * 0.35) / 2
    p = np.linspace(0, 60, 60_001)
    total = np.zeros_like(q)
    for amplitude in (
        1 / (inner**2 + p**2) ** 2,
        (3 * outer**2 - p**2) / (outer**2 + p**2) ** 3,
        p / (outer**2 + p**2) ** 3,
    ):
        beyond = np.cumsum((amplitude**2 * p)[::-1])[::-1]
        total += np.interp(np.abs(q), p, beyond) / np.sum((amplitude * p) ** 2)
    return total


def test_diamond_against_orbitals() -> None:
    """The exponential of the virial theorem against profiles that know no binding energy.

    They differ by 14 % at the peak, for a beam of 0.5 %; areas are the same.
    """
    mass, coupling, spread = 0.017, 1e-4, 0.005
    model, channels, carbon = DarkPhoton(), ("e e",), atomic_electrons(6)
    centre = float(resonance_energy(mass))
    area = float(resonance_integral(model, mass, coupling, channels=channels))

    def orbitals(energy):
        k = centre / energy  # of m_e: p_z = m_e - k
        return area * _slater_profile((1 - k) / ALPHA) / ALPHA * k / energy

    def virial(energy):
        return cross_section_in_atom(model, energy, mass, coupling, carbon, channels=channels)

    around = centre * np.linspace(0.9, 1.1, 201)
    found, expected = (spread_beam(f, around, spread) for f in (virial, orbitals))
    assert np.sum(found) == pytest.approx(np.sum(expected), rel=0.03)
    assert np.max(found) == pytest.approx(np.max(expected), rel=0.16)
    assert around[int(np.argmax(found))] == pytest.approx(centre, rel=2e-3)


def test_spreading_a_straight_line_changes_nothing() -> None:
    found = spread_beam(lambda e: 3 + 2 * e, np.array([1.0, 5.0]), 0.05)
    np.testing.assert_allclose(found, [5.0, 13.0], rtol=1e-8)
    square = spread_beam(lambda e: e**2, 2.0, 0.1)
    assert square == pytest.approx(4 * 1.01, rel=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cross_section(VANILLA, 0.0, 0.001, 1e-4), "0.001 GeV is not above two electrons"),
        (
            lambda: cross_section(VANILLA, 0.0, 0.1, 1e-4, channels=("nunu",)),
            "Did you mean 'nu nu'",
        ),
        (lambda: cross_section(VANILLA, 0.0, 0.1, 1e-4, channels=()), "No channel was given"),
        (lambda: cross_section_at_rest(VANILLA, -1.0, 0.1, 1e-4), "energy must be positive"),
        (lambda: spread_beam(np.abs, 1.0, 0.2), "spread of 0.2 is not below 0.15"),
        (lambda: cross_section(VANILLA, [0.0, np.nan], 0.1, 1e-4), "must be finite, found nan"),
    ],
)
def test_unphysical_input(call, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        call()
