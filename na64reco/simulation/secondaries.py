"""Secondaries that rare processes add to beam particles.

dimuon
    gamma* -> mu+ mu- in the ECAL: the pair takes an energy with a spectrum 1/E, both muons go on
    through the HCAL at angles of the order of m_mu / E.
hadronic interaction of an electron in the ECAL (photo- and electronuclear)
    in `NUCLEAR` of the showers (assumed): a hadron with a spectrum 1/E leaves the shower early and
    is seen in ECAL and HCAL; so ECAL and HCAL together still hold the beam energy.
upstream
    an electron interacts with a nucleus between the vacuum window and the ECAL: it goes on softly
    (10 to 80 GeV of 100) under a small angle, and some hadrons, charged and neutral, share the
    rest; with transverse momenta of 0.6 GeV they often miss the HCAL. The charged ones cross the
    straws.

Multiplicities, spectra and transverse momenta are `assumed`; issue and papers give no more than the
topology (arXiv:2404.06982, section 4). Left out: neutral pions as photons, slow nuclear fragments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from na64reco.constants import MUON_MASS
from na64reco.simulation.tracks import ELECTRON, MUON, PION, Tracks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.setup.model import Setup
    from na64reco.simulation.transport import Beamline, Paths

__all__ = ["NUCLEAR", "dimuons", "nuclear_interactions", "upstream_interactions"]

NUCLEAR = 1e-3
"""Share of electromagnetic showers with a hadron of more than 1 GeV."""

_PT_HADRON, _PT_ELECTRON = 0.6, 0.05
"""Mean transverse momenta, GeV/c."""

_BEHIND = 1e-3
"""Secondaries from inside the ECAL start this far behind its face, mm."""


def _at_ecal(
    setup: Setup, line: Beamline, tracks: Tracks, paths: Paths, rows: NDArray[np.int64]
) -> dict[str, NDArray[np.float64] | float]:
    face = line.surface("ecal")
    return {
        "time": tracks.time[rows],
        "x": paths.x[rows, face],
        "y": paths.y[rows, face],
        "tx": paths.tx[rows, face],
        "ty": paths.ty[rows, face],
        "z_start": setup.ecal.z + _BEHIND,
    }


def dimuons(
    rng: np.random.Generator, setup: Setup, line: Beamline, tracks: Tracks, paths: Paths
) -> tuple[NDArray[np.float64], Tracks]:
    """Turn the primaries that reach the ECAL into dimuon events.

    Returns
    -------
    share
        Of the energy that showers, for all rows.
    muons
        Two rows per event.
    """
    rows = np.flatnonzero(tracks.primary & ~np.isnan(paths.x[:, line.surface("ecal")]))
    share = tracks.share.copy()
    energy = paths.momentum[rows]
    low, high = 0.2, 0.95
    pair = energy * low * (high / low) ** rng.random(len(rows))
    share[rows] *= 1 - pair / energy
    # Every muon has at least a fifth: the spectrum of the pair's split is flat in between.
    split = rng.uniform(0.2, 0.8, len(rows))
    depth = np.clip(rng.exponential(2.0, len(rows)), 0.1, 15) / setup.ecal.radiation_lengths
    muons = []
    for charge, part in ((1, split), (-1, 1 - split)):
        muon_energy = np.maximum(pair * part, 1.05 * MUON_MASS)
        start = _at_ecal(setup, line, tracks, paths, rows)
        for slope in ("tx", "ty"):
            start[slope] = start[slope] + MUON_MASS / muon_energy * rng.standard_normal(len(rows))
        muons.append(
            Tracks.make(
                len(rows),
                event=tracks.event[rows],
                kind=MUON,
                charge=charge,
                momentum=np.sqrt(muon_energy**2 - MUON_MASS**2),
                ecal_depth=depth,
                **start,
            )
        )
    return share, Tracks.join(muons)


def nuclear_interactions(
    rng: np.random.Generator, setup: Setup, line: Beamline, tracks: Tracks, paths: Paths
) -> tuple[NDArray[np.float64], Tracks]:
    """Hadrons from electrons' showers in the ECAL; returns as `dimuons`."""
    reach = ~np.isnan(paths.x[:, line.surface("ecal")])
    chosen = (tracks.kind == ELECTRON) & reach & (paths.momentum * tracks.share > 5)
    chosen &= rng.random(len(tracks)) < NUCLEAR
    rows = np.flatnonzero(chosen)
    share = tracks.share.copy()
    energy = paths.momentum[rows] * share[rows]
    hadron = np.maximum(0.7 * energy, 1.0) ** rng.random(len(rows))
    share[rows] *= 1 - hadron / energy
    depth = rng.uniform(3, 10, len(rows)) / setup.ecal.radiation_lengths
    return share, Tracks.make(
        len(rows),
        event=tracks.event[rows],
        kind=PION,
        charge=rng.choice(np.array([-1, 0, 1], dtype=np.int8), len(rows)),
        momentum=hadron,
        ecal_depth=depth,
        **_at_ecal(setup, line, tracks, paths, rows),
    )


