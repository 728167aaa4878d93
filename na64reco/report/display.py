"""`na64reco display`: from a file and a wish to the events that are drawn."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from na64reco.errors import DataError, SelectionError
from na64reco.events import file_metadata, has_scalar, load_mapping, open_events
from na64reco.events.files import open_file
from na64reco.processors.outputs import RUN
from na64reco.reconstruction import reconstruct_columns
from na64reco.report.display_choice import (
    blinding_selections,
    chosen_in_skim,
    find_entries,
    is_output,
    parse_where,
    visible,
)
from na64reco.report.display_event import view_event
from na64reco.selection import Selection, load_selection
from na64reco.setup import Setup, load_setup

if TYPE_CHECKING:
    from collections.abc import Sequence

    from na64reco.report.display_event import EventView

__all__ = ["Wish", "views_of"]


@dataclass(frozen=True)
class Wish:
    """What is to be shown of which file."""

    path: Path
    """A hit file, or an output folder of `na64reco run`."""
    event: str | None = None
    """``RUN:EVENT``, or the number of the entry, the first being 0."""
    where: str | None = None
    setup: str | None = None
    """Name or file; default: the output folder's, or the one that a simulated file names."""
    selection: str | None = None
    """Of the analysis, whose box is hidden too."""
    mapping: Path | None = None
    calib: Path | None = None
    nearest: bool = False
    most: int = 10
    """Events to show."""


def views_of(wish: Wish) -> list[EventView]:
    """The events to be drawn, in the order of the file; none of data in a blinded box.

    Raises
    ------
    DataError
        If there is no such event, or none that may be shown.
    SelectionError
        If the wish makes no sense, or nobody knows what is to be hidden.
    """
    if (wish.event is None) == (wish.where is None):
        msg = "Say which events: either --event RUN:EVENT (or --event N), or --where CONDITION."
        raise SelectionError(msg)
    if is_output(wish.path):
        return _of_folder(wish)
    setup = load_setup(wish.setup or _named_setup(wish))
    given = None if wish.selection is None else load_selection(wish.selection)
    if wish.event is not None:
        entries = [_entry(wish.path, wish.event, wish.mapping)]
    else:
        entries = _entries_where(wish, setup, given)
    found = _views(wish.path, entries, setup, given, wish)
    if not found:
        raise DataError(_nothing(wish))
    return found


def _named_setup(wish: Wish) -> str:
    names = None if wish.mapping is None else load_mapping(wish.mapping)
    with open_file(wish.path, **({} if names is None else {"tree": names.tree})) as file:
        name = file_metadata(file).get("setup")
    if name is None:
        msg = f"{wish.path}: which detector is it? Give --setup NAME (see `na64reco setups`)."
        raise SelectionError(msg)
    return name


def _nothing(wish: Wish) -> str:
    what = f"event {wish.event}" if wish.event is not None else f"event with {wish.where}"
    return (
        f"{wish.path}: there is no {what} that may be shown. Events of data that are or may be in "
        "a blinded region never are."
    )


def _entry(path: Path, event: str, mapping: Path | None) -> int:
    names = None if mapping is None else load_mapping(mapping)
    run, colon, number = event.rpartition(":")
    if not number.isdecimal() or (colon and not run.isdecimal()):
        msg = f"--event {event!r} is neither RUN:EVENT nor the number of an entry."
        raise SelectionError(msg)
    if not colon:
        entries = len(open_events(path, mapping=names))
        if int(number) >= entries:
            msg = f"{path} has {entries} events, counted from 0; there is no entry {number}."
            raise DataError(msg)
        return int(number)
    found = find_entries(path, [(int(run), int(number))], mapping=names)
    if not found:
        msg = f"{path} has no event {number} of run {run}; `na64reco inspect` tells its runs."
        raise DataError(msg)
    return found[0]


def _entries_where(wish: Wish, setup: Setup, given: Selection | None) -> list[int]:
    """Entries of a hit file that fit and may be shown."""
    assert wish.where is not None
    conditions = parse_where(wish.where)
    for condition in conditions:
        if condition.column in {"region", "dataset"}:
            msg = (
                f"--where: a hit file knows no {condition.column}; give the output folder of "
                "`na64reco run` instead of the file."
            )
            raise SelectionError(msg)
    events = open_events(
        wish.path, mapping=None if wish.mapping is None else load_mapping(wish.mapping)
    )
    options: dict[str, Any] = {"calib": wish.calib, "nearest": wish.nearest}
    names = {c.column for c in conditions}
    columns = reconstruct_columns(events, setup, columns=names, **options)
    simulated = has_scalar(events, "MC_process")
    selections = [] if simulated else blinding_selections(setup, given)
    keep = visible(events, setup, selections, **options)
    for condition in conditions:
        keep &= condition(columns[condition.column].astype(np.float64))
    return [int(i) for i in np.flatnonzero(keep)]


def _of_folder(wish: Wish) -> list[EventView]:
    """Events of an output folder's skim, their hits from the files that the run read."""
    record = json.loads((wish.path / RUN).read_text(encoding="utf-8"))
    setup = load_setup(wish.setup or record["setup"]["name"])
    given = (
        Selection.model_validate(record["selection"]["content"])
        if wish.selection is None
        else load_selection(wish.selection)
    )
    if wish.where is not None:
        wanted = chosen_in_skim(wish.path, parse_where(wish.where))
    else:
        run, colon, number = str(wish.event).partition(":")
        if not colon or not run.isdecimal() or not number.isdecimal():
            msg = f"--event {wish.event!r}: of an output folder, name it as RUN:EVENT."
            raise SelectionError(msg)
        wanted = [("", int(run), int(number))]
    views: list[EventView] = []
    files = [f for f in record["inputs"] if f["status"] == "read"]
    for file in files:
        events = [(r, e) for d, r, e in wanted if d in {"", file["dataset"]}]
        if not events or len(views) >= wish.most:
            continue
        path = Path(file["path"])
        if not path.exists():
            msg = f"{path}, which {wish.path} was made from, is not there (any more)."
            raise DataError(msg)
        if file["size"] not in {None, path.stat().st_size}:
            msg = (
                f"{path} is not the file any more that {wish.path} was made from ({file['size']} "
                f"bytes then, {path.stat().st_size} now); run `na64reco run` again."
            )
            raise DataError(msg)
        entries = find_entries(path, events, mapping=_mapping(wish))
        views += _views(path, entries, setup, given, wish)[: wish.most - len(views)]
    if not views:
        raise DataError(_nothing(wish))
    return views


def _mapping(wish: Wish) -> Any:
    return None if wish.mapping is None else load_mapping(wish.mapping)


def _views(
    path: Path, entries: Sequence[int], setup: Setup, given: Selection | None, wish: Wish
) -> list[EventView]:
    """Of entries that may be shown, as many as are wanted."""
    names = _mapping(wish)
    simulated = has_scalar(open_events(path, mapping=names), "MC_process")
    selections = [] if simulated else blinding_selections(setup, given)
    options: dict[str, Any] = {"calib": wish.calib, "nearest": wish.nearest}
    views: list[EventView] = []
    for entry in entries:
        if len(views) == wish.most:
            break
        events = open_events(path, mapping=names, entry_start=entry, entry_stop=entry + 1)
        if visible(events, setup, selections, **options).all():
            views.append(view_event(events, setup, source=str(path), **options))
    return views
