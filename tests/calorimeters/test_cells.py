from __future__ import annotations

import numpy as np
import pytest

from na64reco.calorimeters import cell_energies
from na64reco.errors import DataError

from .conftest import flat_conditions, make_hits

NAMES = ("section", "ix", "iy", "amplitude", "time")
SHAPE = (2, 3, 4)


def test_scale_and_time_window_are_those_of_the_channel():
    conditions = flat_conditions(SHAPE)
    conditions.scale[1, 2, 3] = 0.5
    conditions.time[1, 2, 3] = 7.0
    conditions.time_width[1, 2, 3] = 2.0
    hits = make_hits(
        [[(1, 2, 3, 10.0, 12.9), (0, 0, 0, 100.0, 2.9)], [(1, 2, 3, 10.0, 13.1)], []], NAMES
    )
    cells = cell_energies(hits, conditions, SHAPE)
    assert cells.in_time[0, 1, 2, 3] == pytest.approx(5.0)
    assert cells.in_time[0, 0, 0, 0] == pytest.approx(1.0)
    assert cells.in_time[0].sum() == pytest.approx(6.0)
    assert cells.in_time[1:].sum() == 0
    assert cells.out_of_time[1, 1, 2, 3] == pytest.approx(5.0)
    assert cells.out_of_time[[0, 2]].sum() == 0
    # weighted by energy: 5 GeV 5.9 ns late, 1 GeV 2.9 ns late
    assert cells.time[0] == pytest.approx((5 * 5.9 + 2.9) / 6, rel=1e-6)
    assert np.isnan(cells.time[1:]).all()


def test_window_is_configurable_and_symmetric():
    hits = make_hits([[(0, 0, 0, 100.0, t)] for t in (-5.5, -4.5, 4.5, 5.5)], NAMES)
    narrow = cell_energies(hits, flat_conditions(SHAPE), SHAPE)
    wide = cell_energies(hits, flat_conditions(SHAPE), SHAPE, window=5.0)
    assert narrow.in_time.sum() == 0
    assert wide.in_time[:, 0, 0, 0].tolist() == pytest.approx([0, 1, 1, 0])
    assert wide.out_of_time[:, 0, 0, 0].tolist() == pytest.approx([1, 0, 0, 1])


def test_pulses_of_one_channel_add_up_before_the_threshold():
    conditions = flat_conditions(SHAPE, threshold=0.5)
    hits = make_hits(
        [
            [(0, 1, 1, 30.0, 0.0), (0, 1, 1, 30.0, 1.0)],
            [(0, 1, 1, 30.0, 0.0), (0, 1, 2, 30.0, 0.0)],
        ],
        NAMES,
    )
    cells = cell_energies(hits, conditions, SHAPE)
    assert cells.in_time[0, 0, 1, 1] == pytest.approx(0.6)
    assert cells.in_time[1].sum() == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("field", [3, 4])
def test_values_that_are_not_finite_are_counted_and_never_summed(bad, field):
    broken = [0, 0, 0, 100.0, 0.0]
    broken[field] = bad
    hits = make_hits([[tuple(broken), (0, 0, 0, 50.0, 0.5), (1, 1, 1, 100.0, 0.0)]], NAMES)
    cells = cell_energies(hits, flat_conditions(SHAPE), SHAPE)
    assert cells.ignored == 1
    assert cells.in_time[0, 0, 0, 0] == pytest.approx(0.5)
    assert cells.in_time.sum() == pytest.approx(1.5)
    assert cells.out_of_time.sum() == 0
    assert np.isfinite(cells.time).all()


def test_hits_outside_the_detector_are_counted_and_touch_no_other_cell():
    outside = [(2, 0, 0), (0, 3, 0), (0, 0, 4), (255, 255, 255)]
    hits = make_hits([[(*cell, 100.0, 0.0) for cell in outside]], NAMES)
    cells = cell_energies(hits, flat_conditions(SHAPE), SHAPE)
    assert cells.ignored == 4
    assert cells.in_time.sum() == 0
    assert cells.out_of_time.sum() == 0


def test_holes_have_no_energy():
    conditions = flat_conditions(SHAPE)
    conditions.scale[0, 1, 1], conditions.threshold[0, 1, 1] = 0.0, np.inf
    hits = make_hits([[(0, 1, 1, 100.0, 0.0), (0, 1, 2, 100.0, 0.0)]], NAMES)
    cells = cell_energies(hits, conditions, SHAPE)
    assert cells.in_time[0, 0, 1].tolist() == pytest.approx([0, 0, 1.0, 0])


def test_modules_and_calorimeters_of_one_section():
    module = make_hits([[(1, 2, 3, 100.0, 0.0)]], ("module", *NAMES[1:]))
    assert cell_energies(module, flat_conditions(SHAPE), SHAPE).in_time[0, 1, 2, 3] == 1.0
    single = make_hits([[(2, 3, 100.0, 0.0)]], NAMES[1:])
    found = cell_energies(single, flat_conditions((1, 3, 4)), (1, 3, 4))
    assert found.in_time[0, 0, 2, 3] == 1.0


def test_no_events():
    cells = cell_energies(make_hits([], NAMES), flat_conditions(SHAPE), SHAPE)
    assert cells.in_time.shape == (0, *SHAPE)
    assert cells.time.shape == (0,)


def test_conditions_of_another_detector():
    with pytest.raises(DataError, match=r"shape \(2, 3, 4\), the detector has \(2, 5, 6\)"):
        cell_energies(make_hits([[]], NAMES), flat_conditions(SHAPE), (2, 5, 6))
