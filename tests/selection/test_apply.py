from __future__ import annotations

import pickle

import numpy as np
import pytest

from na64reco.errors import SelectionError
from na64reco.selection import apply, load_selection, required_columns, skim, variables
from na64reco.selection.variables import variable


def events(mask):
    return np.flatnonzero(mask).tolist()


def test_hand_counted_events_unhidden(mini, columns):
    columns["mc.process"] = np.zeros(10, dtype=np.uint8)
    outcome = apply(mini, columns, simulated=True)
    assert outcome.visible.all()
    assert events(outcome.after("trigger")) == [0, 1, 2, 3, 5, 6, 7, 8, 9]
    assert events(outcome.after("incoming track")) == [0, 1, 2, 3, 6, 8, 9]
    assert events(outcome.after("straw hits")) == [0, 1, 2, 3, 8, 9]
    assert events(outcome.after("all")) == [0, 1, 2, 3, 8]
    assert events(outcome.without("incoming track")) == [0, 1, 2, 3, 5, 8]
    assert events(outcome.without("straw hits")) == [0, 1, 2, 3, 6, 8]
    assert events(outcome.without("trigger")) == [0, 1, 2, 3, 4, 8]
    assert events(outcome.region("signal")) == [2]
    assert events(outcome.boxes["signal"]) == [2, 4]
    assert events(outcome.region("sideband")) == [0, 1]
    cutflow = outcome.cutflow
    assert cutflow.entered == 10
    assert cutflow.passed == (9, 7, 6, 5)
    assert cutflow.alone == (9, 8, 8, 9)
    assert cutflow.others == (6, 6, 6, 6)
    assert dict(cutflow.regions) == {"signal": 1, "sideband": 2}


def test_hidden_events_are_nowhere(mini, columns):
    outcome = apply(mini, columns)
    assert events(~outcome.visible) == [2, 4]
    assert outcome.cutflow.entered == 8
    assert outcome.cutflow.passed == (8, 6, 5, 4)
    assert outcome.cutflow.alone == (8, 6, 6, 7)
    assert outcome.cutflow.others == (4, 5, 5, 5)
    assert dict(outcome.cutflow.regions) == {"signal": None, "sideband": 2}
    assert events(outcome.selected) == [0, 1]


def test_skim_keeps_the_events_of_any_region(mini, columns):
    kept = skim(apply(mini, columns), columns)
    assert kept["event"].tolist() == [0, 1]
    assert kept.keys() == columns.keys()
    assert kept["ecal.energy"].dtype == np.float32


def masks(write, columns, cut):
    text = f"setup: 2022-electron\ncuts:\n  - {{name: one, {cut}}}\n"
    return events(apply(load_selection(write(text)), columns).passed[0])


@pytest.mark.parametrize(
    ("cut", "kept"),
    [
        ("variable: trigger.physics", [0, 1, 2, 3, 5, 6, 7, 8, 9]),
        ("variable: trigger.physics, not: true", [4]),
        ("variable: straw.multiplicity, min: 6", [6, 7]),
        ("variable: straw.multiplicity, max: 5", [0, 1, 2, 3, 4, 5, 8, 9]),
        ("variable: straw.multiplicity, equal: 5", [1]),
        ("variable: straw.multiplicity, window: [5, 6]", [1, 6]),
        # NaN (event 7) fails a cut and its negation.
        ("variable: track.momentum, window: [90, 110]", [0, 1, 2, 3, 4, 6, 8, 9]),
        ("variable: track.momentum, window: [90, 110], not: true", [5]),
        # 0.99 and 0.2 are not float32 numbers: limits are taken in the column's precision.
        ("variable: hcal.energy, max: 0.2", [0, 1]),
        ("variable: hcal.energy, window: [0.99, 39]", [4]),
        ("variable: calo.energy, min: 70.1", [0]),
    ],
)
def test_kinds_of_cuts(write, columns, cut, kept):
    assert masks(write, columns, cut) == kept


@pytest.mark.parametrize(
    ("energy", "limit"),
    [(-1.0, 1.0), (0.0, 2.0), (9.99, 2.0), (10.0, 3.0), (19.99, 3.0), (20.0, 4.0), (1e9, 4.0)],
)
def test_limit_by_column(write, energy, limit):
    cut = (
        "variable: ecal.chi2, max: {by: ecal.energy, edges: [0, 10, 20], values: [2, 3], "
        "below: 1, above: 4}"
    )
    columns = {
        "ecal.energy": np.full(2, energy),
        "ecal.chi2": np.array([limit, np.nextafter(limit, 9)]),
    }
    assert masks(write, columns, cut) == [0]


