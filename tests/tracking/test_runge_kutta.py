"""Linear edges and maps: against ACTS, scipy's DOP853, the closed form, finite differences."""

from __future__ import annotations

import time
from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.interpolate import RegularGridInterpolator

from na64reco.setup.spectrometer import Magnet
from na64reco.tracking.field import Field, dipoles, magnet_field
from na64reco.tracking.propagation import propagate
from na64reco.tracking.runge_kutta import CROSSED, OUTSIDE, TURNED, transport

START, END = -4000.0, 18000.0
C = 0.299792458e-3
HARD = [Magnet(z=z, length=2000, field=1.75, gap_x=500, gap_y=140) for z in (-1100, 1100)]
RAMP = [m.model_copy(update={"ramp": 50.0}) for m in HARD]
AXES = [20.0 * np.arange(-12, 13), 20.0 * np.arange(-3, 4), 20.0 * np.arange(-70, 71)]


def _smooth_dipole(shape=1.75, width=60.0):
    """By with a fall-off at the ends, weaker beside the axis, and Bx, Bz to go with it."""
    x, y, z = np.meshgrid(*AXES, indexing="ij")
    # Enge's function with one coefficient; nothing is left at the map's ends.
    ends = 1 / (1 + np.exp((np.abs(z) - 1000) / width))
    by = shape * ends * (1 - 1e-6 * (x**2 - y**2))
    bx = -shape * ends * 2e-6 * x * y
    bz = -np.sign(z) * shape * ends * (1 - ends) / width * y
    values = np.stack([bx, by, bz], axis=-1)
    values[:, :, [0, -1]] = 0.0
    return values


def _write(path, values, axes=AXES):
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    rows = np.concatenate([points, values.reshape(-1, 3)], axis=1)
    np.savetxt(path, rows, header="x[mm] y[mm] z[mm] Bx[T] By[T] Bz[T]", fmt="%.12g")
    return str(path)


@pytest.fixture(scope="module")
def mapped(tmp_path_factory):
    path = _write(tmp_path_factory.mktemp("map") / "enge.txt", _smooth_dipole())
    # 2750 mm apart: the maps touch but do not overlap
    return [
        m.model_copy(update={"map": path, "z": z}) for m, z in zip(HARD, (-1400, 1400), strict=True)
    ]


def _state(momentum, charge, off=0.0):
    """Chosen such that particles of low momentum come through."""
    bend = -0.5 * C * 1.75 * 2000 * charge / momentum
    return np.array(
        [
            3.0 + 1.0 * off + 2200 * bend * 0.6,
            -4.0 + off,
            1.1e-3 - bend,
            -0.7e-3 * (1 + off / 20),
            charge / momentum,
        ]
    )


# --- ACTS -------------------------------------------------------------------------------------


def _acts_way(state, stops):
    """ACTS from plane to plane, as its stepper would jump over edges: ``stops`` are (z, field
    from there on). Our (z, x, y) is its (x, y, z); the permutation is cyclic."""
    import acts

    hypothesis = acts.ParticleHypothesis.muon
    context = acts.GeometryContext.dangerouslyDefaultConstruct()

    def plane(z):
        at = acts.BoundTrackParameters.createCurvilinear(
            acts.Vector4(z, 0, 0, 0), acts.Vector3(1, 0, 0), 1.0, None, hypothesis
        )
        return at.referenceSurface

    x, y, tx, ty, qp = state
    direction = np.array([1, tx, ty]) / np.sqrt(1 + tx**2 + ty**2)
    here = acts.BoundTrackParameters.createCurvilinear(
        acts.Vector4(START, x, y, 0), acts.Vector3(*direction), qp, None, hypothesis
    )
    nothing = acts.ConstantBField(acts.Vector3(0, 0, 0))
    for (_, field), z in zip([(START, None), *stops], [z for z, _ in stops] + [END], strict=True):
        stepper = acts.EigenStepper(field or nothing)
        propagator = acts.EigenVoidPropagator(stepper, acts.VoidNavigator(), acts.logging.WARNING)
        options = acts.PropagatorPlainOptions(context, acts.MagneticFieldContext())
        options.surfaceTolerance = 1e-6
        here = propagator.propagateToSurface(here, plane(z), options)
    at = here.parameters
    at = at() if callable(at) else at
    phi, theta = at[2], at[3]
    towards = [np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)]
    position = here.referenceSurface.localToGlobal(
        context, acts.Vector2(at[0], at[1]), acts.Vector3(*towards)
    )
    return np.array(
        [position[1], position[2], towards[1] / towards[0], towards[2] / towards[0], at[4]]
    )


