"""Muons and hadrons through the target of the muon mode, against closed forms and the papers."""

from __future__ import annotations

import numpy as np
import pytest

from na64reco.setup import load_setup
from na64reco.simulation import load_detector, simulate
from na64reco.simulation.deposits import calorimeter_energies, counter_energies
from na64reco.simulation.hodoscopes import hodoscope_hits
from na64reco.simulation.strips import strip_hits
from na64reco.simulation.target import DEPTH, MOMENTUM, behind_target, follow_behind
from na64reco.simulation.tracks import ELECTRON, MUON, PION, Tracks
from na64reco.simulation.transport import beamline, looks_behind, propagate
from na64reco.tracking.hodoscopes import hodoscope_points


@pytest.fixture(scope="module")
def setup():
    return load_setup("2022-muon-152")


def beam(setup, rows, *, kind=MUON, charge=-1, x=0.0, y=0.0, momentum=160.0, z=None):
    """Particles along the zero line, at a distance from it; at the ECAL's face by default."""
    z = setup.ecal.z - 1 if z is None else z
    slope = setup.ecal.slope_x
    return Tracks.make(
        rows,
        event=np.arange(rows),
        kind=kind,
        charge=charge,
        momentum=momentum,
        x=setup.ecal.x + slope * (z - setup.ecal.z) + x,
        y=y,
        tx=slope,
        z_start=z,
        primary=True,
    )


def followed(setup, tracks, seed=1):
    rng, line = np.random.default_rng(seed), beamline(setup)
    return line, follow_behind(rng, setup, line, tracks, propagate(rng, line, tracks))


def without_fields(setup):
    magnets = {n: m.model_copy(update={"field": 0.0}) for n, m in setup.magnets.items()}
    return setup.model_copy(update={"magnets": magnets})


def zero_line(setup, z):
    return setup.ecal.x + setup.ecal.slope_x * (z - setup.ecal.z)


def core(values):
    """Standard deviation of the core: within 2 sigma, where a normal one has 0.8796 of it left."""
    width = np.std(values)
    for _ in range(30):
        width = np.std(values[np.abs(values - np.median(values)) < 2 * width]) / 0.8796
    return width


def peak(values, low, high):
    counts, edges = np.histogram(values, 40, (low, high))
    return (edges[counts.argmax()] + edges[counts.argmax() + 1]) / 2


def test_only_the_muon_setups_look_behind_the_target(setup):
    assert looks_behind(setup)
    assert not looks_behind(load_setup("2022-electron"))


def test_scattering_in_the_target_is_highlands(setup):
    """PDG 2024, eq. 34.16 for 40 X0; behind a slab of L: displacement theta L / sqrt 3."""
    line, paths = followed(without_fields(setup), beam(setup, 20_000))
    theta = 0.0136 / 160 * np.sqrt(40) * (1 + 0.038 * np.log(40))
    gem = line.surface("GEM1")
    for slopes in (paths.tx[:, gem] - setup.ecal.slope_x, paths.ty[:, gem]):
        assert core(slopes) == pytest.approx(theta, rel=0.05)
    veto = line.surface("veto")
    length, drift = 450.0, setup.veto.z - setup.ecal.z - 450.0
    spread = theta * np.sqrt(length**2 / 3 + length * drift + drift**2)
    assert core(paths.y[:, veto]) == pytest.approx(spread, rel=0.05)


def test_radiation_in_the_target(setup):
    """Complete screening: per X0 (m_e / m_mu)^2 (4/3 ln(1/v) - 4/3 (1 - v) + (1 - v^2) / 2).

    The nuclear form factor takes a quarter of it for lead at these energies; knock-on electrons and
    pairs of so much energy add little.
    """
    _, paths = followed(setup, beam(setup, 60_000))
    slabs = paths.inside[:, :, MOMENTUM]
    behind = np.nanmax(slabs[:, 3:], axis=1, initial=0.0)  # at the first HCAL module
    seen = ~np.isnan(slabs[:, 3])
    v = 0.4
    expected = 40 * (0.511 / 105.66) ** 2
    expected *= 4 / 3 * np.log(1 / v) - 4 / 3 * (1 - v) + (1 - v * v) / 2
    share = np.mean(behind[seen] < (1 - v) * 160)
    assert share == pytest.approx(expected, rel=0.35)


