from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from na64reco.calorimeters import beam_modules, reconstruct_hcal

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