def test_limits_in_tables_have_the_precision_of_the_column(write):
    # float32(0.1) > 0.1: "at most 0.1" must mean the same in a table as for a plain number.
    columns = {
        "ecal.chi2": np.array([0.1], dtype=np.float32),
        "ecal.energy": np.zeros(1, dtype=np.float32),
    }
    assert masks(write, columns, "variable: ecal.chi2, max: 0.1") == [0]
    table = "max: {by: ecal.energy, edges: [0, 1], values: [0.1]}"
    assert masks(write, columns, f"variable: ecal.chi2, {table}") == [0]


def test_limit_by_column_defaults_to_the_outermost_values_and_rejects_nan(write):
    cut = "variable: ecal.chi2, max: {by: ecal.energy, edges: [0, 10, 20], values: [2, 3]}"
    columns = {
        "ecal.energy": np.array([-5.0, -5.0, 25.0, 25.0, np.nan]),
        "ecal.chi2": np.array([2.0, 2.1, 3.0, 3.1, 0.0]),
    }
    assert masks(write, columns, cut) == [0, 2]
    assert masks(write, columns, cut + ", not: true") == [1, 3]


def test_nan_lies_in_no_region(mini, columns):
    columns["hcal.energy"][0] = np.nan
    assert events(apply(mini, columns).boxes["sideband"]) == [1, 5, 6, 7]


def test_regions_that_share_an_edge_share_no_event(write):
    text = (
        "setup: 2022-electron\ncuts:\n  - {name: one, variable: ecal.energy, min: 0}\nregions:\n"
        "  low: {ecal.energy: [null, 50]}\n  high: {ecal.energy: [50, null]}\n"
    )
    outcome = apply(
        load_selection(write(text)), {"ecal.energy": np.array([-1.0, 49.9, 50.0, 99.0])}
    )
    assert events(outcome.boxes["low"]) == [0, 1]
    assert events(outcome.boxes["high"]) == [2, 3]


def test_no_events(mini, columns):
    outcome = apply(mini, {name: array[:0] for name, array in columns.items()})
    assert outcome.cutflow.passed == (0, 0, 0, 0)


def test_run_outside_all_periods(mini, columns):
    columns["run"][3] = 7777
    with pytest.raises(
        SelectionError, match=r"Run 7777 lies in no period of the selection 'mini' \(early: 6035-64"
    ):
        apply(mini, columns)


def test_missing_column_names_cut_and_column(mini, columns):
    del columns["ecal.chi2"]
    with pytest.raises(
        SelectionError, match=r"mini, cut 'shower shape': The column 'ecal.chi2' is"
    ):
        apply(mini, columns)


def test_columns_of_different_length(mini, columns):
    columns["run"] = columns["run"][1:]
    with pytest.raises(SelectionError, match="one value per event"):
        apply(mini, columns)


def test_unknown_stage_and_region(mini, columns):
    outcome = apply(mini, columns)
    with pytest.raises(SelectionError, match=r"no cut or stage 'triger'. Did you mean 'trigger'"):
        outcome.after("triger")
    with pytest.raises(SelectionError, match=r"no region 'sidebnd'. Did you mean 'sideband'"):
        outcome.region("sidebnd")


def test_required_columns_suffice(mini, columns):
    needed = required_columns(mini)
    # calo.energy is computed from ecal.energy and hcal.energy; "event" is not needed.
    assert needed == columns.keys() - {"event"}
    full = apply(mini, columns).cutflow
    assert apply(mini, {name: columns[name] for name in needed}).cutflow == full
    assert "mc.process" in required_columns(mini, simulated=True)


@pytest.fixture
def no_trace(monkeypatch):
    """What a test registers is forgotten after it."""
    monkeypatch.setattr(variables, "_REGISTRY", dict(variables._REGISTRY))


@pytest.mark.usefixtures("no_trace")
def test_registered_variable(write, columns):
    @variable("test.twice", needs=("calo.energy",), unit="GeV", meaning="for this test")
    def twice(calo):
        return 2 * calo

    assert masks(write, columns, "variable: test.twice, min: 140") == [0]
    with pytest.raises(SelectionError, match=r"'test.twice' is registered already, by .*twice"):
        variable("test.twice", needs=(), unit="", meaning="")(lambda: None)


@pytest.mark.usefixtures("no_trace")
def test_variable_of_wrong_shape(write, columns):
    variable("test.scalar", needs=("run",), unit="", meaning="")(np.sum)
    with pytest.raises(SelectionError, match=r"'test.scalar' gave an array of shape \(\) for 10"):
        masks(write, columns, "variable: test.scalar, min: 0")


def test_outcome_travels_between_processes(mini, columns):
    outcome = pickle.loads(pickle.dumps(apply(mini, columns)))
    assert outcome.cutflow == apply(mini, columns).cutflow