def test_deflection_at_s4_is_the_published_one(setup):
    """-12.0 mm from the zero line: arXiv:2401.01708."""
    line, paths = followed(setup, beam(setup, 20_000))
    z = setup.counters["S4"].z
    x = paths.x[:, line.surface("S4")] - zero_line(setup, z)
    assert np.nanmedian(x) == pytest.approx(-12.0, abs=0.3)


def test_hadrons_pass_the_target_as_exponentials(setup):
    """1.6 interaction lengths for nucleons, longer for pions by 226 / 200 in lead (PDG)."""
    line, paths = followed(setup, beam(setup, 20_000, kind=PION))
    passed = ~np.isnan(paths.x[:, line.surface("GEM1")])
    assert np.mean(passed) == pytest.approx(np.exp(-1.6 / 1.16), abs=0.02)
    assert (paths.inside[passed, 0, DEPTH] > 1).all()


def test_electrons_end_in_the_target(setup):
    line, paths = followed(setup, beam(setup, 100, kind=ELECTRON))
    assert np.isnan(paths.x[:, line.surface("veto")]).all()


def test_the_vhcal_has_a_hole(setup):
    """Beside the ECAL, in the middle of the cell (3, 1), a muon leaves the MIP there."""
    detector = load_detector(setup)
    for x, y in ((0.0, 0.0), (180.0, -60.0)):
        tracks = beam(setup, 2000, x=x, y=y)
        line, paths = followed(setup, tracks)
        rng = np.random.default_rng(2)
        energies = calorimeter_energies(rng, setup, detector, line, tracks, paths).vhcal[:, 0]
        if x:
            assert peak(energies[:, 3, 1], 0.5, 2.5) == pytest.approx(setup.vhcal.mip, rel=0.07)
        else:
            assert np.count_nonzero(energies.sum(axis=(1, 2))) == 0
        assert energies[:, 1:3, 1:3].max() == 0


def test_energies_of_muons(setup):
    """0.5 GeV in the ECAL, 2.3-2.5 in an HCAL module: arXiv:2110.15111."""
    detector, tracks = load_detector(setup), beam(setup, 4000)
    line, paths = followed(setup, tracks)
    found = calorimeter_energies(np.random.default_rng(2), setup, detector, line, tracks, paths)
    for energy, low, high in (
        (found.ecal.sum(axis=(1, 2, 3)), 0.45, 0.55),
        (found.hcal[:, 0].sum(axis=(1, 2)), 2.3, 2.5),
        (found.hcal[:, 1].sum(axis=(1, 2)), 2.3, 2.5),
    ):
        assert low < peak(energy, 0.5 * low, 2 * high) < high
    assert np.median(found.veto[:, 2:4]) == pytest.approx(0.010, rel=0.15)


def test_showers_of_pions_lie_in_all_calorimeters(setup):
    detector, tracks = load_detector(setup), beam(setup, 2000, kind=PION)
    line, paths = followed(setup, tracks)
    found = calorimeter_energies(np.random.default_rng(2), setup, detector, line, tracks, paths)
    total = sum(part.sum(axis=(1, 2, 3)) for part in (found.ecal, found.vhcal, found.hcal))
    # Of what leaks from the ECAL, a part passes by the HCAL.
    assert 80 < np.mean(total) < 165
    passed = ~np.isnan(paths.x[:, line.surface("GEM1")])
    hcal = found.hcal[passed].sum(axis=(1, 2, 3))
    assert np.mean(hcal) == pytest.approx(160, rel=0.05)
    assert (np.mean(found.vhcal) > 0).all()


def test_delta_electrons_behind_the_target(setup):
    """Above 5 MeV, 0.15 Z/A x / T per layer: some 1e-3 for 0.1 g/cm^2."""
    rng, line = np.random.default_rng(3), beamline(setup)
    tracks = beam(setup, 5000)
    joined, paths = behind_target(rng, setup, line, tracks, propagate(rng, line, tracks))
    electrons = joined.kind == ELECTRON
    behind_air = electrons & (np.abs(joined.z_start - setup.passive["air_hcal"].z) < 1)
    air = 0.010 * 36.6  # g/cm^2
    assert behind_air.sum() / 5000 == pytest.approx(0.1535 * 0.5 * air / 5.0, rel=0.5)
    assert (np.diff(joined.event) >= 0).all()
    assert len(paths.x) == len(joined)


