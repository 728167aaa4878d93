"""Selected events of output folders, sorted into periods, with the signal box left out.

Events of data in a blinded box are not in the folder to begin with; whatever is to be treated as
data loses them here once more, by the variables of the box, so that simulated events can stand in
for data with the same blindness.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from na64reco.errors import InferenceError, SelectionError, did_you_mean
from na64reco.processors.outputs import RUN, SELECTED
from na64reco.processors.skim import METADATA, branch_of
from na64reco.selection.model import ByPeriod, Selection
from na64reco.setup import load_setup

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array: TypeAlias = NDArray[np.float64]

__all__ = ["Box", "Events", "Folder", "PeriodData", "read_folder"]

ECAL, HCAL = "ecal.energy", "hcal.energy"
ALL = "all"
"""Name of the period of a selection without periods."""


@dataclass(frozen=True)
class Box:
    """The signal box and its sidebands in one period, GeV."""

    ecal: float
    """E_ECAL below it is in the box: E_thr."""
    hcal: float
    """E_HCAL below it is in the box."""
    top: float
    """Upper end of sideband A in E_ECAL, E0."""


@dataclass(frozen=True, eq=False)
class Events:
    """Energies in GeV, float64, and weights, each of shape (events,)."""

    ecal: Array
    hcal: Array
    weight: Array

    def __len__(self) -> int:
        return len(self.ecal)

    def take(self, mask: NDArray[np.bool_]) -> Events:
        """Some of them."""
        return Events(self.ecal[mask], self.hcal[mask], self.weight[mask])

    @staticmethod
    def join(parts: Sequence[Events]) -> Events:
        """Several samples as one."""
        empty = np.empty(0)
        names = ("ecal", "hcal", "weight")
        return Events(*(np.concatenate([empty, *(getattr(p, n) for p in parts)]) for n in names))


@dataclass(frozen=True, eq=False)
class PeriodData:
    """One run period of one output folder."""

    name: str
    """Of the period; "all" if the selection knows none."""
    setup: str
    beam: float
    """Energy of the beam, GeV."""
    box: Box
    data: Events
    """What is treated as data, the box left out."""
    observed: int | None
    """Events of data in the box, None while it is blinded."""
    simulated: dict[str, Events] = field(default_factory=dict)
    """Other datasets, whole."""


@dataclass(frozen=True)
class Folder:
    """An output folder of `na64reco run`."""

    path: Path
    selection: Selection
    unblinded: dict[str, Any] | None
    """The frozen box that it was unblinded with."""
    data: tuple[str, ...]
    """Datasets that are treated as data."""
    periods: tuple[PeriodData, ...]


def read_folder(
    path: Path | str,
    *,
    data: Sequence[str] = (),
    sideband_a: str = "sideband_a",
    sideband_c: str = "sideband_c",
) -> Folder:
    """Read what `na64reco run` selected.

    Parameters
    ----------
    data
        Datasets to be treated as data, by default those that are not simulated.
    sideband_a, sideband_c
        Names of the regions with E_HCAL, and with E_ECAL, as in the box.

    Raises
    ------
    InferenceError
        If the folder is no such output, its selection blinds nothing or lacks a sideband, or a
        dataset is not there.
    """
    path = Path(path)
    record = _record(path)
    try:
        selection = Selection.model_validate(record["selection"]["content"])
    except (KeyError, ValueError) as error:
        msg = f"{path / RUN} does not hold a selection: {error}. Run `na64reco run` again."
        raise InferenceError(msg) from None
    if selection.blind is None:
        msg = (
            f"The selection {selection.name!r} of {path} has no blinded region, so there is no "
            "signal box. Name it in the selection: `blind: REGION`."
        )
        raise InferenceError(msg)
    known = record["datasets"]
    for name in data:
        if name not in known:
            msg = f"{path} has no dataset {name!r}. {did_you_mean(name, known)}"
            raise InferenceError(msg)
    chosen = tuple(data) or tuple(n for n, d in known.items() if d["simulated"] is False)
    blinding = record["blinding"]
    frozen = blinding["frozen_box"] if blinding["unblinded"] else None
    columns, names = _read(path)
    setup = load_setup(record["setup"]["name"])
    periods = []
    for name, (first, last) in (selection.periods or {ALL: (0, 2**32 - 1)}).items():
        box = _box(selection, name, sideband_a, sideband_c)
        here = (columns["run"] >= first) & (columns["run"] <= last)
        if not here.any() and len(selection.periods) > 1:
            continue
        by_name = {
            dataset: _events(columns, here & (columns["dataset"] == number))
            for number, dataset in enumerate(names)
        }
        everything = Events.join([by_name[d] for d in chosen if d in by_name])
        inside = _inside(everything, box)
        shown = frozen is not None and not any(known[d]["simulated"] for d in chosen)
        periods.append(
            PeriodData(
                name,
                setup.name,
                setup.beam.momentum,
                box,
                everything.take(~inside),
                int(np.count_nonzero(inside)) if shown and chosen else None,
                {d: e for d, e in by_name.items() if d not in chosen},
            )
        )
    return Folder(path, selection, frozen, chosen, tuple(periods))


def _record(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads((path / RUN).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        msg = f"{path} is not the output of `na64reco run`: {RUN} cannot be read ({error})."
        raise InferenceError(msg) from None
    return content


def _read(path: Path) -> tuple[dict[str, NDArray[Any]], list[str]]:
    import uproot

    wanted = {"run": "run", "ecal": ECAL, "hcal": HCAL}
    try:
        with uproot.open(path / SELECTED) as file:
            names = json.loads(str(file[METADATA]))["datasets"]
            tree = file["Events"]
            have = set(tree.keys())
            branches = {key: branch_of(column) for key, column in wanted.items()}
            missing = [wanted[k] for k, b in branches.items() if b not in have]
            if missing:
                msg = (
                    f"{path / SELECTED} lacks the columns {', '.join(missing)}; add them: "
                    f"`na64reco run ... --columns {','.join(missing)}`."
                )
                raise InferenceError(msg)
            if branch_of("mc.weight") in have:
                branches["weight"] = branch_of("mc.weight")
            branches["dataset"] = "dataset"
            found = tree.arrays(list(branches.values()), library="np")
    except (OSError, KeyError, ValueError) as error:
        msg = f"{path / SELECTED} cannot be read: {error}"
        raise InferenceError(msg) from None
    return {key: np.asarray(found[branch]) for key, branch in branches.items()}, list(names)


def _events(columns: dict[str, NDArray[Any]], mask: NDArray[np.bool_]) -> Events:
    count = int(np.count_nonzero(mask))
    weight = columns["weight"][mask] if "weight" in columns else np.ones(count)
    weight = np.where(np.isnan(weight), 1.0, weight).astype(np.float64)
    return Events(
        columns["ecal"][mask].astype(np.float64), columns["hcal"][mask].astype(np.float64), weight
    )


def _inside(events: Events, box: Box) -> NDArray[np.bool_]:
    """In the box; NaN may belong there, as in `na64reco.selection.blinding`."""
    result: NDArray[np.bool_] = ~(events.ecal >= np.float32(box.ecal)) & ~(
        events.hcal >= np.float32(box.hcal)
    )
    return result


def _box(selection: Selection, period: str, name_a: str, name_c: str) -> Box:
    assert selection.blind is not None
    for name in (name_a, name_c):
        if name not in selection.regions:
            msg = (
                f"The selection {selection.name!r} has no region {name!r} for a sideband. "
                f"{did_you_mean(name, selection.regions)}"
            )
            raise InferenceError(msg)

    def side(region: str, variable: str, which: int) -> float | None:
        bounds = selection.regions[region].get(variable)
        bound = None if bounds is None else bounds[which]
        return bound.values[period] if isinstance(bound, ByPeriod) else bound

    blind = selection.blind
    ecal, hcal = side(blind, ECAL, 1), side(blind, HCAL, 1)
    top = side(name_a, ECAL, 1)
    if ecal is None or hcal is None or top is None:
        msg = (
            f"The box {blind!r} needs upper limits of {ECAL} and {HCAL}, and {name_a!r} one of "
            f"{ECAL}; found {ecal}, {hcal} and {top}."
        )
        raise InferenceError(msg)
    expected = [(name_a, ECAL, 0, ecal), (name_a, HCAL, 1, hcal)]
    expected += [(name_c, ECAL, 1, ecal), (name_c, HCAL, 0, hcal)]
    for region, variable, which, value in expected:
        found = side(region, variable, which)
        if found != value:
            edge = "lower" if which == 0 else "upper"
            msg = (
                f"{selection.name}, period {period!r}: the {edge} limit of {variable} in "
                f"{region!r} is {found}, that of the box {value}; a sideband begins where the box "
                "ends."
            )
            raise InferenceError(msg)
    others = set(selection.regions[blind]) - {ECAL, HCAL}
    if others:
        msg = (
            f"The box {blind!r} of {selection.name!r} also limits {', '.join(sorted(others))}; "
            "only E_ECAL and E_HCAL are understood here. Make the others cuts."
        )
        raise InferenceError(msg)
    if not ecal < top:
        msg = f"Sideband {name_a!r} is empty: from {ecal:g} to {top:g} GeV."
        raise SelectionError(msg)
    return Box(ecal, hcal, top)
