"""The muon setups: what arXiv:2401.01708 ([24m]) and arXiv:2110.15111 ([22m]) say of them."""

from __future__ import annotations

import math
import re

import pytest

from na64reco.setup import list_setups, load_setup
from na64reco.setup.load import _DATA

MUON = ["2021-muon", "2022-muon-117", "2022-muon-152"]
RADIANS_PER_TESLA_METRE = 0.299792458 / 160.0  # at 160 GeV/c


@pytest.fixture(params=MUON)
def setup(request):
    return load_setup(request.param)


@pytest.fixture(scope="module")
def zero_line():
    """x of the beam as if MS2 were off: the papers' zero line."""
    setup = load_setup("2022-muon-152")
    off = {n: m for n, m in setup.magnets.items() if n != "MS2"}
    return setup.model_copy(update={"magnets": off}).beam_x


def test_the_muon_setups_ship_beside_the_electron_setups():
    assert [n for n in list_setups() if "muon" in n] == MUON
    assert len([n for n in list_setups() if "electron" in n]) == 5


@pytest.mark.parametrize("name", MUON)
def test_every_number_says_where_it_is_from(name):
    tag = re.compile(r"#.*(\[(24e|22e|24m|22m|pub|calc|recall)\]|assumed|as |the same)")
    without_source = [
        f"{number}: {line}"
        for number, line in enumerate((_DATA / f"{name}.yaml").read_text().splitlines(), start=1)
        if re.search(r":\s*[\[{]?.*\d", line.split("#")[0])
        and "title" not in line
        and "based_on" not in line
        and not tag.search(line)
    ]
    # a name with a digit that is removed carries no number
    assert [line for line in without_source if not line.endswith(": null")] == []


def test_nothing_of_the_electron_mode_is_left(setup):
    assert setup.srd is None
    assert set(setup.spectrometers) == {"MS1", "MS2"}
    assert set(setup.magnets) == {"BEND6A", "BEND6B", "BEND6C", "MS2"}
    assert set(setup.counters) == {"S0", "S1", "V1", "S4", "Smu"}
    assert set(setup.beam.contamination) == {"pion", "kaon"}
    assert all(
        s.technology != "straw" or s.number in {1, 2, 4, 5, 11} for s in setup.stations.values()
    )


def test_beam_and_trigger(setup):
    assert (setup.beam.particle, setup.beam.momentum) == ("muon", 160.0)
    assert setup.beam.charge == -1
    # hadrons: 5e-5 of the M2 beam [24m]
    assert sum(setup.beam.contamination.values()) == pytest.approx(5e-5)
    assert set(setup.trigger.coincidence) == {"S0", "S1", "S4", "Smu"}
    assert setup.trigger.veto == ("V1",)
    assert load_setup("2022-muon-152").beam.intensity == 2.8e6  # [24m]
    assert load_setup("2021-muon").beam.intensity == 1e7  # [22m]


def test_beam_spot_at_the_target(setup):
    """sigma_x 0.9 cm, sigma_y 1.9 cm [22m]: spot, divergence and dispersion in quadrature."""
    distance = setup.ecal.z - setup.beam.z
    divergence = 1e-3 * setup.beam.divergence * distance
    # the field's centre is at z = 0: x = -bend * z * dp/p behind the magnets
    dispersion = 15 * RADIANS_PER_TESLA_METRE * setup.ecal.z * setup.beam.momentum_spread
    assert math.hypot(setup.beam.spot_x, divergence, dispersion) == pytest.approx(9.0, abs=0.2)
    assert math.hypot(setup.beam.spot_y, divergence) == pytest.approx(19.0, abs=0.2)


def test_the_spectrometers_are_those_of_the_paper(setup):
    ms1, ms2 = setup.spectrometers["MS1"], setup.spectrometers["MS2"]
    assert [setup.magnets[m].field * setup.magnets[m].length for m in ms1.magnets] == [5000.0] * 3
    assert setup.field_integral("MS2") == pytest.approx(-1400.0)
    assert {*ms1.upstream, *ms1.downstream} == {"MM1", "MM2", "MM3", "MM4", "ST5", "ST4"}
    assert {*ms2.upstream, *ms2.downstream} == {
        *("GEM1", "GEM2", "GEM3", "GEM4"),
        *("MM5", "MM6", "MM7"),
        *("ST2", "ST1"),
    }
    for spectrometer in (ms1, ms2):  # listed as they stand
        names = (*spectrometer.upstream, *spectrometer.downstream)
        z = [setup.stations[n].z for n in names]
        assert z == sorted(z)
        first, last = (setup.magnets[spectrometer.magnets[i]] for i in (0, -1))
        assert setup.stations[spectrometer.upstream[-1]].z < first.start
        assert setup.stations[spectrometer.downstream[0]].z > last.end
    assert list(setup.stations_of("bms")) == [f"BMS{i}" for i in range(1, 7)]
    assert 2 * setup.stations["MM5"].half_width == pytest.approx(200.0)  # 20 cm
    assert 2 * setup.stations["ST11"].half_width == pytest.approx(1200.0)  # 120 cm
    assert setup.stations["ST11"].projections == ("U", "V")


