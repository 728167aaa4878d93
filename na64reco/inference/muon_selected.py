"""Selected events of the muon mode from output folders, with the signal box left out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from na64reco.errors import InferenceError
from na64reco.processors.outputs import HISTOGRAMS, RUN, SELECTED
from na64reco.processors.skim import METADATA, branch_of
from na64reco.selection.model import Selection
from na64reco.setup import load_setup

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Array: TypeAlias = NDArray[np.float64]

__all__ = ["SOFT", "MuonEvents", "MuonFolder", "is_muon_selection", "read_muon_folder"]

P_IN, P_OUT, E_CAL = "track.momentum", "track_out.momentum", "calo.all"
_PARTS: Final = ("ecal.energy", "vhcal.energy", "hcal.energy")
SOFT: Final = "calo_soft"
"""Histogram of E_CAL of events with no more than the box's momentum."""


@dataclass(frozen=True, eq=False)
class MuonEvents:
    """Momenta in GeV/c, energy in GeV, weights, each of shape (events,)."""

    p_in: Array
    p_out: Array
    e_cal: Array
    weight: Array

    def take(self, mask: NDArray[np.bool_]) -> MuonEvents:
        """Some of them."""
        return MuonEvents(self.p_in[mask], self.p_out[mask], self.e_cal[mask], self.weight[mask])

    def below(self, energy: float) -> MuonEvents:
        """Those with less in the calorimeters."""
        return self.take(self.e_cal < energy)

    def inside(self, box: tuple[float, float]) -> int:
        """How many are in the box."""
        return int(np.count_nonzero((self.p_out < box[0]) & (self.e_cal < box[1])))


@dataclass(frozen=True, eq=False)
class MuonFolder:
    """An output folder of `na64reco run` with a selection of the muon mode."""

    path: Path
    selection: str
    setup: str
    period: str
    beam: float
    """GeV/c."""
    box: tuple[float, float]
    """p_out (GeV/c) and E_CAL (GeV) below which it lies."""
    calibration: bool
    """Its selection takes calibration triggers."""
    data: MuonEvents
    """What is treated as data, the box left out."""
    simulated: dict[str, MuonEvents]
    """Other datasets, whole."""
    soft_counts: Array
    """Of the data: E_CAL at the last stage that the histogram `SOFT` has, the box left out."""
    soft_edges: Array
    used: tuple[str, ...]
    """Datasets that are treated as data."""
    observed: int | None
    """Events of data in the box, None while it is blinded."""


def is_muon_selection(path: Path) -> bool:
    """Whether a folder is of a selection whose box limits the momentum behind the target."""
    try:
        content = json.loads((path / RUN).read_text(encoding="utf-8"))["selection"]["content"]
        return P_OUT in content["regions"][content["blind"]]
    except (OSError, ValueError, KeyError, TypeError):
        return False


def read_muon_folder(path: Path, *, data: Sequence[str] = ()) -> MuonFolder:
    """Read what `na64reco run` selected.

    Parameters
    ----------
    data
        Datasets to be treated as data, as far as they are here; by default those that are not
        simulated.

    Raises
    ------
    InferenceError
        If the folder is no such output, its box is of other variables, or it has no data or lacks
        the histogram.
    """
    if not is_muon_selection(path):
        msg = (
            f"{path} is not the output of `na64reco run` with a selection of the muon mode: its "
            f"blinded region must limit {P_OUT}."
        )
        raise InferenceError(msg)
    record: dict[str, Any] = json.loads((path / RUN).read_text(encoding="utf-8"))
    selection = Selection.model_validate(record["selection"]["content"])
    known = record["datasets"]
    chosen = tuple(n for n in data if n in known) or tuple(
        n for n, d in known.items() if d["simulated"] is False
    )
    if not any(name in known for name in chosen):
        msg = (
            f"There are no data in {path}, only simulated datasets ({', '.join(known)}). To treat "
            "one of them as data, name it: --data NAME."
        )
        raise InferenceError(msg)
    box = _box(selection)
    events = _read(path)
    inside = {n: (e.p_out < box[0]) & (e.e_cal < box[1]) for n, e in events.items()}
    of_data = [events[n].take(~inside[n]) for n in chosen if n in events]
    calibration = selection.cuts[0].variable == "trigger.beam"
    shown = record["blinding"]["unblinded"] and not any(known[n]["simulated"] for n in chosen)
    counts, edges = _soft(path, selection, chosen, box[1])
    setup = load_setup(record["setup"]["name"])
    return MuonFolder(
        path,
        selection.name,
        setup.name,
        next(iter(selection.periods), setup.name),
        setup.beam.momentum,
        box,
        calibration,
        _join(of_data),
        {n: e for n, e in events.items() if n not in chosen},
        counts,
        edges,
        chosen,
        int(sum(inside[n].sum() for n in chosen if n in inside)) if shown else None,
    )


