from __future__ import annotations

import json

import numpy as np
import pytest
import yaml

from na64reco.errors import OutputExistsError, SelectionError
from na64reco.selection import (
    apply,
    box_digest,
    check_frozen_box,
    empty_histograms,
    fill_histograms,
    freeze_box,
    list_selections,
    load_selection,
    required_columns,
    skim,
)
from na64reco.setup import load_setup


def everything(selection, columns, **options):
    """All that can be derived from a selection and its events, as comparable plain data."""
    outcome = apply(selection, columns, **options)
    histograms = empty_histograms(selection)
    fill_histograms(histograms, outcome, columns)
    flow = outcome.cutflow
    return json.dumps(
        {
            "rows": [flow.rows(), flow.cumulative_rows(), flow.n_minus_1_rows()],
            "regions": flow.region_rows(),
            "counts": flow.to_json(),
            "selected": flow.selected,
            "skim": {name: array.tolist() for name, array in skim(outcome, columns).items()},
            "histograms": {n: h.values(flow=True).tolist() for n, h in histograms.items()},
            "stages": {s: int(outcome.after(s).sum()) for s in selection.stages},
            "boxes": {name: int(box.sum()) for name, box in outcome.boxes.items()},
            "passed": int(outcome.passed.sum()),
        },
        sort_keys=True,
    )


def with_extra_events(columns, count, **values):
    """Events in the signal box that pass all cuts, appended."""
    box = {
        "run": 6100,
        "event": 99,
        "trigger.physics": True,
        "track.momentum": 100,
        "straw.multiplicity": 1,
        "ecal.chi2": 0.5,
        "ecal.energy": 20,
        "hcal.energy": 0,
    } | values
    return {
        name: np.concatenate([array, np.full(count, box[name], dtype=array.dtype)])
        for name, array in columns.items()
    }


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"trigger.physics": False},
        {"straw.multiplicity": 50},
        {"track.momentum": np.nan},
        {"ecal.energy": 49.9},
        {"ecal.energy": -3.0},
        {"hcal.energy": np.nan},
        {"ecal.energy": np.nan},
        {"ecal.energy": np.nan, "hcal.energy": np.nan},
    ],
)
def test_no_output_depends_on_what_is_in_the_box(mini, columns, change):
    empty = everything(mini, columns)
    assert everything(mini, with_extra_events(columns, 1, **change)) == empty
    assert everything(mini, with_extra_events(columns, 7, **change)) == empty


@pytest.mark.parametrize(
    "change", [{"ecal.energy": 50.0}, {"hcal.energy": 1.0}, {"run": 6600, "ecal.energy": 47.0}]
)
def test_events_beside_the_box_do_show(mini, columns, change):
    # Otherwise the test above could not fail.
    shown = everything(mini, with_extra_events(columns, 1, **change))
    assert shown != everything(mini, columns)


def test_a_single_cut_hides_as_well(write, columns):
    # An event in the box fails the only cut, and that is not "passes all others".
    text = (
        "setup: 2022-electron\nblind: box\ncuts:\n  - {name: one, variable: trigger.physics}\n"
        "regions:\n  box: {ecal.energy: [null, 50], hcal.energy: [null, 1]}\n"
    )
    selection = load_selection(write(text))
    assert everything(selection, with_extra_events(columns, 3)) == everything(selection, columns)


def test_frozen_box_opens(mini, columns, tmp_path):
    frozen = freeze_box(mini, tmp_path / "box.yaml")
    outcome = apply(mini, columns, unblind=check_frozen_box(mini, tmp_path / "box.yaml"))
    assert dict(outcome.cutflow.regions) == {"signal": 1, "sideband": 2}
    assert everything(mini, with_extra_events(columns, 1), unblind=frozen) != everything(
        mini, columns, unblind=frozen
    )


def test_the_file_says_what_was_frozen(mini, tmp_path):
    path = tmp_path / "box.yaml"
    frozen = freeze_box(mini, path)
    content = yaml.safe_load(path.read_text())
    assert content["selection"] == "mini"
    assert content["region"] == "signal"
    assert content["box"]["hcal.energy"] == [None, 1.0]
    assert content["box"]["ecal.energy"][1]["values"] == {"early": 50.0, "late": 47.0}
    assert content["date"].startswith("20")
    assert content["sha256"] == frozen.sha256 == box_digest(mini)
    assert len(frozen.sha256) == 64
    assert [p.name for p in tmp_path.iterdir() if p.suffix == ".part"] == []


def test_unblinding_without_the_file(mini, columns):
    with pytest.raises(SelectionError, match=r"Unblinding the region 'signal' of 'mini' needs its"):
        apply(mini, columns, unblind=True)
    assert apply(mini, columns, unblind=False).blinded == "signal"


def test_box_of_another_selection(mini, columns, write, mini_text, tmp_path):
    frozen = freeze_box(mini, tmp_path / "box.yaml")
    other = load_selection(write(mini_text.replace("late: 47", "late: 48"), "other.yaml"))
    with pytest.raises(SelectionError, match="is not that of the selection 'mini' as it is now"):
        apply(other, columns, unblind=frozen)
    with pytest.raises(
        SelectionError, match=r"not that of the selection 'mini':\n  box: frozen .*47"
    ):
        check_frozen_box(other, tmp_path / "box.yaml")


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("max: 5}", "max: 6}", "cut 'straw hits': frozen {'name': 'straw hits', .*5.0}, here .*6.0}"),
        ("{name: straw hits, variable: straw.multiplicity, max: 5}", "", "cut 'straw hits': frozen, but not here"),
        ("name: shower shape", "name: shape", "cut 'shape': here, but not frozen"),
        ("early: [6035, 6499], late: [6500,", "early: [6035, 6599], late: [6600,", "periods: frozen"),
        ("name: mini", "name: maxi", "selection: frozen 'mini', here 'maxi'"),
    ],
)  # fmt: skip
def test_every_change_is_named(mini, write, mini_text, tmp_path, old, new, text):
    freeze_box(mini, tmp_path / "box.yaml")
    assert old in mini_text
    changed = mini_text.replace(old, new).replace("  - \n", "").replace(", without straw hits", "")
    with pytest.raises(SelectionError, match=text):
        check_frozen_box(load_selection(write(changed, "x.yaml")), tmp_path / "box.yaml")