def test_micromegas_are_read_out_five_strips_to_a_channel(setup):
    """D. Banerjee et al., Nucl. Instrum. Meth. A 881 (2018) 72."""
    for station in setup.stations_of("mm").values():
        assert station.multiplexing == 5
        assert len(set(station.channel_of_strip.tolist())) == station.channels / 5
    assert all(s.multiplexing == 1 for s in setup.stations_of("gem").values())


def test_deflection_at_s4(setup, zero_line):
    """-12.0 mm for 160 GeV [24m]; closed form: 1.4 T m times the way from the magnet's centre."""
    z = setup.counters["S4"].z
    bend = 1.4 * RADIANS_PER_TESLA_METRE
    assert bend * (z - setup.magnets["MS2"].z) == pytest.approx(12.0, abs=0.1)
    assert setup.beam_x(z) - zero_line(z) == pytest.approx(-12.0, abs=0.5)


def test_slope_behind_ms1_in_closed_form(setup):
    """sin(angle) = 0.299792458 * 15 T m / 160 GeV."""
    expected = math.tan(math.asin(15 * RADIANS_PER_TESLA_METRE))
    assert setup.beam_slope(10000.0) == pytest.approx(expected, rel=1e-6)
    assert setup.ecal.slope_x == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("name", "counter", "distance", "size"),
    # [24m]: S4 20 x 20 cm2 at -65 mm, S_mu 30 x 30 cm2 at -152 or -117 mm from the zero line
    [
        ("2022-muon-152", "S4", -65, 200),
        ("2022-muon-117", "S4", -65, 200),
        ("2022-muon-152", "Smu", -152, 300),
        ("2022-muon-117", "Smu", -117, 300),
    ],
)
def test_trigger_counters_stand_beside_the_zero_line(name, counter, distance, size, zero_line):
    found = load_setup(name).counters[counter]
    assert (found.width, found.height) == (size, size)
    inner_edge = found.x + found.width / 2 - zero_line(found.z)
    assert inner_edge == pytest.approx(distance, abs=0.1)
    # so that the undeflected beam, 1 cm wide, passes by at more than 4 sigma
    assert load_setup(name).beam_x(found.z) - zero_line(found.z) > inner_edge + 40


def test_detectors_stand_on_the_zero_line(setup, zero_line):
    for name, station in setup.stations.items():
        assert station.x == pytest.approx(zero_line(station.z), abs=0.1), name
    for part in (setup.ecal, setup.veto, setup.vhcal):
        assert part.x == pytest.approx(zero_line(part.z), abs=0.1)
    for name in ("S0", "S1", "V1"):
        assert setup.counters[name].x == pytest.approx(zero_line(setup.counters[name].z), abs=0.1)
    # the beam in the middle of a cell
    for part in (setup.ecal, setup.hcal):
        assert zero_line(part.z) - part.x == pytest.approx(
            part.x_centres[part.beam_cell[0]], abs=0.1
        )
    second = setup.hcal.sections["module1"]
    assert zero_line(second.z) - second.x == pytest.approx(100.0, abs=0.1)


def test_calorimeters(setup):
    assert setup.ecal.shape == (2, 5, 6)  # 6 x 5 cells [22m]
    assert setup.ecal.radiation_lengths == 40.0  # [24m]
    assert (setup.veto.bar_length, setup.veto.bars * setup.veto.bar_height) == (550.0, 549.0)
    assert setup.vhcal.shape == (1, 4, 4)  # [22m]
    assert setup.hcal.shape == (2, 6, 3)
    assert (6 * setup.hcal.cell_x, 3 * setup.hcal.cell_y) == (1200.0, 600.0)
    # 5 and 7.5 interaction lengths, from the PDG's 153.2 mm of copper and 167.7 mm of iron
    copper, iron = setup.vhcal.sampling, setup.hcal.sampling
    assert copper.layers * (copper.absorber_thickness / 153.2 + 2 / 770) == pytest.approx(
        5, rel=0.03
    )
    assert iron.layers * (iron.absorber_thickness / 167.7 + 4 / 770) == pytest.approx(7.5, rel=0.03)


def test_order_along_the_beam(setup):
    """Fig. 1 of [24m]: MS1, target, VETO, VHCAL, MS2, S4, HCAL, S_mu."""
    planes = setup.stations
    order = [
        *(planes[n].z for n in ("BMS1", "MM1", "MM2")),
        *(setup.magnets[n].z for n in ("BEND6A", "BEND6B", "BEND6C")),
        *(planes[n].z for n in ("MM3", "MM4")),
        *(setup.counters[n].z for n in ("S0", "V1", "S1")),
        *(setup.ecal.z, setup.veto.z, setup.vhcal.z),
        *(planes[n].z for n in ("GEM1", "GEM2", "GEM3", "GEM4")),
        setup.magnets["MS2"].z,
        *(planes[n].z for n in ("MM5", "MM6", "MM7")),
        *(setup.counters["S4"].z, setup.hcal.z, setup.counters["Smu"].z),
    ]
    assert order == sorted(order)
    veto_hcal = setup.vhcal.z + setup.vhcal.sampling.layers * setup.vhcal.layer_thickness
    assert veto_hcal < planes["GEM1"].z
    first = setup.hcal.z + setup.hcal.sampling.layers * setup.hcal.layer_thickness
    assert first < setup.hcal.sections["module1"].z
