from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from na64reco.calorimeters import beam_modules, reconstruct_hcal, reconstruct_vhcal
from na64reco.setup import load_setup

from .conftest import flat_conditions, make_hits

NAMES = ("module", "ix", "iy", "amplitude", "time")


@pytest.fixture(scope="module")
def found(setup, conditions):
    return reconstruct_hcal(
        make_hits(
            [
                [
                    (0, 1, 1, 240.0, 0.0),
                    (1, 1, 1, 250.0, 0.0),
                    (2, 0, 2, 510.0, 0.0),
                    (3, 1, 1, 4000.0, 0.0),
                    (1, 2, 2, 100.0, 50.0),
                    (3, 0, 0, 100.0, 50.0),
                    (0, 0, 0, np.nan, 0.0),
                ],
                [],
                [(3, 1, 1, 100.0, 0.0)],
            ],
            NAMES,
        ),
        setup,
        conditions,
    )


def test_zero_degree_module_is_not_in_the_beam(setup):
    assert beam_modules(setup.hcal).tolist() == [True, True, True, False]


def test_energies(found):
    assert found["hcal.energy"].tolist() == pytest.approx([10.0, 0, 0])
    assert found["hcal.energy_out"].tolist() == pytest.approx([1.0, 0, 0])
    assert found["hcal.zero_degree"].tolist() == pytest.approx([40.0, 0, 1.0])
    modules = [found[f"hcal.module{i}"][0] for i in range(4)]
    assert modules == pytest.approx([2.4, 2.5, 5.1, 40.0])


def test_transverse_ratio(found):
    """(E - E_central)/E, with 4.9 of 10 GeV in the middle cells; 0 where E = 0."""
    assert found["hcal.ratio"].tolist() == pytest.approx([0.51, 0, 0])


def test_cells_below_their_threshold_do_not_count(setup):
    conditions = SimpleNamespace(hcal=flat_conditions(setup.hcal.shape, threshold=0.2))
    hits = make_hits([[(0, i, j, 19.0, 0.0) for i in range(3) for j in range(3)]], NAMES)
    assert reconstruct_hcal(hits, setup, conditions)["hcal.energy"].tolist() == [0.0]


def test_minimum_ionising_particles_are_counted(setup, conditions):
    """2.4 GeV each; two are 4 to 8 GeV (public analyses of dimuons)."""
    one, two, three, half = 240.0, 520.0, 900.0, 100.0
    events = [
        [(m, 1, 1, one, 0.0) for m in range(3)],
        [(m, 1, 1, a, 0.0) for m, a in enumerate((450.0, two, 780.0))],
        [(0, 1, 1, one, 0.0), (1, 1, 1, one, 0.0)],
        [(0, 1, 1, one, 0.0), (1, 1, 1, two, 0.0), (2, 1, 1, one, 0.0)],
        [(m, 1, 1, three, 0.0) for m in range(3)],
        [(m, 1, 1, half, 0.0) for m in range(3)],
    ]
    found = reconstruct_hcal(make_hits(events, NAMES), setup, conditions)
    assert found["hcal.mips0"].tolist() == [1, 2, 1, 1, 3, 0]
    assert found["hcal.mips1"].tolist() == [1, 2, 1, 2, 3, 0]
    assert found["hcal.muons"].tolist() == [1, 2, 0, 0, 0, 0]


def test_vhcal(conditions):
    setup = load_setup("2022-muon-152")
    vhcal = SimpleNamespace(vhcal=flat_conditions(setup.vhcal.shape))
    hits = make_hits(
        [[(0, 0, 100.0, 0.0), (3, 3, 50.0, 0.0), (0, 1, 70.0, 60.0), (2, 0, np.nan, 0.0)], []],
        ("ix", "iy", "amplitude", "time"),
    )
    found = reconstruct_vhcal(hits, setup, vhcal)
    assert found["vhcal.energy"].tolist() == pytest.approx([1.5, 0.0])
    assert found["vhcal.energy_out"].tolist() == pytest.approx([0.7, 0.0])
    assert found["vhcal.cell"].tolist() == pytest.approx([1.0, 0.0])
    assert found["vhcal.cells"].tolist() == [2, 0]
    assert reconstruct_vhcal(hits, load_setup("2022-electron"), vhcal) == {}
