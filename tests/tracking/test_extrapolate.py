"""Extrapolation against many particles that are scattered slice by slice, and closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from na64reco.errors import SetupError
from na64reco.setup import load_setup
from na64reco.tracking.extrapolate import cell_of, extrapolate, faces
from na64reco.tracking.field import magnet_field
from na64reco.tracking.propagation import propagate

C = 0.299792458e-3  # GeV/c per T mm
SETUP = load_setup("2022-electron")


def highland(x0: float) -> float:
    """PDG 2024, eq. 34.16, rad GeV/c."""
    return 0.0136 * np.sqrt(x0) * (1 + 0.038 * np.log(x0))


def swarm(n: int, z: float, momentum: float, rng) -> tuple[np.ndarray, np.ndarray]:
    """True states about the nominal beam, and a covariance as a fit gives."""
    slope = SETUP.beam_slope(z)
    truth = np.tile([SETUP.beam_x(z), 0.0, slope, 0.0, -1 / momentum], (n, 1))
    truth[:, :2] += rng.normal(0, 5, (n, 2))
    truth[:, 2:4] += rng.normal(0, 1e-4, (n, 2))
    mixing = rng.normal(0, 1, (5, 5)) + 3 * np.eye(5)
    scale = np.diag([0.05, 0.05, 3e-5, 3e-5, 1e-4])
    covariance = scale @ mixing @ mixing.T @ scale / 10
    return truth, covariance


def straight(s, step):
    s = s.copy()
    s[:, :2] += step * s[:, 2:4]
    return s


def scattered(s, theta, rng):
    s = s.copy()
    s[:, 2:4] += rng.normal(0, theta, (len(s), 2)) * np.abs(s[:, 4:5])
    return s


def through_material(s, z, end, rng, slices=60):
    """Thin layers at their places, the ECAL in many slices whose variances add up to Highland's."""
    thin = [(p.z, p.thickness_x0) for p in SETUP.stations.values()]
    thin += [(p.z, p.thickness_x0) for p in SETUP.passive.values()]
    thin += [(c.z, c.thickness_x0) for c in SETUP.counters.values() if c.hole == 0]
    events = [(at, highland(x0)) for at, x0 in thin if z < at < end]
    if z <= SETUP.ecal.z < end:
        part = 450.0 / slices
        theta = highland(40.0) / np.sqrt(slices)
        events += [(SETUP.ecal.z + (i + 0.5) * part, theta) for i in range(slices)]
    for at, theta in sorted(events):
        s = scattered(straight(s, at - z), theta, rng)
        z = at
    return straight(s, end - z)


@pytest.mark.parametrize("face", ["ecal", "veto", "hcal.module0", "ST4"])
def test_pulls_behind_the_magnets(face):
    rng = np.random.default_rng(3)
    z, n = 14710.0, 20_000
    truth, covariance = swarm(n, z, 50.0, rng)
    measured = truth + rng.multivariate_normal(np.zeros(5), covariance, n)
    found = extrapolate(measured, np.tile(covariance, (n, 1, 1)), z, face, SETUP)
    target = faces(SETUP)[face]
    end = through_material(truth, z, target.z, rng)
    for axis, error in ((0, found.x_error), (1, found.y_error)):
        pull = (found.states - end)[:, axis] / error
        assert abs(pull.mean()) < 0.03
        assert pull.std() == pytest.approx(1.0, abs=0.03)
    slope = (found.states - end)[:, 2] / np.sqrt(found.covariances[:, 2, 2])
    assert slope.std() == pytest.approx(1.0, abs=0.03)


def test_backwards_through_both_magnets():
    """From behind the magnets to the first plane: a circle of 7 T m, in vacuum."""
    z = 13000.0
    state = np.array([[SETUP.beam_x(z), 0.0, SETUP.beam_slope(z), 0.0, -0.01]])
    covariance = np.diag([0.0, 0.0, 0.0, 0.0, 1e-4**2])[None]
    found = extrapolate(state, covariance, z, "MM1", vacuum())
    assert found.x[0] == pytest.approx(0.0, abs=1e-3)
    assert found.states[0, 2] == pytest.approx(0.0, abs=1e-7)
    # 1 % of the bend (sine 0.0209855 at the lever arm of 16.6 m about the magnets' centres).
    lever = C * 1.75 * 2000 * ((13000 - 1100) + (13000 + 1100) - 2 * (13000 + 3605))
    assert found.x_error[0] == pytest.approx(abs(lever) * 1e-4, rel=0.01)


