"""Widths and branching ratios against the papers' formulas and their limits."""

from __future__ import annotations

import numpy as np
import pytest

from na64reco.constants import ALPHA, ELECTRON_MASS, MUON_MASS, TAU_MASS
from na64reco.darksector.generic import load_model, model_names
from na64reco.darksector.hadrons import baryonic_ratio, electromagnetic_ratio
from na64reco.darksector.models import BMinusL, DarkPhoton, DarkSector, LMuLTau
from na64reco.darksector.widths import chi_width, fermion_width, neutrino_width
from na64reco.errors import ModelError

MASSES = np.array([0.002, 0.05, 0.2112, 0.2114, 0.5, 0.775, 1.5, 3.5, 3.6, 5.0])


@pytest.mark.parametrize("name", model_names())
def test_branching_ratios_sum_to_one(name: str) -> None:
    ratios = load_model(name).branching_ratios(MASSES, 1e-3)
    np.testing.assert_allclose(sum(ratios.values()), 1.0, rtol=1e-14)
    assert all(np.all((r >= 0) & (r <= 1)) for r in ratios.values())


def test_lmutau_widths_of_the_paper() -> None:
    """arXiv:2206.03101v2, eq. 7-9, written out."""
    m, g, alpha = 0.5, 2e-3, 0.1
    widths = LMuLTau(DarkSector("scalar", alpha, 1 / 3)).widths(m, g)
    az = g**2 / (4 * np.pi)
    r = MUON_MASS / m
    assert widths["nu nu"] == pytest.approx(az * m / 3, rel=1e-12)
    muons = az * m / 3 * (1 + 2 * r**2) * np.sqrt(1 - 4 * r**2)
    assert widths["mu mu"] == pytest.approx(muons, rel=1e-12)
    assert widths["chi chi"] == pytest.approx(alpha * m / 12 * (5 / 9) ** 1.5, rel=1e-12)
    assert widths["tau tau"] == 0


def _phase_space(squared: float, m: float, particle: float) -> float:
    """Two-body width of a spin-averaged |M|^2 that does not depend on the angle."""
    momentum = np.sqrt(m**2 / 4 - particle**2)
    return momentum / (8 * np.pi * m**2) * squared


def test_widths_from_amplitudes() -> None:
    """|M|^2 of textbooks, averaged over three polarisations, times the phase space."""
    m, x, alpha = 0.6, 0.2, 0.3
    g2 = 4 * np.pi * alpha
    dirac = 4 / 3 * g2 * (m**2 + 2 * x**2)
    scalar = g2 / 3 * (m**2 - 4 * x**2)
    # (g/2) chibar gamma^mu gamma^5 chi: vertex g gamma^mu gamma^5, half the phase space
    majorana = 0.5 * 4 / 3 * g2 * (m**2 - 4 * x**2)
    assert chi_width("pseudo-dirac", m, x, alpha) == pytest.approx(_phase_space(dirac, m, x))
    assert chi_width("scalar", m, x, alpha) == pytest.approx(_phase_space(scalar, m, x))
    assert chi_width("majorana", m, x, alpha) == pytest.approx(_phase_space(majorana, m, x))
    assert fermion_width(m, x, np.sqrt(g2)) == pytest.approx(_phase_space(dirac, m, x))
    massless = 0.5 * _phase_space(4 / 3 * g2 * m**2, m, 0.0)
    assert neutrino_width(m, np.sqrt(g2)) == pytest.approx(massless)


def test_thresholds() -> None:
    m = 2 * MUON_MASS * (1 + np.array([-1e-9, 0.0, 1e-8, 2e-8, 4e-8]))
    widths = LMuLTau().widths(m, 1.0)["mu mu"]
    np.testing.assert_array_equal(widths[:2], 0)
    # (1 + 1/2) sqrt(2 delta), s wave
    expected = 1 / (4 * np.pi) * m[2:] / 3 * 1.5 * np.sqrt(2 * np.array([1e-8, 2e-8, 4e-8]))
    np.testing.assert_allclose(widths[2:], expected, rtol=1e-6)
    tau = LMuLTau().widths(2 * TAU_MASS * np.array([0.999, 1.001]), 1.0)["tau tau"]
    assert tau[0] == 0
    assert tau[1] > 0
    near = DarkSector("scalar", 0.1, 0.5 * (1 - 1e-8))
    assert LMuLTau(near).widths(0.1, 1e-4)["chi chi"] == pytest.approx(
        0.1 * 0.1 / 12 * (2e-8) ** 1.5, rel=1e-6
    )
    for ratio in (0.5, 0.6):
        closed = LMuLTau(DarkSector("scalar", 0.1, ratio))
        assert closed.widths(0.1, 1e-4)["chi chi"] == 0


