"""Figures and numbers of docs/search.md: `python docs/make_search.py FOLDER`.

Simulates what is not in the folder yet (about 5 minutes of CPU time), takes it through every
command, and draws docs/images/search_*.png.
"""

# ruff: noqa: T201 - prints the figures that the page quotes

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import uproot
from typer.testing import CliRunner

from na64reco.cli import app
from na64reco.events import inspect_file, open_events
from na64reco.events.schema import PROCESSES
from na64reco.inference.background import Sideband, measure_sideband
from na64reco.inference.box import optimum, scan_sideband
from na64reco.inference.exposure_results import load_exposure
from na64reco.inference.shapes import NOMINAL, integrate
from na64reco.inference.signal_shape import strahlung_signal
from na64reco.reconstruction import reconstruct_columns
from na64reco.selection import apply, load_selection
from na64reco.selection.variables import base_columns
from na64reco.setup import load_setup

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

IMAGES = Path(__file__).parent / "images"
SETUP, SELECTION = "2022-electron", "electron-blind-2022"
EDGE, TOP = 55.0, 70.0
"""GeV: what is blinded, and where the fit of sideband A ends."""
PUBLISHED = 0.4
"""Events expected below 47 GeV, arXiv:2404.06982."""
CHUNK = 25_000
INTENSITIES = (1e5, 1.5e6, 3e6, 6e6)
ORANGE, BLUE, GREEN, GREY = "#D55E00", "#0072B2", "#009E73", "#888888"


def command(*arguments: object) -> None:
    """One command as in the shell; prints what it prints."""
    print("\n$ na64reco", *arguments)
    done = CliRunner(env={"COLUMNS": "120", "NO_COLOR": "1"}).invoke(
        app, [str(a) for a in arguments]
    )
    print(done.output)
    if done.exit_code:
        sys.exit(done.exit_code)


def simulate(path: Path, process: str, *arguments: object) -> None:
    """A file, if it is not there."""
    if not path.is_file():
        command("simulate", SETUP, process, "-o", path, *arguments)


def select(out: Path, selection: str, *files: str) -> None:
    """An output folder, if it is not there."""
    if not out.is_dir():
        columns = ("--columns", "mc.process,mc.weight")
        command("run", selection, *files, "-o", out, *columns, "--picture")


def produce(work: Path) -> None:
    """Simulate and run the chain."""
    files = {name: work / f"{name}.root" for name in ("run", "signal", "upstream", "more")}
    simulate(files["run"], "beam", "--eot", 1e9, "--importance", 64, "--seed", 61, "--run", 6101)
    signal = ("--mass", 10, "--model", "dark-photon", "--trigger", "beam", "-n", 20_000)
    simulate(files["signal"], "signal", *signal, "--seed", 7, "--run", 6120)
    simulate(files["upstream"], "upstream", "-n", 100_000, "--seed", 71, "--run", 6130)
    simulate(files["more"], "upstream", "-n", 150_000, "--seed", 72, "--run", 6131)
    calibration = []
    for run, intensity in enumerate(INTENSITIES, 6110):
        path = work / f"cal_{run}.root"
        options = ("--trigger", "beam", "-n", 40_000, "--intensity", intensity)
        simulate(path, "beam", *options, "--run", run, "--seed", run)
        calibration.append(f"cal={path}")
    select(work / "cal", "electron-calibration-2022", *calibration)
    select(work / "wide", SELECTION, f"run={files['run']}", f"signal={files['signal']}")
    select(work / "up", SELECTION, f"upstream={files['upstream']}", f"upstream={files['more']}")


def chain(work: Path) -> None:
    """What a search does with the output."""
    command("efficiency", work / "cal", "--intensity", 0.513)
    command("efficiency", work / "wide")
    command("exposure", work / "wide", "--contamination", "0.0045+-0.0023")
    options = ("--calibration", work / "cal", "--signal", "signal", "--top", TOP)
    command("background", work / "wide", "--data", "run", *options)
    command("limit", work / "wide" / "counting.json", "--model", "dark-photon", "--masses", 10)


