"""The beam: spot, divergence, momentum spread, composition, and pile-up.

Positions and angles are Gaussian and uncorrelated at the beam's z, the momentum is Gaussian. Where
the setup has a halo, that share of the muons is wider and of any lower momentum.

Particles arrive as a Poisson process whose rate is that of the moment in the spill (`spill`);
beside the one that triggers, those within +-200 ns of it (32 samples of 12.5 ns) are followed.
Left out: correlation of angle and momentum.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from na64reco.simulation.tracks import KINDS, MUON, Tracks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.setup.model import Setup

__all__ = ["WINDOW", "beam_composition", "pile_up", "primaries"]

WINDOW: Final = 200.0
"""Half of the calorimeters' readout window, ns."""


def beam_composition(setup: Setup) -> dict[str, float]:
    """Share of every particle in the beam, the beam particle itself included."""
    shares: dict[str, float] = {setup.beam.particle: 0.0}
    for name, share in setup.beam.contamination.items():
        shares[name] = shares.get(name, 0.0) + share
    shares[setup.beam.particle] += 1 - sum(shares.values())
    return shares


def _at_beam(
    rng: np.random.Generator,
    setup: Setup,
    event: NDArray[np.int64],
    kind: NDArray[np.int8],
    charge: int,
    *,
    time: NDArray[np.float64] | float,
    primary: bool,
) -> Tracks:
    beam, rows = setup.beam, len(event)
    momentum = beam.momentum * (1 + beam.momentum_spread * rng.standard_normal(rows))
    spot_x, spot_y = np.full(rows, beam.spot_x), np.full(rows, beam.spot_y)
    divergence = np.full(rows, beam.divergence)
    if beam.halo is not None:
        aside = (kind == MUON) & (rng.random(rows) < beam.halo.share)
        spot_x[aside] = spot_y[aside] = beam.halo.spot
        divergence[aside] = beam.halo.divergence
        softer = rng.uniform(beam.halo.softest, beam.momentum, rows)
        momentum = np.where(aside, softer, momentum)
    return Tracks.make(
        rows,
        event=event,
        time=time,
        kind=kind,
        charge=charge,
        momentum=momentum,
        x=beam.x + spot_x * rng.standard_normal(rows),
        y=beam.y + spot_y * rng.standard_normal(rows),
        tx=1e-3 * divergence * rng.standard_normal(rows),
        ty=1e-3 * divergence * rng.standard_normal(rows),
        z_start=beam.z,
        primary=primary,
    )


def primaries(
    rng: np.random.Generator, setup: Setup, particle: str | NDArray[np.int8], events: int
) -> Tracks:
    """One beam particle per event, at the time 0.

    Parameters
    ----------
    particle
        Its name, or the kind of each. The charge is the beam's, but for the names ``electron`` and
        ``positron``, which have their own.
    """
    charge = setup.beam.charge
    if isinstance(particle, str):
        charge = {"electron": -1, "positron": 1}.get(particle, charge)
        kind = np.full(events, KINDS[particle], dtype=np.int8)
    else:
        kind = particle
    return _at_beam(rng, setup, np.arange(events), kind, charge, time=0.0, primary=True)


def pile_up(
    rng: np.random.Generator,
    setup: Setup,
    events: int,
    *,
    intensity: float,
    composition: dict[str, float],
    charge: int,
    rate: NDArray[np.float64] | float = 1.0,
    between: tuple[float, float] = (-WINDOW, WINDOW),
) -> Tracks:
    """Further beam particles within `WINDOW`, or another time.

    Parameters
    ----------
    intensity
        Particles per spill.
    composition
        Share by particle; the shares add up to 1.
    charge
        Of all of them.
    rate
        That of the moment over the spill's mean rate, a number or shape (events,).
    between
        Times relative to the trigger, ns.
    """
    start, end = between
    mean = intensity / (setup.beam.spill_length * 1e9) * (end - start)
    event = np.repeat(np.arange(events), rng.poisson(mean * np.asarray(rate), events))
    names = list(composition)
    kinds = np.array([KINDS[name] for name in names], dtype=np.int8)
    kind = kinds[rng.choice(len(names), size=len(event), p=list(composition.values()))]
    time = rng.uniform(start, end, len(event))
    return _at_beam(rng, setup, event, kind, charge, time=time, primary=False)
