"""Remake calib/*/waveform.txt: calibration runs with waveforms, simulated and calibrated.

    python calib/make_waveforms.py [--setup 2022-electron ...]

Electrons on the beam trigger and muons without one (they reach the VETO, the HCAL and the cells
that electrons miss), at an intensity without pile-up, seeds fixed; then what
`na64reco calibrate --only waveform` does. Nothing but the samples and the times in the other
conditions is used: reconstruction knows no pulse shape of the simulation.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from na64reco.calibrate import Task
from na64reco.calibrate.waveform import calibrate_waveform
from na64reco.calibration import WAVEFORM_FILE
from na64reco.events import EventWriter
from na64reco.setup import list_setups, load_setup
from na64reco.simulation.generate import simulate

HERE = Path(__file__).resolve().parent
INTENSITY = 1e4
"""Particles per spill."""
RUNS = (("electron", "beam", 3000, 21), ("muon", "none", 6000, 22))
"""Process, trigger, events, seed."""


def make(name: str, folder: Path) -> None:
    """Simulate, calibrate, write one setup's file."""
    setup = load_setup(name)
    with tempfile.TemporaryDirectory() as temporary:
        files = []
        for process, trigger, events, seed in RUNS:
            path = Path(temporary) / f"{process}.root"
            with EventWriter(path) as writer:
                for batch in simulate(
                    setup,
                    process,
                    events,
                    seed=seed,
                    trigger=trigger,
                    intensity=INTENSITY,
                    waveforms=True,
                ):
                    writer.write(batch)
            files.append(str(path))
        task = Task(
            setup=setup,
            files=tuple(files),
            out=folder / name,
            calib=folder / name,
            runs=setup.runs,
            overwrite=True,
        )
        result = calibrate_waveform(task)
    for warning in result.warnings:
        print(f"{name}: {warning}")
    for row in result.tables[0].rows:
        print(name, *row)
    print(folder / name / WAVEFORM_FILE)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--setup", action="append", help="name; default: all with conditions")
    chosen = parser.parse_args().setup
    known = [name for name in list_setups() if (HERE / name).is_dir()]
    for name in chosen or known:
        make(name, HERE)


if __name__ == "__main__":
    main()
