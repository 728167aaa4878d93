"""The same selection as one would write it with awkward arrays and numpy, for comparison.

It opens a file as NanoEvents, calibrates the hits, makes dense cells of them, and cuts and fills
`hist` histograms, 50,000 events at a time. Two things need loops that awkward does not have: to
find and fit tracks, and the chi2 of a shower's shape at the track's impact point. The cuts on these
(`LEFT_OUT`) are not made, and the branches that only they need are not read; so what is timed here
does less than half the work of the chain, and its cutflow is compared cut by cut, each alone.
The constants (conditions, the table of the energy below threshold) are na64reco's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import awkward as ak
import hist
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from na64reco.calibration import CellConditions, Conditions
    from na64reco.setup import Setup

    Array = NDArray[Any]

__all__ = ["LEFT_OUT", "differences", "select"]

LEFT_OUT = ("incoming track", "track fit", "track angle", "shower shape")
"""Cuts of electron-invisible-2022 that are not made."""
CHUNK = 50_000
_WINDOW = 3.0
_DRIFT_MARGIN = 10.0
_LATE = 30.0


def select(path: Path) -> tuple[dict[str, int], dict[str, hist.Hist[Any]]]:
    """Events that pass each cut alone, and all that are made, of a file of one run; histograms."""
    from na64reco.calibration import load_conditions
    from na64reco.calorimeters.hidden import hidden_energy
    from na64reco.calorimeters.profile import ShowerProfile
    from na64reco.events import open_events
    from na64reco.setup import load_setup

    setup = load_setup("2022-electron")
    passed: dict[str, int] = {}
    histograms = _histograms()
    entries = len(open_events(path))
    conditions = load_conditions(setup, int(open_events(path, entry_stop=1).run[0]))
    profile = ShowerProfile.from_conditions(conditions.shower_profile)
    hidden = hidden_energy(profile, setup.ecal, conditions.ecal.threshold)
    for start in range(0, entries, CHUNK):
        events = open_events(path, entry_start=start, entry_stop=min(start + CHUNK, entries))
        columns = _columns(events, setup, conditions, hidden)
        cuts = _cuts(events, columns, setup, conditions)
        visible = ~((columns["ecal"] < 47) & (columns["hcal"] < 1))
        if "MC_process" in events.fields:
            visible = np.ones(len(events), dtype=bool)
        everything = visible
        for name, mask in cuts.items():
            passed[name] = passed.get(name, 0) + int(np.count_nonzero(mask & visible))
            everything = everything & mask
        passed["all of these"] = passed.get("all of these", 0) + int(np.count_nonzero(everything))
        _fill(histograms, columns, {"trigger": cuts["trigger"] & visible, "all": everything})
    return passed, histograms


def _columns(events: Any, setup: Setup, conditions: Conditions, hidden: Array) -> dict[str, Array]:
    from na64reco.calorimeters.hcal import beam_modules
    from na64reco.calorimeters.hidden import ENERGIES

    ecal, ecal_out = _cells(events.ECAL, conditions.ecal, ("section", "ix", "iy"))
    hcal, _ = _cells(events.HCAL, conditions.hcal, ("module", "ix", "iy"))
    srd, _ = _cells(events.SRD, conditions.srd, ("ix",))
    veto, _ = _cells(events.VETO, conditions.veto, ("ix",))
    prs, total = ecal[:, 0].sum(axis=(1, 2)), ecal.sum(axis=(1, 2, 3))
    both = ecal.sum(axis=1)
    most = both.reshape(len(both), -1).argmax(axis=1)
    ix, iy = np.divmod(most, both.shape[2])
    padded = np.pad(both, ((0, 0), (1, 1), (1, 1)))
    event = np.arange(len(both))
    near = sum(padded[event, ix + i, iy + j] for i in range(3) for j in range(3))
    beam_x, beam_y = setup.ecal.beam_cell or (-1, -1)
    below = np.interp(np.log(np.maximum(total, 1e-9)), np.log(ENERGIES), hidden)
    with np.errstate(divide="ignore", invalid="ignore"):
        lateral = np.where(total > 0, 1 - near / total, 0.0)
    left, right = np.maximum(veto[:, 0::2], 0), np.maximum(veto[:, 1::2], 0)
    larger, smaller = np.maximum(left, right), np.minimum(left, right)
    return {
        "ecal": total + np.where(total < ENERGIES[0], hidden[0] * total / ENERGIES[0], below),
        "ecal_out": ecal_out.sum(axis=(1, 2, 3)),
        "prs": prs,
        "lateral": lateral,
        "in_beam_cell": (ix == beam_x) & (iy == beam_y),
        "hcal": hcal[:, beam_modules(setup.hcal)].sum(axis=(1, 2, 3)),
        "srd": srd.sum(axis=1),
        "veto": np.where(smaller < 0.3 * larger, larger, np.sqrt(left * right)).max(axis=1),
    }


def _cells(hits: Any, conditions: CellConditions, axes: tuple[str, ...]) -> tuple[Array, Array]:
    """Energies in and out of time, shape (events, *cells)."""
    shape = conditions.scale.shape
    counts = ak.num(hits[axes[0]])
    cell = np.ravel_multi_index([ak.to_numpy(ak.flatten(hits[axis])) for axis in axes], shape)
    energy = ak.unflatten(
        conditions.scale.ravel()[cell] * ak.to_numpy(ak.flatten(hits.amplitude)), counts
    )
    late = hits.time - ak.unflatten(conditions.time.ravel()[cell], counts)
    width = ak.unflatten(_WINDOW * conditions.time_width.ravel()[cell], counts)
    punctual = abs(late) < width
    cells = int(np.prod(shape))
    first = np.arange(len(counts)) * cells
    place = ak.unflatten(cell, counts) + first

    def summed(chosen: Any) -> Array:
        index, weights = ak.flatten(place[chosen]), ak.flatten(energy[chosen])
        total = np.bincount(ak.to_numpy(index), ak.to_numpy(weights), len(counts) * cells)
        return total.reshape(len(counts), *shape)

    in_time = summed(punctual)
    in_time[in_time < conditions.threshold] = 0
    return in_time, summed(~punctual)


def _straws(events: Any, setup: Setup, conditions: Conditions) -> tuple[Array, Array]:
    """Largest and smallest number of particles in the planes of the straw chambers."""
    from na64reco.events.schema import PROJECTIONS

    straws, numbers = events.ST, []
    for station in setup.stations_of("straw").values():
        for projection in (PROJECTIONS.index(p) for p in station.projections):
            plane = straws[(straws.station == station.number) & (straws.projection == projection)]
            number = station.number
            layers = [conditions.straw[number, projection, k] for k in range(station.layers)]
            begin, length = (
                ak.unflatten(
                    np.array([getattr(layer, name) for layer in layers])[
                        ak.to_numpy(ak.flatten(plane.layer))
                    ],
                    ak.num(plane.layer),
                )
                for name in ("t0", "time_max")
            )
            drift = plane.time - begin
            plane = plane[(drift >= -_DRIFT_MARGIN) & (drift <= length + _DRIFT_MARGIN)]
            # In half pitches; what is at most two from the one before is the same particle.
            place = ak.sort(2 * ak.values_astype(plane.wire, np.int64) + plane.layer)
            apart = ak.sum(place[:, 1:] - place[:, :-1] > 2, axis=1)
            numbers.append(ak.to_numpy(apart + (ak.num(place) > 0)))
    return np.max(numbers, axis=0), np.min(numbers, axis=0)


def _cuts(
    events: Any, columns: Mapping[str, Array], setup: Setup, conditions: Conditions
) -> dict[str, Array]:
    run, spill = ak.to_numpy(events.run), ak.to_numpy(events.spill)
    good = ~np.isin(run, list(conditions.bad_runs))
    for bad_run, bad_spill in conditions.bad_spills:
        good &= (run != bad_run) | (spill != bad_spill)
    time = ak.to_numpy(events.master_time)
    most, least = _straws(events, setup, conditions)

    def between(low: float, name: str, high: float) -> Array:
        # Columns of na64reco are float32.
        values = columns[name].astype(np.float32)
        return (values >= np.float32(low)) & (values <= np.float32(high))

    return {
        "trigger": (ak.to_numpy(events.trigger) & 1) > 0,
        "quality": good,
        "master time": (time >= 86.5) & (time <= 113.5),
        "SRD": between(0.001, "srd", 0.100),
        "straw hits": most <= 5,
        "straw planes": least >= 1,
        "beam cell": columns["in_beam_cell"],
        "PRS": between(0.5, "prs", np.inf),
        "ECAL pile-up": between(-np.inf, "ecal_out", _LATE),
        "lateral shape": between(-np.inf, "lateral", 0.06),
        "VETO": between(-np.inf, "veto", 0.0076),
    }


def _histograms() -> dict[str, hist.Hist[Any]]:
    axes = {
        "ecal": hist.axis.Regular(240, 0, 120, name="ecal"),
        "hcal": hist.axis.Regular(240, 0, 120, name="hcal"),
        "srd": hist.axis.Regular(150, 0, 0.15, name="srd"),
        "prs": hist.axis.Regular(100, 0, 50, name="prs"),
        "ecal_out": hist.axis.Regular(130, 0, 260, name="ecal_out"),
        "lateral": hist.axis.Regular(100, 0, 0.5, name="lateral"),
        "veto": hist.axis.Regular(100, 0, 0.1, name="veto"),
    }
    stages = ("trigger", "all")
    found: dict[str, hist.Hist[Any]] = {
        f"{name}__{stage}": hist.Hist(axes[name]) for name in axes for stage in stages
    }
    plane = [hist.axis.Regular(120, 0, 120, name=name) for name in ("ecal", "hcal")]
    return found | {f"plane__{stage}": hist.Hist(*plane) for stage in stages}


def _fill(
    histograms: Mapping[str, hist.Hist[Any]],
    columns: Mapping[str, Array],
    stages: Mapping[str, Array],
) -> None:
    for stage, mask in stages.items():
        chosen = {name: values[mask] for name, values in columns.items()}
        for key, histogram in histograms.items():
            name, _, at = key.partition("__")
            if at == stage:
                names = ("ecal", "hcal") if name == "plane" else (name,)
                histogram.fill(*(chosen[n] for n in names))


def differences(path: Path, cuts: tuple[str, ...], alone: tuple[int, ...]) -> dict[str, int]:
    """By how many events that pass it alone each cut differs from na64reco's ``alone``."""
    mine, _ = select(path)
    theirs = dict(zip(cuts, alone, strict=True))
    return {name: mine[name] - theirs[name] for name in theirs if name not in LEFT_OUT}
