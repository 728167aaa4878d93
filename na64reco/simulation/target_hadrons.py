"""Hadrons that muons make in the target (see `target`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from na64reco.simulation.nuclear import SOFTEST, fragments, momentum_of, transverse_momenta
from na64reco.simulation.slabs import (
    NUCLEAR,
    NUCLEAR_DEPTH,
    NUCLEAR_IN_ECAL,
    RADIATED,
    slabs_of,
)
from na64reco.simulation.tracks import PHOTON, Tracks

if TYPE_CHECKING:
    from na64reco.setup.model import Setup
    from na64reco.simulation.transport import Paths

__all__ = ["hadrons_of_muons"]

_BEHIND: Final = 1e-3
"""mm behind the ECAL's face, where secondaries begin."""


def hadrons_of_muons(
    rng: np.random.Generator, setup: Setup, tracks: Tracks, paths: Paths
) -> Tracks:
    """Fast hadrons from nuclear interactions in the ECAL; their energy goes out of `RADIATED`.

    Of each muon the hardest interaction counts. Neutral pions stay in the muon's shower.
    """
    parts = []
    for number, slab in enumerate(slabs_of(setup)):
        if slab.of != "ecal":
            continue
        here = paths.inside[:, number]
        rows = np.flatnonzero(here[:, NUCLEAR] > SOFTEST)
        photon, at = here[rows, NUCLEAR], here[rows, NUCLEAR_DEPTH]
        reaction, kind, charge, taken = fragments(rng, photon)
        energy = taken * photon[reaction]
        momentum = momentum_of(kind, energy)
        pt, phi = transverse_momenta(rng, reaction, taken)
        leaves = (kind != PHOTON) & (momentum > 0)
        reaction, momentum, pt, phi = (a[leaves] for a in (reaction, momentum, pt, phi))
        lost = np.bincount(reaction, weights=energy[leaves], minlength=len(rows))
        left = here[rows, RADIATED] - NUCLEAR_IN_ECAL * lost
        here[rows, RADIATED] = np.maximum(left, 0.0)
        of = rows[reaction]
        angle = np.minimum(pt / momentum, 1.0)
        x, y, tx, ty = here[of, :4].T
        # Through the place of the interaction, from the ECAL's face on.
        drift = at[reaction] * slab.length
        up = drift + slab.frame.z - setup.ecal.z - _BEHIND
        tilt_x, tilt_y = angle * np.cos(phi), angle * np.sin(phi)
        made = Tracks.make(
            len(of),
            event=tracks.event[of],
            time=tracks.time[of],
            kind=kind[leaves],
            charge=charge[leaves],
            momentum=momentum,
            x=x + tx * drift - (tx + tilt_x) * up,
            y=y + ty * drift - (ty + tilt_y) * up,
            tx=tx + tilt_x,
            ty=ty + tilt_y,
            z_start=setup.ecal.z + _BEHIND,
            ecal_depth=np.clip(slab.start + at * slab.share, 1e-3, 0.999)[reaction],
        )
        parts.append(made)
    return Tracks.join(parts)
