from __future__ import annotations

import numpy as np
import pytest

from na64reco.simulation.acquisition import live_share, prescaled


def test_dead_time_against_a_sequence_of_triggers(setup, rng):
    """Triggers one after the other, of which each recorded one blocks those of the next 10 us."""
    per_ns, recorded, dead = 1.25e-3, 0.02, setup.trigger.dead_time
    assert dead == 10_000
    gaps = rng.exponential(1 / (per_ns * recorded), 200_000)
    ready, taken = 0.0, 0
    for when in np.cumsum(gaps):
        if when >= ready:
            taken += 1
            ready = when + dead
    found = live_share(setup, np.ones(1), intensity=6e6, recorded=recorded)
    # About 0.8; binomial error 1e-3.
    assert found[0] == pytest.approx(taken / len(gaps), abs=0.004)


def test_dead_time_follows_the_rate(setup):
    found = live_share(setup, np.array([0.0, 1.0, 2.0]), intensity=6e6, recorded=0.02)
    assert found.tolist() == pytest.approx([1, 1 / 1.25, 1 / 1.5])


def test_prescaler(rng):
    beam = rng.random(200_000) < 0.5
    passed = prescaled(rng, beam, 100)
    assert not (passed & ~beam).any()
    assert passed.sum() == pytest.approx(beam.sum() / 100, rel=0.13)
    assert not prescaled(rng, beam, 0).any()