def parts(path: Path) -> None:
    """Raw and weighted numbers after each cut, by what the event is; the truth of the chain."""
    selection, setup = load_selection(SELECTION), load_setup(SETUP)
    names = [*base_columns([cut.variable for cut in selection.cuts]), "ecal.energy", "hcal.energy"]
    names += ["run", "mc.process", "mc.weight"]
    with uproot.open(path) as file:
        events = int(file["Events"].num_entries)
    stages = ["all", *selection.cut_names, "HCAL below 1 GeV"]
    table = np.zeros((len(stages), len(PROCESSES), 2))
    pairs = np.zeros(2)
    for first in range(0, events, CHUNK):
        chunk = open_events(path, entry_start=first, entry_stop=min(first + CHUNK, events))
        columns = reconstruct_columns(chunk, setup, columns=names)
        outcome = apply(selection, columns, simulated=True)
        weight = columns["mc.weight"].astype(np.float64)
        empty = columns["hcal.energy"] < 1.0
        masks = [np.ones(len(weight), bool), *outcome.cumulative, outcome.cumulative[-1] & empty]
        for process in range(len(PROCESSES)):
            own = columns["mc.process"] == process
            for i, mask in enumerate(masks):
                table[i, process] += [np.count_nonzero(own & mask), weight[own & mask].sum()]
        own = (columns["mc.process"] == 6) & outcome.without("VETO")
        pairs += [np.count_nonzero(own), np.count_nonzero(own & empty)]
    seen = [k for k in range(len(PROCESSES)) if table[0, k, 0]]
    print("\nafter", *(PROCESSES[k] for k in seen), sep=" | ")
    for stage, row in zip(stages, table, strict=True):
        print(stage, *(f"{int(row[k, 0])} ({row[k, 1]:.5g})" for k in seen), sep=" | ")
    print("muon pairs that pass all but the VETO, and with an empty HCAL:", *pairs)


def selected(folder: Path, dataset: str) -> dict[str, Array]:
    """Energies and weights after all cuts with an empty HCAL."""
    with uproot.open(folder / "selected.root") as file:
        names = ["ecal_energy", "hcal_energy", "mc_process", "mc_weight", "dataset"]
        found = file["Events"].arrays(names, library="np")
    kept = found["hcal_energy"] < 1.0
    if dataset == "run":
        kept &= found["dataset"] == 0
    return {name: values[kept].astype(np.float64) for name, values in found.items()}


def exposures(work: Path) -> tuple[float, float]:
    """Live particles of the run, and for how many the upstream reactions stand."""
    live = float(inspect_file(work / "run.root").metadata["scaler_live"])
    found = load_exposure(work / "wide").datasets["run"].particles
    print(f"\nEOT: {found.value:.6g} +- {found.error:.2g}, counted by the simulation {live:.6g}")
    with uproot.open(work / "run.root") as file:
        truth = file["Events"].arrays(["MC_process", "MC_weight"], library="np")
    rate = truth["MC_weight"][truth["MC_process"] == 7].astype(np.float64).sum() / live
    events = 0
    for name in ("upstream", "more"):
        with uproot.open(work / f"{name}.root") as file:
            events += int(file["Events"].num_entries)
    print(
        f"upstream reactions that trigger: {rate:.3g}; {events} are {events / rate:.3g} particles"
    )
    return live, events / rate


def below(x: Array, edge: float) -> str:
    """How many, with the Poisson error."""
    count = np.count_nonzero(x < edge)
    return f"{count} +- {np.sqrt(count):.1f}"


def fit(x: Array, weight: float, *, edge: float = EDGE, top: float = TOP) -> Sideband:
    """Sideband A of these events."""
    return measure_sideband(
        x, np.full(len(x), weight), (edge, top), (0.0, edge), variable="ecal", scale=100.0,
        rng=np.random.default_rng(1), toys=500,
    )  # fmt: skip


def inside(found: Sideband, window: tuple[float, float]) -> float:
    """Logarithm of the exponential's integral over a window, of that over the fitted range."""
    fitted = found.fit
    ends = (window, fitted.window)
    logs = [integrate(fitted.shape, fitted.theta[None], w, scale=100.0).log[0] for w in ends]
    return float(logs[0] - logs[1])