def vacuum(**magnet):
    """The setup without material, for a particle that does not radiate."""
    empty = {k: s.model_copy(update={"thickness_x0": 0.0}) for k, s in SETUP.stations.items()}
    return SETUP.model_copy(
        update={
            "passive": {},
            "counters": {},
            "stations": empty,
            "magnets": {k: m.model_copy(update=magnet) for k, m in SETUP.magnets.items()},
            "beam": SETUP.beam.model_copy(update={"particle": "muon"}),
        }
    )


@pytest.mark.parametrize("ramp", [0.0, 300.0])
def test_through_edges_as_the_propagation_which_agrees_with_acts(ramp):
    """States, and covariances by differences of states."""
    setup = vacuum(ramp=ramp)
    field = magnet_field(setup.magnets.values())
    z = faces(setup)["ecal"].z
    state = np.array([3.0, -4.0, 1e-3, -2e-3, -0.02])
    rng = np.random.default_rng(1)
    factor = np.diag([0.1, 0.1, 1e-4, 1e-4, 1e-4]) @ rng.normal(size=(5, 5))
    found = extrapolate(state[None], (factor @ factor.T)[None], -3600.0, "ecal", setup)
    moved = propagate(state[None], -3600.0, z, field)
    np.testing.assert_allclose(found.states, moved, rtol=1e-9)
    steps = np.diag([1e-3, 1e-3, 1e-6, 1e-6, 1e-6])
    up, down = (propagate(state + sign * steps, -3600.0, z, field) for sign in (1, -1))
    jacobian = (up - down).T / (2 * np.diag(steps))
    expected = jacobian @ factor @ factor.T @ jacobian.T
    scale = np.sqrt(np.diag(expected))
    np.testing.assert_allclose(
        found.covariances[0] / np.outer(scale, scale), expected / np.outer(scale, scale), atol=1e-5
    )
    back = extrapolate(found.states, found.covariances, z, "MM2", setup)
    assert back.x[0] == pytest.approx(3.0 + 400 * 1e-3, abs=1e-6)


def test_beyond_a_field_map_there_is_nothing(tmp_path):
    path = tmp_path / "map.txt"
    rows = ["x[mm] y[mm] z[mm] Bx[T] By[T] Bz[T]"]
    rows += [
        f"{x} {y} {z} 0 1 0" for x in (-50, 50) for y in (-50, 50) for z in range(-1000, 1001, 100)
    ]
    path.write_text("\n".join(rows))
    setup = vacuum(map=str(path), scale=1.75)
    states = np.array([[0.0, 0, 0, 0, -0.01], [60.0, 0, 0, 0, -0.01]])
    found = extrapolate(states, np.zeros((2, 5, 5)), -3600.0, "ecal", setup)
    assert np.isfinite(found.states[0]).all()
    assert found.inside.tolist() == [True, False]
    assert np.isnan(found.states[1]).all()
    assert np.isnan(found.x_error[1])


def test_a_face_that_is_turned():
    """A track along the axis of the ECAL meets its face where the face is."""
    ecal = SETUP.ecal
    state = np.array([[ecal.x + 100.0, ecal.y, ecal.slope_x, 0.0, -0.01]])
    found = extrapolate(state, np.zeros((1, 5, 5)), ecal.z, "ecal", SETUP)
    # Distance of two parallel lines: 100 mm times the cosine of their angle to z.
    assert found.x[0] == pytest.approx(100.0 / np.sqrt(1 + ecal.slope_x**2), abs=1e-9)


def test_cells_and_what_lies_outside():
    ecal = SETUP.ecal
    x = ecal.x + np.array([0.0, 40.0, 200.0])
    state = np.stack([x, np.full(3, ecal.y + 1), *np.zeros((2, 3)), np.full(3, -0.01)], axis=1)
    found = extrapolate(state, np.zeros((3, 5, 5)), ecal.z, "ecal", SETUP)
    assert cell_of(found, ecal).tolist() == [[2, 3], [3, 3], [-1, -1]]
    assert found.inside.tolist() == [True, True, False]


def test_a_particle_that_turns_back_reaches_nothing():
    state = np.array([[0.0, 0.0, 0.0, 0.0, -5.0]])  # 200 MeV in 7 T m
    found = extrapolate(state, np.zeros((1, 5, 5)), -3000.0, "ecal", SETUP)
    assert np.isnan(found.x[0])
    assert not found.inside[0]


def test_unknown_detectors_are_named():
    with pytest.raises(SetupError, match=r"2022-electron has no detector 'hcal.modul0'. Did you"):
        extrapolate(np.zeros((1, 5)), np.zeros((1, 5, 5)), 0.0, "hcal.modul0", SETUP)


def test_every_detector_has_a_face():
    names = set(faces(SETUP))
    assert {"ecal", "srd", "veto", "S3", "V2", "MM4"} <= names
    assert {f"hcal.module{i}" for i in range(4)} <= names