def _acts_map(path, values, axes):
    """ACTS' own interpolated field of the same nodes."""
    import acts

    x, y, z = axes
    points = np.stack(np.meshgrid(z, x, y, indexing="ij"), axis=-1).reshape(-1, 3)
    b = values.transpose(2, 0, 1, 3)[..., [2, 0, 1]].reshape(-1, 3)
    np.savetxt(path, np.concatenate([points, b], axis=1), fmt="%.12g")
    u = acts.UnitConstants
    return acts.MagneticFieldMapXyz(str(path), u.mm, u.T)


def _agrees(moved, expected):
    assert moved[:2] == pytest.approx(expected[:2], abs=0.010)  # mm after 20 m
    assert moved[2:4] == pytest.approx(expected[2:4], rel=1e-5, abs=5e-7)
    assert moved[4] == pytest.approx(expected[4], rel=1e-5)


@pytest.fixture(scope="module")
def acts_ramp(tmp_path_factory):
    """A trapezoid as a map on nodes of 50 mm: linear at the ends and even in between."""
    pytest.importorskip("acts")
    axes = [np.array([-4000.0, 4000.0]), np.array([-400.0, 400.0]), 50.0 * np.arange(-22, 23) - 25]
    axes[2] = np.append(axes[2], axes[2][-1] + 50)
    values = np.zeros((2, 2, len(axes[2]), 3))
    values[..., 1] = 1.75 * np.clip((1025 - np.abs(axes[2])) / 50, 0, 1)
    folder = tmp_path_factory.mktemp("acts")
    stops = []
    for i, m in enumerate(RAMP):
        moved = [axes[0], axes[1], axes[2] + m.z]
        field = _acts_map(folder / f"{i}.txt", values, moved)
        edges = [
            m.start - 25,
            m.start + 25,
            *np.linspace(m.start + 25, m.end - 25, 11)[1:],
            m.end + 25,
        ]
        stops += [(z, field) for z in edges[:-1]] + [(edges[-1], None)]
    return stops


@pytest.mark.parametrize("momentum", [5.0, 20.0, 100.0, 160.0])
@pytest.mark.parametrize("charge", [-1, 1])
def test_ramps_agree_with_acts(acts_ramp, momentum, charge):
    state = _state(momentum, charge, off=10.0)
    moved = transport(state, START, END, magnet_field(RAMP))
    assert moved.status[0] == CROSSED
    _agrees(moved.states[0], _acts_way(state, acts_ramp))


@pytest.fixture(scope="module")
def acts_mapped(tmp_path_factory, mapped):
    pytest.importorskip("acts")
    folder = tmp_path_factory.mktemp("acts")
    values = np.pad(_smooth_dipole(), ((0, 0), (0, 0), (1, 1), (0, 0)))
    stops = []
    for i, m in enumerate(mapped):
        z = m.z + 20.0 * np.arange(-71, 72)
        field = _acts_map(folder / f"{i}.txt", values, [AXES[0], AXES[1], z])
        stops += [(s, field) for s in m.z + 40.0 * np.arange(-35, 35)] + [(m.z + 1400, None)]
    return stops


