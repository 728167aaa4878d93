"""Cuts one after the other: the same events, and nothing that would need the others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from na64reco.errors import SelectionError
from na64reco.selection import (
    CutSequence,
    apply,
    count,
    empty_histograms,
    fill_histograms,
    load_selection,
    sequence_of,
)

TRACK, SHAPE = ("track.momentum",), ("ecal.chi2",)
GROUPS = st.lists(
    st.lists(
        st.sampled_from(
            ["track.momentum", "straw.multiplicity", "ecal.chi2", "trigger.physics", "hcal.energy"]
        ),
        max_size=3,
        unique=True,
    ),
    max_size=3,
).filter(lambda groups: len(flat := [n for g in groups for n in g]) == len(set(flat)))


class Provider:
    """Columns as they are asked for, with nonsense for events of which they are not made."""

    def __init__(self, columns, sequence, draw=None):
        self.columns, self.sequence, self.draw = columns, sequence, draw
        self.asked = []
        self.made = {n: v for n, v in columns.items() if n not in sequence.after}

    def __call__(self, cuts, passed):
        names = self.sequence.columns(cuts)
        self.asked.append((cuts, names, passed.tolist()))
        for name in names:
            values = self.columns[name].copy()
            for event in np.flatnonzero(~passed):
                high = 1 if values.dtype == bool else 200
                values[event] = 0 if self.draw is None else self.draw(st.integers(0, high))
            self.made[name] = values
        return {name: self.made[name] for name in names}


def in_sequence(selection, columns, sequence, draw=None):
    provider = Provider(columns, sequence, draw)
    outcome = apply(selection, provider.made, sequence=sequence, provide=provider)
    return outcome, provider


def filled(selection, outcome, columns, sequence=None):
    histograms = empty_histograms(selection, sequence=sequence)
    fill_histograms(histograms, outcome, columns)
    return {name: h.values(flow=True).tolist() for name, h in histograms.items()}


def test_columns_are_made_before_the_first_cut_that_uses_them(mini):
    # trigger, incoming track, straw hits, shower shape
    assert sequence_of(mini, [TRACK, SHAPE]).after == {"track.momentum": 1, "ecal.chi2": 3}
    # A group is made from those before it, so these are there in time.
    assert sequence_of(mini, [SHAPE, TRACK]).after == {"track.momentum": 1, "ecal.chi2": 1}
    # No cut uses it: for events that pass all. The hidden box uses it: for all events.
    assert sequence_of(mini, [["track.chi2"]]).after == {"track.chi2": 4}
    assert sequence_of(mini, [["hcal.energy", "hcal.ratio"]]).after == {}


def test_only_events_that_are_left_are_asked_for(mini, columns):
    sequence = sequence_of(mini, [TRACK, SHAPE])
    outcome, provider = in_sequence(mini, columns, sequence)
    asked = [
        (cuts, names, np.flatnonzero(passed).tolist()) for cuts, names, passed in provider.asked
    ]
    # 2 and 4 are hidden; 5 and 7 fail the track, 6 the straws.
    assert asked == [
        (1, TRACK, [0, 1, 3, 5, 6, 7, 8, 9]),
        (3, SHAPE, [0, 1, 3, 8, 9]),
    ]
    assert outcome.cutflow.passed == apply(mini, columns).cutflow.passed == (8, 6, 5, 4)


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data(), groups=GROUPS, order=st.permutations(range(4)))
def test_the_same_events_whatever_is_left_out(mini, columns, data, groups, order):
    selection = mini.model_copy(update={"cuts": tuple(mini.cuts[i] for i in order)})
    sequence = sequence_of(selection, groups)
    full = apply(selection, columns)
    outcome, provider = in_sequence(selection, columns, sequence, data.draw)
    assert outcome.cutflow == replace(full.cutflow, alone=(), others=())
    assert outcome.selected.tolist() == full.selected.tolist()
    assert outcome.cumulative.tolist() == full.cumulative.tolist()
    for name in selection.regions:
        assert outcome.region(name).tolist() == full.region(name).tolist()
    expected = filled(selection, full, columns)
    found = filled(selection, outcome, provider.made, sequence)
    assert found == {name: expected[name] for name in found}
    spills = {"spill": np.ones(len(full.visible), np.uint32)}
    counts, every = count(outcome, provider.made | spills), count(full, columns | spills)
    assert set(every.columns) - set(counts.columns) == {"alone", "others"}
    for name, column in counts.columns.items():
        assert column.tolist() == every.columns[name].tolist()


def test_histograms_that_would_lack_events_are_left_out(mini):
    kept = set(empty_histograms(mini, sequence=sequence_of(mini, [TRACK, SHAPE])))
    assert set(empty_histograms(mini)) - kept == {"ecal_hcal__without_straw_hits"}
    momentum = {"axes": [{"variable": "track.momentum", "bins": 2, "range": [0, 200]}]}
    stages = ("none", "trigger", "incoming track", "straw hits", "all", "without incoming track")
    content = mini.model_dump(by_alias=True)
    content["histograms"] = {"p": {**momentum, "at": stages}}
    selection = type(mini).model_validate(content)
    names = set(empty_histograms(selection, sequence=sequence_of(selection, [TRACK])))
    # At `trigger` all that are made are there: those that passed one cut.
    assert names == {"p__trigger", "p__incoming_track", "p__straw_hits", "p__all"}


def test_what_is_not_known_says_so(mini, columns):
    outcome, _ = in_sequence(mini, columns, sequence_of(mini, [TRACK]))
    with pytest.raises(SelectionError, match="without `--sequential`"):
        outcome.after("without straw hits")
    assert outcome.cutflow.is_sequential
    assert outcome.cutflow.n_minus_1_rows() == []
    with pytest.raises(SelectionError, match="one after the other"):
        outcome.cutflow + apply(mini, columns).cutflow
    doubled = outcome.cutflow + outcome.cutflow
    assert doubled.passed == (16, 12, 10, 8)
    assert doubled.is_sequential


def test_columns_of_other_events_are_refused(mini, columns):
    sequence = sequence_of(mini, [TRACK])
    few = {n: v for n, v in columns.items() if n != "track.momentum"}
    with pytest.raises(SelectionError, match=r"'track.momentum' has 3 values for 10 events"):
        apply(mini, few, sequence=sequence, provide=lambda *_: {"track.momentum": np.ones(3)})


def test_of_a_shipped_search_most_is_decided_before_tracks():
    search = load_selection("electron-invisible-2022")
    after = sequence_of(search, [["track.momentum"], ["ecal.chi2"]]).after
    assert after["track.momentum"] >= len(search.cuts) - 4
    assert CutSequence().columns(0) == ()
