"""Delta electrons against Rossi's formula, written out here, and its kinematics."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.integrate import dblquad, quad

from na64reco.errors import SetupError
from na64reco.setup import load_setup
from na64reco.simulation.delta import (
    delta_electrons,
    delta_surfaces,
    knock_on_number,
    largest_transfer,
)
from na64reco.simulation.tracks import ELECTRON, MUON, PION, Tracks
from na64reco.simulation.transport import beamline

M, MU = 0.51099895e-3, 0.1056583755
MOMENTUM, SLOPE = 160.0, 0.028117


@pytest.fixture(scope="module")
def muons():
    """160 GeV muons straight along the beam of the muon mode."""
    setup = load_setup("2022-muon-152")
    rows = 200_000
    tracks = Tracks.make(
        rows,
        event=np.arange(rows),
        time=np.arange(rows) * 1e-3,
        kind=MUON,
        charge=-1,
        momentum=MOMENTUM,
        x=337.4 - 3000 * SLOPE,
        tx=SLOPE,
        z_start=9000.0,
    )
    line = beamline(setup)
    x = 337.4 + SLOPE * (line.z - 12000)
    x = np.where(line.z < 9000, np.nan, x) + np.zeros((rows, 1))
    zero = np.zeros_like(x)
    paths = SimpleNamespace(x=x, y=zero, tx=zero + SLOPE, ty=zero, momentum=np.full(rows, MOMENTUM))
    return setup, line, tracks, paths


def rossi(kinetic, most, energy):
    """dN / dT per (g/cm^2) x Z/A, GeV, for spin 1/2 and beta = 1."""
    return 0.1535375e-3 / kinetic**2 * (1 - kinetic / most + 0.5 * (kinetic / energy) ** 2)


def highest():
    gamma = np.hypot(MOMENTUM, MU) / MU
    return 2 * M * (gamma**2 - 1) / (1 + 2 * gamma * M / MU + (M / MU) ** 2)


def test_number_is_the_integral_of_rossis_formula():
    most = highest()
    assert largest_transfer(np.array([MOMENTUM]), np.array([MU]))[0] == pytest.approx(most)
    assert most == pytest.approx(149.8, abs=0.5)  # PDG: 160 GeV / (1 + 10.9 / 160)
    for least in (0.001, 0.1, 20.0):
        expected = 0.5 * quad(rossi, least, most, args=(most, MOMENTUM), limit=200)[0]
        found = knock_on_number(np.array([MOMENTUM]), np.array([MU]), least, 0.5)
        assert found[0] == pytest.approx(expected, rel=1e-4)


def test_thin_counter(muons):
    """S1, 2 mm of plastic: numbers, energies, angles."""
    setup, line, tracks, paths = muons
    found = delta_electrons(
        np.random.default_rng(4), setup, line, tracks, paths, surfaces=["S1"], least=0.002
    )
    grams = setup.counters["S1"].thickness_x0 * 43.79
    most = highest()
    kinetic = np.hypot(found.momentum, M) - M
    for least in (0.005, 0.02):
        # They lose 0.15 MeV on average in what is left of the 2 mm.
        expected = quad(rossi, least + 1.5e-4, most, args=(most, MOMENTUM), limit=200)[0]
        expected *= grams * 0.53768 * len(tracks)
        assert abs((kinetic > least).sum() - expected) < 3 * np.sqrt(expected)
    assert (found.kind == ELECTRON).all()
    assert (found.charge == -1).all()
    np.testing.assert_allclose(found.z_start, setup.counters["S1"].z, atol=0.01)
    np.testing.assert_array_equal(found.time, found.event * 1e-3)
    assert (np.diff(found.event) >= 0).all()
    # tan^2 theta = 2 m / T far below the largest energy: mean over 1/T^2 above T0 is m / T0.
    hard = found.momentum > 0.01
    tangent2 = (found.tx[hard] - SLOPE) ** 2 + found.ty[hard] ** 2
    assert np.median(tangent2 * found.momentum[hard] / (2 * M)) == pytest.approx(1.0, abs=0.1)


def test_out_of_iron(muons):
    """Electrons above 2 MeV that come out of the last radiation length of the HCAL."""
    setup, line, tracks, paths = muons
    found = delta_electrons(
        np.random.default_rng(5),
        setup,
        line,
        tracks,
        paths,
        surfaces=["hcal.module1"],
        least=0.002,
    )
    critical, most = 1.5e-3 * 13.84, highest()

    def integrand(log, depth):
        kinetic = np.exp(log)
        return kinetic * rossi(kinetic, most, MOMENTUM)

    expected, _ = dblquad(
        integrand,
        0,
        1,
        lambda depth: np.log((0.002 + critical) * np.exp(depth) - critical),
        np.log(most),
    )
    # Those at more than 79 degrees are left out: below 0.1 MeV at production.
    expected *= 13.84 * 26 / 55.845
    assert len(found) / len(tracks) == pytest.approx(expected, rel=0.04)
    assert 0.02 < expected < 0.2
    end = 22050 + 48 * 29
    np.testing.assert_allclose(found.z_start, end, atol=0.01)
    np.testing.assert_allclose(found.x, 337.4 + SLOPE * (end - 12000), atol=0.01)


def test_particles_beside_a_layer_knock_out_nothing(muons):
    setup, line, tracks, paths = muons
    rng = np.random.default_rng(6)
    # V1 has a hole where the beam goes, S4 stands beside it, BMS1 before it all.
    for name in ("V1", "S4", "BMS1"):
        found = delta_electrons(rng, setup, line, tracks, paths, surfaces=[name], least=0.002)
        assert len(found) == 0
    neutral = tracks.with_(charge=np.zeros_like(tracks.charge))
    assert len(delta_electrons(rng, setup, line, neutral, paths, surfaces=["veto"])) == 0


def test_pions_make_as_many_soft_ones(muons):
    setup, line, tracks, paths = muons
    pions = tracks.with_(kind=np.full(len(tracks), PION, dtype=np.int8))
    numbers = [
        len(delta_electrons(np.random.default_rng(7), setup, line, t, paths, surfaces=["veto"]))
        for t in (tracks, pions)
    ]
    assert numbers[0] == pytest.approx(numbers[1], rel=0.05)
    # 5 cm of plastic, 0.0768 x 1.07 per g/cm^2 and 1/MeV above 5 MeV, less what stops inside.
    assert 0.4 < numbers[0] / (len(tracks) * 5.3 * 0.0826 / 5) < 1.0


def test_unknown_layers_are_named(muons):
    setup, line, tracks, paths = muons
    with pytest.raises(SetupError, match=r"no layer 'hcal.modul1'.*hcal.module1"):
        delta_electrons(
            np.random.default_rng(8), setup, line, tracks, paths, surfaces=["hcal.modul1"]
        )
    assert {"MM7", "veto", "ecal", "vhcal", "hcal.module0"} <= set(delta_surfaces(setup))
