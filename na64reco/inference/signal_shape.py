"""Missing energy of a signal, and what share of it an ECAL threshold keeps.

Needed to weigh signal against background when the box is chosen; yields in events are computed
elsewhere, with all of the physics.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from scipy.special import gammainc, ndtr

from na64reco.darksector.strahlung import dsigma_dx, x_limits
from na64reco.errors import InferenceError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.inference.selected import Events

    Array: TypeAlias = NDArray[np.float64]

__all__ = ["CONSTANT", "STOCHASTIC", "SignalShape", "sampled_signal", "strahlung_signal", "turn_on"]

STOCHASTIC, CONSTANT = 0.10, 0.04
"""Resolution of the ECAL, sigma(E) / E = 10 % / sqrt(E / GeV) (+) 4 % [arXiv:2206.03101]."""

_DEEPEST = 8.0
"""Radiation lengths x 4/3: shape of the energy loss at the deepest place that is counted."""


def turn_on(
    missing: Array,
    threshold: float,
    *,
    beam: float,
    stochastic: float = STOCHASTIC,
    constant: float = CONSTANT,
) -> Array:
    """Chance that the rest of the energy is measured below the threshold.

    The threshold smeared by the ECAL's resolution, as in arXiv:2206.03101, Fig. 6.

    Parameters
    ----------
    missing
        GeV, any shape.
    threshold
        E_ECAL, GeV.
    beam
        GeV.
    """
    rest = np.maximum(beam - np.asarray(missing, dtype=np.float64), 1e-6)
    width = np.hypot(stochastic * np.sqrt(rest), constant * rest)
    return np.asarray(ndtr((threshold - rest) / width))


@dataclass(frozen=True, eq=False)
class SignalShape:
    """How much of a signal a box keeps."""

    name: str
    missing: Array
    """GeV: energies of the table, or of simulated events measured in the ECAL's place."""
    weight: Array
    """Of each; they sum to 1."""
    beam: float
    events: Events | None = None
    """Simulated events, used as they were measured."""

    def efficiency(self, threshold: float) -> float:
        """Share of the signal with E_ECAL below a threshold, GeV."""
        if self.events is not None:
            return float(self.weight[self.events.ecal < threshold].sum())
        return float(self.weight @ turn_on(self.missing, threshold, beam=self.beam))


def strahlung_signal(mass: float, *, beam: float) -> SignalShape:
    """A dark particle radiated by the beam's electron in a thick target.

    Before, the electron itself loses ln(E_0 / E) by bremsstrahlung, gamma-distributed with the
    shape 4 t / 3 after t radiation lengths (H. Bethe, W. Heitler 1934; Y.-S. Tsai, V. Whitis,
    Phys. Rev. 149 (1966) 1248), and every depth counts alike. It then gives the share x of its
    energy, by the spectrum `na64reco.darksector.strahlung.dsigma_dx` at the beam's energy.
    Secondary electrons and positrons are left out: 2 % of the track length above 50 GeV.

    Parameters
    ----------
    mass
        GeV.
    beam
        GeV.
    """
    low, high = x_limits(mass, beam)
    # Towards x = 1 the spectrum is steep: even steps in ln(1 - x).
    y = np.linspace(np.log(1 - low), np.log(1 - high), 801)
    y, step = 0.5 * (y[1:] + y[:-1]), abs(y[1] - y[0])
    x = 1 - np.exp(y)
    in_x = dsigma_dx(x, mass, beam) * np.exp(y) * step
    edges = np.concatenate([[0.0], np.geomspace(1e-4, np.log(1 / 0.3), 240)])
    middle = 0.5 * (edges[1:] + edges[:-1])
    energy = np.outer(beam * np.exp(-middle), x).ravel()
    weight = np.outer(_track_length(edges), in_x).ravel()
    kept = energy > 0.2 * beam
    if not kept.any():
        msg = f"No dark particle of {mass:g} GeV takes a fifth of {beam:g} GeV."
        raise InferenceError(msg)
    bins = np.linspace(0.2 * beam, beam, 801)
    table, _ = np.histogram(energy[kept], bins, weights=weight[kept])
    name = f"strahlung of {1000 * mass:g} MeV"
    return SignalShape(name, 0.5 * (bins[1:] + bins[:-1]), table / table.sum(), beam)


def _track_length(edges: Array) -> Array:
    """Track length between losses u = ln(E_0 / E): differences of P(a, u), integrated over a.

    P is the regularised incomplete gamma function. The density diverges at u = 0, as the electron
    enters with all its energy.
    """
    a = (np.arange(800) + 0.5) * (_DEEPEST / 800)
    return np.diff(gammainc(a[None], edges[:, None]).sum(axis=1))


def sampled_signal(name: str, events: Events, box_hcal: float, *, beam: float) -> SignalShape:
    """Simulated signal events after all cuts, in the regions of the selection.

    Raises
    ------
    InferenceError
        If there are none.
    """
    chosen = events.take(events.hcal < box_hcal)
    total = float(chosen.weight.sum())
    if not total > 0:
        msg = f"The signal sample {name!r} has no event with an empty HCAL after all cuts."
        raise InferenceError(msg)
    return SignalShape(f"simulated {name}", beam - chosen.ecal, chosen.weight / total, beam, chosen)
