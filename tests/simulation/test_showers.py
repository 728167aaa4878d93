"""Against showers simulated with EGSnrc v2025a-3 in this sandwich (6 x 6 cells, electrons).

Figures carried over from the reference production: at 100 GeV, impact uniform over cell (3, 3), the
preshower holds 5.57 % of the energy with an rms of 2.03 %, the inner 3 x 3 cells 96.97 % (rms 0.30 %),
the cell itself 70.5 % (rms 11.4 %); 84.4 % and 97.9 % of the preshower's energy. With the impact at
the centre: preshower 16.6 +- 5.7 % at 10 GeV, 12.1 +- 4.1 % at 20 GeV, 8.0 +- 2.8 % at 50 GeV.
"""

from __future__ import annotations

import numpy as np
import pytest

from na64reco.setup import load_setup
from na64reco.simulation import load_detector
from na64reco.simulation.lateral import corner, share_out
from na64reco.simulation.showers import longitudinal_shares, shower_energies


@pytest.fixture(scope="module")
def showers():
    """100 GeV over cell (3, 3) of the 6 x 6 ECAL, as in the reference."""
    setup = load_setup("2018-electron")
    rng = np.random.default_rng(11)
    n = 6000
    x, y = rng.uniform(0, 38.2, (2, n))
    cells = shower_energies(rng, setup.ecal, load_detector(setup), np.full(n, 100.0), x, y)
    return cells, x, y


def test_scale_and_resolution(showers):
    total = showers[0].sum(axis=(1, 2, 3))
    assert total.mean() == pytest.approx(100, rel=0.005)
    # 10 % / sqrt(E) (+) 4 % (arXiv:2206.03101).
    assert total.std() / total.mean() == pytest.approx(np.hypot(0.01, 0.04), rel=0.05)


def test_preshower_share(showers):
    cells = showers[0]
    share = cells[:, 0].sum(axis=(1, 2)) / cells.sum(axis=(1, 2, 3))
    assert share.mean() == pytest.approx(0.0557, rel=0.05)
    assert share.std() == pytest.approx(0.0203, rel=0.2)


@pytest.mark.parametrize(
    ("energy", "mean", "rms"), [(10, 0.1661, 0.0568), (20, 0.1214, 0.0415), (50, 0.0798, 0.0280)]
)
def test_preshower_share_at_other_energies(energy, mean, rms):
    rng = np.random.default_rng(12)
    shares = longitudinal_shares(
        rng, np.full(20_000, float(energy)), np.array([0.0, 16, 150]) * 4 / 15
    )
    share = shares[:, 0] / shares.sum(axis=1)
    assert share.mean() == pytest.approx(mean, rel=0.05)
    assert share.std() == pytest.approx(rms, rel=0.2)


def test_hardly_anything_leaks_behind(showers):
    rng = np.random.default_rng(13)
    shares = longitudinal_shares(rng, np.full(5000, 100.0), np.array([0.0, 4.27, 40.0]))
    assert 0.99 < shares.sum(axis=1).mean() < 1


def test_lateral_containment(showers):
    cells = showers[0]
    total = cells.sum(axis=(1, 2, 3))
    nine = cells[:, :, 2:5, 2:5].sum(axis=(1, 2, 3)) / total
    one = cells[:, :, 3, 3].sum(axis=1) / total
    assert nine.mean() == pytest.approx(0.9697, abs=0.005)
    assert one.mean() == pytest.approx(0.705, rel=0.02)
    assert one.std() == pytest.approx(0.114, rel=0.1)


def test_lateral_containment_of_the_preshower(showers):
    cells = showers[0][:, 0]
    total = cells.sum(axis=(1, 2))
    assert (cells[:, 3, 3] / total).mean() == pytest.approx(0.844, rel=0.02)
    assert (cells[:, 2:5, 2:5].sum(axis=(1, 2)) / total).mean() == pytest.approx(0.979, abs=0.006)


def test_centre_of_gravity_follows_the_impact(showers):
    cells, x, _ = showers
    centres = (np.arange(6) - 2.5) * 38.2
    mean = (cells.sum(axis=(1, 3)) * centres).sum(axis=1) / cells.sum(axis=(1, 2, 3))
    assert np.corrcoef(mean, x)[0, 1] > 0.9
    # Symmetric about the cell's centre.
    assert mean.mean() == pytest.approx(19.1, abs=1.0)


def test_corner_integral_against_quadrature():
    radius, x, y = 7.0, 5.0, -3.0

    def points(end):
        """Midpoints and widths that grow away from the end, down to -70 m."""
        edges = end - radius * np.sinh(np.linspace(0, 10, 3001))
        return 0.5 * (edges[1:] + edges[:-1]), edges[:-1] - edges[1:]

    (u, du), (v, dv) = points(x), points(y)
    density = radius**2 / (np.pi * (u[:, None] ** 2 + v[None] ** 2 + radius**2) ** 2)
    assert corner(x, y, radius) == pytest.approx(du @ density @ dv, rel=1e-4)


def test_shares_add_up_inside_a_large_grid():
    cells = np.zeros((51, 51))
    share_out(2.0, 3.0, -4.0, np.array([5.0, 20.0]), np.array([0.6, 0.4]), 40.0, 40.0, cells)
    assert cells.sum() == pytest.approx(2.0, rel=1e-3)
    assert (cells > -1e-12).all()


@pytest.mark.parametrize("energy", [10.0, 50.0])
def test_linear(setup, detector, energy):
    rng = np.random.default_rng(14)
    n = 4000
    ix, iy = setup.ecal.beam_cell
    x = np.full(n, setup.ecal.x_centres[ix])
    y = np.full(n, setup.ecal.y_centres[iy])
    total = shower_energies(rng, setup.ecal, detector, np.full(n, energy), x, y).sum(axis=(1, 2, 3))
    # The light of the cell that is hit is up to 2.5 % more at its centre.
    light = 1 + 0.75 * detector.ecal_nonuniformity[ix, iy]
    assert total.mean() == pytest.approx(energy * light, rel=0.008)
    assert total.std() / total.mean() == pytest.approx(
        np.hypot(0.1 / np.sqrt(energy), 0.04), rel=0.06
    )
