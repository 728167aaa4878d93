from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import landau

from na64reco.calibrate.mip import fit_mip, landau_gauss

XI_OF_SCIPY = np.pi / 2
# Landau's lambda at the maximum is -0.22278; SciPy's x = (2 / pi) (lambda + ln(2 / pi)).
MODE_OF_SCIPY = (-0.22278298 + np.log(2 / np.pi)) / XI_OF_SCIPY


def ionisation(rng, n, peak, xi, sigma):
    z = landau.rvs(size=n, random_state=rng) - MODE_OF_SCIPY
    return peak + xi * XI_OF_SCIPY * z + sigma * rng.standard_normal(n)


def test_density_is_landaus():
    # Maximum 0.18066 per xi; full width at half maximum 4.018 xi (PDG, passage of particles).
    x = np.linspace(-5, 10, 30_001)
    density = landau_gauss(x, 0.0, 1.0, 1e-6)
    assert density.max() == pytest.approx(0.18066, rel=1e-3)
    assert x[np.argmax(density)] == pytest.approx(0, abs=0.02)
    above = x[density > density.max() / 2]
    assert above[-1] - above[0] == pytest.approx(4.018, abs=0.02)


def test_smearing_is_a_convolution():
    def product(t):
        normal = np.exp(-0.5 * (t / 0.8) ** 2) / (0.8 * np.sqrt(2 * np.pi))
        return normal * landau.pdf((2.5 - t) / XI_OF_SCIPY + MODE_OF_SCIPY) / XI_OF_SCIPY

    expected, _ = quad(product, -6, 6)
    found = landau_gauss(np.array([2.5]), 0.0, 1.0, 0.8)[0]
    assert found == pytest.approx(expected, rel=2e-3)


def test_peak_without_bias_and_with_honest_error():
    rng = np.random.default_rng(1)
    pulls = []
    for _ in range(60):
        values = np.concatenate([ionisation(rng, 3000, 200, 12, 15), rng.uniform(0, 800, 150)])
        fit = fit_mip(values, 240.0)
        pulls.append((fit.most_probable - 200) / fit.most_probable_error)
    assert np.std(pulls) == pytest.approx(1, abs=0.15)  # of 60: +- 0.09
    assert abs(np.mean(pulls)) < 0.4
    assert fit.chi2 / fit.ndf == pytest.approx(1, abs=0.5)


def test_no_peak_is_no_fit():
    rng = np.random.default_rng(2)
    assert fit_mip(rng.exponential(20, 5000), 200.0) is None
    assert fit_mip(rng.normal(200, 10, 100), 200.0) is None
    assert fit_mip(rng.normal(900, 10, 5000), 200.0) is None
