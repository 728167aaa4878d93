"""Setups from YAML: the published numbers, the sources of all numbers, and what is refused."""

from __future__ import annotations

import re

import pytest

from na64reco.errors import SetupError
from na64reco.setup import list_setups, load_setup
from na64reco.setup.load import _DATA

ELECTRON = [f"{year}-electron" for year in (2016, 2017, 2018, 2021, 2022)]


def test_the_five_electron_setups_ship_with_the_package():
    assert set(ELECTRON) <= set(list_setups())


@pytest.mark.parametrize("name", ELECTRON)
def test_every_number_says_where_it_is_from(name):
    tag = re.compile(
        r"#.*(\[(24e|22e|24m|22m|pub|calc|recall)\]|assumed|as |the same|the rest|the middle)"
    )
    without_source = [
        f"{number}: {line}"
        for number, line in enumerate((_DATA / f"{name}.yaml").read_text().splitlines(), start=1)
        if re.search(r":\s*[\[{]?.*\d", line.split("#")[0])
        and "title" not in line
        and "based_on" not in line
        and not tag.search(line)
    ]
    assert without_source == []


@pytest.mark.parametrize(
    ("name", "first", "last"),
    # Run numbers of the invisible-mode data taking, public analysis code of the experiment.
    [("2018-electron", 3855, 4223), ("2021-electron", 5021, 5186)],
)
def test_run_ranges(name, first, last):
    assert load_setup(name).runs == (first, last)


@pytest.mark.parametrize(
    ("name", "shape", "beam_cell"),
    # Cells: 6x6 in arXiv:2206.03101, 5x6 in arXiv:2404.06982. Beam cell by run: public analysis code.
    [
        ("2016-electron", (2, 6, 6), (3, 3)),
        ("2018-electron", (2, 6, 6), (3, 3)),
        ("2021-electron", (2, 5, 6), (2, 2)),
        ("2022-electron", (2, 5, 6), (2, 3)),
    ],
)
def test_ecal_cells_and_the_cell_that_the_beam_hits(name, shape, beam_cell):
    setup = load_setup(name)
    ecal = setup.ecal
    assert ecal.shape == shape
    assert ecal.beam_cell == beam_cell
    # The beam goes through the middle of that cell.
    ix, iy = beam_cell
    assert setup.beam_x(ecal.z) - ecal.x == pytest.approx(ecal.x_centres[ix], abs=0.5)
    assert setup.beam.y - ecal.y == pytest.approx(ecal.y_centres[iy], abs=0.5)


@pytest.mark.parametrize("name", ELECTRON)
def test_depths_agree_with_the_materials(name):
    """Radiation and interaction lengths from PDG material properties, arXiv:2404.06982 figures."""
    setup = load_setup(name)
    lead, plastic, iron = 5.612, 424.2, 17.57  # radiation lengths, mm (PDG)
    ecal = setup.ecal.sampling
    depth = ecal.layers * (ecal.absorber_thickness / lead + ecal.scintillator_thickness / plastic)
    assert depth == pytest.approx(setup.ecal.radiation_lengths, rel=0.03)
    hcal = setup.hcal.sampling
    depth = hcal.layers * hcal.absorber_thickness / iron
    assert depth == pytest.approx(setup.hcal.radiation_lengths, rel=0.03)
    interaction = hcal.layers * (
        hcal.absorber_thickness / 167.7 + hcal.scintillator_thickness / 770
    )
    assert interaction == pytest.approx(setup.hcal.interaction_lengths, rel=0.07)


def test_unknown_setup_names_the_nearest():
    with pytest.raises(SetupError, match=r"no setup '2022-elektron'. Did you mean '2022-electron'"):
        load_setup("2022-elektron")


def test_missing_file():
    with pytest.raises(SetupError, match=r"no setup file .*mine\.yaml"):
        load_setup("mine.yaml")


def write(tmp_path, text, name="mine.yaml"):
    path = tmp_path / name
    path.write_text(text)
    return path


def test_a_users_file_changes_only_what_it_says(tmp_path):
    path = write(tmp_path, "based_on: 2022-electron\nmagnets: {MBPL2: {field: 1.5}}\nsrd: null\n")
    setup = load_setup(path)
    assert setup.name == "mine"
    assert setup.srd is None
    assert setup.field_integral() == pytest.approx(1.75 * 2000 + 1.5 * 2000)
    assert setup.ecal == load_setup("2022-electron").ecal