def test_order_of_cuts_is_part_of_it(mini, tmp_path):
    freeze_box(mini, tmp_path / "box.yaml")
    turned = mini.model_copy(update={"cuts": mini.cuts[::-1]})
    with pytest.raises(SelectionError, match=r"order of cuts: frozen \['trigger', "):
        check_frozen_box(turned, tmp_path / "box.yaml")


def test_histograms_are_not_part_of_it(mini, tmp_path):
    freeze_box(mini, tmp_path / "box.yaml")
    changed = mini.model_copy(update={"histograms": {}})
    assert check_frozen_box(changed, tmp_path / "box.yaml").region == "signal"


def test_edited_box(mini, tmp_path):
    path = tmp_path / "box.yaml"
    freeze_box(mini, path)
    path.write_text(path.read_text().replace("late: 47.0", "late: 46.0"))
    with pytest.raises(SelectionError, match="was changed after it was frozen"):
        check_frozen_box(mini, path)


def test_what_is_no_frozen_box(mini, tmp_path):
    path = tmp_path / "box.yaml"
    with pytest.raises(SelectionError, match="cannot be read"):
        check_frozen_box(mini, path)
    path.write_text("region: signal\n")
    with pytest.raises(
        SelectionError, match=r"is not a frozen box: expected the keys .*\['region'\]"
    ):
        check_frozen_box(mini, path)


def test_a_box_is_frozen_once(mini, tmp_path):
    freeze_box(mini, tmp_path / "box.yaml")
    with pytest.raises(OutputExistsError, match=r"box.yaml exists; a box is frozen once"):
        freeze_box(mini, tmp_path / "box.yaml")
    freeze_box(mini, tmp_path / "box.yaml", overwrite=True)


def test_nothing_to_freeze(write, mini_text, tmp_path):
    open_selection = load_selection(write(mini_text.replace("blind: signal\n", ""), "open.yaml"))
    with pytest.raises(SelectionError, match=r"The selection 'mini' blinds no region"):
        freeze_box(open_selection, tmp_path / "box.yaml")


def test_simulated_events_must_look_simulated(mini, columns):
    with pytest.raises(SelectionError, match=r"lack the column 'mc.process'.*data stay blinded"):
        apply(mini, columns, simulated=True)


def perfect_signal(selection, **change):
    """One event in the box that passes every cut of the search."""
    values = {
        "run": load_setup(selection.setup).runs[0],
        "trigger.physics": True, "quality.good": True, "ecal.in_beam_cell": True,
        "master_time": 100, "track.momentum": 100, "track.p_value": 0.5, "track.angle_in": 0.1,
        "srd.energy": 0.02, "straw.multiplicity": 1, "straw.min_multiplicity": 1,
        "prs.energy": 2, "ecal.energy": 30, "ecal.energy_out": 0, "ecal.lateral": 0.03,
        "ecal.chi2": 1, "veto.energy": 0, "hcal.energy": 0.1, "mc.process": 8,
    }  # fmt: skip
    if load_setup(selection.setup).beam.particle == "muon":
        values |= {
            "track.momentum": 160, "track.candidates": 1,
            "track_out.momentum": 60, "track_out.candidates": 1, "track_out.p_value": 0.5,
            "track_out.most_behind": 1, "hcal.expected0": 2.4, "hcal.expected1": 2.4,
            "hcal.module0": 2.4, "hcal.module1": 2.4, "hcal.energy": 4.8,
            "ecal.energy": 0.5, "veto.energy": 0.01,
        }  # fmt: skip
    values |= change
    names = required_columns(selection, simulated=True)
    return {name: np.array([values.get(name, 0)]) for name in names}


@pytest.mark.parametrize("name", [n for n in list_selections() if "invisible" in n])
def test_shipped_searches_select_a_perfect_signal_event(name):
    selection = load_selection(name)
    flow = apply(selection, perfect_signal(selection), simulated=True).cutflow
    assert flow.selected == dict(flow.regions)["signal"] == 1


@pytest.mark.parametrize("name", list_selections())
@pytest.mark.parametrize("change", [{}, {"trigger.beam": True}, {"hcal.energy": np.nan}])
def test_no_shipped_selection_shows_the_box(name, change):
    # Also not the calibration and control selections, should somebody run them on the search's data.
    selection = load_selection(name)
    columns = perfect_signal(selection, **change)
    nothing = {key: array[:0] for key, array in columns.items()}
    assert everything(selection, columns) == everything(selection, nothing)


def test_calibration_triggers_are_shown():
    selection = load_selection("electron-calibration-2022")
    low = {"trigger.physics": False, "trigger.beam": True}
    flow = apply(selection, perfect_signal(selection, **low)).cutflow
    assert flow.selected == 1
    assert dict(flow.regions)["signal"] is None
