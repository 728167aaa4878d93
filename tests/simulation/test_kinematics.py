from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kstest

from na64reco.simulation.kinematics import boost, three_body, two_body


def mass_of(four):
    return np.sqrt(four[:, 0] ** 2 - np.sum(four[:, 1:] ** 2, axis=1))


def test_two_bodies_are_back_to_back_and_on_their_mass_shells(rng):
    first, second = two_body(rng, 2000, 1.0, (0.3, 0.4))
    np.testing.assert_allclose(first + second, [[1.0, 0, 0, 0]] * 2000, atol=1e-14)
    np.testing.assert_allclose(mass_of(first), 0.3)
    np.testing.assert_allclose(mass_of(second), 0.4)
    # Isotropic: the cosine is flat along every axis.
    for axis in range(1, 4):
        cosine = first[:, axis] / np.linalg.norm(first[:, 1:], axis=1)
        assert kstest(cosine, "uniform", (-1, 2)).pvalue > 1e-3


def test_three_bodies_fill_the_dalitz_plot_evenly(rng):
    """For massless products, flat phase space is a triangle: each energy has the density 2x."""
    parts = three_body(rng, 20_000, 2.0, (0.0, 0.0, 0.0))
    np.testing.assert_allclose(sum(parts), [[2.0, 0, 0, 0]] * 20_000, atol=1e-12)
    for part in parts:
        np.testing.assert_allclose(part[:, 0] ** 2, np.sum(part[:, 1:] ** 2, axis=1), atol=1e-12)
        assert kstest(part[:, 0] ** 2, "uniform").pvalue > 1e-3


def test_three_massive_bodies_keep_their_masses(rng):
    masses = (0.14, 0.106, 0.05)
    parts = three_body(rng, 3000, 0.494, masses)
    np.testing.assert_allclose(sum(parts), [[0.494, 0, 0, 0]] * 3000, atol=1e-12)
    for part, mass in zip(parts, masses, strict=True):
        np.testing.assert_allclose(mass_of(part), mass, rtol=1e-6)


def test_boost_against_a_lorentz_matrix():
    parent = np.array([[5.0, 0.0, 0.0, 4.0]])  # mass 3, gamma 5/3, gamma beta 4/3
    at_rest = np.array([[1.2, 0.3, -0.4, 0.5]])
    expected = [[5 / 3 * 1.2 + 4 / 3 * 0.5, 0.3, -0.4, 5 / 3 * 0.5 + 4 / 3 * 1.2]]
    np.testing.assert_allclose(boost(at_rest, parent), expected)


def test_a_boost_along_any_axis_keeps_masses_and_products(rng):
    vector = rng.normal(0, 30, (500, 3))
    parent = np.column_stack((np.sqrt(0.25 + np.sum(vector**2, axis=1)), vector))
    first, second = two_body(rng, 500, 0.5, (0.1, 0.14))
    total = boost(first, parent) + boost(second, parent)
    np.testing.assert_allclose(total, parent, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(mass_of(boost(first, parent)), 0.1, atol=1e-4)


def test_a_density_shapes_the_spectrum(rng):
    """|M|^2 = E1 on massless phase space: the density of x = 2 E1 / M is 3 x^2."""
    first, *_ = three_body(rng, 20_000, 2.0, (0.0, 0.0, 0.0), lambda e1, e2: e1)
    assert kstest(first[:, 0] ** 3, "uniform").pvalue > 1e-3
    assert first[:, 0].mean() == pytest.approx(3 / 4, rel=0.01)
