from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import gamma

from na64reco.cascade import Layer, Stack, simulate_cascade
from na64reco.materials import MATERIALS
from na64reco.simulation.dimuons import (
    DEPTH_SCALE,
    DEPTH_SHAPE,
    LEAST_SHARE,
    dimuon_yield,
    draw_dimuons,
    photon_track,
)

RADIATION_LENGTH = 6.37 / 11.35


@pytest.fixture(scope="module")
def cascade():
    """Photons above 20 GeV of 100 GeV electrons by half radiation lengths of lead."""
    layers = tuple(
        Layer(MATERIALS["lead"], 0.5 * RADIATION_LENGTH, 11.35 * (1 + 1e-7 * i)) for i in range(40)
    )
    edges = np.array([20.0, 30, 40, 50, 60, 70, 80, 90, 100.0001])
    return simulate_cascade(
        Stack(layers), 100.0, 5000, cut=20.0, production_cut=0.05, edges=edges, seed=5
    )


def test_photons_tracks_are_those_of_the_cascade(cascade):
    k2 = cascade.edges[1:] * cascade.edges[:-1]
    found = cascade.photon_length.sum(axis=0) * k2 / (100 * RADIATION_LENGTH)
    error = np.hypot.reduce(cascade.photon_length_error, axis=0) * k2 / (100 * RADIATION_LENGTH)
    middle = 0.5 * (cascade.edges[1:] + cascade.edges[:-1]) / 100
    assert (np.abs(found - photon_track(middle)) < 4 * error + 0.02).all()


def test_depths_are_those_of_the_cascade(cascade):
    length = cascade.photon_length @ np.diff(cascade.edges)
    running = np.cumsum(length) / length.sum()
    depth = 0.5 * np.arange(1, 41)
    expected = gamma.cdf(depth, DEPTH_SHAPE, scale=DEPTH_SCALE)
    assert np.abs(running - expected).max() < 0.03


def test_yield_of_pairs():
    # Approximation A: integral of 0.572 E X0 / k^2 n sigma from 20 to 100 GeV with the cross section
    # averaged over 1 / k^2 (0.63 mb, Burkhardt's fit); the true q falls to the end.
    atoms = 6.02214076e23 / 207.2
    expected = 0.572 * 100 * 6.37 * (1 / 20 - 1 / 100) * atoms * 0.63e-27
    assert dimuon_yield(100.0) == pytest.approx(expected, rel=0.1)
    # It only grows with the logarithm of the cross section.
    assert 1.0 < dimuon_yield(150.0) / dimuon_yield(100.0) < 1.2


def test_pairs_are_drawn_as_the_yield_says():
    rng = np.random.default_rng(3)
    pairs = draw_dimuons(rng, np.full(40_000, 100.0))
    assert pairs.energy.min() >= 100 * LEAST_SHARE * 0.999
    assert pairs.energy.max() <= 100
    # Of 1/k^2 times a logarithm: above 40 GeV are 0.36 to 0.42 of the pairs above 20 GeV.
    assert 0.36 < (pairs.energy > 40).mean() < 0.42
    assert pairs.share.mean() == pytest.approx(0.5, abs=0.01)
    assert np.median(np.hypot(*pairs.slopes[:2])) < 0.02
    assert len(draw_dimuons(rng, np.empty(0)).energy) == 0
