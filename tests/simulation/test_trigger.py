from __future__ import annotations

import numpy as np
import pytest

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
