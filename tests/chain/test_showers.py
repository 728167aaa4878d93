"""What the shape of showers tells apart in simulated runs, with the shipped profile."""

from __future__ import annotations

import math

import numpy as np

from na64reco.calorimeters.shape import published_cut

LOW = 1e4  # particles per spill


def passes(columns: dict[str, np.ndarray]) -> np.ndarray:
    cut = np.array([published_cut(float(e)) for e in columns["ecal.energy"]])
    return columns["ecal.chi2"] < cut


def test_electrons_pass_and_hadrons_do_not(sample):
    """95 % of electrons (2 % of them have radiated or a second particle); > 99 % of pions that
    leave 10 to 60 GeV in the ECAL are rejected.
    """
    electrons = sample("electron", 4000, intensity=LOW)
    found = electrons["track.found"]
    kept = passes(electrons)[found].mean()
    assert abs(kept - 0.94) < 0.015 + 2 * math.sqrt(0.95 * 0.05 / found.sum())
    pions = sample("pion", 4000, trigger="none", intensity=LOW)
    energy = pions["ecal.energy"]
    showers = (energy > 10) & (energy < 60)
    assert showers.sum() > 1000
    assert passes(pions)[showers].mean() < 0.01