def upstream_interactions(
    rng: np.random.Generator, setup: Setup, line: Beamline, tracks: Tracks, paths: Paths
) -> tuple[NDArray[np.float64], Tracks]:
    """Let every primary interact between the last window before the ECAL and the ECAL.

    Returns
    -------
    z
        Where each row ends, mm; infinite for those that do not interact.
    secondaries
        Soft electrons and hadrons.
    """
    face = line.surface("ecal")
    rows = np.flatnonzero(tracks.primary & ~np.isnan(paths.x[:, face]))
    behind = [p.z for p in setup.passive.values() if p.z > line.magnets_end]
    low = min(behind, default=line.magnets_end)
    z = np.full(len(tracks), np.inf)
    z[rows] = rng.uniform(low, setup.ecal.z - 100, len(rows))
    x = paths.x[rows, face] - paths.tx[rows, face] * (setup.ecal.z - z[rows])
    y = paths.y[rows, face] - paths.ty[rows, face] * (setup.ecal.z - z[rows])
    energy = paths.momentum[rows]
    soft = energy * rng.uniform(0.1, 0.8, len(rows))

    def secondaries(
        parent: NDArray[np.int64],
        momentum: NDArray[np.float64],
        mean_pt: float,
        kind: int,
        charge: NDArray[np.int8],
    ) -> Tracks:
        size, of = len(parent), rows[parent]
        pt = mean_pt * rng.exponential(1.0, size)
        # Up to 45 degrees: what goes farther aside hits nothing.
        angle = np.minimum(pt / momentum, 1.0)
        phi = rng.uniform(0, 2 * np.pi, size)
        return Tracks.make(
            size,
            event=tracks.event[of],
            time=tracks.time[of],
            kind=kind,
            charge=charge,
            momentum=momentum,
            x=x[parent],
            y=y[parent],
            tx=paths.tx[of, face] + angle * np.cos(phi),
            ty=paths.ty[of, face] + angle * np.sin(phi),
            z_start=z[of],
        )

    all_rows = np.arange(len(rows))
    electrons = secondaries(all_rows, soft, _PT_ELECTRON, ELECTRON, tracks.charge[rows])
    parent = np.repeat(all_rows, 2 + rng.poisson(3.0, len(rows)))
    weight = rng.exponential(1.0, len(parent))
    total = np.bincount(parent, weights=weight, minlength=len(rows))
    momentum = np.maximum(0.2, (energy - soft)[parent] * weight / total[parent])
    charge = rng.choice(np.array([-1, 0, 1], dtype=np.int8), len(parent), p=[0.35, 0.3, 0.35])
    hadrons = secondaries(parent, momentum, _PT_HADRON, PION, charge)
    return z, Tracks.join([electrons, hadrons])
