"""Tracks through the dipoles, against ACTS and against a Runge-Kutta integration."""

from __future__ import annotations

import numpy as np
import pytest

from na64reco.setup import load_setup
from na64reco.tracking.field import dipoles
from na64reco.tracking.propagation import propagate

START, END = -4000.0, 18000.0


@pytest.fixture(scope="module")
def magnets():
    return load_setup("2022-electron").magnets.values()


def _acts_way(state, magnets):
    """ACTS, piece by piece (its stepper would jump over a magnet): our (z, x, y) is its (x, y, z).

    The permutation is cyclic, so the frame stays right-handed.
    """
    import acts

    t = acts.UnitConstants.T
    hypothesis = acts.ParticleHypothesis.muon

    def plane(z):
        at = acts.BoundTrackParameters.createCurvilinear(
            acts.Vector4(z, 0, 0, 0), acts.Vector3(1, 0, 0), 1.0, None, hypothesis
        )
        return at.referenceSurface

    def move(parameters, z, field):
        stepper = acts.EigenStepper(acts.ConstantBField(acts.Vector3(0, 0, field * t)))
        propagator = acts.EigenVoidPropagator(stepper, acts.VoidNavigator(), acts.logging.WARNING)
        geometry = acts.GeometryContext.dangerouslyDefaultConstruct()
        options = acts.PropagatorPlainOptions(geometry, acts.MagneticFieldContext())
        options.surfaceTolerance = 1e-6
        return propagator.propagateToSurface(parameters, plane(z), options), geometry

    x, y, tx, ty, qp = state
    direction = np.array([1, tx, ty]) / np.sqrt(1 + tx**2 + ty**2)
    here = acts.BoundTrackParameters.createCurvilinear(
        acts.Vector4(START, x, y, 0), acts.Vector3(*direction), qp, None, hypothesis
    )
    edges = [(m.start, m.end, m.field) for m in sorted(magnets, key=lambda m: m.z)]
    for start, end, field in edges:
        here, _ = move(here, start, 0.0)
        here, _ = move(here, end, field)
    here, geometry = move(here, END, 0.0)
    at = here.parameters
    at = at() if callable(at) else at
    phi, theta = at[2], at[3]
    towards = [np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)]
    position = here.referenceSurface.localToGlobal(
        geometry, acts.Vector2(at[0], at[1]), acts.Vector3(*towards)
    )
    slopes = towards[1] / towards[0], towards[2] / towards[0]
    return np.array([position[1], position[2], *slopes]), 1 / abs(at[4])


@pytest.mark.parametrize("momentum", [5.0, 20.0, 100.0, 160.0])
@pytest.mark.parametrize("charge", [-1, 1])
def test_agrees_with_acts(magnets, momentum, charge):
    state = np.array([3.0, -4.0, 1.1e-3, -0.7e-3, charge / momentum])
    expected, p = _acts_way(state, magnets)
    moved = propagate(state, START, END, dipoles(magnets))[0]
    assert np.abs(moved[:2] - expected[:2]).max() < 0.010  # mm after 18 m behind the magnets
    assert moved[2:4] == pytest.approx(expected[2:], rel=1e-5)
    assert 1 / abs(moved[4]) == pytest.approx(p, rel=1e-5)


@pytest.mark.parametrize("momentum", [4.0, 20.0, 100.0, 160.0])
def test_agrees_with_runge_kutta(tools, magnets, momentum):
    state = np.array([[3.0, -4.0, 5e-3, -7e-3, -1 / momentum]])
    s, z = state.copy(), START
    for m in magnets:
        s[:, :2] += s[:, 2:4] * (m.start - z)
        s, z = tools.runge_kutta(s, m.length, m.field), m.end
    s[:, :2] += s[:, 2:4] * (END - z)
    moved = propagate(state, START, END, dipoles(magnets))
    np.testing.assert_allclose(moved, s, rtol=1e-8, atol=1e-6)


def test_there_and_back(magnets):
    states = np.array([[1.0, 2.0, 3e-3, 4e-3, -0.01], [1.0, 2.0, -3e-3, 4e-3, 0.2]])
    there = propagate(states, START, 500.0, dipoles(magnets))  # ends inside a magnet
    assert not np.allclose(there, states)
    back = propagate(there, 500.0, START, dipoles(magnets))
    np.testing.assert_allclose(back, states, rtol=1e-10, atol=1e-9)


def test_a_particle_that_turns_back_is_nan(magnets):
    slow = propagate([[0, 0, 0, 0, -1.0]], START, END, dipoles(magnets))
    assert np.isnan(slow).all()