def test_channels_of_micromegas_are_those_of_the_strips(setup):
    rng, line = np.random.default_rng(4), beamline(setup)
    tracks = beam(setup, 300, z=setup.beam.z)
    tracks = tracks.with_(x=np.zeros(300), tx=np.zeros(300), y=rng.uniform(-30, 30, 300))
    paths = propagate(rng, line, tracks)
    first = np.arange(301)
    hits = strip_hits(rng, setup, load_detector(setup), "mm", line, first, tracks, paths)
    station = setup.stations["MM1"]
    chosen = (hits["station"] == 1) & (hits["projection"] == 1)
    assert hits["strip"][chosen].max() < 64
    event = np.repeat(np.arange(300), np.diff(hits.offsets))[chosen]
    y = paths.y[event, line.surface("MM1")]
    strip = np.round(y / station.pitch + (station.channels - 1) / 2).astype(int)
    near = station.channel_of_strip[np.clip(strip[:, None] + np.arange(-5, 6), 0, 319)]
    belongs = (near == hits["strip"][chosen][:, None]).any(axis=1)
    # The rest are single noisy channels: 0.1 to 0.4 an event beside some five of the muon.
    assert belongs.mean() > 0.9


def test_hodoscopes_say_where_the_muon_was(setup):
    rng, line = np.random.default_rng(5), beamline(setup)
    tracks = beam(setup, 2000, z=setup.beam.z)
    tracks = tracks.with_(x=rng.uniform(-50, 50, 2000), tx=np.zeros(2000))
    paths = propagate(rng, line, tracks)
    hits = hodoscope_hits(rng, setup, line, np.arange(2001), tracks, paths)
    points = hodoscope_points(hits, setup)
    stations = len(points.stations)
    first = points.stations.index("BMS1")
    begin = points.offsets[first : 2000 * stations : stations]
    number = points.offsets[first + 1 : 2000 * stations + 1 : stations] - begin
    assert np.mean(number > 0) == pytest.approx(0.98, abs=0.02)
    single = number == 1
    residual = points.position[begin[single]] - paths.x[single, line.surface("BMS1")]
    assert np.std(residual) == pytest.approx(5 / np.sqrt(12), rel=0.15)
    assert points.ignored.sum() == 0


def test_trigger_bits_of_the_muon_mode(setup):
    """Beam trigger S0 S1 and not V1; physics trigger with S4 and S_mu: arXiv:2401.01708."""
    batch = next(simulate(setup, "muon", 300, seed=1, trigger="beam"))
    assert (batch.scalars["trigger"] & 2 > 0).all()
    ids = batch.collections["Counter"]
    event = np.repeat(np.arange(len(batch)), np.diff(ids.offsets))
    fired = np.zeros((len(batch), 16), dtype=bool)
    fired[event, ids["id"]] = True
    assert fired[:, [0, 1]].all()
    assert fired[:, 4].mean() < 0.05
    assert set(batch.collections) == {
        "Counter", "ECAL", "VHCAL", "HCAL", "VETO", "MM", "GEM", "ST", "BMS",
    }  # fmt: skip
    stations = {s.number for s in setup.stations_of("straw").values()}
    assert set(batch.collections["ST"]["station"]) == stations


def test_soft_muons_fire_the_physics_trigger(setup):
    """20 GeV from the target: 65 mm at S4 are 30 GeV in 1.4 T m, 152 mm at S_mu 21 GeV."""
    line, paths = followed(setup, beam(setup, 1000, momentum=22.0))
    energies = counter_energies(
        np.random.default_rng(1), setup, line, beam(setup, 1000, momentum=22.0), paths
    )
    both = (energies[:, 4] > 0) & (energies[:, 5] > 0)
    assert 0.2 < both.mean() < 0.9