# 5 GeV leaves both maps, which are 480 mm wide: see the comparison with DOP853 for that.
@pytest.mark.parametrize("momentum", [20.0, 100.0, 160.0])
@pytest.mark.parametrize("charge", [-1, 1])
@pytest.mark.parametrize("off", [0.0, 20.0])
def test_maps_agree_with_acts(acts_mapped, mapped, momentum, charge, off):
    state = _state(momentum, charge, off)
    moved = transport(state, START, END, magnet_field(mapped))
    assert moved.status[0] == CROSSED
    _agrees(moved.states[0], _acts_way(state, acts_mapped))


# --- scipy ------------------------------------------------------------------------------------


@pytest.mark.parametrize("momentum", [5.0, 20.0, 100.0, 160.0])
@pytest.mark.parametrize("charge", [-1, 1])
def test_one_map_agrees_with_dop853(mapped, momentum, charge):
    magnet = mapped[1].model_copy(update={"z": 0.0})
    state = _state(momentum, charge, 10.0)
    state[0] *= 0.3
    field = RegularGridInterpolator(AXES, _smooth_dipole())

    def derivative(z, s):
        tx, ty = s[2:]
        bx, by, bz = field((s[0], s[1], z))
        k = C * state[4] * np.sqrt(1 + tx * tx + ty * ty)
        return [
            tx,
            ty,
            k * (tx * ty * bx - (1 + tx * tx) * by + ty * bz),
            k * ((1 + ty * ty) * bx - tx * ty * by - tx * bz),
        ]

    s = state[:4]
    for lo, hi in pairwise(AXES[2]):  # it would step over kinks
        s = solve_ivp(derivative, (lo, hi), s, "DOP853", rtol=1e-8, atol=1e-9).y[:, -1]
    s[:2] += s[2:] * (20000 - 1400)
    moved = transport(state, -1400, 20000, magnet_field([magnet])).states[0]
    _agrees(moved, np.append(s, state[4]))


# --- closed form --------------------------------------------------------------------------------


def _states(n=200):
    r = np.random.default_rng(4)
    p = r.uniform(20, 160, n) * r.choice([-1, 1], n)
    columns = [
        r.uniform(-20, 20, n),
        r.uniform(-20, 20, n),
        1e-3 * r.normal(size=n),
        1e-3 * r.normal(size=n),
        1 / p,
    ]
    return np.stack(columns, axis=1)


def test_a_map_of_a_uniform_field_is_the_uniform_dipole(tmp_path):
    axes = [np.array([-400.0, 0.0, 400.0]), np.array([-200.0, 200.0]), 50.0 * np.arange(-20, 21)]
    values = np.zeros((3, 2, 41, 3))
    values[..., 1] = 0.5
    path = _write(tmp_path / "uniform.txt", values, axes)
    maps = [m.model_copy(update={"map": path, "scale": 3.5}) for m in HARD]
    states = _states()
    expected = propagate(states, START, END, dipoles(HARD, particle="electron"))
    field = magnet_field(maps, particle="electron")
    np.testing.assert_allclose(field.loss, dipoles(HARD, particle="electron").loss, rtol=1e-9)
    moved = transport(states, START, END, field)
    np.testing.assert_allclose(moved.states, expected, rtol=1e-7, atol=1e-4)
    closed = transport(states, START, END, magnet_field(HARD, particle="electron"))
    np.testing.assert_allclose(closed.states, expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(moved.jacobians, closed.jacobians, rtol=1e-5, atol=1e-3)


def test_ramps_keep_the_field_integral_and_overlap():
    # Short ramps are hard edges; ramps of two magnets that overlap make one long magnet.
    states = _states()
    short = [m.model_copy(update={"ramp": 1e-3}) for m in HARD]
    expected = propagate(states, START, END, dipoles(HARD))
    np.testing.assert_allclose(
        transport(states, START, END, magnet_field(short)).states, expected, rtol=1e-6, atol=1e-4
    )
    joined = [
        m.model_copy(update={"ramp": 300.0, "z": z})
        for m, z in zip(HARD, (-1000, 1000), strict=True)
    ]
    one = [joined[0].model_copy(update={"length": 4000.0, "z": 0.0})]
    a, b = (transport(states, START, END, magnet_field(m)).states for m in (joined, one))
    np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-7)


