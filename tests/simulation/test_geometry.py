from __future__ import annotations

import numpy as np
import pytest

from na64reco.simulation.geometry import Frame, Line, section_frame


def line(x, y, tx, ty, z=0.0):
    return Line(*(np.array([value], dtype=float) for value in (x, y, tx, ty)), z)


def test_local_coordinates_of_a_turned_face():
    angle = 0.3
    frame = Frame(x=10.0, y=1.0, z=1000.0, slope_x=np.tan(angle), half_x=50.0, half_y=50.0)
    # A point 20 mm along the face's own x axis, seen from the origin.
    point = np.array([10 + 20 * np.cos(angle), 4.0, 1000 - 20 * np.sin(angle)])
    x, y = frame.local(line(0.0, 0.0, point[0] / point[2], point[1] / point[2]))
    assert x[0] == pytest.approx(20.0)
    assert y[0] == pytest.approx(3.0)


def test_edges():
    frame = Frame(x=0.0, y=0.0, z=100.0, slope_x=0.0, half_x=50.0, half_y=20.0)
    inside = [frame.inside(line(x, y, 0.0, 0.0))[0] for x, y in ((49, 19), (51, 0), (0, -21))]
    assert inside == [True, False, False]


def test_the_nominal_beam_is_in_the_middle(setup):
    z = setup.ecal.z
    beam = line(setup.beam_x(z), 0.0, setup.beam_slope(z), 0.0, z)
    x, y = section_frame(setup.ecal).local(beam)
    ix, iy = setup.ecal.beam_cell
    assert x[0] == pytest.approx(setup.ecal.x_centres[ix], abs=0.5)
    assert y[0] == pytest.approx(setup.ecal.y_centres[iy], abs=0.5)
    for module in ("module0", "module1", "module2"):
        assert section_frame(setup.hcal, module).local(beam)[0][0] == pytest.approx(0, abs=0.5)
    assert not section_frame(setup.hcal, "module3").inside(beam)[0]


def test_the_module_at_zero_degrees_is_on_the_unbent_beam(setup):
    straight = line(0.0, 0.0, 0.0, 0.0, setup.beam.z)
    assert section_frame(setup.hcal, "module3").inside(straight)[0]
    assert not section_frame(setup.ecal).inside(straight)[0]
