"""Hits to columns of tracks, and the track fit against ACTS' Kalman fitter.

Hits are those of physics triggers as `benchmarks.chain` writes them; the columns, those that the
search asks for. The fits are of the same measurements of the same tracks: ten planes of 0.1 mm
about 7 T m, each with 0.3 mm of silicon; see tests/tracking/acts_telescope.py.
CPU seconds of the fits alone, in one process, taking turns; ACTS' fastest batch of 500 tracks
speaks for all of its batches. Resolutions are standard deviations.
"""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.tracking.acts_telescope import Telescope

TRIGGERS = 50_000
TRACKS = 20_000
SEARCHED = {f"track.{name}" for name in ("momentum", "p_value", "angle_in", "x_ecal", "y_ecal")}
"""Columns of tracks that `electron-invisible-2022` and the showers take."""
MOMENTA = (100.0, 20.0)
REPEATS = 3


def measure() -> dict[str, Any]:
    from tests.tracking.acts_telescope import make_telescope

    return {
        "hits to columns": _columns(),
        "ten planes, x and y each": _compare(make_telescope(both=True)),
        "ten planes, x and y in turn": _compare(make_telescope(both=False)),
    }


def _columns() -> dict[str, Any]:
    """CPU of `reconstruct_tracks`, and the memory that the process has held at most by then."""
    import resource
    import tempfile
    from pathlib import Path

    import numpy as np

    from benchmarks.chain import SETUP, write_physics
    from na64reco.calibration import load_conditions
    from na64reco.events import open_events, read_batch
    from na64reco.setup import load_setup
    from na64reco.tracking import reconstruct_tracks

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "physics.root"
        write_physics(path, TRIGGERS)
        batch = read_batch(open_events(path))
    setup = load_setup(SETUP)
    conditions = load_conditions(setup, int(batch.scalars["run"][0]))
    trackers = [batch.collections[name] for name in ("MM", "GEM", "ST")]

    def work(n: int = TRIGGERS) -> dict[str, Any]:
        chosen = [hits.slice(0, n) for hits in trackers]
        return reconstruct_tracks(*chosen, setup, conditions, wanted=SEARCHED)

    work(1)  # compile
    seconds = []
    for _ in range(2 * REPEATS):
        start = time.process_time()
        columns = work()
        seconds.append(time.process_time() - start)
    return {
        "triggers": TRIGGERS,
        "with_a_momentum": int(np.isfinite(columns["track.momentum"]).sum()),
        "cpu_us_per_trigger": {
            "median": round(1e6 * statistics.median(seconds) / TRIGGERS, 2),
            "least": round(1e6 * min(seconds) / TRIGGERS, 2),
        },
        "peak_MB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def _compare(telescope: Telescope) -> dict[str, Any]:
    import numpy as np

    from na64reco.tracking.fit import fit_tracks
    from tests.tracking.acts_telescope import acts_fit, make_tracks
    from tests.tracking.conftest import Toy

    report: dict[str, Any] = {"tracks": TRACKS}
    for momentum in MOMENTA:
        toy = Toy(telescope.setup, 7)
        true, measured, guesses = make_tracks(telescope, toy, TRACKS, momentum)

        def fit(n: int = TRACKS, measured: Any = measured, guesses: Any = guesses) -> Any:
            return fit_tracks(measured[:n], guesses[:n], telescope.planes, telescope.layout)

        fit(1)  # compile
        theirs, ours, ratios = [], [], []
        for _ in range(REPEATS if momentum == MOMENTA[0] else 1):
            acts = acts_fit(telescope, measured, guesses)
            seconds = []
            for _ in range(REPEATS):
                start = time.process_time()
                fits = fit()
                seconds.append(time.process_time() - start)
            theirs.append(TRACKS / (acts.cpu_seconds.min() * len(acts.cpu_seconds)))
            ours.append(TRACKS / min(seconds))
            ratios.append(ours[-1] / theirs[-1])
        if momentum == MOMENTA[0]:
            report["tracks_per_cpu_second"] = {
                "na64reco": round(statistics.median(ours)),
                "acts": round(statistics.median(theirs)),
                "ratio": round(statistics.median(ratios), 1),
            }
        error = np.sqrt(fits.first_covariance[:, 4, 4])
        mine, other = fits.first[:, 4], acts.states[:, 4]
        report[f"{momentum:g} GeV"] = {
            "resolution": {
                "na64reco": _figure(np.std(mine / true[:, 4] - 1)),
                "acts": _figure(np.std(other / true[:, 4] - 1)),
            },
            "pull": {
                "na64reco": _figure(np.std((mine - true[:, 4]) / error)),
                "acts": _figure(np.std((other - true[:, 4]) / acts.qp_error)),
            },
            "bias": {
                "na64reco": _figure(np.mean(mine / true[:, 4] - 1)),
                "acts": _figure(np.mean(other / true[:, 4] - 1)),
            },
            "difference_over_error": {
                "rms": _figure(np.sqrt(np.mean(((mine - other) / error) ** 2))),
                "largest": _figure(np.abs((mine - other) / error).max()),
            },
        }
    return report


def _figure(value: float) -> float:
    return float(f"{value:.3g}")
