"""Geometry of a setup against closed forms and an independent integration."""

from __future__ import annotations

import math

import pytest
from scipy.integrate import solve_ivp

from na64reco.setup import Magnet, load_setup


def test_bend_of_the_nominal_beam():
    """7 T m bend 100 GeV by arcsin(0.299792458 * 7 / 100) = 20.99 mrad; arXiv:2404.06982."""
    setup = load_setup("2022-electron")
    assert setup.field_integral() == pytest.approx(7000.0)
    assert math.atan(setup.beam_slope(17000.0)) == pytest.approx(math.asin(0.0209854721), abs=1e-9)


@pytest.mark.parametrize("z", [-5000.0, -1500.0, 0.0, 1700.0, 13000.0, 24000.0])
def test_nominal_beam_follows_the_equation_of_motion(z):
    """dx/dz = t, dt/dz = -q k B/p (1 + t^2)^(3/2), integrated numerically (Lorentz force)."""
    setup = load_setup("2022-electron")

    def field(at):
        return sum(m.field for m in setup.magnets.values() if m.start <= at < m.end)

    def motion(at, state):
        k = 0.299792458e-3 * field(at) / setup.beam.momentum
        return [state[1], k * (1 + state[1] ** 2) ** 1.5]

    solution = solve_ivp(
        motion, (setup.beam.z, z), [0.0, 0.0], max_step=2.0, rtol=1e-10, atol=1e-10
    )
    assert setup.beam_x(z) == pytest.approx(solution.y[0, -1], abs=0.05)


def test_charge_and_field_give_the_side():
    electron = load_setup("2022-electron")
    positron = electron.model_copy(
        update={"beam": electron.beam.model_copy(update={"particle": "positron"})}
    )
    assert electron.beam_x(15000.0) > 0
    assert positron.beam_x(15000.0) == pytest.approx(-electron.beam_x(15000.0))


def test_a_magnet_off_bends_nothing():
    setup = load_setup("2022-electron")
    off = {n: Magnet(**{**m.model_dump(), "field": 0.0}) for n, m in setup.magnets.items()}
    assert setup.model_copy(update={"magnets": off}).beam_x(20000.0) == 0.0


def test_cells_are_centred_about_the_calorimeter():
    ecal = load_setup("2018-electron").ecal
    # Cell (ix, iy) covers x from (ix - 3) * 38.2 mm: reference geometry of the 6x6 calorimeter.
    assert ecal.x_centres[3] - ecal.cell_x / 2 == pytest.approx(0.0)
    assert ecal.x_centres[0] - ecal.cell_x / 2 == pytest.approx(-3 * 38.2)
    odd = load_setup("2022-electron").ecal
    assert odd.x_centres[2] == pytest.approx(0.0)


def test_planes_of_a_station_stand_behind_each_other():
    station = load_setup("2022-electron").stations["MM1"]
    assert station.projections == ("X", "Y")
    assert station.projection_z("Y") - station.projection_z("X") == pytest.approx(10.0)
    assert station.half_width == pytest.approx(40.0)  # 8 x 8 cm2


def test_stations_of_a_technology_come_along_the_beam():
    setup = load_setup("2022-electron")
    assert list(setup.stations_of("mm")) == ["MM1", "MM2", "MM3", "MM4"]
    assert list(setup.stations_of("bms")) == []


def test_beam_rate():
    """6e6 electrons in a spill of 4.8 s (arXiv:2404.06982) are 1.25 MHz."""
    assert load_setup("2022-electron").beam.rate == pytest.approx(1.25e-3)
