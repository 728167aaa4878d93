"""Lifetimes and decay lengths."""

from __future__ import annotations

import numpy as np
import pytest

from na64reco.constants import ALPHA
from na64reco.darksector.lifetime import decay_length, decayed_within, lifetime
from na64reco.darksector.models import DarkPhoton, LMuLTau
from na64reco.errors import ModelError

MODEL = DarkPhoton()


def test_decay_length_of_a_dark_photon() -> None:
    """c tau = 80 um (1e-4/epsilon)^2 (100 MeV/m), for one open channel (arXiv:0906.0580, eq. 14:
    0.8 cm (E/10 GeV) (1e-4/eps)^2 (100 MeV/m)^2, N_eff = 1)."""
    found = decay_length(MODEL, 0.1, 1e-4, 10.0)
    assert found == pytest.approx(8.0, rel=0.02)
    assert lifetime(MODEL, 0.1, 1e-4) == pytest.approx(
        3 * 6.582e-16 / (ALPHA * 1e-8 * 0.1), rel=1e-3
    )


def test_probability_to_decay() -> None:
    length = float(decay_length(MODEL, 0.0167, 1e-4, 50.0))
    found = decayed_within(MODEL, 0.0167, 1e-4, 50.0, start=0.0, stop=length)
    assert found == pytest.approx(1 - np.exp(-1), rel=1e-12)
    parts = decayed_within(MODEL, 0.0167, 1e-4, 50.0, start=[0, length], stop=[length, 50 * length])
    assert parts.sum() == pytest.approx(1, rel=1e-12)
    tiny = decayed_within(MODEL, 0.0167, 1e-4, 50.0, start=0.0, stop=1e-12 * length)
    assert tiny == pytest.approx(1e-12, rel=1e-9)


def test_stable_and_impossible() -> None:
    assert np.isinf(lifetime(MODEL, 5e-4, 1e-4))
    assert decayed_within(MODEL, 5e-4, 1e-4, 50.0, start=0.0, stop=1e6) == 0
    assert decay_length(LMuLTau(), 0.1, 1e-4, 0.1) == 0
    with pytest.raises(ModelError, match=r"0.05 GeV is below the mass, 0.1"):
        decay_length(MODEL, 0.1, 1e-4, 0.05)
    with pytest.raises(ModelError, match="0 <= start <= stop"):
        decayed_within(MODEL, 0.1, 1e-4, 1.0, start=2.0, stop=1.0)
