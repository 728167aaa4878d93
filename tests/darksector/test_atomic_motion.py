"""Momenta of atomic electrons against sampling and moments."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import kv

from na64reco.constants import ELECTRON_MASS
from na64reco.darksector.atomic_motion import AtomicElectrons, Shell, atomic_electrons
from na64reco.darksector.quadrature import panel_nodes
from na64reco.errors import ModelError


def _moment(atom: AtomicElectrons, power: int) -> float:
    """Mean of (k / m_e)^power."""
    edges = np.geomspace(1e-5, atom.largest_w, 200)
    w, weights = panel_nodes(np.concatenate((-edges[::-1], [0.0], edges)))
    k = ELECTRON_MASS * np.exp(w)
    return float(np.sum(weights * k * atom.density(k) * np.exp(power * w)) / atom.z)


@pytest.mark.parametrize("z", [1, 6, 26, 82])
def test_moments(z: int) -> None:
    """1, 1 + <T>/m_e, and the invariant <1/k^2> = 1/m_e^2."""
    atom = atomic_electrons(z)
    assert sum(shell.electrons for shell in atom.shells) == z
    mean = sum(s.electrons * s.binding for s in atom.shells) / z
    assert _moment(atom, 0) == pytest.approx(1, rel=1e-7)
    assert _moment(atom, 1) == pytest.approx(1 + mean / ELECTRON_MASS, rel=1e-7)
    assert _moment(atom, -2) == pytest.approx(1, rel=1e-7)


def test_lead_against_sampling() -> None:
    """Directions and energies drawn as the paper says."""
    atom = atomic_electrons(82)
    rng = np.random.default_rng(1)
    shells = rng.choice(
        [s.binding for s in atom.shells], 400_000, p=[s.electrons / 82 for s in atom.shells]
    )
    energy = ELECTRON_MASS + rng.exponential(shells)
    k = energy - rng.uniform(-1, 1, len(energy)) * np.sqrt(energy**2 - ELECTRON_MASS**2)
    edges = ELECTRON_MASS * np.array([0.3, 0.6, 0.8, 0.9, 0.97, 1.0, 1.03, 1.1, 1.2, 1.5, 2.5])
    counts = np.histogram(k, edges)[0]
    nodes, weights = panel_nodes(edges)
    fine = (weights * atom.density(nodes)).reshape(10, -1).sum(axis=1)
    # Eight nodes a bin do not see the kink at m_e sharply: 1 % beside the statistics.
    expected = fine / 82 * len(k)
    assert np.all(np.abs(counts - expected) < 4 * np.sqrt(expected) + 0.01 * expected)


def test_at_the_electron_mass_it_is_a_bessel_function() -> None:
    """Integral of exp(-a (cosh y - 1)) from 0 is e^a K_0(a)."""
    binding = 20e-6
    atom = AtomicElectrons("x", 2, (Shell("K", 2, binding),))
    a = ELECTRON_MASS / binding
    expected = 2 / (2 * binding) * np.exp(a) * kv(0, a)
    assert atom.density(ELECTRON_MASS) == pytest.approx(expected, rel=1e-6)
    assert atom.density(50 * ELECTRON_MASS) == 0


def test_shells_of_lead_and_carbon() -> None:
    """Binding energies (X-ray Data Booklet, table 1-1)."""
    lead = {s.name: s for s in atomic_electrons(82).shells}
    assert lead["K"].binding == pytest.approx(88.005e-6, rel=1e-3)
    assert lead["L3"].binding == pytest.approx(13.035e-6, rel=1e-3)
    assert [lead[n].electrons for n in ("K", "M5", "N7", "O5", "P2")] == [2, 6, 8, 6, 2]
    carbon = {s.name: s for s in atomic_electrons(6).shells}
    assert carbon["K"].binding == pytest.approx(284.2e-9, rel=1e-3)
    assert [s.electrons for s in carbon.values()] == [2, 2, 2]
    with pytest.raises(ModelError, match="Z = 92 is outside 1 to 86"):
        atomic_electrons(92)
