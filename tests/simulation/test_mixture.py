from __future__ import annotations

import numpy as np
import pytest

from na64reco.simulation.beam import primaries
from na64reco.simulation.dimuons import dimuon_yield
from na64reco.simulation.mixture import beam_mixture, comb, upstream_share
from na64reco.simulation.nuclear import equivalent_photons
from na64reco.simulation.secondaries import nuclear_interactions
from na64reco.simulation.transport import beamline, propagate


def test_shares(setup):
    mixture = beam_mixture(setup)
    share = dict(zip(mixture.names, mixture.shares, strict=True))
    assert sum(share.values()) == pytest.approx(1)
    assert set(mixture.weights) == {1.0}
    assert mixture.mean_weight == pytest.approx(1)
    # 2.5e-5 by the cascade's photons and the cross section; the scintillator adds 2 %.
    assert share["dimuon"] == pytest.approx(1.02 * dimuon_yield(100.0))
    assert share["dimuon"] == pytest.approx(2.5e-5, rel=0.1)
    assert share["pion"] == 0.003
    assert share["electron"] == pytest.approx(0.9955, abs=1e-4)


def test_upstream_by_hand(setup):
    # Behind the magnets: 0.0002 + 0.0074 interaction lengths of 90 g/cm2; S3, MM3, MM4, GEM1,
    # GEM2, ST3, ST4 with 0.0207 radiation lengths of 40 g/cm2.
    depth = 90 * 0.0076 + 40 * (0.0047 + 2 * 0.003 + 2 * 0.004 + 2 * 0.001)
    # 0.116 mb (0.114 + 1.65e-3 ln^2(0.0213 k), k = 20-90 GeV) per nucleon, 0.81 of them seen;
    # photons: alpha / pi * ln(Q_max / Q_min) * integral (1 + (1-y)^2) / 2y dy, 2.0 between.
    photons = 7.297e-3 / (2 * np.pi) * 14.6 * (2 * np.log(4.5) - 1.4 + 0.385)
    by_hand = depth * 6.022e-4 * 0.81 * 0.116 * photons
    assert upstream_share(setup) == pytest.approx(by_hand, rel=0.05)
    share = np.linspace(0.2, 0.9, 100)
    assert np.trapezoid(equivalent_photons(share), share) == pytest.approx(photons, rel=0.05)
    thicker = {
        n: p.model_copy(update={"interaction_lengths": 0.1}) for n, p in setup.passive.items()
    }
    assert upstream_share(setup.model_copy(update={"passive": thicker})) > 8 * by_hand


def test_weights_are_powers_of_two(setup, rng):
    mixture = beam_mixture(setup, 64)
    mantissa = np.frexp(mixture.weights)[0]
    assert (mantissa == 0.5).all()
    # The last electrons are those with hard reactions.
    assert mixture.weights[mixture.names.index("electron")] == 64
    weight = dict(zip(mixture.names, mixture.weights, strict=True))
    assert weight["electron"] == 8
    assert weight["dimuon"] == 1
    assert weight["upstream"] < 1
    drawn = mixture.draw(rng, 400_000)
    stands = np.array(mixture.weights)[drawn]
    assert mixture.hard == len(mixture.names) - 1
    # All but the part of hard reactions, whose events replace others.
    total = stands[drawn != mixture.hard].sum()
    assert total / len(drawn) == pytest.approx(mixture.mean_weight, rel=0.005)
    # Weighted, each part has its share again.
    for name in ("pion", "kaon", "dimuon", "upstream"):
        index = mixture.names.index(name)
        part = drawn == index
        error = 1 / np.sqrt(part.sum())
        assert stands[part].sum() / total == pytest.approx(mixture.shares[index], rel=4 * error)
        assert error < 0.05


def test_hard_reactions_are_at_their_rate(setup, rng):
    """Those of their own part, accepted, against those that ordinary electrons would have."""
    mixture = beam_mixture(setup, 64)
    line = beamline(setup)
    n = 60_000
    tracks = primaries(rng, setup, "electron", n)
    paths = propagate(rng, line, tracks)
    _, _, natural = nuclear_interactions(rng, setup, line, tracks, paths)
    _, _, photon = nuclear_interactions(
        rng, setup, line, tracks, paths, forced=np.ones(n, bool), least=mixture.least
    )
    part = np.full(n, mixture.hard)
    kept = mixture.stays(rng, setup, part, paths.momentum, photon)
    assert 0.5 < kept.mean() < 1
    electrons = mixture.shares[mixture.names.index("electron")]
    rate = kept.mean() * mixture.shares[mixture.hard] / electrons
    hard = natural > mixture.least
    assert hard.sum() > 25
    assert rate * n == pytest.approx(hard.sum(), abs=3.5 * np.sqrt(hard.sum()))
    # Ordinary electrons lose just these.
    part[:] = mixture.names.index("electron")
    np.testing.assert_array_equal(mixture.stays(rng, setup, part, paths.momentum, natural), ~hard)
    assert photon[kept].min() >= mixture.least


@pytest.mark.parametrize("wrong", [0, 3, 100])
def test_other_importances_are_refused(setup, wrong):
    with pytest.raises(ValueError, match=rf"must be a power of two .* found {wrong}"):
        beam_mixture(setup, wrong)


def test_comb_keeps_what_it_should(rng):
    power = rng.integers(0, 7, 50_000)
    kept = comb(rng, power)
    assert kept[power == 0].all()
    # In all: right to one. Of each power: binomial or better.
    assert kept.sum() == pytest.approx((2.0**-power).sum(), abs=1)
    for p in range(1, 7):
        expected = (power == p).sum() / 2**p
        assert kept[power == p].sum() == pytest.approx(expected, abs=4 * np.sqrt(expected))
    first = [comb(np.random.default_rng(seed), np.array([2, 2, 2]))[1] for seed in range(4000)]
    assert np.mean(first) == pytest.approx(0.25, abs=0.03)
