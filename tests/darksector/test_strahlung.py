from __future__ import annotations

import numpy as np
import pytest

from na64reco.darksector.strahlung import dsigma_dx, x_limits


def test_heavy_mass_limit():
    # For m >> m_e: x (1 + x^2 / (3 (1 - x))), Bjorken et al., arXiv:0906.0580, eq. 8.
    x = np.linspace(0.05, 0.9, 30)
    found = dsigma_dx(x, 0.1, 100.0)
    expected = x * (1 + x**2 / (3 * (1 - x)))
    ratio = found / expected
    np.testing.assert_allclose(ratio, ratio[10], rtol=2e-3)


def test_scales_with_the_inverse_square_of_the_mass():
    x = np.array([0.3, 0.6, 0.9])
    np.testing.assert_allclose(
        dsigma_dx(x, 0.02, 100.0) / dsigma_dx(x, 0.04, 100.0), 4.0, rtol=0.01
    )


def test_massless_limit_is_ordinary_bremsstrahlung():
    # With m -> 0: x p (4/3 - 4/3 x + x^2) / x^2 per m_e^2: photons' spectrum 1/x (4/3 - 4/3 x + x^2).
    x = np.linspace(0.05, 0.95, 20)
    found = dsigma_dx(x, 1e-9, 100.0)
    ratio = found / ((4 / 3 - 4 / 3 * x + x**2) / x)
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-6)


def test_limits():
    low, high = x_limits(0.1, 100.0)
    assert low == 0.01
    assert 1 - high == pytest.approx(0.000511 / 100 + 1e-4 / (8e6 * 193.0), rel=1e-3)
    assert x_limits(5.0, 100.0)[0] == 0.05
    assert x_limits(1e-5, 100.0)[0] == 0.01  # arXiv:1712.05706


def test_nothing_outside_the_limits():
    low, high = x_limits(0.1, 100.0)
    values = dsigma_dx(np.array([0.5 * low, 0.5, 0.5 * (1 + high), 1.0]), 0.1, 100.0)
    assert (values > 0).tolist() == [False, True, False, False]


@pytest.mark.parametrize(("mass", "energy"), [(0.0, 100.0), (-1.0, 100.0), (0.1, 0.0)])
def test_impossible_numbers(mass, energy):
    with pytest.raises(ValueError, match="must be positive"):
        x_limits(mass, energy)


def test_too_heavy():
    with pytest.raises(ValueError, match="cannot radiate a mass of 120"):
        x_limits(120.0, 100.0)