def test_a_field_map_stands_beside_its_setup(tmp_path):
    text = "based_on: 2022-electron\nmagnets: {MBPL1: {map: maps/mbpl.txt}, MBPL2: {map: /abs/b.txt}}\n"
    magnets = load_setup(write(tmp_path, text)).magnets
    assert magnets["MBPL1"].map == str(tmp_path / "maps" / "mbpl.txt")
    assert magnets["MBPL2"].map == "/abs/b.txt"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "based_on: 2022-electron\nbeam: {momentum: -1}\n",
            r"beam\.momentum: .*greater than 0 \(found -1",
        ),
        ("based_on: 2022-electron\nbeam: {momentun: 100}\n", r"beam\.momentun: Extra inputs"),
        (
            "based_on: 2022-electron\necal: {beam_cell: [5, 0]}\n",
            r"beam_cell \(5, 0\) lies outside the 5 x 6",
        ),
        (
            "based_on: 2022-electron\nspectrometers: {main: {upstream: [MM9]}}\n",
            r"spectrometer main: there is no station 'MM9'",
        ),
        ("based_on: 2022-electron\ntrigger: {veto: [V9]}\n", r"trigger: there is no counter 'V9'"),
        ("based_on: 2022-electron\nruns: [2, 1]\n", r"the first is above the last"),
        (
            "based_on: 2022-electron\necal: {sampling: {layers: 7}}\n",
            r"150 layers in all, the sampling 7",
        ),
        ("- 1\n", r"must be a mapping, found list"),
        ("a: [\n", r"not valid YAML"),
        ("based_on: mine\n", r"`based_on` goes in a circle: mine -> mine"),
    ],
)
def test_inconsistent_setups_are_refused(tmp_path, text, message):
    with pytest.raises(SetupError, match=message):
        load_setup(write(tmp_path, text))


MUON = """
based_on: 2022-electron
title: the muon mode in outline, arXiv:2401.01708
runs: [7000, 7999]
beam: {particle: muon, momentum: 160.0, spot_x: 9.0, spot_y: 19.0, contamination: {pion: 1.0e-6}}
trigger: {coincidence: [S1, S4, Smu], veto: [V1]}
counters:
  S4: {id: 4, z: 20000.0, x: -65.0, width: 200.0, height: 200.0, mip: 0.001, thickness_x0: 0.01}
  Smu: {id: 5, z: 25000.0, x: -152.0, width: 200.0, height: 200.0, mip: 0.001, thickness_x0: 0.01}
magnets:
  MS2: {z: 19000.0, length: 2000.0, field: -0.7, gap_x: 500.0, gap_y: 140.0}
stations:
  BMS1: {technology: bms, number: 1, z: -9900.0, angles: {Y: 90.0}, channels: 64, pitch: 5.0, thickness_x0: 0.01}
  ST11: {technology: straw, number: 11, z: 18500.0, angles: {U: 45.0, V: -45.0}, channels: 64, pitch: 6.0, layers: 2, thickness_x0: 0.001}
  MM5: {technology: mm, number: 5, z: 18600.0, angles: {X: 0.0, Y: 90.0}, channels: 800, pitch: 0.25, thickness_x0: 0.003}
spectrometers:
  MS2: {upstream: [ST11], magnets: [MS2], downstream: [MM5]}
srd: null
vhcal:
  {z: 18800.0, nx: 4, ny: 4, cell_x: 100.0, cell_y: 100.0, hole: [[1, 1], [1, 2], [2, 1], [2, 2]],
   sampling: {absorber: Cu, absorber_thickness: 25.0, scintillator_thickness: 2.0, layers: 30},
   sections: {vhcal: {layers: 30}}, mip: 1.0, stochastic: 0.6, constant: 0.05,
   radiation_lengths: 52.0, interaction_lengths: 5.0}
hcal: {nx: 6, ny: 3, sections: {module2: null, module3: null}}
"""


def test_the_muon_mode_fits_the_model(tmp_path):
    setup = load_setup(write(tmp_path, MUON))
    assert list(setup.spectrometers) == ["main", "MS2"]
    assert setup.hcal.shape == (2, 6, 3)
    assert setup.vhcal is not None
    assert setup.vhcal.shape == (1, 4, 4)
    assert list(setup.stations_of("bms")) == ["BMS1"]
    # mrad: 0.299792458 * 1.4 T m / 160 GeV
    assert setup.field_integral("MS2") == pytest.approx(-1400.0)
