"""Remake the figures and numbers of docs/muon_mode.md.

    python docs/make_muon.py FOLDER RUN.root [RUN.root ...]

FOLDER is for scratch, the runs are those of `na64reco simulate 2022-muon-152 beam --eot 1e7 ...`.
A minute and a half of CPU time.
"""

# ruff: noqa: T201 - prints the numbers that the page quotes

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from matplotlib.figure import Figure

from na64reco.events import open_events
from na64reco.inference.muon_efficiency import (
    MODEL,
    displacement,
    mip_systematic,
    share_passing,
    trigger_efficiency,
)
from na64reco.processors import run
from na64reco.reconstruction import reconstruct_columns
from na64reco.report import save_plane
from na64reco.selection import load_selection
from na64reco.setup import load_setup
from na64reco.simulation import write_simulation

IMAGES = Path(__file__).parent / "images"
MASSES = (10.0, 20.0, 40.0, 100.0, 200.0, 400.0, 700.0, 1000.0)  # MeV
SIMULATED = (10.0, 100.0, 300.0, 1000.0)
SETUPS = {
    "2022-muon-152": "muon-invisible-2022",
    "2022-muon-117": "muon-invisible-2022-117",
    "2021-muon": "muon-prospects-2021",
}
SIGNALS = 1000


def plane(folder: Path, runs: list[Path]) -> None:
    """The plane of Fig. 2 [24m]."""
    out = folder / "muon"
    report = run("muon-invisible-2022", [f"muons={path}" for path in runs], out, overwrite=True)
    save_plane(report.selection, report.datasets, out)
    shutil.copy(out / "plane.png", IMAGES / "muon_plane.png")


def signal(folder: Path, setup: str, mass: float, intensity: float | None) -> dict:
    """Columns of signal that fired the trigger."""
    path = folder / f"{setup}-{mass:g}-{intensity}.root"
    write_simulation(
        path, load_setup(setup), "signal", SIGNALS, seed=1, trigger="physics",
        model=MODEL, mass=mass, intensity=intensity, overwrite=True,
    )  # fmt: skip
    return reconstruct_columns(open_events(path), load_setup(setup))


def efficiencies(folder: Path) -> None:
    """Fig. 2 of [22m], and the efficiency after all cuts."""
    figure = Figure(figsize=(7.0, 4.6), layout="constrained")
    ax = figure.subplots()
    for colour, (name, selection) in zip(("C0", "C1", "C2"), SETUPS.items(), strict=True):
        setup, chosen = load_setup(name), load_selection(selection)
        found = [trigger_efficiency(setup, mass, 20_000) for mass in MASSES]
        ax.errorbar(
            MASSES, [100 * f.value for f in found], [100 * f.error for f in found],
            fmt="o-", ms=4, color=colour, label=f"{name}: trigger",
        )  # fmt: skip
        after = []
        for mass in SIMULATED:
            trigger = trigger_efficiency(setup, mass, 20_000)
            columns = signal(folder, name, mass, None)
            passed = share_passing(chosen, columns, "signal")
            after.append((100 * trigger.value * passed.value, 100 * trigger.value * passed.error))
            moved = displacement(setup, mass, 20_000, 2.0)
            mip = mip_systematic(chosen, columns, "signal", 0.02)
            print(
                f"{name} {mass:g} MeV: trigger {trigger.value:.3f}, cuts {passed.value:.3f}, both "
                f"{after[-1][0]:.1f} +- {after[-1][1]:.1f} %, 2 mm {moved:.3f}, MIP 2 % {mip:.3f}",
                flush=True,
            )
        values, errors = zip(*after, strict=True)
        ax.errorbar(
            SIMULATED, values, errors, fmt="s--", ms=4, color=colour, label=f"{name}: after cuts"
        )
        if name == "2022-muon-152":
            quiet = share_passing(chosen, signal(folder, name, 100.0, 0.0), "signal")
            loud = share_passing(chosen, signal(folder, name, 100.0, None), "signal")
            print(f"accidentals: {1 - loud.value / quiet.value:.3f}")
    ax.axhspan(15, 35, color="#DDDDDD", zorder=0, label="trigger, arXiv:2110.15111")
    ax.axhline(12, color="black", ls=":", lw=1, label="largest after cuts, arXiv:2401.01708")
    ax.set_xscale("log")
    ax.set_ylim(0, 40)
    ax.set_xlabel("mass of the Z' [MeV]")
    ax.set_ylabel("efficiency [%]")
    ax.legend(fontsize=8, ncols=2)
    figure.savefig(IMAGES / "muon_efficiency.png", dpi=110)


if __name__ == "__main__":
    scratch = Path(sys.argv[1])
    scratch.mkdir(parents=True, exist_ok=True)
    if sys.argv[2:]:
        plane(scratch, [Path(path) for path in sys.argv[2:]])
    efficiencies(scratch)
