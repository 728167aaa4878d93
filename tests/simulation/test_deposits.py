"""Muons, counters and VETO, seen through whole events with the true constants."""

from __future__ import annotations

import numpy as np
import pytest


def peak(values):
    """Most probable value: the middle of the shortest interval with a third of the values."""
    ordered = np.sort(values)
    k = len(ordered) // 3
    width = ordered[k:] - ordered[:-k]
    first = int(np.argmin(width))
    return 0.5 * (ordered[first] + ordered[first + k])


def test_muons_leave_mips_in_every_module(events, dense, detector):
    batch = events("muon", 3000)
    hcal = dense(batch, "HCAL", detector.hcal, within=30).sum(axis=(2, 3))
    for module in range(3):
        core = hcal[(hcal[:, module] > 1) & (hcal[:, module] < 5), module]
        # The rest radiated more than 2.6 GeV: 6 % of 100 GeV muons in 1.2 m of iron.
        assert 0.91 < len(core) / len(batch) < 0.97
        assert 2.3 < peak(core) < 2.6  # 2.3-2.5 GeV [arXiv:2110.15111]
        assert peak(core) < core.mean()
    ecal = dense(batch, "ECAL", detector.ecal).sum(axis=(1, 2, 3))
    assert peak(ecal) == pytest.approx(0.5, abs=0.05)
    assert (hcal[:, 3] < 0.3).all()


def test_muons_in_the_veto(events, dense, detector):
    batch = events("muon", 3000)
    ends = dense(batch, "VETO", detector.veto)
    bars = np.sqrt(ends[:, 0::2] * ends[:, 1::2]).max(axis=1)
    assert 1e3 * peak(bars) == pytest.approx(10, rel=0.05)
    assert (bars > 0.0076).mean() > 0.97  # the analyses' cut: a muon is seen


def test_dimuons_are_two_mips(events, dense, detector):
    batch = events("dimuon", 2000)
    hcal = dense(batch, "HCAL", detector.hcal, within=30).sum(axis=(2, 3))
    inside = ((hcal[:, :3] > 4) & (hcal[:, :3] < 8)).all(axis=1)
    # The analyses take 4-8 GeV in each of HCAL 0-2. Both muons need some 7.5 GeV for that: of pairs
    # with dN/dk as 1/k^2 above 20 GeV and any split alike, 1 - 15 GeV <1/k> = 0.55 have it.
    assert 0.5 < inside.mean() < 0.7
    ends = dense(batch, "VETO", detector.veto)
    bars = np.sqrt(ends[:, 0::2] * ends[:, 1::2]).sum(axis=1)
    assert 1e3 * peak(bars) == pytest.approx(20, rel=0.12)
    ecal = dense(batch, "ECAL", detector.ecal).sum(axis=(1, 2, 3))
    assert (ecal < 90).mean() > 0.95


def test_electrons_leave_hardly_anything_behind_the_ecal(events, dense, detector):
    batch = events("electron", 4000)
    hcal = dense(batch, "HCAL", detector.hcal, within=30)
    # The module at zero degrees sees photons from before the magnets.
    hcal = hcal[:, :3].sum(axis=(1, 2, 3))
    # Photons of more than some GeV make hadrons in half a percent of the showers.
    assert (hcal < 1).mean() > 0.99
    ends = dense(batch, "VETO", detector.veto)
    bars = np.sqrt(ends[:, 0::2] * ends[:, 1::2]).max(axis=1)
    assert (bars < 0.0076).mean() > 0.99


def test_ecal_resolution_through_the_electronics(events, dense, detector):
    batch = events("electron", 4000)
    ecal = dense(batch, "ECAL", detector.ecal).sum(axis=(1, 2, 3))
    core = ecal[(ecal > 90) & (ecal < 110)]
    assert core.mean() == pytest.approx(100, rel=0.01)
    assert core.std() / core.mean() == pytest.approx(0.041, rel=0.1)


def test_srd_tells_electrons_from_pions(events, dense, detector):
    def accepted(process, n):
        energy = dense(events(process, n), "SRD", detector.srd).sum(axis=1)
        return ((energy > 1e-3) & (energy < 0.1)).mean()

    assert accepted("electron", 4000) > 0.95
    assert accepted("pion", 8000) < 1e-3


def test_counters_of_the_coincidence_fire(events, setup, detector):
    batch = events("electron", 4000)
    hits = batch.collections["Counter"]
    for name in setup.trigger.coincidence:
        counter = setup.counters[name]
        own = hits["id"] == counter.id
        energy = hits["amplitude"][own] / detector.counters.gain[counter.id]
        assert own.sum() >= 0.999 * len(batch)
        assert peak(energy) == pytest.approx(counter.mip, rel=0.05)
