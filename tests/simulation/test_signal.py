from __future__ import annotations

import numpy as np
import pytest

from na64reco.calibration import load_conditions
from na64reco.darksector.acceptance import Acceptance
from na64reco.darksector.dump import load_dump, shashlik
from na64reco.darksector.generic import load_model
from na64reco.darksector.missing_energy import missing_energy
from na64reco.darksector.yields import DumpYield
from na64reco.setup import load_setup
from na64reco.simulation import simulate
from na64reco.simulation.signal import LOWEST, Boson, draw_bosons


@pytest.mark.parametrize("boson", [Boson(mass=0.1), Boson("lmutau-vanilla", 0.25, 1e-3)])
def test_bosons_follow_the_yields(rng, setup, boson):
    drawn = draw_bosons(rng, setup, 50_000, boson)
    edges = np.array([100 * LOWEST, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 100.01])
    yields = DumpYield(load_dump(shashlik(), 100.0), Acceptance(100 * LOWEST))
    wanted = missing_energy(
        yields, load_model(boson.model), boson.mass, boson.coupling, edges
    ).total
    counts, _ = np.histogram(drawn.energy, edges)
    assert counts.sum() == 50_000
    np.testing.assert_allclose(counts / 50_000, wanted / wanted.sum(), atol=0.008)


def test_signal_without_events(rng, setup):
    with pytest.raises(ValueError, match=r"no model 'dark-foton'.*'dark-photon'"):
        draw_bosons(rng, setup, 1, Boson("dark-foton"))
    with pytest.raises(ValueError, match=r"muonphilic of 0.01 GeV has no events above 30 GeV"):
        draw_bosons(rng, setup, 1, Boson("muonphilic"))


def test_a_muon_goes_on_with_the_rest():
    """Momentum is shared: the boson's in `MC_missing_energy`, the muon's bends it in the magnet."""
    setup = load_setup("2022-muon-152")
    batches = simulate(
        setup, "signal", 400, seed=3, trigger="none", model="lmutau-vanilla", mass=100.0,
        intensity=0.0,
    )  # fmt: skip
    batch = next(batches)
    missing = batch.scalars["MC_missing_energy"]
    arrived = missing > 0
    assert arrived.mean() > 0.8
    # The beam's spread of 2 %, and a halo of any lower momentum.
    assert np.mean(missing[arrived] > 0.95 * LOWEST * 160) > 0.9
    # Spectra of 100 MeV off muons of 160 GeV: most take more than half (exact cross section, 0.62).
    assert np.mean(missing[arrived] > 80) > 0.5
    ecal = batch.scalars["MC_ecal_energy"][arrived]
    # One minimum-ionising particle: 0.5 GeV [arXiv:2110.15111].
    assert np.median(ecal) == pytest.approx(0.6, abs=0.2)
    # One particle in the VETO as well, not the beam's muon and the rest of it.
    veto = load_conditions(setup, setup.runs[0]).veto
    hits, scale = batch.collections["VETO"], veto.scale
    ends = hits.columns["amplitude"] * scale[hits.columns["ix"]]
    assert np.median(ends[ends > 0.003]) == pytest.approx(setup.veto.mip, rel=0.15)
