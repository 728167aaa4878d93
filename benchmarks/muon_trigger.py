"""How often the physics trigger of the muon mode fires, against arXiv:2401.01708.

    python -m benchmarks.muon_trigger 1e6 [SETUP ...]

Per calibration trigger (S0 S1 and not V1): how often, and how often S4 and S_mu alone fire; of the
physics triggers, in how many the event's own muon is in both counters, the others being muons
beside it and delta electrons.
"""

from __future__ import annotations

import sys
import time

import numpy as np

from na64reco.setup import load_setup
from na64reco.simulation.deposits import counter_energies
from na64reco.simulation.generate import Production
from na64reco.simulation.processes import follow
from na64reco.simulation.trigger import COINCIDENCE, beam_trigger, coincidence

BATCH = 25_000
PUBLISHED = {"2022-muon-152": "0.04 %", "2022-muon-117": "0.07 %"}


def count(name: str, muons: int) -> None:
    """Print one setup's figures."""
    setup = load_setup(name)
    source = Production.of(setup, "muon", n=1, seed=1).job.source
    rng = np.random.default_rng(1)
    calibration = physics = own_muon = 0
    alone = dict.fromkeys(("S4", "Smu"), 0)
    begin = time.perf_counter()
    for _ in range(muons // BATCH):
        generated = follow(rng, source, BATCH, rate=np.ones(BATCH))
        tracks = generated.tracks
        counters = counter_energies(rng, setup, source.line, tracks, generated.paths)
        fired = (tracks.event, tracks.time, counters, BATCH)
        beam = beam_trigger(setup, *fired)
        both = coincidence(setup, setup.trigger.coincidence, *fired)
        calibration, physics = calibration + beam.sum(), physics + both.sum()
        here = np.abs(tracks.time) < COINCIDENCE
        hit = {}
        for counter in alone:
            energy = counters[:, setup.counters[counter].id]
            hit[counter] = here & (energy > 0)
            seen = np.bincount(tracks.event[hit[counter]], minlength=BATCH) > 0
            alone[counter] += (seen & beam).sum()
        primary = tracks.primary & hit["S4"] & hit["Smu"]
        own_muon += (both & (np.bincount(tracks.event[primary], minlength=BATCH) > 0)).sum()
    rate, error = 100 * physics / calibration, 100 * np.sqrt(physics) / calibration
    took = 1e6 * (time.perf_counter() - begin) / muons
    print(
        f"{name}: {rate:.4f} +- {error:.4f} % (published {PUBLISHED.get(name, 'none')}), "
        f"own muon {own_muon} of {physics}; "
        + ", ".join(f"{k} {100 * v / calibration:.3f} %" for k, v in alone.items())
        + f"; {100 * calibration / muons:.1f} % of the beam; {took:.0f} us a muon"
    )


if __name__ == "__main__":
    for setup_name in sys.argv[2:] or PUBLISHED:
        count(setup_name, int(float(sys.argv[1])))
