"""Cells of the HCAL that tracks enter, against planes and lines written with angles and vectors."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from na64reco.calibration import CellConditions
from na64reco.calorimeters import reconstruct_hcal
from na64reco.errors import SetupError
from na64reco.events import EventWriter, Hits, open_events
from na64reco.reconstruction import events as module
from na64reco.reconstruction import reconstruct_columns
from na64reco.reconstruction.expected import expected_cells
from na64reco.setup import load_setup
from na64reco.simulation.generate import simulate
from na64reco.tracking.extrapolate import cell_of, extrapolate

MODULES = 4


def tilted(setup, angles):
    """The setup with its HCAL modules turned by angles (rad) about their centres."""
    sections = {
        name: section.model_copy(update={"slope_x": float(np.tan(angle))})
        for (name, section), angle in zip(setup.hcal.sections.items(), angles, strict=True)
    }
    hcal = setup.hcal.model_copy(update={"sections": sections})
    return setup.model_copy(update={"hcal": hcal})


def columns(x, y, slope_x, slope_y):
    values = {"x_ecal": x, "y_ecal": y, "slope_x_out": slope_x, "slope_y_out": slope_y}
    return {f"track.{name}": np.asarray(v, dtype=np.float32) for name, v in values.items()}


def by_vectors(track, start, hcal, centres, angles):
    """Cells, and the distance to the nearest edge of a cell, mm."""
    turn = np.arctan(start.slope_x)
    x, y, tx, ty = (v.astype(float) for v in track.values())
    right, up = np.array([np.cos(turn), 0, -np.sin(turn)]), np.array([0.0, 1, 0])
    point = np.array([start.x, start.y, start.z]) + np.outer(x, right) + np.outer(y, up)
    way = np.stack([tx / 1e3, ty / 1e3, np.ones_like(tx)], axis=1)
    cells, edges = [], []
    for centre, angle in zip(centres, angles, strict=True):
        normal = np.array([np.sin(angle), 0, np.cos(angle)])
        right = np.array([np.cos(angle), 0, -np.sin(angle)])
        met = point + (((centre - point) @ normal) / (way @ normal))[:, None] * way - centre
        place = np.stack([met @ right / hcal.cell_x, met @ up / hcal.cell_y], axis=1)
        place += np.array([hcal.nx, hcal.ny]) / 2
        inside = ((place >= 0) & (place < [hcal.nx, hcal.ny])).all(axis=1)
        cells.append(np.where(inside[:, None], np.floor(place), -1))
        edges.append(np.abs(place - np.round(place)).min(axis=1) * hcal.cell_x)
    return np.stack(cells, axis=1), np.stack(edges, axis=1)


@pytest.mark.parametrize("angles", [(0.021, 0.021, 0.021, 0.0), (0.6, -0.4, 0.25, -0.7)])
def test_cells_against_lines_and_planes_by_vectors(setup, angles):
    setup = tilted(setup, angles)
    rng = np.random.default_rng(3)
    n = 4000
    track = columns(
        rng.uniform(-250, 250, n),
        rng.uniform(-250, 250, n),
        rng.normal(21, 60, n),
        rng.normal(0, 60, n),
    )
    sections = setup.hcal.sections.values()
    places = [(s.x or setup.hcal.x, setup.hcal.y, s.z or setup.hcal.z) for s in sections]
    places[3] = (0.0, *places[3][1:])
    expected, edge = by_vectors(track, setup.ecal, setup.hcal, np.array(places), angles)
    found = expected_cells(track, setup)
    assert found.shape == (n, MODULES, 2)
    clear = edge > 0.01  # mm; single precision of the columns
    assert clear.mean() > 0.999
    np.testing.assert_array_equal(found[clear], expected[clear])
    for m in range(MODULES):
        met = (found[:, m] >= 0).all(axis=1)
        assert 0.05 < met.mean() < 0.95
        assert len(np.unique(found[met, m], axis=0)) == 9


def test_tracks_by_the_side_or_without_fit_enter_no_cell(setup):
    """Modules are 582 mm wide: along their axis 290 mm from it is inside, 292 mm outside."""
    slope = 1e3 * setup.hcal.slope_x
    hcal, ecal = setup.hcal, setup.ecal
    # On the module's axis, at the ECAL: both are perpendicular to about the same direction.
    axis = hcal.x - (hcal.z - ecal.z) * hcal.slope_x - ecal.x
    y = np.array([0.0, 290.0, 292.0, -290.0, -292.0, np.nan]) + hcal.y - ecal.y
    found = expected_cells(columns([axis] * 6, y, [slope] * 6, [0.0] * 6), setup)
    assert found[:, 0].tolist() == [[1, 1], [1, 2], [-1, -1], [1, 0], [-1, -1], [-1, -1]]
    assert (found[-1] == -1).all()
    # The module at zero degrees is 290 mm and more away from this line.
    assert (found[:, 3] == -1).all()


def test_cells_against_the_extrapolation_with_material(setup):
    """Which steps through counters and calorimeters to each face."""
    rng = np.random.default_rng(4)
    n = 300
    states = np.zeros((n, 5))
    states[:, 0] = setup.ecal.x + rng.uniform(-150, 150, n)
    states[:, 1] = setup.ecal.y + rng.uniform(-150, 150, n)
    states[:, 2:4] = rng.normal((setup.hcal.slope_x, 0), 0.01, (n, 2))
    states[:, 4] = -0.01
    z, covariance = setup.ecal.z, np.zeros((n, 5, 5))
    face = extrapolate(states, covariance, z, "ecal", setup)
    track = columns(face.x, face.y, 1e3 * states[:, 2], 1e3 * states[:, 3])
    found = expected_cells(track, setup)
    for m in range(MODULES):
        impact = extrapolate(states, covariance, z, f"hcal.module{m}", setup)
        same = (found[:, m] == cell_of(impact, setup.hcal)).all(axis=1)
        assert same.mean() > 0.995, m  # single precision at edges


def test_particles_are_looked_for_in_the_expected_cell(setup):
    shape = setup.hcal.shape
    cells = CellConditions(
        np.full(shape, 0.01), np.zeros(shape), np.ones(shape), np.full(shape, 0.2)
    )
    rows = [
        [(0, 1, 1, 240.0), (1, 2, 1, 500.0), (2, 0, 0, 240.0)],
        [(0, 1, 1, 240.0), (0, 2, 1, 10.0), (1, 1, 1, np.nan)],
        [],
        [(0, 0, 2, 900.0), (0, 1, 1, 240.0)],
    ]
    flat = [hit for event in rows for hit in event]
    hits = Hits(
        np.cumsum([0, *map(len, rows)]).astype(np.int64),
        {
            name: np.array(values, dtype=np.float32 if name == "amplitude" else np.uint8)
            for name, values in zip(
                ("module", "ix", "iy", "amplitude"), zip(*flat, strict=True), strict=True
            )
        }
        | {"time": np.zeros(len(flat), dtype=np.float32)},
    )
    where = np.full((4, MODULES, 2), -1)
    where[0, :3] = [[1, 1], [2, 1], [1, 1]]  # one, two, none: that of module 2 is elsewhere
    where[1, :2] = [[2, 1], [1, 1]]  # a cell beside; NaN alone
    where[2, 0] = [1, 1]
    where[3, 0] = [0, 2]
    found = reconstruct_hcal(hits, setup, SimpleNamespace(hcal=cells), expected=where)
    assert found["hcal.expected_ix"].tolist() == [1, 2, 1, 0]
    assert found["hcal.expected_iy"].tolist() == [1, 1, 1, 2]
    assert found["hcal.expected_mips0"].tolist() == [1, 0, 0, 3]
    assert found["hcal.expected_mips1"].tolist() == [2, 0, -1, -1]
    assert found["hcal.expected_mips2"].tolist() == [0, -1, -1, -1]
    assert found["hcal.expected_mips3"].tolist() == [-1] * 4
    np.testing.assert_allclose(found["hcal.expected0"], [2.4, 0, 0, 9.0], rtol=1e-6)
    np.testing.assert_allclose(found["hcal.expected1"], [5.0, 0, np.nan, np.nan], rtol=1e-6)
    # Whether looked for or not, the rest is the same.
    rest = reconstruct_hcal(hits, setup, SimpleNamespace(hcal=cells))
    assert not [name for name in rest if "expected" in name]
    for name, values in rest.items():
        np.testing.assert_array_equal(values, found[name], err_msg=name)


def test_simulated_muons_are_in_the_expected_cell(setup, tmp_path):
    """Nearly all; where a muon crosses the border of cells, each has a part of its energy."""
    path = tmp_path / "muons.root"
    with EventWriter(path) as writer:
        for batch in simulate(setup, "muon", 500, seed=3, trigger="none", intensity=1e4, run=6100):
            writer.write(batch)
    names = [f"hcal.{n}{m}" for m in range(3) for n in ("expected_mips", "mips")]
    found = reconstruct_columns(open_events(path), setup, columns=[*names, "track.found"])
    tracks = found["track.found"]
    assert tracks.mean() > 0.95
    for m in range(3):
        one = tracks & (found[f"hcal.mips{m}"] == 1)
        assert one.mean() > 0.7
        assert (found[f"hcal.expected_mips{m}"][one] == 1).mean() > 0.98
        assert (found[f"hcal.expected_mips{m}"][~tracks] == -1).all()


def test_in_the_muon_mode_the_second_spectrometer_says_where(monkeypatch):
    """Its tracks are given at the HCAL's own face."""
    setup = load_setup("2022-muon-152")
    calls = []

    def stub(mm, gem, straw, setup, conditions, *, spectrometer, unfolded):
        calls.append(spectrometer)
        x = {"MS1": 500.0, "MS2": -350.0}[spectrometer]
        slope = 1e3 * setup.hcal.slope_x
        return columns([x, x], [-110.0, np.nan], [slope, slope], [0.0, 0.0])

    monkeypatch.setattr(module, "reconstruct_tracks", stub)
    shape = setup.hcal.shape
    cells = CellConditions(*(np.full(shape, v) for v in (0.01, 0.0, 1.0, 0.0)))
    conditions = SimpleNamespace(hcal=cells, drift={}, waveform={})
    one = {
        "module": np.array([0, 1, 0], np.uint8),
        "ix": np.array([1, 1, 1], np.uint8),
        "iy": np.array([0, 0, 0], np.uint8),
        "amplitude": np.full(3, 100 * setup.hcal.mip, np.float32),
        "time": np.zeros(3, np.float32),
    }
    nothing = Hits(np.zeros(3, np.int64), {})
    inputs = module._Inputs(
        {}, {"HCAL": Hits(np.array([0, 2, 3]), one), "MM": nothing, "GEM": nothing}
    )
    wanted = ("hcal.expected_mips0", "hcal.expected_mips1", "hcal.expected_ix", "hcal.expected_iy")
    found = module._detectors(wanted, inputs, setup, conditions)
    assert calls == ["MS2"]
    # x = -350 mm of six cells of 200 mm; 1.5 m behind, along the axis, 100 mm beside it: the same.
    assert found["hcal.expected_ix"].tolist() == [1, -1]
    assert found["hcal.expected_iy"].tolist() == [0, -1]
    assert found["hcal.expected_mips0"].tolist() == [1, -1]
    assert found["hcal.expected_mips1"].tolist() == [1, -1]


def test_a_magnet_on_the_way_is_an_error():
    setup = load_setup("2022-muon-152")
    first = {"MS1": setup.spectrometers["MS1"]}
    track = columns([0.0], [0.0], [0.0], [0.0])
    with pytest.raises(SetupError, match=r"magnet MS2 stands between z = 12000\.0 mm.*of MS1"):
        expected_cells(track, setup.model_copy(update={"spectrometers": first}))
