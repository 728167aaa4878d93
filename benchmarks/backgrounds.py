"""Levels of rare backgrounds, beside the published ones: `python -m benchmarks.backgrounds`.

Punch-through of hadrons, table I of arXiv:2110.15111 ([22m]), and hadrons from electrons in the
ECAL. Methods and results are in docs/simulation.md; random numbers are drawn only for what has no
closed form, and events weighted, so that the whole takes half a minute. Arguments are names of
tables (`TABLES`), by default all.
"""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.muon_backgrounds import (
    dimuons,
    false_triggers,
    hermeticity,
    in_flight,
    mean_and_error,
    mismatch,
)
from na64reco.setup import load_setup
from na64reco.simulation.geometry import Line
from na64reco.simulation.hadrons import hadron_energies
from na64reco.simulation.nuclear import (
    fragments,
    momentum_of,
    photon_energies,
    reactions_per_shower,
)
from na64reco.simulation.tracks import KAON, PHOTON, PION, PROTON

if TYPE_CHECKING:
    from na64reco.setup import Setup

KINDS = {"n": (PROTON, 0), "pi-": (PION, -1), "K-": (KAON, -1), "KL": (KAON, 0)}


def along(setup: Setup, rows: int) -> Line:
    """Particles along the axis."""
    zero = np.zeros(rows)
    return Line(zero + setup.ecal.x, zero, zero + setup.ecal.slope_x, zero, setup.ecal.z)


def shoot(
    rng: np.random.Generator, setup: Setup, name: str, rows: int, *, stretch: float = 1.0,
    energy: float = 100.0,
) -> Any:  # fmt: skip
    """Hadrons from the ECAL's end."""
    kind, charge = (np.full(rows, value, np.int8) for value in KINDS[name])
    return hadron_energies(
        rng, setup, along(setup, rows), np.full(rows, energy), kind, charge, np.ones(rows),
        stretch=stretch,
    )  # fmt: skip


def punch_through(rows: int = 100_000) -> dict[str, Any]:
    """Modules of 7.5 interaction lengths; charged: at most 1.6 MIPs, neutral: below 0.1 GeV.

    And how often one module sees less than so many GeV: the spectrum from which [22m]
    extrapolates.
    """
    rng = np.random.default_rng(1)
    whole = load_setup("2022-electron")
    found: dict[str, Any] = {}
    for modules in (1, 2, 4):
        depth = 7.5 if modules < 4 else 15.0
        hcal = {"interaction_lengths": depth, "radiation_lengths": 9.7 * depth}
        setup = whole.model_copy(update={"hcal": whole.hcal.model_copy(update=hcal)})
        seen = min(modules, 2)
        for name, (_, charge) in KINDS.items():
            shots = shoot(rng, setup, name, rows, stretch=4.0 * modules)
            signal = shots.hcal[:, :seen].sum(axis=(1, 2, 3))
            threshold = 1.6 * 2.4 * seen if charge else 0.1
            found.setdefault(name, {})[modules] = mean_and_error(
                shots.weight * (signal < threshold)
            )
            if modules == 1:
                found[name]["below 10, 20, 40 GeV"] = [
                    mean_and_error(shots.weight * (signal < limit))[0] for limit in (10, 20, 40)
                ]
    return found


def speed(rows: int = 50_000) -> float:
    """100 GeV pions per CPU second."""
    setup, rng = load_setup("2022-electron"), np.random.default_rng(1)
    shoot(rng, setup, "pi-", 10)
    begin = time.process_time()
    shoot(rng, setup, "pi-", rows)
    return round(rows / (time.process_time() - begin))


def leading_neutrals(reactions: int = 3_000_000, least: float = 50.0) -> dict[str, Any]:
    """Per electron of 100 GeV: one n or KL takes ``least`` GeV; and nothing else is seen.

    Seen is more than 1 GeV in three HCAL modules, a charged particle behind the ECAL, or more than
    50 GeV in the ECAL (arXiv:2404.06982).
    """
    setup, rng = load_setup("2022-electron"), np.random.default_rng(2)
    beam = np.full(reactions, 100.0)
    rate = float(reactions_per_shower(setup.ecal, beam[:1], least=least)[0])
    photon = photon_energies(rng, beam, least=least)
    reaction, kind, charge, taken = fragments(rng, photon)
    energy = taken * photon[reaction]
    leads = (charge == 0) & (kind != PHOTON) & (energy > least)
    chosen = np.zeros(reactions, np.bool_)
    chosen[reaction[leads]] = True
    rows = np.flatnonzero(chosen[reaction])
    event = np.unique(reaction[rows], return_inverse=True)[1]
    count = int(chosen.sum())
    ecal = (100.0 - photon[chosen]).astype(np.float64)
    hcal, veto, weight = np.zeros(count), np.zeros(count), np.ones(count)
    light = kind[rows] == PHOTON
    np.add.at(ecal, event[light], energy[rows[light]])
    # As in `secondaries`: a few radiation lengths behind the face.
    depth = rng.gamma(2.0, (2 + np.log(100 / photon[chosen])) / 2) / setup.ecal.radiation_lengths
    alone = np.zeros(count)
    for first in (True, False):
        own = rows[~light & (leads[rows] == first)]
        of = event[~light & (leads[rows] == first)]
        momentum = momentum_of(kind[own], energy[own])
        mass = np.where(kind[own] == PROTON, 0.938272, 0.0)
        left = hadron_energies(
            rng, setup, along(setup, len(own)), np.hypot(momentum, mass), kind[own], charge[own],
            depth[of], stretch=9.0 if first else 1.0,
        )  # fmt: skip
        signal = left.hcal[:, :3].sum(axis=(1, 2, 3))
        np.add.at(ecal, of, left.ecal.sum(axis=(1, 2, 3)))
        np.add.at(hcal, of, signal)
        np.add.at(veto, of, left.charged_behind_ecal)
        if first:
            weight[of] = left.weight
            alone[of] = left.weight * (signal < 1)
    unit = rate * count / reactions
    lost = weight * ((ecal < 50) & (hcal < 1) & (veto == 0))
    return {
        "reactions of photons above the energy per electron": rate,
        "leading n or KL per electron": unit,
        "of them n": float((kind[rows[leads[rows]]] == PROTON).mean()),
        "passes three modules": [unit * v for v in mean_and_error(alone)],
        "and nothing else is seen": [unit * v for v in mean_and_error(lost)],
    }


TABLES = {
    "punch-through": punch_through,
    "hadrons per CPU second": speed,
    "leading neutral hadrons": leading_neutrals,
    "in-flight decays": in_flight,
    "momentum mismatch": mismatch,
    "hermeticity and punch-through": hermeticity,
    "dimuons": dimuons,
    "false triggers": false_triggers,
}


def _short(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _short(v) for key, v in value.items()}
    if isinstance(value, list):
        return [_short(v) for v in value]
    return float(f"{value:.3g}")


def main() -> None:
    chosen = sys.argv[1:] or list(TABLES)
    if unknown := [name for name in chosen if name not in TABLES]:
        sys.exit(f"no table {', '.join(unknown)}; there are: {', '.join(TABLES)}")
    found = {}
    for name in chosen:
        begin = time.process_time()
        result = _short(TABLES[name]())  # type: ignore[operator]
        found[name] = {"result": result, "cpu_seconds": round(time.process_time() - begin, 1)}
    json.dump(found, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