@pytest.mark.parametrize("kind", ["ramp", "map"])
@pytest.mark.parametrize("qp", [-0.01, 0.05])
def test_jacobian_is_the_derivative(mapped, kind, qp):
    field = magnet_field(RAMP if kind == "ramp" else mapped, particle="electron")
    state = _state(1 / abs(qp), np.sign(qp), off=7.0)
    there = 3000.0
    jacobian = transport(state, START, there, field).jacobians[0]
    # Each element in units of what one unit of the column's parameter means for the row's.
    unit = np.array([1.0, 1.0, 1e-3, 1e-3, 1e-2])
    for column, h in enumerate([1e-2, 1e-2, 1e-6, 1e-6, 1e-6]):
        up, down = state.copy(), state.copy()
        up[column] += h
        down[column] -= h
        pair = transport(np.stack([up, down]), START, there, field).states
        slope = (pair[0] - pair[1]) / (2 * h)
        difference = (jacobian[:, column] - slope) * unit[column] / unit
        assert np.abs(difference).max() < 1e-5 * max(1.0, np.abs(slope * unit[column] / unit).max())


def test_there_and_back_from_inside(mapped):
    field = magnet_field(mapped)
    states = _states()
    there = transport(states, START, 777.0, field)
    back = transport(there.states, 777.0, START, field)
    assert (back.status == CROSSED).all()
    np.testing.assert_allclose(back.states, states, rtol=1e-5, atol=3e-3)
    product = back.jacobians @ there.jacobians
    np.testing.assert_allclose(
        product[:, :2, :2], np.broadcast_to(np.eye(2), (200, 2, 2)), atol=1e-3
    )


def test_pieces_end_at_edges_and_cuts():
    field = magnet_field(RAMP, cuts=[0.0, -1100.0])
    assert isinstance(field, Field)
    assert sorted({*field.start, *field.end}) == [
        -2125,
        -2075,
        -1100,
        -125,
        -75,
        75,
        125,
        2075,
        2125,
    ]
    assert field.simple.tolist() == [False, True, True, False, False, True, False]


# --- what does not come through -----------------------------------------------------------------


def test_tracks_beside_the_map_or_turning_back_have_a_status(mapped):
    states = np.array(
        [[0, 0, 0, 0, 0.01], [400, 0, 0, 0, 0.01], [0, 0, 0, 0.03, -0.01], [0, 0, 0, 0, -1.0]]
    )
    moved = transport(states, START, END, magnet_field(mapped))
    assert moved.status.tolist() == [CROSSED, OUTSIDE, OUTSIDE, OUTSIDE]
    assert np.isnan(moved.states[1:]).all()
    assert np.isfinite(moved.states[0]).all()
    slow = transport([[0, 0, 0, 0, -2.0]], START, END, magnet_field(RAMP))
    assert slow.status.tolist() == [TURNED]
    nan = transport([[np.nan, 0, 0, 0, -0.01]], START, END, magnet_field(mapped))
    assert nan.status.tolist() == [OUTSIDE]


@pytest.mark.parametrize("kind", ["ramp", "map"])
def test_two_magnets_take_microseconds(mapped, kind):
    field = magnet_field(RAMP if kind == "ramp" else mapped)
    states = np.tile(np.array([1.0, 2.0, 1e-3, 1e-3, -0.01]), (4000, 1))
    transport(states[:1], START, END, field)
    took = []
    for _ in range(3):
        begin = time.process_time()
        transport(states, START, END, field)
        took.append((time.process_time() - begin) / len(states))
    # 2 and 5 us on an idle core; the bound is for a busy one
    assert min(took) < 20e-6
