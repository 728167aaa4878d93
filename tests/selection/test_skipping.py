"""What cutflow, counts and N-1 need of each event: why no cut is left out for any (docs/design.md)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from na64reco.selection import apply, count, empty_histograms, fill_histograms

CUTS, EVENTS = 4, 10
RELAXED = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
verdicts = st.lists(
    st.lists(st.booleans(), min_size=EVENTS, max_size=EVENTS), min_size=CUTS, max_size=CUTS
)


def outcome_of(mini, columns, passed):
    whole = apply(mini, columns)
    return replace(whole, passed=np.array(passed) & whole.visible)


def without_alone(outcome):
    flow = outcome.cutflow
    return flow.entered, flow.passed, flow.others, flow.regions, outcome.selected.tolist()


@RELAXED
@given(passed=verdicts, cut=st.integers(0, CUTS - 1), event=st.integers(0, EVENTS - 1))
def test_a_verdict_can_be_left_out_only_for_the_count_of_the_cut_alone(
    mini, columns, passed, cut, event
):
    full = outcome_of(mini, columns, passed)
    other = full.passed.copy()
    other[cut, event] = not other[cut, event] & full.visible[event]
    blank = replace(full, passed=other & full.visible)
    mine = full.passed[:, event]
    fails_before = not mine[:cut].all()
    fails_two = np.count_nonzero(~np.delete(mine, cut)) >= 2
    if not full.visible[event] or (fails_before and fails_two):
        assert without_alone(blank) == without_alone(full)
    if full.visible[event]:
        assert blank.cutflow.alone != full.cutflow.alone


@RELAXED
@given(st.data())
def test_of_hidden_events_only_the_variables_of_the_region_count(mini, columns, data):
    whole = apply(mini, columns)
    hidden = np.flatnonzero(~whole.visible)
    assert hidden.tolist() == [2, 4]
    changed = {name: values.copy() for name, values in columns.items()}
    for name in ("track.momentum", "ecal.chi2", "straw.multiplicity", "trigger.physics"):
        for event in hidden:
            low, high = (0, 1) if changed[name].dtype == bool else (0, 200)
            changed[name][event] = data.draw(st.integers(low, high))
    other = apply(mini, changed)
    assert other.cutflow == whole.cutflow
    found = []
    for outcome, values in ((whole, columns), (other, changed)):
        histograms = empty_histograms(mini)
        fill_histograms(histograms, outcome, values)
        spills = {**values, "spill": np.ones(EVENTS, np.uint32)}
        counts = count(outcome, spills)
        found.append(({n: h.view(flow=True).tolist() for n, h in histograms.items()}, counts))
    assert found[0][0] == found[1][0]
    assert found[0][1].to_json() == found[1][1].to_json()
