"""The loop coupling against numerical integration and published values."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad

from na64reco.constants import MUON_MASS, TAU_MASS
from na64reco.darksector.loop import ELECTRIC_CHARGE, loop_coupling, vacuum_integral

# sqrt(q2) in GeV, |Pi|/g, Re, Im: numerical integration of eq. 2.3 of arXiv:2404.06982 with
# m_tau = 1.77686 GeV. Left out: 2 m_mu itself, where Pi has a vertical tangent.
REFERENCE = (
    (0.0, 0.014433, 0.014433, 0.0),
    (0.05, 0.014550, 0.014550, 0.0),
    (0.1, 0.014940, 0.014940, 0.0),
    (0.2, 0.018166, 0.018166, 0.0),
    (0.25, 0.019205, 0.018300, 0.005825),
    (0.3, 0.017448, 0.015931, 0.007116),
    (0.5, 0.013973, 0.011505, 0.007930),
    (1.0, 0.010792, 0.007214, 0.008027),
)


@pytest.mark.parametrize(("root", "size", "real", "imaginary"), REFERENCE)
def test_reference_values(root: float, size: float, real: float, imaginary: float) -> None:
    found = complex(loop_coupling(root**2))
    assert abs(found) == pytest.approx(size, abs=1e-6)
    assert found.real == pytest.approx(real, abs=1e-6)
    assert found.imag == pytest.approx(imaginary, abs=1e-6)


def _integrated(z: float) -> complex:
    """J(z) by quadrature; the imaginary part is the area between the logarithm's zeros."""
    zeros = [0.5 - 0.5 * np.sqrt(1 - 4 / z)] if z > 4 else []
    edges = [0.0, *zeros, 0.5]

    def integrand(x: float) -> float:
        return x * (1 - x) * np.log(abs(1 - x * (1 - x) * z))

    parts = [
        quad(integrand, a, b, epsabs=1e-13, epsrel=1e-12, limit=500)[0] for a, b in pairwise(edges)
    ]
    area = 0.0
    if zeros:
        low, high = zeros[0], 1 - zeros[0]
        area = (high**2 - low**2) / 2 - (high**3 - low**3) / 3
    return complex(2 * sum(parts), -np.pi * area)


def test_numerical_integration() -> None:
    rng = np.random.default_rng(6)
    near = 4 + np.array([-1e-3, -1e-6, 1e-6, 1e-3])
    chosen = np.concatenate((rng.uniform(-50, 60, 992), near, [0.29999, 0.30001, -0.3, 1e-7, 0]))
    expected = np.array([_integrated(z) for z in chosen])
    np.testing.assert_allclose(vacuum_integral(chosen), expected, rtol=0, atol=1e-9)
    assert complex(vacuum_integral(4.0)) == pytest.approx(-5 / 18 - 1 / 6, rel=1e-12)


def test_zero_momentum_is_the_logarithm_of_the_masses() -> None:
    expected = ELECTRIC_CHARGE / (6 * np.pi**2) * np.log(TAU_MASS / MUON_MASS)
    assert complex(loop_coupling(0.0)) == pytest.approx(expected, rel=1e-12)
    assert expected == pytest.approx(0.01443, rel=1e-3)


def test_largest_at_the_threshold_of_muon_pairs() -> None:
    q2 = np.linspace(0, 0.2, 400_001)
    size = np.abs(loop_coupling(q2))
    best = int(np.argmax(size))
    assert q2[best] == pytest.approx(4 * MUON_MASS**2, rel=1e-4)
    assert size[best] == pytest.approx(0.0212, rel=0.003)


def test_imaginary_part_is_that_of_open_pairs() -> None:
    q2 = np.array([0.03, 0.0446, 0.05, 0.5, 5.0])
    v2 = 1 - 4 * MUON_MASS**2 / q2
    expected = ELECTRIC_CHARGE / (12 * np.pi) * (1 + 2 * MUON_MASS**2 / q2)
    expected *= np.sqrt(np.maximum(v2, 0))
    np.testing.assert_allclose(loop_coupling(q2).imag, expected, rtol=1e-10)
