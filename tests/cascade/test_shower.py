"""Whole showers: conservation, closed forms, EGSnrc."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from na64reco.cascade import Stack, simulate_cascade
from na64reco.cascade.shower import Cells
from na64reco.cascade.track_length import depth_lengths, track_lengths
from na64reco.errors import SetupError

if TYPE_CHECKING:
    from pathlib import Path

# EGSnrc v2025a-3, 100 GeV electrons on 150 x (1.5 mm lead + 1.5 mm polystyrene of 1.03 g/cm^3):
# track length of e- and e+ in the lead between kinetic energies (GeV), cm per electron; 150,000
# showers, statistical errors below 0.5 %. No LPM effect.
EGSNRC = (
    (1.0, 10.0, 11.361, 10.530),
    (10.0, 31.623, 1.0400, 0.6270),
    (31.623, 89.125, 0.5262, 0.0872),
)
ECAL = Stack.sandwich(
    [("lead", 0.15), ("polystyrene", 0.15)],
    150,
    densities={"polystyrene": 1.03},
    half_width=11.46,
)


def test_energy_is_conserved_and_few_particles_leave() -> None:
    for particle, rest in (("electron", 0.0), ("photon", 0.0), ("positron", 2 * 0.511e-3)):
        result = simulate_cascade(ECAL, 50.0, 20, particle=particle, cut=0.02, seed=2)
        total = result.layers.sum(axis=1) + result.leaked
        np.testing.assert_allclose(total, 50.0 + rest, rtol=1e-6)
    result = simulate_cascade(ECAL, 1.0, 200, cut=0.001, seed=2)
    np.testing.assert_allclose(result.layers.sum(axis=1) + result.leaked, 1.0, rtol=1e-6)
    thin = Stack.sandwich([("lead", 0.56)])
    result = simulate_cascade(thin, 50.0, 200, cut=0.02, seed=2)
    total = result.layers.sum(axis=1) + result.leaked
    np.testing.assert_allclose(total, 50.0, rtol=1e-6)
    assert result.leaked.mean() > 49.5


def test_bremsstrahlung_in_one_radiation_length() -> None:
    # Mean energy of the electron behind t radiation lengths is E exp(-t (1 + b)), b = 1.2 % in
    # complete screening; the most energetic particle's track shows it in a thin layer.
    t = 0.05
    stack = Stack.sandwich([("lead", t * 6.37 / 11.35)])
    result = simulate_cascade(
        stack, 100.0, 40000, cut=90.0, production_cut=0.1, edges=[90.0, 100.01], lpm=False
    )
    # Survival above 90 %: probability to radiate more than 10 % within x is x (4/3 ln 10 - ...).
    y = np.linspace(0.1, 1, 20001)
    rate = np.trapezoid((4 / 3 - 4 / 3 * y + y**2) / y, y)
    expected = (1 - np.exp(-rate * t)) / (rate * t)
    length = result.track_length[0, 0, 0] * 10.01 / stack.boundaries[-1]
    assert length == pytest.approx(expected, abs=0.004)


def test_track_lengths_are_those_of_egsnrc(tmp_path: Path) -> None:
    lengths = track_lengths(ECAL, 100.0, lowest=1.0, showers=700, lpm=False, cache=tmp_path)
    widths = np.diff(lengths.edges)
    for low, high, minus, plus in EGSNRC:
        inside = (lengths.edges[:-1] >= low * 0.999) & (lengths.edges[1:] <= high * 1.001)
        for sign, reference in ((0, minus), (1, plus)):
            found = np.sum((lengths.density[0, sign] * widths)[inside])
            error = np.sqrt(np.sum(((lengths.error[0, sign] * widths)[inside]) ** 2))
            assert error / found < 0.03
            assert found == pytest.approx(reference, rel=0.05)


def test_energy_in_the_cells_is_that_of_egsnrc() -> None:
    # EGSnrc v2025a-3, 300 electrons of 10 GeV at the centre of cell (3, 3), followed to 0.1 MeV.
    section = np.repeat((np.arange(150) >= 16).astype(np.int64), 2)
    cells = Cells(section, np.tile([False, True], 150), 3.82, 6, 6)
    n = 60
    result = simulate_cascade(
        ECAL, 10.0, n, cut=0.001, seed=2, lpm=False, points=np.full((n, 2), 1.91), cells=cells
    )
    both = result.cells.sum(axis=1)
    total = both.sum(axis=(1, 2))
    first = result.cells[:, 0].sum(axis=(1, 2)) / total
    assert total.mean() / 10 == pytest.approx(0.10297, rel=0.01)
    assert first.mean() == pytest.approx(0.1661, abs=3 * first.std() / np.sqrt(n))
    assert (both[:, 2:5, 2:5].sum(axis=(1, 2)) / total).mean() == pytest.approx(0.9733, abs=0.01)
    assert (both[:, 3, 3] / total).mean() == pytest.approx(0.8369, rel=0.035)
    assert total.std() / total.mean() == pytest.approx(0.0258, rel=3 / np.sqrt(2 * n))


def test_photons_and_electrons_have_the_tracks_of_approximation_a(tmp_path: Path) -> None:
    # Far below the beam's energy and above the critical energy, dT/dk = 0.572 E X0 / k^2 for photons
    # and 0.437 for e- and e+ together (B. Rossi, K. Greisen, Rev. Mod. Phys. 13 (1941) 240; B.
    # Rossi, High-Energy Particles (1952), sect. 5.10). Theirs is another fit to complete screening.
    lead = Stack.sandwich([("lead", 40.0)])
    lengths = track_lengths(lead, 100.0, lowest=0.5, showers=500, lpm=False, cache=tmp_path)
    inside = lengths.edges[1:] < 5.0
    low, high = lengths.edges[0], lengths.edges[1:][inside][-1]
    scale = 100.0 * 6.37 / 11.35 * (1 / low - 1 / high)
    widths = np.diff(lengths.edges)
    photons = (lengths.photon[0] * widths)[inside]
    charged = (lengths.density[0].sum(axis=0) * widths)[inside]
    assert photons.sum() / scale == pytest.approx(0.572, rel=0.06)
    assert charged.sum() / scale == pytest.approx(0.437, rel=0.06)
    assert 0 < lengths.photon_error[0, 0] < 0.1 * lengths.photon[0, 0]


def test_the_scintillator_has_as_long_tracks_but_for_the_beam_electron(tmp_path: Path) -> None:
    # Only in the lead of the first layers is the electron within 2 GeV of the beam's energy:
    # there the scintillator has half of the lead's track (EGSnrc).
    lengths = track_lengths(ECAL, 100.0, lowest=10.0, showers=500, lpm=False, cache=tmp_path)
    low = (lengths.edges[:-1] >= 10.0) & (lengths.edges[:-1] < 80.0)
    ratio = lengths.density[1, :, low].sum(axis=0) / lengths.density[0, :, low].sum(axis=0)
    np.testing.assert_allclose(ratio, 1.0, atol=0.03)
    result = simulate_cascade(
        ECAL, 100.0, 5000, cut=97.9, production_cut=0.01, edges=[98.0, 100.001], lpm=False
    )
    first = result.track_length[:, 0, 0]
    assert first[1] / first[0] == pytest.approx(0.5, abs=0.06)


def test_result_does_not_depend_on_the_number_of_workers() -> None:
    results = [
        simulate_cascade(ECAL, 10.0, 120, cut=0.2, seed=4, workers=workers) for workers in (1, 2)
    ]
    np.testing.assert_array_equal(results[0].track_length, results[1].track_length)
    np.testing.assert_array_equal(results[0].layers, results[1].layers)


def test_tables_are_kept_and_mended(tmp_path: Path) -> None:
    def table() -> np.ndarray:
        return track_lengths(ECAL, 10.0, lowest=1.0, showers=50, cache=tmp_path).density

    first = table()
    (stored,) = tmp_path.iterdir()
    time = stored.stat().st_mtime_ns
    np.testing.assert_array_equal(table(), first)
    assert stored.stat().st_mtime_ns == time
    stored.write_bytes(b"half of a file")
    np.testing.assert_array_equal(table(), first)
    assert len(list(tmp_path.iterdir())) == 1


def test_wrong_input_is_named() -> None:
    with pytest.raises(ValueError, match=r"particle 'pion': expected one of electron, positron"):
        simulate_cascade(ECAL, 10.0, 1, particle="pion")
    with pytest.raises(ValueError, match=r"cut of 20.0 GeV: expected .* below the energy, 10.0"):
        simulate_cascade(ECAL, 10.0, 1, cut=20.0)
    with pytest.raises(SetupError, match=r"There is no material 'leat'"):
        Stack.sandwich([("leat", 0.1)])
    with pytest.raises(SetupError, match=r"thickness -1.0 cm must be positive"):
        Stack.sandwich([("lead", -1.0)])


def test_track_lengths_by_depth_add_up_to_those_by_material(tmp_path: Path) -> None:
    edges = np.geomspace(2.0, 10.0, 5)
    groups = np.repeat(np.arange(10), 30) * 2 + ECAL.index
    by_depth = depth_lengths(
        ECAL, 10.0, particle="electron", edges=edges, groups=groups, showers=60, cache=tmp_path
    )
    whole = simulate_cascade(ECAL, 10.0, 60, cut=2.0, edges=edges)
    for material in (0, 1):
        found = by_depth.density[material::2].sum(axis=0)
        np.testing.assert_allclose(found, whole.track_length[material], rtol=1e-6)
    # 15 plates of lead are 4 radiation lengths: there a fifth of the energy is still left to one
    # electron in 50 only, by Bethe and Heitler's gamma distribution.
    share = by_depth.density[:2].sum() / by_depth.density.sum()
    assert 0.75 < share < 0.99
    again = depth_lengths(
        ECAL, 10.0, particle="electron", edges=edges, groups=groups, showers=60, shipped=tmp_path
    )
    np.testing.assert_array_equal(again.density, by_depth.density)


def test_groups_are_one_for_each_layer() -> None:
    with pytest.raises(ValueError, match="one number from 0 for each of the 300 layers, found 2"):
        simulate_cascade(ECAL, 10.0, 1, groups=[0, 1])
