from __future__ import annotations

import numpy as np
import pytest

from na64reco.simulation.beam import beam_composition, pile_up, primaries


def test_spot_divergence_and_momentum(setup, rng):
    n = 40_000
    beam = primaries(rng, setup, "electron", n)
    within = pytest.approx
    assert beam.x.std() == within(6.4, rel=0.02)
    assert 2.355 * beam.y.std() == within(15.0, rel=0.02)  # 1.5 cm [arXiv:2206.03101]
    assert 1e3 * beam.tx.std() == within(0.1, rel=0.02)
    assert beam.momentum.mean() == within(100, abs=0.02)
    assert beam.momentum.std() == within(0.5, rel=0.02)
    assert (beam.charge == -1).all()
    assert beam.primary.all()
    assert (beam.time == 0).all()


def test_composition_adds_up(setup):
    shares = beam_composition(setup)
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["pion"] == 0.003
    assert shares["electron"] == pytest.approx(0.9955)


@pytest.mark.parametrize(("intensity", "mean"), [(6e6, 0.5), (3e6, 0.25), (0.0, 0.0)])
def test_pile_up_is_poisson(setup, rng, intensity, mean):
    # 6e6 in 4.8 s are 1.25 per us, 0.5 in 400 ns.
    n = 40_000
    others = pile_up(rng, setup, n, intensity=intensity, composition={"electron": 1.0}, charge=-1)
    count = np.bincount(others.event, minlength=n)
    assert count.mean() == pytest.approx(mean, abs=4 * np.sqrt(max(mean, 1e-9) / n))
    assert count.var() == pytest.approx(mean, rel=0.05)
    assert (np.abs(others.time) <= 200).all()
    if mean:
        assert others.time.std() == pytest.approx(400 / np.sqrt(12), rel=0.02)


def test_pile_up_has_the_composition_of_the_beam(setup, rng):
    others = pile_up(
        rng, setup, 40_000, intensity=6e7, composition=beam_composition(setup), charge=-1
    )
    pions = (others.kind == 1).mean()
    assert pions == pytest.approx(0.003, abs=4 * np.sqrt(0.003 / len(others)))
