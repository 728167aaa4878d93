"""Table I of arXiv:2110.15111 in order of magnitude, with benchmarks/muon_backgrounds.py."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture(scope="module")
def levels():
    path = Path(__file__).parents[2] / "benchmarks" / "muon_backgrounds.py"
    spec = importlib.util.spec_from_file_location("muon_backgrounds", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def within_a_factor(value, published, factor=10):
    return published / factor < value < published * factor


def test_geometry(levels):
    where = levels.behind()
    straight = np.zeros((4, 1))
    minus, neutral = np.array([-1], np.int8), np.array([0], np.int8)
    # arXiv:2401.01708: 160 GeV muons are 12.0 mm aside at S4.
    momentum = np.array([160.0])
    x, _, inside = where.at(straight, momentum, minus, where.setup.counters["S4"].z)
    assert x[0] == pytest.approx(-12.0, abs=0.1)
    assert inside[0]
    # A neutron on the axis meets two modules of 7.5 lengths.
    proton = np.array([3], np.int8)
    missed, through = where.passing_hcal(straight, momentum, proton, neutral)
    assert missed[0] == 0
    assert through[0] == pytest.approx(np.exp(-15))
    # At 30 mrad upwards it ends in the yoke of MS2, whose gap is 14 cm.
    upwards = np.array([[0.0], [0.0], [0.0], [0.03]])
    assert where.passing_hcal(upwards, momentum, proton, neutral)[0][0] == 1


def test_in_flight_decays(levels):
    found = levels.in_flight(100_000)
    # P(K -> mu nu), all and below 100 GeV; then all cuts.
    assert found["K -> mu nu over 36 m"] == pytest.approx(0.018, rel=0.05)
    assert found["the same below 100 GeV"] == pytest.approx(0.011, rel=0.06)
    assert within_a_factor(found["per MOT, kaons 3e-8 [22m]"], 1.1e-11)
    # arXiv:2401.01708 tracks them to the trigger, too: the momentum selects the angle in MS2.
    assert 0.02 < found["and S4, Smu hit"] / found["K -> mu nu there, below 80 GeV"] < 0.5


def test_momentum_mismatch(levels):
    found = levels.mismatch()
    # <~ 1e-12 with one hit per plane, <= 1e-11 with an electron; 0.05 in 2e10 (arXiv:2401.01708).
    kinks = found["kinks, with the share that triggers"]
    electrons = found["the same, with the share that triggers"]
    assert within_a_factor(kinks, 1e-12)
    assert electrons < 1e-11
    assert within_a_factor(kinks + electrons, 0.05 / 2e10, 4)
    # 22.7 standard deviations.
    assert found["resolution of 4.4 %"] < 1e-100


def test_hadrons_and_dimuons(levels):
    hadrons = levels.hermeticity(30_000)["as assumed"]
    assert within_a_factor(hadrons["leading hadron of 80 GeV"], 1e-6)
    assert within_a_factor(hadrons["any VETO"]["through the HCAL"][0], 1e-12)
    assert (
        hadrons["VETO of one particle"]["through the HCAL"][0]
        < 0.1 * hadrons["any VETO"]["through the HCAL"][0]
    )
    pairs = levels.dimuons(200_000)
    assert within_a_factor(pairs["pairs from photons above 10 GeV"], 1e-7, 3)
    assert pairs["the same at 90 % confidence below"] < 1e-12


def test_electrons_do_not_make_the_trigger(levels):
    found = levels.false_triggers(50_000)
    assert found["both"] < 4e-4  # all that triggers, arXiv:2401.01708
    assert 0 < found["S4 by electrons"] < found["Smu by electrons"] < 0.1