@pytest.mark.parametrize("kind", ["scalar", "pseudo-dirac", "majorana"])
def test_the_dark_sector_decouples(kind: str) -> None:
    alphas = (0.1, 1e-6, 1e-12, 0.0)
    shares = [
        float(load_model("lmutau-dark", kind=kind, alpha=a).branching_ratios(0.1, 1e-3)["chi chi"])
        for a in alphas
    ]
    assert shares[0] > 0.99
    assert shares[2] < 1e-4
    assert shares == sorted(shares, reverse=True)
    bare, none = load_model("lmutau-dark", alpha=0.0), load_model("lmutau-vanilla")
    assert bare.width(0.1, 1e-3) == none.width(0.1, 1e-3)


def test_far_below_the_muon_the_loop_is_a_kinetic_mixing() -> None:
    """arXiv:2404.06982: epsilon = 0.0144 g."""
    g = 1e-3
    z, photon = LMuLTau(), DarkPhoton()
    epsilon = np.sqrt(z.epsilon2(0.0, g, 1e-3))
    assert epsilon == pytest.approx(0.0144 * g, rel=3e-3)
    assert z.widths(2e-3, g)["e e"] == pytest.approx(photon.widths(2e-3, epsilon)["e e"], rel=1e-4)
    # At high q2 the loop decouples: Pi -> 0.
    size = np.sqrt(z.epsilon2(np.array([0.05, 10.0, 1e3, 1e6]), g, 0.1))
    assert np.all(np.diff(size) < 0)
    assert size[-1] < 1e-4 * size[0]
    assert z.epsilon2(0.01, g, 0.1, lepton="muon") == pytest.approx(g**2 / (4 * np.pi * ALPHA))


def test_dark_photon_to_electrons() -> None:
    """alpha epsilon^2 m/3 (1 + 2 r^2) sqrt(1 - 4 r^2), e.g. eq. 4 of arXiv:1604.08432."""
    m, epsilon = 0.0167, 1e-3
    r2 = (ELECTRON_MASS / m) ** 2
    expected = ALPHA * epsilon**2 * m / 3 * (1 + 2 * r2) * np.sqrt(1 - 4 * r2)
    assert DarkPhoton().width(m, epsilon) == pytest.approx(expected, rel=1e-12)


def test_b_minus_l_below_the_muon() -> None:
    """Three light neutrinos of half a Dirac width each: 3/5 of the decays (PDG-like counting)."""
    ratios = BMinusL().branching_ratios(0.1, 1e-4)
    assert ratios["nu nu"] == pytest.approx(0.6, abs=1e-4)
    assert ratios["e e"] == pytest.approx(0.4, abs=1e-4)


def test_hadrons_against_measured_peaks() -> None:
    """Cross sections of e+ e- at the rho (1.3 ub), omega -> hadrons (1.7 ub), phi (4.2 ub)."""
    point = 86.85e-3  # ub GeV^2: 4 pi alpha^2 / 3
    m = np.array([0.775, 1.0195])
    measured = electromagnetic_ratio(m) * point / m**2
    assert measured[0] == pytest.approx(1.3, rel=0.1)
    assert measured[1] == pytest.approx(4.2, rel=0.15)
    assert electromagnetic_ratio(0.2791) == 0
    assert electromagnetic_ratio(2.0) == 2
    assert baryonic_ratio(0.40) == 0


def test_a_stable_boson_has_no_branching_ratios() -> None:
    with pytest.raises(
        ModelError, match=r"dark-photon of mass 0.0005 GeV has no open decay.*0.0010"
    ):
        DarkPhoton().branching_ratios([0.1, 0.0005], 1e-3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: load_model("lmutau-vanila"), "Did you mean 'lmutau-vanilla'"),
        (lambda: load_model("lmutau-vanilla", alpha=0.1), "choose 'lmutau-dark'"),
        (lambda: load_model("lmutau-dark", kind="pseudodirac"), "Did you mean 'pseudo-dirac'"),
        (lambda: load_model("lmutau-dark", alpha=-0.1), r"alpha_D = -0.1 is outside \[0, 1\]"),
        (lambda: load_model("lmutau-dark", alpha=float("nan")), "alpha_D = nan"),
        (lambda: load_model("lmutau-dark", mass_ratio=0.0), "mass_ratio must be positive"),
        (lambda: DarkSector(mass_ratio=0.5).require_on_shell(), "choose mass_ratio < 0.5"),
        (lambda: LMuLTau().width([0.1, -0.2], 1e-3), "mass must be positive.*found -0.2"),
        (lambda: LMuLTau().width(0.1, np.nan), "coupling must be positive.*found nan"),
        (lambda: DarkPhoton().width(20.0, 1e-3), "20 GeV is above 10 GeV"),
    ],
)
def test_unphysical_input(call, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        call()
