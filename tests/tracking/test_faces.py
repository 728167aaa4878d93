"""From strips before and behind the magnets to the face of every detector behind, with material.

Tracks are stepped by Runge-Kutta and scattered layer by layer, calorimeters in 40 slices each; the
fit's last state is then followed by `extrapolate`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

from na64reco.setup import load_setup
from na64reco.tracking.extrapolate import cell_of, extrapolate, faces
from na64reco.tracking.fit import fit_tracks
from na64reco.tracking.layout import make_layout
from na64reco.tracking.planes import TECHNOLOGIES, strip_planes

N = 10_000
SLICES = 40
# Faces behind the last plane, by spectrometer
BEHIND = {
    ("2022-electron", "main"): (
        "srd", "ecal", "veto", "hcal.module0", "hcal.module1", "hcal.module2", "ST4", "S3", "V2",
    ),
    ("2022-muon-152", "MS1"): ("S0", "V1", "S1", "ecal", "veto", "vhcal"),
    ("2022-muon-152", "MS2"): ("S4", "hcal.module0", "hcal.module1", "Smu", "ST11"),
}  # fmt: skip


class Followed(NamedTuple):
    setup: object
    fits: object
    z: float
    """Of the fits' last states."""
    last_hit: float
    true: dict
    """State at the z of every face."""


def material(setup, start, end):
    """(z, radiation lengths) of thin layers; (z, rms angle times momentum) of thick ones."""
    parts = [*setup.stations.values(), *setup.passive.values()]
    parts += [c for c in setup.counters.values() if not c.hole]
    thin = [(p.z, p.thickness_x0) for p in parts if start < p.z < end]
    boxes = [(setup.ecal.z, 450.0, 40.0)]
    hcal = setup.hcal
    for name, section in hcal.sections.items():
        z = hcal.z if section.z is None else section.z
        if name != "module3":
            boxes.append((z, section.layers * hcal.layer_thickness, hcal.radiation_lengths))
    return thin, boxes


def walk(tools, toy, s, start, end, chosen, known):
    """True u on the planes of the stations, and the states at the z of the known faces."""
    setup = toy.setup
    thin, boxes = material(setup, start, end)
    things = [(z, 0, tools.theta0(t)) for z, t in thin if t > 0]
    for z, length, t in boxes:
        things += [
            (z + (i + 0.5) * length / SLICES, 0, tools.theta0(t) / np.sqrt(SLICES))
            for i in range(SLICES)
        ]
    things += [(m.start, 1, m) for m in setup.magnets.values()]
    for station in (setup.stations[n] for n in chosen):
        for p, degrees in station.angles.items():
            key = (station.technology, station.number, "XYUV".index(p))
            things.append((station.projection_z(p), 2, (station, key, np.radians(degrees))))
    things += [(f.z - 1e-6, 3, name) for name, f in known.items()]
    u, seen, first, z = {}, {}, None, start
    for where, kind, what in sorted(things, key=lambda t: t[:2]):
        if not start <= where <= end:
            continue
        s = s.copy()
        s[:, :2] += s[:, 2:4] * (where - z)
        z = where
        if kind == 0:
            s[:, 2:4] += what * np.abs(s[:, 4:]) * toy.random.normal(size=(len(s), 2))
        elif kind == 1:
            s, z = tools.runge_kutta(s, what.length, what.field, steps=50), what.end
        elif kind == 2:
            station, key, a = what
            u[key] = (s[:, 0] - station.x) * np.cos(a) + (s[:, 1] - station.y) * np.sin(a)
            first = s.copy() if first is None else first
        else:
            seen[what] = s.copy()
    return u, seen, first


@pytest.fixture(scope="module", params=list(BEHIND), ids=lambda p: p[1])
def followed(request, tools):
    name, spectrometer = request.param
    setup = tools.particle(load_setup(name), "muon")
    chosen = setup.spectrometers[spectrometer]
    stations = [
        n
        for n in (*chosen.upstream, *chosen.downstream)
        if setup.stations[n].technology in {"mm", "gem"}
    ]
    toy = tools.toy(setup, 8)
    start = min(setup.stations[n].z for n in stations) - 10
    states = toy.states(N, setup.beam.momentum)
    if spectrometer == "MS2":
        states[:, 0] += 337.36 + 0.0281167 * (start - 12000)
        states[:, 2] += setup.ecal.slope_x
    known = {face: faces(setup)[face] for face in BEHIND[request.param]}
    u, seen, first = walk(tools, toy, states, start, 24000.0, stations, known)
    planes = strip_planes(setup, tools.conditions(setup))
    layout = make_layout(setup, planes, spectrometer=spectrometer)
    measured = np.empty((N, len(layout.planes)))
    for column, p in enumerate(layout.planes):
        key = TECHNOLOGIES[planes.technology[p]], int(planes.station[p]), int(planes.projection[p])
        noise = tools.resolution[key[0]] * toy.random.normal(size=N)
        measured[:, column] = u[key] + noise + planes.origin[p]
    fits = fit_tracks(measured, first, planes, layout)
    assert fits.ok.all()
    return Followed(setup, fits, float(layout.z[-1]), float(layout.z[layout.last_plane]), seen)


def test_pulls_at_every_face(followed):
    for name, true in followed.true.items():
        fits = followed.fits
        found = extrapolate(
            fits.last, fits.last_covariance, followed.z, name, followed.setup,
            last_hit=followed.last_hit,
        )  # fmt: skip
        pulls = (found.states - true)[:, :2] / np.stack((found.x_error, found.y_error), axis=1)
        np.testing.assert_allclose(pulls.std(axis=0), 1.0, atol=0.04, err_msg=name)
        np.testing.assert_allclose(pulls.mean(axis=0), 0.0, atol=0.04, err_msg=name)


def test_tracks_enter_the_cells_that_they_should(followed):
    """Of the true state, where its place is further than three errors from the cell's edge."""
    setup, fits = followed.setup, followed.fits
    for name, calorimeter in (("ecal", setup.ecal), ("hcal.module0", setup.hcal)):
        if name not in followed.true:
            continue
        true, face = followed.true[name], faces(setup)[name]
        found = extrapolate(fits.last, fits.last_covariance, followed.z, name, setup)
        # Along the face, which is turned by the slope t about its centre.
        t = face.slope_x
        along = (true[:, 0] - face.x) / (1 + true[:, 2] * t) * np.sqrt(1 + t * t)
        place = np.stack((along, true[:, 1] - face.y), axis=1)
        size = np.array([calorimeter.cell_x, calorimeter.cell_y])
        count = np.array([calorimeter.nx, calorimeter.ny])
        cell = np.floor(place / size + count / 2)
        inside = ((cell >= 0) & (cell < count)).all(axis=1)
        edge = np.abs(place / size + count / 2 - np.round(place / size + count / 2)) * size
        error = np.stack((found.x_error, found.y_error), axis=1)
        clear = inside & (edge > 3 * error).all(axis=1)
        assert clear.mean() > 0.5
        same = (cell_of(found, calorimeter)[clear] == cell[clear]).all(axis=1)
        assert same.mean() > 0.997
