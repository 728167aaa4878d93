"""Shapes: integrals against scipy's adaptive quadrature, moments against derivatives."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad

from na64reco.errors import InferenceError
from na64reco.inference.shapes import ECAL_SHAPES, HCAL_SHAPES, find_shape, integrate

POINTS = {
    "exponential": [(0.0,), (0.12,), (1.9,)],
    "power law": [(0.5,), (9.0,), (60.0,)],
    "normal": [(0.0,), (0.5,), (3.0,)],
    "missing-energy power": [(2.5,), (9.0,)],
    "bent exponential": [(0.3, 0.1), (0.0, 0.4)],
    "gamma": [(0.13, 0.4), (0.5, -2.0)],
    "half normal": [(-0.4,), (0.2,)],
    "shifted power": [(-3.0,), (1.5,)],
}


def by_hand(name, theta, x):
    """The densities as they are written in papers, not as exponents of statistics."""
    first, *rest = theta
    return {
        "exponential": lambda: np.exp(first * x),
        "power law": lambda: (x / 100) ** first,
        "normal": lambda: np.exp(-first * (100 - x) ** 2 / 200),
        "missing-energy power": lambda: (1 - x / 100) ** -first,
        "bent exponential": lambda: np.exp(first * x + (rest[0] - first) * x**2 / 200),
        "gamma": lambda: (1 - x / 100) ** rest[0] * np.exp(-first * (100 - x)),
        "half normal": lambda: np.exp(first * x**2 / 100),
        "shifted power": lambda: (1 + x) ** first,
    }[name]()


@pytest.mark.parametrize("shape", [*ECAL_SHAPES, *HCAL_SHAPES[1:]], ids=lambda s: s.name)
@pytest.mark.parametrize("window", [(47.0, 90.0), (0.0, 47.0)])
def test_integrals_and_moments(shape, window):
    for theta in POINTS[shape.name]:
        found = integrate(shape, np.array([theta]), window, scale=100.0)
        truth, _ = quad(lambda x, t=theta: by_hand(shape.name, t, x), *window, epsabs=0, limit=200)
        assert found.log[0] == pytest.approx(np.log(truth), abs=1e-6)
        # The first two cumulants of T are the derivatives of the logarithm.
        for i in range(len(theta)):
            step = 1e-4 * np.eye(len(theta))[i]
            points = np.array([theta + step, theta - step])
            low, high = (integrate(shape, points[j : j + 1], window, scale=100.0) for j in (1, 0))
            assert found.mean[0, i] == pytest.approx((high.log - low.log)[0] / 2e-4, rel=1e-5)
            change = (high.mean - low.mean)[0] / 2e-4
            assert found.covariance[0, i] == pytest.approx(change, rel=1e-4, abs=1e-6)


def test_an_unknown_shape_is_named():
    with pytest.raises(
        InferenceError, match=r"no shape 'exponentail'\. Did you mean 'exponential'"
    ):
        find_shape("exponentail")
