"""Cross sections against closed forms and each other."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import brentq

from na64reco.cascade import Stack
from na64reco.cascade.collisions import (
    annihilation_shape,
    annihilation_total,
    bhabha_shape,
    bhabha_total,
    compton_total,
    moller_shape,
    moller_total,
    restricted_loss,
)
from na64reco.cascade.radiation import (
    ALPHA_RE2,
    CLASSICAL_RADIUS,
    brems_shape,
    coulomb_correction,
    electron_share,
    lpm_brems,
    lpm_energy,
    lpm_pair,
    pair_shape,
)
from na64reco.cascade.sampling import (
    sample_annihilation,
    sample_bhabha,
    sample_brems,
    sample_compton,
    sample_moller,
    sample_pair,
)
from na64reco.cascade.tables import make_tables
from na64reco.constants import ELECTRON_MASS as M
from na64reco.materials import MATERIALS

AVOGADRO = 6.02214076e23


@pytest.mark.parametrize("name", MATERIALS)
def test_density_effect_constant_is_that_of_the_plasma_energy(name: str) -> None:
    # C-bar = 2 ln(I / plasma energy) + 1 with 28.816 eV sqrt(density Z/A) (PDG 2024, eq. 34.6).
    material = MATERIALS[name]
    plasma = 28.816 * math.sqrt(material.density * material.z_over_a)
    expected = 2 * math.log(material.excitation / plasma) + 1
    assert material.sternheimer[0] == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize(("name", "z"), [("lead", 82), ("iron", 26), ("tungsten", 74)])
def test_radiation_loss_gives_the_tabulated_radiation_length(name: str, z: int) -> None:
    # Complete screening: loss / E = (1 + b) / X0 with b = (Z + 1) / (9 ...) about 1.6 % (PDG 34.29
    # leaves b out).
    material = MATERIALS[name]
    energy, c = 1e4, coulomb_correction(z)
    atoms = AVOGADRO / material.composition[0][0].a
    strength = atoms * ALPHA_RE2 * z * (z + electron_share(z))
    integral = quad(lambda y: brems_shape(y, energy, float(z), c), 1e-9, 1 - 1e-6, limit=400)[0]
    b = (1 / 18) / (math.log(184.15 * z ** (-1 / 3)) - c)
    assert strength * integral == pytest.approx((1 + b) / material.radiation_length, rel=0.005)


def test_pair_production_tends_to_seven_ninths() -> None:
    z, energy = 82, 1e4
    c = coulomb_correction(z)
    strength = AVOGADRO / 207.2 * ALPHA_RE2 * z * (z + electron_share(z))
    integral = quad(lambda x: pair_shape(x, energy, float(z), c), 1e-7, 1 - 1e-7, limit=400)[0]
    b = (1 / 42) / (math.log(184.15 * z ** (-1 / 3)) - c)
    expected = 7 / 9 / MATERIALS["lead"].radiation_length * (1 - b)
    assert strength * integral == pytest.approx(expected, rel=0.005)


@pytest.mark.parametrize(
    ("name", "energies", "attenuation", "within"),
    [
        (
            "lead",
            (1, 5, 6, 8, 10, 15, 20),
            (0.07102, 0.04272, 0.04391, 0.04675, 0.04972, 0.05658, 0.06206),
            0.04,
        ),
        ("copper", (6, 8, 10, 15, 20), (0.03108, 0.03074, 0.03103, 0.03247, 0.03408), 0.015),
        ("aluminium", (6, 8, 10, 15, 20), (0.02655, 0.02437, 0.02318, 0.02195, 0.02168), 0.02),
    ],
)
def test_attenuation_of_photons_is_the_tabulated_one(
    name: str, energies: tuple[float, ...], attenuation: tuple[float, ...], within: float
) -> None:
    # J. H. Hubbell, S. M. Seltzer, NISTIR 5632 (1995), table 3: mu / rho, cm^2/g, against MeV. For
    # lead the Coulomb correction at low energies was adjusted to these numbers; Rayleigh scattering
    # (4 % at 1 MeV) is left out.
    material = MATERIALS[name]
    tables = make_tables(Stack.sandwich([(name, 1.0)]), cut=0.001, most=1.0, lpm=False)
    grid = np.exp(tables.log_first + np.arange(tables.pair.shape[1]) / tables.per_log)
    total = (tables.pair[0] + tables.compton[0] + tables.photo[0]) / material.density
    found = np.interp(np.array(energies) * 1e-3, grid, total)
    np.testing.assert_allclose(found, attenuation, rtol=within)


def test_collision_totals_are_the_integrals_of_their_shapes() -> None:
    for kinetic in (0.01, 1.0, 50.0):
        cut = 0.001
        gamma = 1 + kinetic / M
        beta2 = 1 - 1 / gamma**2
        two = 2 * math.pi * CLASSICAL_RADIUS**2
        low = math.log(cut / kinetic)

        def over_log(shape, high: float, kinetic: float = kinetic, low: float = low) -> float:
            return quad(
                lambda u: math.exp(u) * shape(math.exp(u), kinetic), low, math.log(high), limit=300
            )[0]

        moller = two / (beta2 * (gamma - 1)) * over_log(moller_shape, 0.5)
        bhabha = two / (gamma - 1) * over_log(bhabha_shape, 1.0)
        assert moller_total(kinetic, cut) == pytest.approx(moller, rel=1e-6)
        assert bhabha_total(kinetic, cut) == pytest.approx(bhabha, rel=1e-6)


@pytest.mark.parametrize("positron", [False, True])
def test_restricted_loss_grows_by_what_the_cut_takes_in(*, positron: bool) -> None:
    lead, kinetic = MATERIALS["lead"], 2.0
    gamma = 1 + kinetic / M
    beta2 = 1 - 1 / gamma**2
    two = 2 * math.pi * CLASSICAL_RADIUS**2
    factor = two / (gamma - 1) if positron else two / (beta2 * (gamma - 1))
    shape = bhabha_shape if positron else moller_shape
    low, high = 0.001, 0.1
    between = quad(lambda e: e * shape(e, kinetic), low / kinetic, high / kinetic, limit=300)[0]
    electrons = AVOGADRO * lead.z_over_a * lead.density
    gained = restricted_loss(kinetic, high, lead, positron=positron)
    gained -= restricted_loss(kinetic, low, lead, positron=positron)
    assert gained == pytest.approx(electrons * factor * between * kinetic, rel=2e-3)


@pytest.mark.parametrize(
    ("name", "critical"),
    [
        ("lead", 7.43),
        ("tungsten", 7.97),
        ("copper", 19.42),
        ("iron", 21.68),
        ("polystyrene", 93.11),
    ],
)
def test_critical_energy_is_the_tabulated_one(name: str, critical: float) -> None:
    # Rossi's definition: collision loss in one radiation length = kinetic energy; MeV, for
    # electrons, from PDG 2024, atomic and nuclear properties.
    material = MATERIALS[name]
    length = material.radiation_length / material.density

    def excess(kinetic: float) -> float:
        return restricted_loss(kinetic, kinetic, material, positron=False) * length - kinetic

    assert brentq(excess, 1e-3, 1.0) * 1e3 == pytest.approx(critical, rel=1e-3)


def test_compton_and_annihilation_limits() -> None:
    thomson = 8 * math.pi / 3 * CLASSICAL_RADIUS**2
    assert compton_total(1e-9) == pytest.approx(thomson, rel=1e-3)
    k = 1e4  # in m_e
    expected = math.pi * CLASSICAL_RADIUS**2 / k * (math.log(2 * k) + 0.5)
    assert compton_total(k * M) == pytest.approx(expected, rel=1e-3)
    gamma = 1e5
    expected = math.pi * CLASSICAL_RADIUS**2 / gamma * (math.log(2 * gamma) - 1)
    assert annihilation_total(gamma * M) == pytest.approx(expected, rel=1e-3)


def _ks(sample: np.ndarray, cdf: np.ndarray, grid: np.ndarray) -> float:
    """Distance between a sample and a tabulated distribution, in units of the 1 % limit."""
    found = np.sort(sample)
    expected = np.interp(found, grid, cdf)
    steps = np.arange(1, len(found) + 1) / len(found)
    distance = np.max(np.abs(steps - expected))
    return float(distance * math.sqrt(len(found)) / 1.63)


def _cdf(density: np.ndarray, grid: np.ndarray) -> np.ndarray:
    steps = 0.5 * (density[1:] + density[:-1]) * np.diff(grid)
    total = np.concatenate(([0.0], np.cumsum(steps)))
    return total / total[-1]


def test_samplers_follow_their_cross_sections() -> None:
    rng = np.random.default_rng(3)
    n, z, c = 20000, 82.0, coulomb_correction(82)
    photons = np.array([sample_brems(rng, 1.0, 0.01, z, c, np.inf) for _ in range(n)])
    grid = np.geomspace(0.01, 1.0, 4000)
    density = np.array([brems_shape(k / (1 + M), 1 + M, z, c) / k for k in grid])
    assert _ks(photons, _cdf(density, grid), grid) < 1

    positrons = np.array([sample_pair(rng, 1.0, z, c, np.inf) for _ in range(n)])
    grid = np.linspace(M, 1 - M, 4000)
    density = np.array([pair_shape(x, 1.0, z, c) for x in grid])
    assert _ks(positrons, _cdf(density, grid), grid) < 1

    for sampler, shape, high in (
        (sample_moller, moller_shape, 0.5),
        (sample_bhabha, bhabha_shape, 1.0),
    ):
        knocked = np.array([sampler(rng, 1.0, 0.01) for _ in range(n)])
        grid = np.geomspace(0.01, high, 4000)
        density = np.array([shape(e, 1.0) for e in grid])
        assert _ks(knocked, _cdf(density, grid), grid) < 1

    total = 0.05 + 2 * M
    shares = np.array([sample_annihilation(rng, 0.05) for _ in range(n)]) / total
    gamma = 1 + 0.05 / M
    root = math.sqrt((gamma - 1) / (gamma + 1))
    grid = np.geomspace(0.5 * (1 - root), 0.5 * (1 + root), 4000)
    density = np.array([annihilation_shape(e, 0.05) / e for e in grid])
    assert _ks(shares, _cdf(density, grid), grid) < 1

    energy = 0.005
    left = np.array([sample_compton(rng, energy) for _ in range(n)])
    grid = np.linspace(energy / (1 + 2 * energy / M), energy, 4000)
    p = grid / energy
    cosine = 1 - M * (1 / grid - 1 / energy)
    assert _ks(left, _cdf(p + 1 / p - (1 - cosine**2), grid), grid) < 1


def test_lpm_effect_is_where_it_is_known_to_be() -> None:
    # Lead: 4.3 TeV (S. Klein, Rev. Mod. Phys. 71 (1999) 1501, table I); photons below
    # E^2 / E_LPM are suppressed like sqrt(k), and nothing else.
    length = MATERIALS["lead"].radiation_length / MATERIALS["lead"].density
    scale = lpm_energy(length)
    assert scale == pytest.approx(4300, rel=0.02)
    assert lpm_brems(0.5, 100.0, 82.0, scale) > 0.97
    low, lower = lpm_brems(1e-5, 100.0, 82.0, scale), lpm_brems(1e-5 / 4, 100.0, 82.0, scale)
    assert low < 0.15
    assert low / lower == pytest.approx(2.0, rel=0.1)
    assert lpm_pair(0.5, 100.0, 82.0, scale) > 0.97
    assert lpm_pair(0.5, 1e5, 82.0, scale) < 0.6


def test_tables_reach_from_cut_to_beam() -> None:
    tables = make_tables(Stack.sandwich([("lead", 1.0)]), cut=0.01, most=100.0, lpm=True)
    grid = np.exp(tables.log_first + np.arange(tables.brems.shape[1]) / tables.per_log)
    assert grid[0] <= 2.0001e-4
    assert grid[-1] >= 100
    i = np.searchsorted(grid, 10.0)
    # Photons of 10 MeV to 10 GeV: about 4/3 ln(1000) - 4/3 + 1/2 per radiation length.
    number = tables.brems[0, i] * tables.radiation_length[0]
    assert number == pytest.approx(4 / 3 * math.log(grid[i] / 0.01) - 5 / 6, rel=0.06)