def sideband(work: Path, live: float, stands_for: float) -> Array:
    """Spectrum of E_ECAL with an empty HCAL: the run, its upstream part, and the extrapolation."""
    run, more = selected(work / "wide", "run"), selected(work / "up", "upstream")["ecal_energy"]
    for edge in (47.0, 50.0, 55.0):
        found = fit(more, 1.0, edge=edge)
        b, scale = found.nominal, 2.84e11 / stands_for
        print(
            f"below {edge:g}: {below(more, edge)} of {stands_for:.3g}; extrapolated from "
            f"{found.fit.events} events {b.value:.2g} +- {b.error:.2g} +- {found.model_error:.2g}, "
            f"p {found.goodness[NOMINAL].ks_p:.2g}, e-fold {1 / abs(found.fit.theta[0]):.2g} GeV; "
            f"per 2.84e11: {np.count_nonzero(more < edge) * scale:.3g}, {b.value * scale:.3g}"
        )
    figure, axes = plt.subplots(figsize=(6.4, 4.4))
    edges = np.arange(20.0, 91.0, 2.0)
    centres = edges[:-1] + 1
    electron = run["mc_process"] == 0
    for x, w, scale, colour, marker, label in (
        (run["ecal_energy"][electron], run["mc_weight"][electron], 1e9 / live, BLUE, "s",
         "electrons of the run, weighted"),
        (run["ecal_energy"][~electron], run["mc_weight"][~electron], 1e9 / live, ORANGE, "o",
         "upstream reactions of the run, weight 1/8"),
        (more, np.ones(len(more)), 1e9 / stands_for, GREY, "^",
         f"more upstream reactions ({stands_for:.2g} particles)"),
    ):  # fmt: skip
        sums, _ = np.histogram(x, edges, weights=w)
        squares, _ = np.histogram(x, edges, weights=w**2)
        here = sums > 0
        axes.errorbar(
            centres[here], scale * sums[here], scale * np.sqrt(squares[here]), fmt=marker, ms=4,
            lw=1, color=colour, label=label,
        )  # fmt: skip
    found = fit(more, 1.0)
    line = found.fit.total * np.exp([inside(found, (e, e + 2)) for e in edges[:-1]])
    line *= 1e9 / stands_for
    fitted = (edges[:-1] >= EDGE) & (edges[1:] <= TOP + 1)
    axes.plot(centres, line, color=GREEN, lw=1, ls="--")
    label = f"exponential, fitted {EDGE:g}-{TOP:g} GeV"
    axes.plot(centres[fitted], line[fitted], color=GREEN, lw=2, label=label)
    axes.axvspan(20, EDGE, color="0.93", zorder=0)
    axes.axvline(47, color="black", lw=0.8, ls=":")
    axes.text(46.5, 1.2e6, "$E_{thr}$ = 47 GeV", ha="right", fontsize=9)
    axes.set(
        yscale="log", xlim=(20, 90), ylim=(1e-3, 5e6), xlabel="$E_{ECAL}$ (GeV)",
        ylabel="events per 2 GeV and $10^9$ live particles",
        title="all cuts, $E_{HCAL}$ < 1 GeV; shaded: blinded",
    )  # fmt: skip
    axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(0.0, 0.91))
    figure.tight_layout()
    figure.savefig(IMAGES / "search_sideband.png", dpi=110)
    return more


def threshold(more: Array, live: float, stands_for: float) -> None:
    """Expected limit against E_thr: from sideband A alone, and with the truth."""
    signal = strahlung_signal(0.01, beam=100.0)
    figure, axes = plt.subplots(1, 2, figsize=(9.6, 3.9), sharey=True)
    published = PUBLISHED / np.count_nonzero(more < 47)
    cases: list[tuple[str, float, Any]] = [
        (f"{PUBLISHED:g} events below 47 GeV", published, np.arange(34.0, 62.1, 0.5)),
        ("this run, 7.8e8 particles", live / stands_for, np.arange(50.0, 74.1, 0.5)),
    ]
    for ax, (title, weight, points) in zip(axes, cases, strict=True):
        # The truth, smooth: all events below TOP, box and sideband, by one exponential.
        whole = fit(more, weight, edge=30.0, top=TOP)
        least = weight * np.count_nonzero(more < 30.0)
        share = np.exp([inside(whole, (30.0, t)) for t in points])
        smooth = least + whole.fit.total * share
        counted = weight * np.array([np.count_nonzero(more < t) for t in points])
        sure = np.zeros(len(points))
        for label, b, error, colour, style in (
            ("truth", smooth, sure, "black", "-"),
            ("truth, counted", counted, sure, GREY, ":"),
            ("found from 55-70 GeV", *scan_sideband(fit(more, weight), points), BLUE, "-"),
        ):
            scan = optimum(points, b, error, signal)
            low, high = scan.plateau
            print(
                f"{title}, {label}: {points[scan.best]:g} GeV, within 1 % {low:g} to {high:g}, "
                f"b there {b[scan.best]:.2g}"
            )
            reach = scan.reach / scan.reach.min()
            ax.plot(points, reach, color=colour, ls=style, lw=1.5, label=label)
            ax.plot(points[scan.best], 1.0, "v", color=colour, ms=6)
        ax.set(xlabel="$E_{thr}$ (GeV)", title=title, ylim=(0.98, 1.4))
        ax.axhline(1.01, color="0.85", lw=0.8, zorder=0)
    axes[0].axvspan(45, 52, color="0.94", zorder=0)
    axes[0].set_ylabel("expected limit / the best")
    axes[0].legend(frameon=False, fontsize=8)
    figure.tight_layout()
    figure.savefig(IMAGES / "search_threshold.png", dpi=110)


def main() -> None:
    """All of it."""
    work = Path(sys.argv[1])
    work.mkdir(parents=True, exist_ok=True)
    produce(work)
    chain(work)
    parts(work / "run.root")
    live, stands_for = exposures(work)
    threshold(sideband(work, live, stands_for), live, stands_for)
    options = ("--data", "upstream", "--top", TOP, "--eot", f"{stands_for:.4g}", "--kappa", 0.5)
    command("background", work / "up", *options)
    for image, name in (
        ("background", "up/pictures/background.png"),
        ("plane", "wide/ecal_hcal.png"),
    ):
        shutil.copy(work / name, IMAGES / f"search_{image}.png")


if __name__ == "__main__":
    main()
