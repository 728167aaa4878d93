"""What a beam consists of, and with which weights its parts are drawn.

Every event is one beam particle. The shares of the particles are the setup's; of the electrons,
some make a muon pair in the ECAL (`dimuons.dimuon_yield`) or interact in front of it
(`upstream_share`). Everything else that happens to electrons (bremsstrahlung, reactions in the
ECAL, pile-up) and hadrons (decays) happens in every event by chance. With importance sampling, hard
reactions in the ECAL are a part of their own: drawn more often than they can be, each kept with the
chance that makes the rate right; ordinary electrons that have one are dropped instead.

Importance sampling: a part i with the share p_i is drawn with a chance in proportion to p_i / w_i
and each such event stands for w_i beam particles; then events of which nothing comes are thinned
out (`thinning`), those kept stand for more. All weights are powers of two, so that sums of them are
exact in whatever order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from na64reco.simulation.beam import beam_composition
from na64reco.simulation.dimuons import dimuon_yield
from na64reco.simulation.geometry import Line, section_frame
from na64reco.simulation.nuclear import (
    equivalent_photons,
    photon_cross_section,
    reactions_per_shower,
)
from na64reco.simulation.tracks import ELECTRON, PHOTON, Tracks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.setup.model import Setup
    from na64reco.simulation.transport import Beamline, Paths

__all__ = ["Mixture", "beam_mixture", "comb", "expected_energy", "thinning", "upstream_share"]

UPSTREAM_ENERGIES: Final = (0.2, 0.9)
"""Shares of the electron's energy that its interaction upstream takes, as `secondaries` draws."""

_SCINTILLATOR_IN_DIMUONS = 1.02
"""Pairs in the whole ECAL over those in its lead."""

_INTERACTION_LENGTH: Final = 90.0
"""g/cm^2 of air, plastic and mylar: 90.1, 81.7, 84.9 (PDG 2024, nucleons)."""
_RADIATION_LENGTH: Final = 40.0
"""g/cm^2 of the same: 36.6, 43.8, 39.9."""
_NUCLEONS: Final = 13.0
"""Per nucleus in them, for the shadowing."""

_RARER: Final = {
    "dimuon": 6,
    "upstream": 9,
    "kaon": 4,
    "proton": 5,
    "pion": 2,
    "muon": 3,
    "hard": 3,
}
"""By so many powers of two is the weight of a part smaller than that of ordinary electrons."""

_SMALLEST_WEIGHT: Final = 2.0**-6

EXPECTED: Final = ((0.97, 6), (0.92, 4), (0.85, 2))
"""From which share of the beam energy in the ECAL on events are thinned out by which power."""

HEAVY: Final = 5.0
"""GeV."""

HARD: Final = 0.2
"""Of the beam momentum: reactions of photons above it are drawn more often."""


def upstream_share(setup: Setup) -> float:
    """Share of the beam electrons that interact with a nucleus between the magnets and the ECAL.

    Nucleons per area, shadowed as in `nuclear`, times the equivalent photons of
    `UPSTREAM_ENERGIES` and their cross section. The nucleons follow from the interaction lengths
    of passive layers and from the radiation lengths of stations and of counters without a hole.
    """
    behind = setup.ecal.z
    last = max((m.end for m in setup.magnets.values() if m.start < behind), default=-np.inf)
    layers = [p.interaction_lengths for p in setup.passive.values() if last < p.z < behind]
    thin = [s.thickness_x0 for s in setup.stations.values() if last < s.z < behind]
    thin += [c.thickness_x0 for c in setup.counters.values() if last < c.z < behind and not c.hole]
    depth = _INTERACTION_LENGTH * sum(layers) + _RADIATION_LENGTH * sum(thin)
    share = np.linspace(*UPSTREAM_ENERGIES, 400)
    per_nucleon = np.trapezoid(
        equivalent_photons(share) * photon_cross_section(share * setup.beam.momentum), share
    )
    shadowing = 0.22 + 0.78 * _NUCLEONS**-0.11
    return float(depth * 6.02214076e23 * 1e-27 * shadowing * per_nucleon)


@dataclass(frozen=True)
class Mixture:
    """Parts of a beam; all tuples have the same order."""

    names: tuple[str, ...]
    """Of `na64reco.events.PROCESSES`."""
    shares: tuple[float, ...]
    """They add up to 1, but for that of `hard`."""
    weights: tuple[float, ...]
    """Beam particles for which an event of the part stands before it may be thinned out."""
    importance: int
    """Weight of ordinary electrons; 1 without importance sampling."""
    hard: int = -1
    """Index of the part of electrons whose shower has a hard reaction; it takes events from the
    ordinary electrons, so that shares of all others add up to 1. Negative for no such part."""
    least: float = np.inf
    """GeV; reactions of photons above it are hard."""

    @property
    def mean_weight(self) -> float:
        """Beam particles for which a drawn event stands on average."""
        return 1 / sum(p / w for p, w in zip(self.shares, self.weights, strict=True))

    def draw(self, rng: np.random.Generator, events: int) -> NDArray[np.int64]:
        """Index of the part of each event."""
        chance = np.array(self.shares) / np.array(self.weights)
        return rng.choice(len(self.names), size=events, p=chance / chance.sum())

    def stays(
        self,
        rng: np.random.Generator,
        setup: Setup,
        part: NDArray[np.int64],
        energy: NDArray[np.float64],
        photon: NDArray[np.float64],
    ) -> NDArray[np.bool_]:
        """Which events count: hard reactions are those of their own part, at their rate.

        Parameters
        ----------
        part
            Of each event, shape (events,).
        energy, photon
            Of the beam particle at the ECAL, and of the photon that reacts there, GeV.
        """
        if self.hard < 0:
            return np.ones(len(part), dtype=np.bool_)
        wanted = part == self.hard
        chance = hard_reactions(setup, energy, self.least) / _bound(setup, self.least)
        kept = wanted & (photon > self.least) & (rng.random(len(part)) < chance)
        electron = part == self.names.index(setup.beam.particle)
        return np.asarray(np.where(wanted, kept, ~(electron & (photon > self.least))))


