"""Waveform fits: channels per CPU second of one core, and against a general minimiser.

Toy pulses of a closed form (tests/calorimeters/toy_pulses.py): heights exponential with a mean of
40 counts above 5, noise 1.2 counts, times within 2 ns; so many channels with a second pulse
anywhere in the window as named. "Own pulses": 60 channels, the hits of an event in their order,
each with four coefficients (pulses that are wider by so much).
"""

from __future__ import annotations

import time
from typing import Any

CHANNELS = 200_000
OWN = 60
SECOND = (0.0, 0.05, 0.2)
REPEATS = 3
PEERS = 300


def measure() -> dict[str, Any]:
    import numpy as np
    from scipy.optimize import curve_fit

    from na64reco.calorimeters import fit_waveforms
    from tests.calorimeters import toy_pulses as toy

    rng = np.random.default_rng(1)
    report: dict[str, Any] = {"channels": CHANNELS}
    for share in SECOND:
        at = rng.normal(0, 2, CHANNELS)
        second = np.where(rng.random(CHANNELS) < share, rng.exponential(40, CHANNELS) + 5, 0.0)
        samples = toy.sampled(
            rng,
            (rng.exponential(40, CHANNELS) + 5, at),
            (second, rng.uniform(-100, 280, CHANNELS)),
        )
        hits = toy.as_hits(samples)
        seconds = []
        for _ in range(REPEATS + 1):  # the first compiles
            start = time.process_time()
            fit_waveforms(hits, toy.toy_cells(), toy.toy_waveform(), toy.DIGITIZER)
            seconds.append(time.process_time() - start)
        report[f"{share:.0%} with a second pulse, channels/s"] = CHANNELS / min(seconds[1:])
    report["own pulses, channels/s"] = _own(rng)
    samples = toy.sampled(rng, (rng.exponential(40, PEERS) + 5, rng.normal(0, 2, PEERS)))
    y = samples - np.where(np.arange(samples.shape[1]) % 2 == 0, *toy.PEDESTALS)
    start = time.process_time()
    for row in y:
        curve_fit(
            lambda x, height, at: height * toy.pulse(x - at), toy.TIMES, row, p0=(row.max(), 0.0)
        )
    report["scipy curve_fit of one pulse, channels/s"] = PEERS / (time.process_time() - start)
    return report


def _own(rng: Any) -> float:
    from dataclasses import replace

    import numpy as np

    from na64reco.calorimeters import fit_waveforms
    from na64reco.events import Hits
    from tests.calorimeters import toy_pulses as toy

    shape = toy.toy_waveform((OWN,))
    times = shape.start + shape.step * np.arange(len(shape.pulse))
    wider = np.array([toy.pulse(times, 14.0 + 0.2 * k) - shape.pulse for k in range(1, 5)])
    shape = replace(shape, modes=wider, coefficients=np.full((4, OWN), 1e-3))
    samples = toy.sampled(rng, (rng.exponential(40, CHANNELS) + 5, rng.normal(0, 2, CHANNELS)))
    hits = Hits(
        np.append(np.arange(0, CHANNELS, OWN), CHANNELS),
        {"ix": (np.arange(CHANNELS) % OWN).astype(np.uint8), "samples": samples},
    )
    seconds = []
    for _ in range(REPEATS + 1):
        start = time.process_time()
        fit_waveforms(hits, toy.toy_cells((OWN,)), shape, toy.DIGITIZER)
        seconds.append(time.process_time() - start)
    return CHANNELS / min(seconds[1:])
