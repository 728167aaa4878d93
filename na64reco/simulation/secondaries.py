"""Secondaries that rare processes add to beam particles.

dimuon
    gamma -> mu+ mu- in the ECAL (see `dimuons`): both muons go on through the HCAL at angles of the
    order of m_mu / E.
hadronic interaction of an electron in the ECAL (photo- and electronuclear)
    with the rate, the energies and the hadrons of `nuclear`; they leave the shower a few radiation
    lengths behind the face (assumed: 2 + ln(E / k) on average) and are seen in ECAL and HCAL, so
    that both together still hold the beam energy.
upstream
    an electron interacts with a nucleus between the vacuum window and the ECAL: it goes on softly
    (10 to 80 GeV of 100) under a small angle, and some hadrons, charged and neutral, share the
    rest; with transverse momenta of 0.6 GeV they often miss the HCAL. The charged ones cross the
    straws, neutral pions become two photons.

Multiplicities, spectra and transverse momenta of `upstream` are `assumed`; the papers give no
more than the topology (arXiv:2404.06982, section 4). Left out: slow nuclear fragments, a second
reaction in the same shower (1e-4).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from na64reco.constants import MUON_MASS
from na64reco.simulation.decays import PION0_MASS
from na64reco.simulation.dimuons import draw_dimuons
from na64reco.simulation.nuclear import (
    SOFTEST,
    fragments,
    hadron_composition,
    momentum_of,
    photon_energies,
    reactions_per_shower,
    transverse_momenta,
)
from na64reco.simulation.tracks import ELECTRON, MUON, PHOTON, Tracks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.setup.model import Setup
    from na64reco.simulation.transport import Beamline, Paths

__all__ = ["dimuons", "nuclear_interactions", "upstream_interactions"]

_SOFTEST_SHOWER = 2.0
"""Electrons below do not make hadrons, GeV."""

_PT_HADRON, _PT_ELECTRON = 0.6, 0.05
"""Mean transverse momenta upstream, GeV/c."""

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
    drawn = draw_dimuons(rng, energy)
    share[rows] *= 1 - drawn.energy / energy
    depth = drawn.depth / setup.ecal.radiation_lengths
    muons = []
    for charge, part, slopes in (
        (1, drawn.share, drawn.slopes[:2]),
        (-1, 1 - drawn.share, drawn.slopes[2:]),
    ):
        muon_energy = np.maximum(drawn.energy * part, 1.05 * MUON_MASS)
        start = _at_ecal(setup, line, tracks, paths, rows)
        # Few muons leave at more than 0.3 rad, and those miss the HCAL anyway.
        for name, slope in zip(("tx", "ty"), slopes, strict=True):
            start[name] = start[name] + np.clip(slope, -0.3, 0.3)
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
    rng: np.random.Generator,
    setup: Setup,
    line: Beamline,
    tracks: Tracks,
    paths: Paths,
    *,
    forced: NDArray[np.bool_] | None = None,
    least: float = SOFTEST,
) -> tuple[NDArray[np.float64], Tracks, NDArray[np.float64]]:
    """Hadrons from electrons' showers in the ECAL.

    Parameters
    ----------
    forced
        Rows in which a photon of more than `least` GeV reacts, if any can.

    Returns
    -------
    share, hadrons
        As `dimuons`.
    photon
        Energy of the photon that reacts, 0 where none does, GeV, for all rows.
    """
    reach = ~np.isnan(paths.x[:, line.surface("ecal")])
    chosen = (tracks.kind == ELECTRON) & reach
    chosen &= paths.momentum * tracks.share > _SOFTEST_SHOWER
    shower = np.where(chosen, paths.momentum * tracks.share, 0.0)
    chance = -np.expm1(-reactions_per_shower(setup.ecal, shower))
    reacts = rng.random(len(tracks)) < chance
    hard = np.zeros(len(tracks), dtype=np.bool_) if forced is None else forced & (shower > least)
    rows = np.flatnonzero(chosen & (reacts | hard))
    share, energy = tracks.share.copy(), shower[rows]
    photon = photon_energies(rng, energy)
    photon[hard[rows]] = photon_energies(rng, energy[hard[rows]], least=least)
    of_rows = np.zeros(len(tracks))
    of_rows[rows] = photon
    depth = rng.gamma(2.0, (2 + np.log(energy / photon)) / 2) / setup.ecal.radiation_lengths
    reaction, kind, charge, taken = fragments(rng, photon)
    hadron = taken * photon[reaction]
    momentum = momentum_of(kind, hadron)
    pt, phi = transverse_momenta(rng, reaction, taken)
    # Neutral pions and what has no energy for its mass stay in the shower.
    leaves = (kind != PHOTON) & (momentum > 0)
    reaction, momentum = reaction[leaves], momentum[leaves]
    lost = np.bincount(reaction, weights=hadron[leaves], minlength=len(rows))
    share[rows] *= 1 - lost / energy
    of = rows[reaction]
    start = _at_ecal(setup, line, tracks, paths, of)
    angle = np.minimum(pt[leaves] / momentum, 1.0)
    phi = phi[leaves]
    start["tx"] = start["tx"] + angle * np.cos(phi)
    start["ty"] = start["ty"] + angle * np.sin(phi)
    hadrons = Tracks.make(
        len(of),
        event=tracks.event[of],
        kind=kind[leaves],
        charge=charge[leaves],
        momentum=momentum,
        ecal_depth=np.clip(depth, 1e-3, 0.9)[reaction],
        **start,
    )
    return share, hadrons, of_rows


def _as_photons(rng: np.random.Generator, pions: Tracks) -> Tracks:
    """Two photons for each neutral pion, sharing its energy evenly distributed (spin 0)."""
    first = rng.random(len(pions))
    first = np.clip(first, 1e-4, 1 - 1e-4)
    opening = np.minimum(PION0_MASS / (pions.momentum * np.sqrt(first * (1 - first))), 1.0)
    phi = rng.uniform(0, 2 * np.pi, len(pions))
    photons = []
    for part, lever in ((first, 1 - first), (1 - first, -first)):
        photons.append(
            pions.with_(
                momentum=pions.momentum * part,
                tx=pions.tx + lever * opening * np.cos(phi),
                ty=pions.ty + lever * opening * np.sin(phi),
            )
        )
    return Tracks.join(photons)


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
        kind: NDArray[np.int8] | int,
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
    kind, charge = hadron_composition(rng, len(parent))
    hadrons = secondaries(parent, momentum, _PT_HADRON, kind, charge)
    neutral = hadrons.kind == PHOTON
    photons = _as_photons(rng, hadrons.take(neutral))
    return z, Tracks.join([electrons, hadrons.take(~neutral), photons])
