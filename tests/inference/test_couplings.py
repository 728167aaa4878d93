"""Couplings at a number of events: closed forms, and two ways against each other."""

from __future__ import annotations

import numpy as np
import pytest

from na64reco.errors import InferenceError
from na64reco.inference.couplings import by_iteration, by_root_finding

PREFACTOR = np.array([1e8, 1e4, 2.5e6])
LIMIT = np.full(3, 2.3)


def test_a_narrow_particle_needs_one_step():
    found = by_iteration(lambda g: PREFACTOR * g**2, LIMIT, np.full(3, 1e-3))
    np.testing.assert_allclose(found.coupling, np.sqrt(LIMIT / PREFACTOR))
    np.testing.assert_array_equal(found.iterations, 1)
    assert found.converged.all()


def test_both_ways_agree_where_the_width_matters():
    def events(g):
        return PREFACTOR * g**2 / (1 + 30 * g)

    # g^2 P / (1 + 30 g) = N in closed form.
    a, b = PREFACTOR / LIMIT, 30.0
    exact = (b + np.sqrt(b**2 + 4 * a)) / (2 * a)
    roots = by_root_finding(events, LIMIT, (1e-6, 1.0))
    np.testing.assert_allclose(roots.lower, exact, rtol=1e-5)
    assert np.all(np.isinf(roots.upper))
    iterated = by_iteration(events, LIMIT, np.sqrt(LIMIT / PREFACTOR))
    np.testing.assert_allclose(iterated.coupling, exact, rtol=1e-4)


def test_a_boson_made_and_seen_by_its_coupling():
    """S ~ g^4: the papers' step, g sqrt(N/S), would jump to and fro between two couplings."""
    found = by_iteration(lambda g: PREFACTOR * g**4, LIMIT, np.full(3, 0.1))
    np.testing.assert_allclose(found.coupling, (LIMIT / PREFACTOR) ** 0.25)
    np.testing.assert_array_equal(found.iterations, 2)
    roots = by_root_finding(lambda g: PREFACTOR * g**4, LIMIT, (1e-6, 1.0))
    np.testing.assert_allclose(roots.lower, (LIMIT / PREFACTOR) ** 0.25, rtol=1e-5)


def test_a_yield_that_turns_over_has_two_edges():
    def events(g):
        return 1e6 * g**2 * np.exp(-((g / 0.05) ** 2))

    found = by_root_finding(events, np.array([2.3, 1e5]), (1e-5, 1.0))
    np.testing.assert_allclose(events(found.lower[:1]), 2.3, rtol=1e-4)
    np.testing.assert_allclose(events(found.upper[:1]), 2.3, rtol=1e-3)
    assert found.lower[0] < 0.05 < found.upper[0]
    assert np.isinf(found.lower[1])  # never 1e5 events: nothing is excluded
    assert np.isinf(found.upper[1])


def test_a_mass_without_signal_has_no_limit():
    found = by_iteration(lambda g: np.array([1e6, 0.0]) * g**2, np.full(2, 2.3), np.full(2, 1e-3))
    assert np.isfinite(found.coupling[0])
    assert np.isinf(found.coupling[1])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: by_iteration(lambda g: g, np.zeros(1), np.ones(1)), "must be positive"),
        (lambda: by_root_finding(lambda g: g, np.ones(1), (1.0, 0.1)), "must ascend"),
        (lambda: by_root_finding(lambda g: 9 + g, np.ones(1), (0.1, 1)), "Lower the bound"),
    ],
)
def test_nonsense_is_refused(make, message):
    with pytest.raises(InferenceError, match=message):
        make()
