"""Neutrino tridents: invariance, heavy bosons in closed form, what is published."""

from __future__ import annotations

import numpy as np
import pytest

from na64reco.darksector import trident
from na64reco.darksector.g_minus_2 import Measured, coupling_band
from na64reco.darksector.trident import heavy_ratio, trident_limit, trident_ratio
from na64reco.errors import ModelError

METRIC = np.diag([1.0, -1.0, -1.0, -1.0])


@pytest.fixture(scope="module")
def momenta():
    u = np.random.default_rng(5).random((4, 50))
    return trident._momenta(np.full(50, 7.0), u)


def test_kinematics(momenta):
    (k1, q, k2, minus, plus), t, _ = momenta
    np.testing.assert_allclose(k1 + q, k2 + minus + plus, atol=1e-9)
    for p, mass in ((k1, 0), (q, 0), (k2, 0), (minus, 0.10566), (plus, 0.10566)):
        np.testing.assert_allclose(np.einsum("pa,ab,pb->p", p, METRIC, p), mass**2, atol=1e-5)
    np.testing.assert_allclose(np.einsum("pa,ab,pb->p", k1 - k2, METRIC, k1 - k2), t, atol=1e-8)


def test_other_frames_and_gauges(momenta):
    """A boost across the photon's direction: other polarisations, equal but for the gauge."""
    before = momenta[0]
    rapidity = 0.7
    boost = np.eye(4)
    boost[:2, :2] = [[np.cosh(rapidity), np.sinh(rapidity)], [np.sinh(rapidity), np.cosh(rapidity)]]
    after = []
    q = before[1] @ boost.T
    cosine, sine = q[:, 3] / q[:, 0], q[:, 1] / q[:, 0]
    for p in before:
        e, x, y, z = (p @ boost.T).T  # then turned so that the photon is along z again
        after.append(np.stack([e, cosine * x - sine * z, y, sine * x + cosine * z], axis=1))
    np.testing.assert_allclose(after[1][:, 1], 0, atol=1e-12)
    for one, other in zip(trident._squared(before), trident._squared(tuple(after)), strict=True):
        assert np.all(one > 0)
        np.testing.assert_allclose(one, other, rtol=1e-6)


def test_growth_with_energy():
    """sigma(nu gamma -> nu mu mu) ~ s (ln(s / m_mu^2) - 19/6) far above threshold (arXiv:1406.2332)."""
    from scipy.stats import qmc

    u = qmc.Sobol(4, rng=np.random.default_rng(2)).random(2**12).T
    found = []
    for s in (100.0, 1600.0):
        momenta, _, weight = trident._momenta(np.full(u.shape[1], s), u)
        found.append(sum(float((weight * part).mean()) for part in trident._squared(momenta)))
    growth = [s * (np.log(s / 0.10566**2) - 19 / 6) for s in (100.0, 1600.0)]
    assert found[1] / found[0] == pytest.approx(growth[1] / growth[0], rel=0.05)


def test_heavy_bosons():
    mass = np.array([100.0, 300.0])
    g = mass / 550
    np.testing.assert_allclose(trident_ratio(mass, g), heavy_ratio(mass, g), rtol=0.01)
    # arXiv:1406.2332: m / g > 550 GeV at 95 %.
    np.testing.assert_allclose(mass / trident_limit(mass), 550, rtol=0.03)


def test_the_limit_gives_the_cross_section_back():
    mass = np.array([1e-3, 0.1, 1.0, 20.0])
    np.testing.assert_allclose(trident_ratio(mass, trident_limit(mass)), 0.82 + 1.96 * 0.28)
    assert float(trident_ratio(0.1, 0.0)) == 1.0


def test_what_it_says_of_the_magnetic_moment():
    """arXiv:1406.2332: explains it for no boson heavier than 400 MeV."""
    mass = np.geomspace(0.1, 2, 60)
    low, _ = coupling_band(mass, Measured(116592059e-11, 22e-11), Measured(116591810e-11, 43e-11))
    excluded = trident_limit(mass) < low
    first = mass[np.argmax(excluded)]
    assert 0.35 < first < 0.5
    assert np.all(excluded[mass > first])


def test_the_energy_of_neutrinos():
    """Light bosons add less at higher energies, as the Standard Model grows like s, they do not."""
    half, double = (float(trident_ratio(0.1, 1e-3, energy=e)) - 1 for e in (80.0, 160.0))
    assert 1.3 < half / double < 1.8


def test_less_than_the_standard_model():
    with pytest.raises(ModelError, match="Standard Model itself"):
        trident_limit(20.0, sigmas=0.1)
