from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from na64reco.simulation.tracks import ELECTRON, MUON, PION, Tracks
from na64reco.simulation.transport import beamline, bend, bremsstrahlung_photons, propagate


def empty_of_matter(setup):
    """The setup without anything that scatters."""
    thin = {"thickness_x0": 0.0}
    return setup.model_copy(
        update={
            part: {k: v.model_copy(update=thin) for k, v in getattr(setup, part).items()}
            for part in ("counters", "stations", "passive")
        }
    )


def lorentz(setup, x, y, tx, ty, momentum, charge, z_end):
    """Equation of motion dr/dz, d(slopes)/dz in By, integrated numerically: an independent path."""
    norm = np.sqrt(1 + tx**2 + ty**2)
    state = np.array([x, y, momentum * tx / norm, momentum * ty / norm])
    z = setup.beam.z
    edges = sorted({e for m in setup.magnets.values() for e in (m.start, m.end)} | {z_end})
    for edge in edges:
        middle = 0.5 * (z + edge)
        field = sum(m.field for m in setup.magnets.values() if m.start < middle < m.end)

        def motion(_z, s, field=field):
            pz = np.sqrt(momentum**2 - s[2] ** 2 - s[3] ** 2)
            # dp_x/dt = -q v_z B; per dz: -q B.
            return [s[2] / pz, s[3] / pz, -charge * 0.299792458e-3 * field, 0.0]

        state = solve_ivp(motion, (z, edge), state, method="DOP853", rtol=1e-12, atol=1e-10).y[
            :, -1
        ]
        z = edge
    return state[:2]


def test_positions_at_the_ecal_agree_with_the_equation_of_motion(setup):
    bare = empty_of_matter(setup)
    line = beamline(bare)
    rng = np.random.default_rng(1)
    rows = 12
    tracks = Tracks.make(
        rows,
        event=np.arange(rows),
        kind=MUON,
        charge=np.where(np.arange(rows) % 2, -1, 1),
        momentum=rng.uniform(40, 150, rows),
        x=rng.normal(0, 6, rows),
        y=rng.normal(0, 6, rows),
        tx=rng.normal(0, 1e-3, rows),
        ty=rng.normal(0, 1e-3, rows),
        z_start=bare.beam.z,
    )
    paths = propagate(rng, line, tracks)
    face = line.surface("ecal")
    for row in range(rows):
        expected = lorentz(
            bare,
            tracks.x[row],
            tracks.y[row],
            tracks.tx[row],
            tracks.ty[row],
            tracks.momentum[row],
            int(tracks.charge[row]),
            bare.ecal.z,
        )
        assert paths.x[row, face] == pytest.approx(expected[0], abs=0.002)
        assert paths.y[row, face] == pytest.approx(expected[1], abs=0.002)


def test_an_axial_particle_moves_on_a_circle():
    radius = 190_000.0
    x, y, tx, ty, alive = bend(0.0, 3.0, 0.0, 0.0, 1 / radius, 4000.0)
    assert alive
    assert x == pytest.approx(radius - np.sqrt(radius**2 - 4000.0**2), rel=1e-9)
    assert tx == pytest.approx(np.tan(np.arcsin(4000.0 / radius)), rel=1e-12)
    assert (y, ty) == (3.0, 0.0)


def test_a_field_too_strong_turns_the_particle_back():
    *_, alive = bend(0.0, 0.0, 0.0, 0.0, 1 / 1000.0, 2000.0)
    assert not alive


def test_synchrotron_loss_is_that_of_a_ring_per_angle(setup):
    # U per turn = 8.846e-5 m/GeV^3 E^4 / rho (PDG, accelerator physics); two magnets of 3.5 T m.
    rho = 100 / (0.299792458 * 1.75)
    expected = 8.846e-5 * 100**4 / rho * (4.0 / rho) / (2 * np.pi)
    bare = empty_of_matter(setup)
    tracks = Tracks.make(
        1, event=[0], kind=ELECTRON, charge=-1, momentum=100.0, z_start=bare.beam.z
    )
    paths = propagate(np.random.default_rng(1), beamline(bare), tracks)
    assert 100 - paths.momentum[0] == pytest.approx(expected, rel=0.005)


def test_scattering_in_air_has_the_width_of_highland(setup):
    # 5.5 m of air are 0.018 X0: 13.6 MeV / 50 GeV * sqrt(0.018) * (1 + 0.038 ln 0.018) = 30.9 urad.
    rows = 20_000
    line = beamline(setup)
    rng = np.random.default_rng(2)
    air, wall = line.surface("air"), line.surface("ecal")
    tracks = Tracks.make(
        rows, event=np.arange(rows), kind=PION, charge=1, momentum=50.0, x=330.0, z_start=15_900.0
    )
    # The straws behind the air (0.001 X0) add 6.1 urad.
    paths = propagate(rng, line, tracks)
    kick = 1e6 * (paths.ty[:, wall] - paths.ty[:, air])
    assert kick.std() == pytest.approx(np.hypot(30.9, 6.3), rel=0.02)
    assert abs(kick.mean()) < 4 * 31.5 / np.sqrt(rows)


def test_bremsstrahlung_takes_one_share_per_radiation_length(setup):
    # The mean relative loss in t radiation lengths is t (4/3 - 2/3 + 1/3) = t for t << 1.
    thick = {"S1": setup.counters["S1"].model_copy(update={"thickness_x0": 0.02})}
    bare = empty_of_matter(setup).model_copy(update={"counters": thick, "magnets": {}})
    magnet = setup.magnets["MBPL1"].model_copy(update={"field": 0.0})
    bare = bare.model_copy(update={"magnets": {"MBPL1": magnet}})
    rows = 200_000
    tracks = Tracks.make(
        rows, event=np.arange(rows), kind=ELECTRON, charge=-1, momentum=100.0, z_start=-1e4
    )
    paths = propagate(np.random.default_rng(3), beamline(bare), tracks)
    lost = 1 - paths.momentum / 100
    assert lost.mean() == pytest.approx(0.02, rel=0.03)
    photons = bremsstrahlung_photons(tracks, paths, minimum=0.0)
    assert photons.momentum.sum() == pytest.approx(100 * lost.sum(), rel=1e-6)
    # Above half of the energy: 4/3 ln 2 - 4/3 (1/2) + (1 - 1/4) / 2 = 0.633 per radiation length.
    assert (lost > 0.5).mean() == pytest.approx(0.02 * 0.633, rel=0.06)


def test_particles_leave_nothing_behind_their_end_or_outside_the_gap(setup):
    line = beamline(setup)
    tracks = Tracks.make(
        3,
        event=[0, 1, 2],
        kind=MUON,
        charge=-1,
        momentum=100.0,
        y=[0.0, 0.0, 75.0],
        z_start=[-1e4, 14_000.0, -1e4],
        z_end=[0.0, np.inf, np.inf],
    )
    paths = propagate(np.random.default_rng(1), line, tracks)
    seen = ~np.isnan(paths.x)
    first, last = line.surface("MM1"), line.surface("ecal")
    assert seen[:, first].tolist() == [True, False, True]
    assert seen[:, last].tolist() == [False, True, False]  # the gap is 140 mm high


def test_the_nominal_particle_hits_the_ecal_where_the_setup_says(setup):
    line = beamline(setup)
    tracks = Tracks.make(1, event=[0], kind=MUON, charge=-1, momentum=100.0, z_start=-1e4)
    paths = propagate(np.random.default_rng(1), line, tracks)
    assert paths.x[0, line.surface("ecal")] == pytest.approx(setup.beam_x(18_000.0), abs=3.0)