def _join(parts: Sequence[MuonEvents]) -> MuonEvents:
    empty = np.empty(0)
    names = ("p_in", "p_out", "e_cal", "weight")
    return MuonEvents(*(np.concatenate([empty, *(getattr(p, n) for p in parts)]) for n in names))


def _box(selection: Selection) -> tuple[float, float]:
    assert selection.blind is not None
    region = selection.regions[selection.blind]
    limits = [region.get(name, (None, None))[1] for name in (P_OUT, E_CAL)]
    if not all(isinstance(limit, float) for limit in limits):
        msg = (
            f"The box {selection.blind!r} of {selection.name!r} needs upper limits of {P_OUT} and "
            f"{E_CAL}, numbers that hold in all periods; found {limits[0]} and {limits[1]}."
        )
        raise InferenceError(msg)
    return tuple(limits)  # type: ignore[return-value]


def _read(path: Path) -> dict[str, MuonEvents]:
    import uproot

    try:
        with uproot.open(path / SELECTED) as file:
            names = json.loads(str(file[METADATA]))["datasets"]
            tree = file["Events"]
            have = set(tree.keys())
            wanted = {c: branch_of(c) for c in (P_IN, P_OUT, *_PARTS)}
            missing = [c for c, b in wanted.items() if b not in have]
            if missing:
                msg = (
                    f"{path / SELECTED} lacks the columns {', '.join(missing)}; add them: "
                    f"`na64reco run ... --columns {','.join(missing)}`."
                )
                raise InferenceError(msg)
            if branch_of("mc.weight") in have:
                wanted["weight"] = branch_of("mc.weight")
            found = tree.arrays([*wanted.values(), "dataset"], library="np")
    except (OSError, KeyError, ValueError) as error:
        msg = f"{path / SELECTED} cannot be read: {error}"
        raise InferenceError(msg) from None
    columns = {c: np.asarray(found[b], np.float64) for c, b in wanted.items()}
    e_cal = np.sum([columns[c] for c in _PARTS], axis=0)
    weight = np.nan_to_num(columns.get("weight", np.ones(len(e_cal))), nan=1.0)
    every = MuonEvents(columns[P_IN], columns[P_OUT], e_cal, weight)
    return {name: every.take(found["dataset"] == i) for i, name in enumerate(names)}


def _soft(path: Path, selection: Selection, data: Sequence[str], box: float) -> tuple[Array, Array]:
    """E_CAL above the box at the histogram's last stage."""
    import uproot

    from na64reco.selection import histogram_name

    if SOFT not in selection.histograms:
        msg = (
            f"The selection {selection.name!r} has no histogram {SOFT!r} of {E_CAL} below the "
            "box's momentum, from which non-hermeticity is extrapolated. See muon-invisible-2022."
        )
        raise InferenceError(msg)
    stages = sorted(selection.histograms[SOFT].at, key=selection.stages.index)
    total: Array | None = None
    edges = np.empty(0)
    with uproot.open(path / HISTOGRAMS) as file:
        for name in data:
            key = f"{name}/{histogram_name(SOFT, stages[-1], selection.histograms[SOFT].region)}"
            if key not in file:
                continue
            values, edges = file[key].to_numpy()
            total = values if total is None else total + values
    if total is None:
        msg = f"{path / HISTOGRAMS} has no histogram {SOFT!r} of {', '.join(data)}."
        raise InferenceError(msg)
    return np.where(edges[:-1] >= box, total, 0.0).astype(np.float64), edges.astype(np.float64)
