"""Cell energies, position and shape of showers from dense arrays, on one core.

Events are like 100 GeV electrons in the ECAL of `2018-electron`: the expected shower with Gaussian
fluctuations of the cells, impact uniform over a cell. CPU seconds.
"""

from __future__ import annotations

import time
from typing import Any

EVENTS = 100_000
REPEATS = 5


def measure() -> dict[str, Any]:
    import numpy as np

    from na64reco.calibration import load_conditions
    from na64reco.calorimeters import (
        ShowerProfile,
        expected_shares,
        shower_chi2,
        shower_position,
    )
    from na64reco.setup import load_setup

    setup = load_setup("2018-electron")
    ecal, conditions = setup.ecal, load_conditions(setup, setup.runs[0])
    profile = ShowerProfile.from_conditions(conditions.shower_profile)
    random = np.random.default_rng(1)
    x, y = ecal.cell_x * random.random((2, EVENTS))
    shares = expected_shares(profile, ecal, x, y, np.full(EVENTS, 100.0))
    mean = shares * np.array([5.6, 94.4])[:, None, None]
    energies = np.maximum(mean + np.sqrt(0.02 * mean) * random.normal(size=mean.shape), 0)
    scale, threshold = conditions.ecal.scale, conditions.ecal.threshold
    amplitudes = energies / scale

    def chain(n: int = EVENTS) -> list[float]:
        begin = time.process_time()
        cells = amplitudes[:n] * scale
        cells *= cells >= threshold
        calibrated = time.process_time()
        shower_position(cells, ecal, profile)
        located = time.process_time()
        shower_chi2(cells, x[:n], y[:n], profile, ecal, threshold)
        return [calibrated - begin, located - calibrated, time.process_time() - located]

    chain(10)  # compile
    seconds = np.median([chain() for _ in range(REPEATS)], axis=0)
    names = ("cell energies", "position", "chi2")
    return {
        "events": EVENTS,
        "microseconds an event": {
            name: round(1e6 * s / EVENTS, 3) for name, s in zip(names, seconds, strict=True)
        },
        "events per CPU second": round(EVENTS / float(seconds.sum())),
    }
