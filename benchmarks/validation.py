"""The numbers of docs/validation.md: reconstruction and selection of simulated electrons."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from na64reco.events import open_events
from na64reco.reconstruction import reconstruct_columns
from na64reco.selection import apply, load_selection
from na64reco.setup import load_setup
from na64reco.simulation import at_momentum, write_simulation

__all__ = ["measure"]

_EVENTS = 20_000
_LOW = 1e4
_SEED = 2026
_MASSES = (1.0, 10.0, 100.0, 300.0)
_ENOUGH_MISSING = 55.0  # GeV, well above the threshold of the box

Columns = dict[str, Any]


def _sample(
    process: str,
    *,
    events: int = _EVENTS,
    trigger: str = "beam",
    intensity: float | None = None,
    momentum: float = 100.0,
    mass: float | None = None,
) -> Columns:
    setup = load_setup("2022-electron")
    if momentum != setup.beam.momentum:
        setup = at_momentum(setup, momentum)
    model = "dark-photon" if process == "signal" else None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sample.root"
        write_simulation(
            path,
            setup,
            process,
            events,
            seed=_SEED,
            trigger=trigger,
            intensity=intensity,
            model=model,
            mass=mass,
        )
        return reconstruct_columns(open_events(path), setup)


def _core(values: np.ndarray) -> tuple[float, float]:
    """Mean and width of what is within 2.5 standard deviations, corrected for that cut."""
    values = values[np.isfinite(values)]
    mean, width = np.median(values), 1.4826 * np.median(np.abs(values - np.median(values)))
    for _ in range(20):
        inside = values[np.abs(values - mean) < 2.5 * width]
        mean, width = np.mean(inside), np.std(inside) / 0.9489
    return float(mean), float(width)


def _kappa(columns: Columns) -> float:
    outcome = apply(load_selection("electron-calibration-2022"), columns, simulated=True)
    return outcome.cutflow.passed[-1] / outcome.cutflow.entered


def _energies() -> Columns:
    found: Columns = {}
    for momentum in (10.0, 20.0, 50.0, 100.0):
        columns = _sample("electron", trigger="none", intensity=_LOW, momentum=momentum)
        mean, width = _core(columns["ecal.energy"][columns["ecal.in_beam_cell"]])
        found[f"{momentum:g} GeV"] = {
            "mean_over_beam": mean / momentum,
            "resolution": width / mean,
            "expected_resolution": float(np.hypot(0.1 / np.sqrt(momentum), 0.04)),
        }
    return found


def _tracks(columns: Columns) -> Columns:
    found = columns["track.found"]
    momentum, truth = columns["track.momentum"][found], columns["mc.momentum"][found]
    pull = (momentum - truth) / columns["track.momentum_error"][found]
    away = np.zeros(len(pull), np.bool_)
    for axis in ("x", "y"):
        truth_at = columns[f"mc.{axis}"][found]
        # The truth is in the global frame, the track in the ECAL's: their difference is constant.
        off = columns[f"track.{axis}_ecal"][found] - truth_at
        off -= np.nanmedian(off)
        # Found without a beam particle that reaches the ECAL (NaN): away, too.
        away |= ~(np.abs(off) <= 5 * columns[f"track.{axis}_ecal_error"][found])
    mean, width = _core(pull)
    return {
        "found": float(np.mean(found)),
        "resolution": _core(momentum / truth - 1)[1],
        "bias": _core(momentum / truth - 1)[0],
        "pull_mean": mean,
        "pull_width": width,
        "momentum_beyond_5_sigma": float(np.mean(np.abs(pull) > 5)),
        "place_beyond_5_sigma": float(np.mean(away)),
    }


def measure() -> Columns:
    """About three minutes on one core."""
    low, nominal = _sample("electron", intensity=_LOW), _sample("electron")
    chosen = low["track.found"] & low["ecal.in_beam_cell"]
    results: Columns = {
        "events": _EVENTS,
        "energies": _energies(),
        "tracks, low intensity": _tracks(low),
        "tracks, nominal intensity": _tracks(nominal),
        "track_to_shower_mm": {
            axis: _core((low[f"track.{axis}_ecal"] - low[f"ecal.{axis}"])[chosen])[1]
            for axis in ("x", "y")
        },
        "kappa": {"1e4": _kappa(low), "nominal": _kappa(nominal)},
    }
    for intensity in (1.5e6, 3e6, 6e6, 9e6):
        results["kappa"][f"{intensity:g}"] = _kappa(_sample("electron", intensity=intensity))
    energy = low["srd.energy"]
    results["electrons_in_srd_window"] = float(np.mean((energy >= 0.001) & (energy <= 0.1)))
    pions = _sample("pion", events=200_000, intensity=_LOW)
    energy = pions["srd.energy"]
    results["pions_in_srd_window"] = int(np.sum((energy >= 0.001) & (energy <= 0.1)))
    box = {"pion": _in_box(pions)}
    for process in ("kaon", "proton", "muon", "dimuon", "electron", "upstream"):
        box[process] = _in_box(_sample(process))
    results["in_box"] = box
    results["signal_efficiency"] = {f"{mass:g} MeV": _signal(mass) for mass in _MASSES}
    return results


def _in_box(columns: Columns) -> int:
    as_physics = columns | {"trigger.physics": columns["trigger.beam"]}
    outcome = apply(load_selection("electron-invisible-2022"), as_physics, simulated=True)
    return int(np.count_nonzero(outcome.region("signal")))


def _signal(mass: float) -> float:
    columns = _sample("signal", trigger="physics", mass=mass)
    outcome = apply(load_selection("electron-invisible-2022"), columns, simulated=True)
    chosen = columns["mc.missing_energy"] > _ENOUGH_MISSING
    return float((outcome.region("signal") & chosen).sum() / chosen.sum())
