"""Remake calib/shower_profile.txt: the profile that a calibration finds in simulated electron runs.

    python calib/shower_profile.py

Electrons of 10, 20, 50 and 100 GeV in `2022-electron` at low intensity, simulated with fixed seeds,
reconstructed with the shipped scales, thresholds and alignment; then as `na64reco calibrate`. The
files of all setups take the result over when `python calib/make.py` is run.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from na64reco.calibrate import Tally, Task, read_parts
from na64reco.calibrate.profile import join_samples, read_showers
from na64reco.calibrate.profile_fit import fit_profile
from na64reco.calorimeters import ShowerProfile
from na64reco.resources import shipped_folder
from na64reco.setup import load_setup
from na64reco.simulation import at_momentum, write_simulation

HERE = Path(__file__).resolve().parent
START = HERE.parent / "tests" / "calorimeters" / "data" / "egsnrc_profile.txt"
"""Profile that the fit starts from; what is not fitted is taken from it."""
SETUP = "2022-electron"
EVENTS = {10.0: 2500, 20.0: 2500, 50.0: 2500, 100.0: 7500}
INTENSITY = 1e4
SEED = 4000

HEADER = """\
# Expected shower of an electron in the ECAL of the *simulated* detector, by the point where it
# enters: what a calibration finds in simulated runs of 10, 20, 50 and 100 GeV electrons.
# Written by `python calib/shower_profile.py`. Names: see na64reco/calorimeters/profile.py.
# An experiment replaces it by `na64reco calibrate SETUP FILES -o FOLDER --only profile`.
#
# Not fitted: track_error, shower_error (mm), calibration_error, noise and lone (GeV), share_late:
# EGSnrc showers of electrons and photons in the same calorimeter, and the errors of the constants.
"""


def main() -> None:
    """Simulate, fit, write."""
    pairs = (
        line.removeprefix("profile.").split("=")
        for line in START.read_text(encoding="utf-8").splitlines()
        if line.startswith("profile.")
    )
    start = ShowerProfile.from_conditions({name: float(value) for name, value in pairs})
    samples = []
    with tempfile.TemporaryDirectory() as folder:
        for i, (momentum, events) in enumerate(EVENTS.items()):
            setup = at_momentum(load_setup(SETUP), momentum)
            file = Path(folder) / f"{momentum:g}.root"
            trigger = "beam" if momentum == setup.beam.momentum else "none"
            write_simulation(
                file, setup, "electron", events,
                seed=SEED + i, trigger=trigger, intensity=INTENSITY,
            )  # fmt: skip
            task = Task(
                setup=setup,
                files=(str(file),),
                out=Path(folder),
                calib=shipped_folder("calib") / SETUP,
            )
            samples += [read_showers(part) for part in read_parts(task, Tally())]
    fit = fit_profile(join_samples(samples), load_setup(SETUP).ecal, start)
    lines = [f"profile.{n}={v:.5g}" for n, v in fit.profile.parameters().items()]
    path = HERE / "shower_profile.txt"
    path.write_text(HEADER + "\n".join(lines) + "\n", encoding="utf-8")
    print(f"{path}: {fit.used} showers, {fit.dropped} left out")


if __name__ == "__main__":
    main()
