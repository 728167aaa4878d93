"""Planes and material of a spectrometer, and what is refused."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from na64reco.calibration import Alignment
from na64reco.errors import ConditionsError, SetupError
from na64reco.tracking.layout import MAGNET, PLANE, SCATTERER, STOP, highland, make_layout
from na64reco.tracking.planes import strip_planes


def test_highland_by_hand():
    # PDG 34.16 at p = 1 GeV, x/X0 = 0.01: 13.6 mrad * 0.1 * (1 - 0.038 * 4.605) = 1.122 mrad
    assert highland(0.01) == pytest.approx(1.122e-3, rel=1e-3)
    assert highland(0.0) == 0.0


def test_what_the_beam_meets(setup, conditions):
    planes = strip_planes(setup, conditions)
    layout = make_layout(setup, planes)
    assert np.all(np.diff(layout.z) >= 0)
    assert np.bincount(layout.kind).tolist() == [12, 13, 2, 1]
    assert layout.kind[-1] == STOP
    assert layout.z[-1] == setup.ecal.z
    assert (layout.x.upstream, layout.y.upstream) == (2, 2)
    assert layout.kind[layout.last_plane] == PLANE
    assert layout.z[layout.last_plane] == pytest.approx(14702.0)
    # 8 stations, 3 passive parts, S2 and S3 (S1 stands before the first plane, V1 and V2 have
    # a hole)
    assert set(layout.z[layout.kind == SCATTERER]) >= {-3000.0, 15000.0, 16000.0}
    assert layout.z[layout.kind == MAGNET].tolist() == [-2100.0, 100.0]
    # 7 T m turn +1 GeV by -2.0985 in sin(angle)
    assert layout.bend == pytest.approx(-2.0985, rel=1e-4)


def test_rotation_changes_the_measured_direction(setup, conditions):
    turned = dataclasses.replace(conditions, alignment={("gem", 2, 1): Alignment(0.0, 5.0)})
    planes = strip_planes(setup, turned)
    p = planes.lookup[1, 2, 1]
    angle = np.pi / 2 + 5e-3
    assert planes.cos[p] == pytest.approx(np.cos(angle), abs=1e-12)
    assert planes.origin[p] == pytest.approx(308.5 * np.cos(angle))


def test_views_of_turned_planes_are_right_near_the_axis_of_the_station(setup, conditions):
    # Behind the magnets x is 300 mm: turned by 5 mrad, a Y plane's u has 1.5 mm of it.
    turned = {("gem", 2, 1): Alignment(0.0, 5.0), ("gem", 2, 0): Alignment(0.0, 5.0)}
    planes = strip_planes(setup, dataclasses.replace(conditions, alignment=turned))
    layout = make_layout(setup, planes)
    x, y = 308.5, 4.0  # on the axis of GEM2 in x, 4 mm off in y
    for view, number, true, off in ((layout.x, 0, x, 5e-3 * 4.0), (layout.y, 1, y, 1e-4)):
        p = planes.lookup[1, 2, number]
        i = int(np.flatnonzero(view.plane == p)[0])
        position = x * planes.cos[p] + y * planes.sin[p] - planes.origin[p]
        assert (position + view.origin[i]) * view.scale[i] == pytest.approx(true, abs=1.01 * off)


def test_missing_conditions_are_named(setup, conditions):
    lacking = {k: v for k, v in conditions.mm.items() if k != (3, 1)}
    with pytest.raises(ConditionsError, match=r"no mm block for station 3 projection Y.*mm\.txt"):
        strip_planes(setup, dataclasses.replace(conditions, mm=lacking))


def test_too_few_planes_and_no_field(setup, conditions):
    planes = strip_planes(setup, conditions)
    main = setup.spectrometers["main"]
    few = setup.model_copy(
        update={"spectrometers": {"main": main.model_copy(update={"downstream": ("MM3",)})}}
    )
    with pytest.raises(SetupError, match="2 planes before and 1 planes behind the magnets"):
        make_layout(few, planes)
    off = {n: m.model_copy(update={"field": 0.0}) for n, m in setup.magnets.items()}
    with pytest.raises(SetupError, match="no field integral"):
        make_layout(setup.model_copy(update={"magnets": off}), planes)
    with pytest.raises(SetupError, match=r"no spectrometer 'man'\. Did you mean 'main'"):
        make_layout(setup, planes, spectrometer="man")
    inside = {**setup.stations}
    inside["ST3"] = inside["ST3"].model_copy(update={"z": 0.0})
    inside["ST4"] = inside["ST4"].model_copy(update={"z": 1000.0})
    with pytest.raises(SetupError, match=r"z = 1000\.0 mm stands inside a magnet"):
        make_layout(setup.model_copy(update={"stations": inside}), planes)
