"""The integrals, against other variables, closed forms and published tables."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import qmc

from na64reco.constants import ALPHA, ELECTRON_MASS, MUON_MASS
from na64reco.darksector.form_factors import CARBON, LEAD, Nucleus
from na64reco.darksector.strahlung import (
    PICOBARN,
    angular_spectrum,
    cross_section,
    k_factor,
    leading_log,
    spectrum,
    x_range,
)
from na64reco.errors import ModelError

# e- Pb -> e- Pb A', pb at epsilon = 1e-4, exact tree level: arXiv:2101.12192 and its program,
# mass in GeV: {energy in GeV: pb}.
PUBLISHED = {
    0.004: {20: 34511.0, 100: 35071.7, 160: 35132.9},
    0.008: {20: 11644.0, 100: 12160.6, 160: 12220.1},
    0.020: {20: 2253.41, 100: 2620.75, 160: 2671.91},
    0.060: {20: 212.045, 100: 321.055, 160: 347.289},
    0.100: {20: 61.7703, 100: 106.04, 160: 119.076},
    0.300: {20: 2.89845, 100: 7.37425, 160: 8.98125},
    0.500: {20: 0.496444, 100: 1.79844, 160: 2.32613},
    0.900: {20: 0.0348218, 100: 0.279257, 160: 0.407346},
}
PUBLISHED_HEAVY = {
    1.5: {20: 0.00116353, 100: 0.0378455, 160: 0.0672394},
    2.9: {20: 2.42396e-06, 100: 0.00091664, 160: 0.0028501},
}
# Below 2 MeV, x > 0.01: the same for all energies.
PUBLISHED_LIGHT = {
    1e-6: 3239770.0,
    2e-5: 2368350.0,
    1e-4: 1267550.0,
    4e-4: 513806.0,
    8e-4: 268283.0,
    1e-3: 212418.0,
}
# IWW over exact tree level, ibid.
PUBLISHED_K = {0.008: 1.05064, 0.1: 1.65122, 0.9: 2.08944}  # 100 GeV


def ratio(table, **options):
    return np.array(
        [
            [
                float(cross_section(m, e, epsilon=1e-4, **options)) / value
                for e, value in row.items()
            ]
            for m, row in table.items()
        ]
    )


def other_variables(mass, energy, lepton, nucleus, *, points=2**17):
    """sigma in pb over (t, s, u, phi) by quasi-Monte Carlo.

    The phase space is nucleus + cluster, then cluster -> lepton + vector in its rest frame; the
    squared amplitude is the published form. None of it stands in the package.
    """
    target, m2, l2 = nucleus.mass, mass**2, lepton**2
    one, two, three, four = qmc.Sobol(4, seed=3).random(points).T
    p = np.sqrt(energy**2 - l2)
    least = (m2 / (2 * energy)) ** 2
    low, high = max(1e-4 * nucleus.screening, 0.5 * least), 2e3 * max(nucleus.size, least)
    t = low * (high / low) ** one
    weight = t * np.log(high / low)
    first = (mass + lepton) ** 2 - l2
    last = np.maximum(2.4 * p * np.sqrt(t), 1.0001 * first)
    s = first * (last / first) ** two
    weight *= s * np.log(last / first)
    cluster = np.sqrt(s + l2)
    pq = 0.5 * (s + t)
    ep = (l2 + pq) / cluster
    ek = (s + m2) / (2 * cluster)
    length_p = np.sqrt(np.maximum(ep**2 - l2, 1e-300))
    length_k = np.sqrt(np.maximum(ek**2 - m2, 1e-300))
    product = length_p * length_k
    least_u = 2 * (ep**2 * m2 + ek**2 * l2 - m2 * l2) / (ep * ek + product) - m2
    most_u = 2 * (ep * ek + product) - m2
    u = -least_u * (most_u / least_u) ** three
    weight *= -u * np.log(most_u / least_u) / (2 * product)  # d cos(theta)
    cosine = (ep * ek - 0.5 * (m2 - u)) / product
    ei = target * (energy - t / (2 * target)) / cluster
    length_i = np.sqrt(np.maximum(ei**2 - target**2, 1e-300))
    tilt = (ei * ep - target * energy) / (length_i * length_p)
    good = (np.abs(tilt) < 1) & (np.abs(cosine) < 1) & (ep > lepton) & (ei > target)
    tilt, cosine = np.where(good, tilt, 0), np.where(good, cosine, 0)
    across = np.sqrt((1 - tilt**2) * (1 - cosine**2)) * np.cos(2 * np.pi * four)
    after = 2 * (ei * (cluster - ek) + length_i * length_k * (tilt * cosine + across))
    after += 0.5 * (u + t)
    before = 2 * target * energy - pq
    square = 4 * target**2 + t
    x = (
        2 * square * (s**2 + u**2) / (s * u)
        - 8 * t / (s * u) * (before**2 + after**2 - 0.5 * square * (s + u + t - 2 * m2))
        - 2
        * (m2 + 2 * l2)
        / (s * u) ** 2
        * (4 * (u * before + s * after) ** 2 - square * t * (s + u) ** 2)
    )
    screening, size = nucleus.screening, nucleus.size
    form = (nucleus.z * t / (t + screening) * size / (t + size)) ** 2
    weight *= length_k / (16 * np.pi**2 * cluster) / (16 * np.pi * p * target)
    weight *= (4 * np.pi * ALPHA) ** 3 * form / t**2 * x / (4 * p * target)
    return float(np.mean(np.where(good, weight, 0))) * PICOBARN


@pytest.mark.parametrize(
    ("mass", "energy", "name", "nucleus"),
    [
        (0.02, 100.0, "electron", LEAD),
        (0.1, 160.0, "electron", LEAD),
        (1.3, 20.0, "electron", LEAD),
        (2.9, 20.0, "electron", LEAD),
        (0.3, 50.0, "electron", CARBON),
        (0.1, 160.0, "muon", LEAD),
        (1.0, 160.0, "muon", LEAD),
    ],
)
def test_another_phase_space(mass, energy, name, nucleus):
    lepton = MUON_MASS if name == "muon" else ELECTRON_MASS
    expected = other_variables(mass, energy, lepton, nucleus)
    found = cross_section(mass, energy, lepton=name, nucleus=nucleus, x_min=0.0)
    assert found == pytest.approx(expected, rel=1e-3)


def test_light_vectors_are_photons():
    # Complete screening: Y.-S. Tsai, Rev. Mod. Phys. 46 (1974) 815, eq. 3.9 with 3.44 and 3.45 (one
    # exponential for the atom: phi_1 - 4/3 ln Z = 4 ln(a m_e) + 2, phi_1 - phi_2 = 2/3).
    x = np.array([0.1, 0.3, 0.5, 0.7])
    radius2 = ALPHA**2 / ELECTRON_MASS**2 * PICOBARN
    log = 4 * np.log(111 * 6 ** (-1 / 3)) + 2
    expected = ALPHA * radius2 * 36 / x * ((4 / 3 - 4 / 3 * x + x**2) * log + 4 / 9 * (1 - x))
    found = spectrum(x, 1e-6, 500.0, nucleus=Nucleus(6, 12.0))
    np.testing.assert_allclose(found, expected, rtol=2e-3)


def test_published_light():
    for mass, expected in PUBLISHED_LIGHT.items():
        found = cross_section(mass, [20.0, 160.0], epsilon=1e-4)
        # 1 keV: 2.6 % below; the others within 1.2 %.
        np.testing.assert_allclose(found, expected, rtol=0.03 if mass < 1e-5 else 0.012)


def test_published_tables():
    found = ratio(PUBLISHED)
    # Lower by 0.5 to 2.9 %, at 0.9 GeV and 20 GeV by 5.3 %.
    assert np.all((found[:-1] > 0.97) & (found[:-1] < 1.0))
    assert np.all((found[-1] > 0.945) & (found[-1] < 1.0))
    heavy = ratio(PUBLISHED_HEAVY)
    assert np.all((heavy[:, 1:] > 0.925) & (heavy[:, 1:] < 1.0))
    assert np.all((heavy[:, 0] > 0.80) & (heavy[:, 0] < 1.0))


def test_published_tables_with_break_up():
    # docs/darksector.md: the table seems to hold break-up at small momentum transfers.
    found = ratio({m: row for m, row in PUBLISHED.items() if m < 0.6}, inelastic=True)
    np.testing.assert_allclose(found[1:3], 1.0, rtol=2e-3)
    np.testing.assert_allclose(found, 1.0, rtol=0.015)


@pytest.mark.parametrize("name", ["electron", "muon"])
def test_break_up_on_carbon(name):
    # Z protons beside Z^2: the share is that of the fluxes in WW, to the precision of WW.
    options = {"nucleus": CARBON, "lepton": name}
    share = [
        cross_section(0.3, 160.0, inelastic=True, approximation=how, **options)
        / cross_section(0.3, 160.0, approximation=how, **options)
        - 1
        for how in ("exact", "ww")
    ]
    assert share[0] == pytest.approx(share[1], rel=0.2 if name == "electron" else 0.08)


@pytest.mark.xfail(reason="the published table lies higher: docs/darksector.md", strict=True)
def test_published_tables_to_one_percent():
    np.testing.assert_allclose(ratio(PUBLISHED), 1.0, rtol=0.01)


@pytest.mark.xfail(reason="as the tables of cross sections", strict=True)
def test_published_k_factors():
    masses = np.array(list(PUBLISHED_K))
    np.testing.assert_allclose(k_factor(masses, 100.0), list(PUBLISHED_K.values()), rtol=0.005)


def test_published_iww():
    # K times the exact cross section of the tables.
    for mass, k in PUBLISHED_K.items():
        expected = k * PUBLISHED[mass][100]
        assert leading_log(mass, 100.0, epsilon=1e-4) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("name", ["electron", "muon"])
@pytest.mark.parametrize("approximation", ["exact", "ww", "iww"])
@pytest.mark.parametrize("mass", [1e-3, 0.5])
def test_spectra_are_normalised(name, approximation, mass):
    options = {"lepton": name, "approximation": approximation}
    low, high = x_range(mass, 100.0, lepton=name)
    z = np.linspace(np.log(low / (1 - low)), np.log(high / (1 - high)), 1501)
    x = np.clip(1 / (1 + np.exp(-z)), low, high)
    total = np.trapezoid(spectrum(x, mass, 100.0, **options) * x * (1 - x), z)
    assert total == pytest.approx(cross_section(mass, 100.0, **options), rel=1e-4)
    theta = np.geomspace(1e-8, np.pi, 2001)
    angular = angular_spectrum(0.7, theta, mass, 100.0, **options)
    assert np.trapezoid(angular * theta, np.log(theta)) == pytest.approx(
        spectrum(0.7, mass, 100.0, **options), rel=1e-4
    )


@pytest.mark.parametrize("energy", [40.0, 160.0])
def test_ww_holds_for_muons(energy):
    # arXiv:2107.13297: 1-2 %.
    masses = np.array([1e-3, 0.01, 0.1, 0.3, 1.0, 2.0, 3.0])
    approximate = cross_section(masses, energy, lepton="muon", approximation="ww")
    found = approximate / cross_section(masses, energy, lepton="muon")
    assert np.all((found > 1.0) & (found < 1.03))


def test_coupling_and_charges():
    assert cross_section(0.1, 50.0, epsilon=1e-3) == pytest.approx(
        1e-6 * cross_section(0.1, 50.0), rel=1e-12
    )
    assert cross_section(0.1, 50.0, lepton="positron") == cross_section(0.1, 50.0)
    assert cross_section(0.1, 50.0, inelastic=True) > cross_section(0.1, 50.0)


def test_wrong_numbers():
    with pytest.raises(ModelError, match=r"mass must be between 1e-06 and 3 GeV, found -0\.1"):
        cross_section(-0.1, 100.0)
    with pytest.raises(ModelError, match=r"mass must be between .* found nan"):
        cross_section(np.nan, 100.0)
    with pytest.raises(ModelError, match=r"energy must be between 1 and 1000 GeV, found 2000"):
        spectrum(0.5, 0.1, 2000.0)
    with pytest.raises(ModelError, match=r"electron of 2 GeV cannot radiate a mass of 2.5 GeV"):
        cross_section([0.1, 2.5], 2.0)
    with pytest.raises(ModelError, match=r"no lepton 'mu'"):
        cross_section(0.1, 100.0, lepton="mu")
    with pytest.raises(ModelError, match=r"no approximation 'WW'"):
        cross_section(0.1, 100.0, approximation="WW")
    with pytest.raises(ModelError, match="epsilon must be positive and finite, found 0"):
        cross_section(0.1, 100.0, epsilon=0)
    with pytest.raises(ModelError, match="theta must be between 0 and pi"):
        angular_spectrum(0.5, -0.1, 0.1, 100.0)
    with pytest.raises(ModelError, match="x_min must be at least 0 and below 1, found 1"):
        cross_section(0.1, 100.0, x_min=1.0)
    with pytest.raises(ModelError, match=r"between m_e = 0\.000510999 GeV"):
        leading_log(1e-4, 100.0)
