"""Tracks through the dipoles, against ACTS and against a Runge-Kutta integration."""

from __future__ import annotations

import numpy as np
import pytest

from na64reco.errors import SetupError
from na64reco.setup import load_setup
from na64reco.tracking.field import dipoles, magnet_field
from na64reco.tracking.layout import make_layout
from na64reco.tracking.planes import strip_planes
from na64reco.tracking.propagation import propagate
from na64reco.tracking.reconstruct import OUTSIDE_MAP, reconstruct_tracks

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


def test_fields_of_hard_edges_are_the_dipoles(magnets):
    states = np.array([[1.0, 2.0, 3e-3, 4e-3, -0.01], [0, 0, 0, 0, -1.0]])
    both = (propagate(states, START, END, make(magnets)) for make in (magnet_field, dipoles))
    np.testing.assert_allclose(*both, rtol=1e-13)


# --- magnets with maps or ramps in the whole reconstruction ---------------------------------------


def _with(setup, **changes):
    magnets = {n: m.model_copy(update=changes) for n, m in setup.magnets.items()}
    return setup.model_copy(update={"magnets": magnets})


def _uniform_map(path, half_width):
    """1 T over 2 m and 5 mm of linear edge at either end, outside: an integral of 2005 T mm."""
    z = np.arange(-1005, 1010, 5.0)
    rows = [
        (x, y, s, 0.0, float(abs(s) <= 1000), 0.0)
        for x in (-half_width, half_width)
        for y in (-60, 60)
        for s in z
    ]
    header = "x[mm] y[mm] z[mm] Bx[T] By[T] Bz[T]"
    path.write_text(header + "\n" + "\n".join(" ".join(f"{v:g}" for v in r) for r in rows))
    return str(path)


@pytest.fixture(scope="module")
def seen(tools, setup):
    toy = tools.toy(setup, seed=11)
    truth = toy.track(toy.states(400, 100.0))
    return toy.hits(toy.smear(truth))


@pytest.mark.parametrize("kind", ["ramp", "map"])
def test_tracks_through_a_map_are_those_through_the_dipole(
    tools, setup, conditions, seen, tmp_path, kind
):
    plain = reconstruct_tracks(seen["mm"], seen["gem"], None, setup, conditions)
    if kind == "ramp":
        other = _with(setup, ramp=50.0)
    else:
        other = _with(setup, map=_uniform_map(tmp_path / "map.txt", 300), scale=1.75 * 2000 / 2005)
    found = reconstruct_tracks(seen["mm"], seen["gem"], None, other, conditions)
    assert plain["track.found"].mean() > 0.98
    np.testing.assert_array_equal(found["track.found"], plain["track.found"])
    np.testing.assert_array_equal(found["track.charge"], plain["track.charge"])
    for name, size in (
        ("momentum", 1e-3),
        ("momentum_error", 1e-3),
        ("chi2", 1e-3),
        ("x_ecal", 2e-3),
        ("slope_x_in", 1e-5),
    ):
        both = found[f"track.{name}"], plain[f"track.{name}"]
        np.testing.assert_allclose(*both, rtol=1e-4, atol=size, err_msg=name)


def test_a_map_that_does_not_reach_is_a_reason(tools, setup, conditions, seen, tmp_path):
    narrow = _with(setup, map=_uniform_map(tmp_path / "map.txt", 12), scale=1.75 * 2000 / 2005)
    found = reconstruct_tracks(seen["mm"], seen["gem"], None, narrow, conditions)
    assert not found["track.found"].any()
    assert np.isnan(found["track.momentum"]).all()
    assert (found["track.reason"] == OUTSIDE_MAP).mean() > 0.98


def test_a_map_that_reaches_behind_the_planes_is_an_error(setup, conditions):
    long = _with(setup, length=24000.0, ramp=20000.0)
    with pytest.raises(SetupError, match=r"behind the last plane at .* shorten the map|inside"):
        make_layout(long, strip_planes(setup, conditions))
