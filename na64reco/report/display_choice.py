"""Which events to show: by run and number, or by what is known of them; never blinded ones."""

from __future__ import annotations

import json
import operator
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from na64reco.errors import DataError, SelectionError, did_you_mean
from na64reco.events import has_scalar, open_events, read_scalar
from na64reco.processors.outputs import RUN, SELECTED
from na64reco.processors.skim import METADATA, branch_of
from na64reco.reconstruction import reconstruct_columns
from na64reco.selection import Selection, list_selections, load_selection
from na64reco.selection.limits import Periods, in_box
from na64reco.selection.variables import Values, base_columns

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from na64reco.setup import Setup

__all__ = [
    "Condition",
    "blinding_selections",
    "chosen_in_skim",
    "find_entries",
    "parse_where",
    "visible",
]

_OPERATORS: Final = {
    "==": operator.eq,
    "!=": operator.ne,
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}


@dataclass(frozen=True)
class Condition:
    """``COLUMN OP VALUE``."""

    column: str
    operator: str
    value: str | float

    def __call__(self, values: Any) -> Any:
        """True where it holds."""
        return _OPERATORS[self.operator](values, self.value)


def parse_where(text: str) -> tuple[Condition, ...]:
    """Conditions, all of which must hold, with ``and`` between them.

    >>> [c.column for c in parse_where("region == signal and ecal.energy < 40")]
    ['region', 'ecal.energy']
    >>> parse_where("ecal.energy < 40")
    (Condition(column='ecal.energy', operator='<', value=40.0),)

    Raises
    ------
    SelectionError
        If it is anything else.
    """
    found = []
    for part in re.split(r"\s+and\s+", text.strip()):
        match = re.fullmatch(r"([\w.]+)\s*(==|!=|<=|>=|<|>)\s*([-+.\w]+)", part.strip())
        if match is None:
            msg = (
                f"--where: {part!r} is not COLUMN OPERATOR VALUE, such as `ecal.energy < 40`, "
                "`region == signal`, `track.found == true`; several with `and` between them."
            )
            raise SelectionError(msg)
        column, sign, word = match.groups()
        value: str | float
        if column in {"region", "dataset"}:
            value = word
            if sign not in {"==", "!="}:
                msg = f"--where: {column} is a name, so it goes with == or !=, not {sign}."
                raise SelectionError(msg)
        elif word in {"true", "false"}:
            value = float(word == "true")
        else:
            try:
                value = float(word)
            except ValueError:
                msg = f"--where: {word!r} in {part!r} is not a number, true or false."
                hint = did_you_mean(column, ["region", "dataset"])
                msg += f" {hint}" if hint.startswith("Did") else ""
                raise SelectionError(msg) from None
        found.append(Condition(column, sign, value))
    return tuple(found)


def chosen_in_skim(out: Path, conditions: Sequence[Condition]) -> list[tuple[str, int, int]]:
    """``(dataset, run, event)`` of the selected events of an output folder that fit.

    Raises
    ------
    SelectionError
        If a column, region or dataset is not there.
    DataError
        If the folder has no selected events.
    """
    import uproot

    try:
        with uproot.open(out / SELECTED) as file:
            datasets = json.loads(str(file[METADATA]))["datasets"]
            columns = file["Events"].arrays(library="np")
    except (OSError, KeyError, ValueError) as error:
        msg = f"{out / SELECTED} cannot be read ({error}); give an output folder of `na64reco run`."
        raise DataError(msg) from None
    keep = np.ones(len(columns["event"]), bool)
    for condition in conditions:
        keep &= _holds(condition, columns, datasets)
    which = np.flatnonzero(keep)
    return [
        (datasets[columns["dataset"][i]], int(columns["run"][i]), int(columns["event"][i]))
        for i in which
    ]


def _holds(condition: Condition, columns: Mapping[str, Any], datasets: Sequence[str]) -> Any:
    if condition.column == "dataset":
        return condition(np.array(datasets)[columns["dataset"]])
    if condition.column == "region":
        regions = [n.removeprefix("region_") for n in columns if n.startswith("region_")]
        if condition.value not in regions:
            msg = (
                f"--where: selected.root knows no region {condition.value!r}; one that is blinded "
                f"is not in it. {did_you_mean(str(condition.value), regions)}"
            )
            raise SelectionError(msg)
        inside = columns[f"region_{condition.value}"].astype(bool)
        return inside if condition.operator == "==" else ~inside
    name = branch_of(condition.column)
    if name not in columns:
        msg = f"--where: selected.root has no column {condition.column!r}. "
        msg += did_you_mean(name, columns)
        raise SelectionError(msg)
    return condition(columns[name].astype(np.float64))


def find_entries(
    path: Path | str, wanted: Sequence[tuple[int, int]], *, mapping: Any = None
) -> list[int]:
    """Entries of events, given as (run, event), in a file; without those that it does not hold."""
    events = open_events(path, mapping=mapping)
    run, event = read_scalar(events, "run"), read_scalar(events, "event")
    near = np.flatnonzero(np.isin(event, np.array([e for _, e in wanted], event.dtype)))
    at = {(int(run[i]), int(event[i])): int(i) for i in near}
    return [at[key] for key in wanted if key in at]


def blinding_selections(setup: Setup, given: Selection | None) -> list[Selection]:
    """Selections whose boxes hide data: all shipped ones of the setup, and the one given.

    Raises
    ------
    SelectionError
        If there is none, so that nobody knows what to hide.
    """
    known = [load_selection(name) for name in list_selections()]
    found = [s for s in known if s.setup == setup.name and s.blind is not None]
    if given is not None and given.blind is not None:
        found.append(given)
    if not found:
        msg = (
            f"No shipped selection of the setup {setup.name!r} blinds a region, and these are "
            "data: name the selection of the analysis with --selection, so that its signal box "
            "stays hidden."
        )
        raise SelectionError(msg)
    return found


def visible(
    events: Any,
    setup: Setup,
    selections: Sequence[Selection],
    *,
    calib: Path | None = None,
    nearest: bool = False,
) -> Any:
    """Which events may be shown, shape (events,): simulated ones, and those in no blinded box.

    A value that is not known counts as inside, as it does everywhere else.
    """
    if has_scalar(events, "MC_process"):
        return np.ones(len(events), bool)
    needed: set[str] = {"run"}
    for selection in selections:
        assert selection.blind is not None
        needed |= base_columns(selection.regions[selection.blind])
    columns = reconstruct_columns(events, setup, columns=needed, calib=calib, nearest=nearest)
    shown = np.ones(len(events), bool)
    for selection in selections:
        assert selection.blind is not None
        values = Values(columns)
        box = selection.regions[selection.blind]
        shown &= ~in_box(box, values, Periods(selection, values), nan_inside=True)
    return shown


def is_output(path: Path) -> bool:
    """Whether it is an output folder of `na64reco run`."""
    return path.is_dir() and (path / RUN).is_file()
