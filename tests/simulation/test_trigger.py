from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from na64reco.simulation.trigger import beam_trigger, physics_trigger


def counters(setup, **mips):
    """One particle's energies in units of the counters' MIPs."""
    row = np.zeros((1, 16))
    for name, amount in mips.items():
        row[0, setup.counters[name].id] = amount * setup.counters[name].mip
    return row


@pytest.mark.parametrize(
    ("fired", "expected"),
    [
        ({"S1": 1, "S2": 1, "S3": 1}, True),
        ({"S1": 1, "S2": 1}, False),
        ({"S1": 1, "S2": 1, "S3": 0.3}, False),
        ({"S1": 1, "S2": 1, "S3": 1, "V1": 1}, False),
        ({"S1": 1, "S2": 1, "S3": 1, "V2": 1}, False),
        ({"S1": 1, "S2": 1, "S3": 1, "V2": 0.2}, True),
    ],
)
def test_coincidence_and_vetoes(setup, fired, expected):
    found = beam_trigger(setup, np.array([0]), np.array([0.0]), counters(setup, **fired), 1)
    assert found.tolist() == [expected]


def test_particles_out_of_time_do_not_count(setup):
    energies = np.vstack(
        [counters(setup, S1=1, S2=1, S3=1), counters(setup, V1=1), counters(setup, V1=1)]
    )
    event, time = np.array([0, 0, 0]), np.array([0.0, 80.0, -120.0])
    assert beam_trigger(setup, event, time, energies, 1).tolist() == [True]


@pytest.mark.parametrize(
    ("prs", "main", "expected"),
    [(5.0, 40.0, True), (0.05, 40.0, False), (5.0, 95.0, False), (1.0, 80.0, True)],
)
def test_ecal_conditions(setup, rng, prs, main, expected):
    ecal = np.zeros((1, *setup.ecal.shape))
    ecal[0, 0, 2, 3], ecal[0, 1, 2, 3] = prs, main
    found = physics_trigger(rng, setup, np.array([0]), np.array([0.0]), ecal, 1)
    assert found.tolist() == [expected]


def test_pile_up_in_time_adds_to_the_trigger_sum(setup, rng):
    ecal = np.zeros((2, *setup.ecal.shape))
    ecal[:, 1, 2, 3], ecal[:, 0, 2, 3] = 50.0, 3.0
    event = np.array([0, 0])
    together = physics_trigger(rng, setup, event, np.array([0.0, 3.0]), ecal, 1)
    apart = physics_trigger(rng, setup, event, np.array([0.0, 90.0]), ecal, 1)
    assert (together[0], apart[0]) == (False, True)


@pytest.mark.parametrize("section", ["prs", "main"])
def test_turn_on(setup, rng, section):
    """A threshold on a sum with a resolution of 1 % is a normal distribution in threshold / sum."""
    events = 40_000
    trigger = setup.trigger
    threshold = trigger.prs_min if section == "prs" else trigger.ecal_max
    energy = threshold * rng.uniform(0.96, 1.04, events)
    ecal = np.zeros((events, *setup.ecal.shape))
    ecal[:, list(setup.ecal.sections).index(section), 2, 3] = energy
    if section == "main":
        ecal[:, 0, 1, 1] = 0.5
        energy = energy + 0.5
    number = np.arange(events)
    fires = physics_trigger(rng, setup, number, np.zeros(events), ecal, events)
    above = norm.cdf((1 - threshold / energy) / 0.01)
    expected = above if section == "prs" else norm.cdf((threshold / energy - 1) / 0.01)
    bins = np.digitize(energy / threshold, np.linspace(0.96, 1.04, 17))
    for b in np.unique(bins):
        of_bin = bins == b
        error = max(np.sqrt((expected * (1 - expected))[of_bin].sum()), 1.0)
        assert abs(fires[of_bin].sum() - expected[of_bin].sum()) < 4 * error


def test_counters_are_inefficient(setup, events):
    """The setup's 99 % of three counters in coincidence, against all of them efficient."""
    counters = {n: c.model_copy(update={"efficiency": 1.0}) for n, c in setup.counters.items()}
    perfect = setup.model_copy(update={"counters": counters, "name": "perfect"})
    share = [
        ((events("muon", 8000, where=where, trigger="none").scalars["trigger"] & 2) > 0).mean()
        for where in (setup, perfect)
    ]
    assert share[0] / share[1] == pytest.approx(0.99**3, abs=0.01)
    assert share[1] > share[0]