def hard_reactions(setup: Setup, energy: NDArray[np.float64], least: float) -> NDArray[np.float64]:
    """Chance that a photon above `least` GeV reacts in an electron's shower of an energy in GeV.

    As `secondaries` draws: one reaction, then the photon's energy.
    """
    mean = reactions_per_shower(setup.ecal, energy)
    above = np.where(energy > least, reactions_per_shower(setup.ecal, energy, least=least), 0.0)
    return np.asarray(-np.expm1(-mean) * above / np.maximum(mean, 1e-300))


def _bound(setup: Setup, least: float) -> float:
    """More than that chance for any electron of the beam."""
    momentum = (1 + max(0.05, 8 * setup.beam.momentum_spread)) * setup.beam.momentum
    return float(hard_reactions(setup, np.array([momentum]), least)[0])


def beam_mixture(setup: Setup, importance: int = 1) -> Mixture:
    """Everything that the beam consists of, at its rate.

    Parameters
    ----------
    importance
        Weight of ordinary electrons, a power of two; rarer parts have smaller ones.

    Raises
    ------
    ValueError
        If it is no power of two.
    """
    if importance < 1 or importance & (importance - 1):
        msg = f"The importance must be a power of two (1, 2, 4, ...), found {importance}."
        raise ValueError(msg)
    beam = setup.beam
    parts = beam_composition(setup)
    if beam.particle in {"electron", "positron"}:
        parts["dimuon"] = _SCINTILLATOR_IN_DIMUONS * dimuon_yield(beam.momentum)
        parts["upstream"] = upstream_share(setup)
        parts[beam.particle] -= parts["dimuon"] + parts["upstream"]
    weights = {
        name: max(importance * 2.0 ** -_RARER.get(name, 0), _SMALLEST_WEIGHT)
        if importance > 1 and name != beam.particle
        else float(importance)
        for name in parts
    }
    names, shares, of_parts = tuple(parts), tuple(parts.values()), tuple(weights.values())
    if importance == 1 or beam.particle not in {"electron", "positron"}:
        return Mixture(names, shares, of_parts, importance)
    least = HARD * beam.momentum
    share = parts[beam.particle] * _bound(setup, least)
    weight = max(importance * 2.0 ** -_RARER["hard"], _SMALLEST_WEIGHT)
    return Mixture(
        (*names, beam.particle),
        (*shares, share),
        (*of_parts, weight),
        importance,
        hard=len(names),
        least=least,
    )


def expected_energy(
    setup: Setup, line: Beamline, tracks: Tracks, paths: Paths, events: int
) -> NDArray[np.float64]:
    """GeV that electrons and photons bring into the ECAL, shape (events,).

    With their `response` and without fluctuations of the showers.
    """
    face = line.surface("ecal")
    crossing = Line(
        paths.x[:, face], paths.y[:, face], paths.tx[:, face], paths.ty[:, face], setup.ecal.z
    )
    light = (tracks.kind == ELECTRON) | (tracks.kind == PHOTON)
    with np.errstate(invalid="ignore"):
        inside = light & section_frame(setup.ecal).inside(crossing)
    response = np.where(np.isnan(tracks.response), 1.0, tracks.response)
    energy = np.where(inside, paths.momentum * tracks.share * response, 0.0)
    return np.asarray(np.bincount(tracks.event, weights=energy, minlength=events))


def thinning(
    setup: Setup, line: Beamline, tracks: Tracks, paths: Paths, events: int
) -> NDArray[np.int64]:
    """By which power of two events may be thinned out, shape (events,).

    The nearer the expected energy in the ECAL is to the beam's, the more. Never thinned out are
    events with hadrons or muons of more than `HEAVY` in all.
    """
    expected = expected_energy(setup, line, tracks, paths, events) / setup.beam.momentum
    light = (tracks.kind == ELECTRON) | (tracks.kind == PHOTON)
    heavy = np.bincount(
        tracks.event, weights=np.where(light, 0.0, tracks.momentum), minlength=events
    )
    power = np.select([expected > edge for edge, _ in EXPECTED], [by for _, by in EXPECTED], 0)
    return np.where(heavy > HEAVY, 0, power).astype(np.int64)


def comb(rng: np.random.Generator, power: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which events stay when each does with the chance 2 ** -power.

    One random number decides on all (systematic sampling), so that the number of events that stay
    is right to one.
    """
    offset = np.floor(rng.random() * 2**30) / 2**30
    # Sums of powers of two: exact.
    above = offset + np.cumsum(2.0 ** -power.astype(np.float64))
    kept: NDArray[np.bool_] = np.diff(np.floor(above), prepend=0.0) > 0
    return kept
