"""The selection as a coffea processor: one chunk of events in, something that adds up out."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from na64reco.calibration import load_conditions
from na64reco.errors import DataError, SelectionError, did_you_mean
from na64reco.events import check_events, has_scalar, read_scalar
from na64reco.processors.fileset import DEFAULT_DATASET
from na64reco.processors.intervals import EventIntervals, SeenEvents, intervals_of
from na64reco.processors.stepwise import StepwiseColumns
from na64reco.reconstruction import COLUMNS
from na64reco.reconstruction.events import _read
from na64reco.reconstruction.needs import wanted_columns
from na64reco.selection import (
    Counts,
    Cutflow,
    FrozenBox,
    Selection,
    apply,
    count,
    empty_histograms,
    fill_histograms,
    load_selection,
    required_columns,
)
from na64reco.setup import Setup, load_setup

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import hist
    from numpy.typing import NDArray

    from na64reco.calibration import Conditions

__all__ = [
    "IDENTITY",
    "Result",
    "SelectionProcessor",
    "SkimBlocks",
    "register_with_coffea",
    "truth_columns",
]

_REMEMBERED = 10
"""Runs of which conditions are kept."""

IDENTITY = ("run", "spill", "event")
"""Columns that every selected event is written with."""


@dataclass(frozen=True)
class SkimBlocks:
    """Columns of selected events, in blocks that know where they come from."""

    blocks: tuple[tuple[str, int, dict[str, NDArray[Any]]], ...]
    """(file, first entry of the chunk, columns)."""

    def __add__(self, other: SkimBlocks) -> SkimBlocks:
        return SkimBlocks(self.blocks + other.blocks)

    def __len__(self) -> int:
        """Number of events."""
        return sum(len(block["event"]) for _, _, block in self.blocks)

    def sorted(self) -> SkimBlocks:
        """By file, then entry: the same order whoever finished first."""
        return SkimBlocks(tuple(sorted(self.blocks, key=lambda b: b[:2])))

    @property
    def columns(self) -> dict[str, NDArray[Any]]:
        """All blocks joined, by name; columns that not every block has are left out."""
        if not self.blocks:
            return {}
        names = [n for n in self.blocks[0][2] if all(n in block for _, _, block in self.blocks)]
        return {n: np.concatenate([block[n] for _, _, block in self.blocks]) for n in names}


@dataclass(frozen=True)
class Kind:
    """Whether events are simulated; what differs in that does not add up.

    It stands first in a `Result`, so that adding mixed results ends with this message.
    """

    dataset: str
    simulated: bool

    def __add__(self, other: Kind) -> Kind:
        if self.simulated != other.simulated:
            msg = mixed_message(self.dataset)
            raise DataError(msg)
        return self


class Result(TypedDict):
    """What `SelectionProcessor` makes of some events of one dataset; coffea adds these up."""

    kind: Kind
    events: int
    """Number of events read."""
    cutflow: Cutflow
    counts: Counts
    """By run, spill and energy."""
    histograms: dict[str, hist.Hist[Any]]
    skim: SkimBlocks
    """Visible events in any region."""
    seen: dict[str, EventIntervals]
    """File -> its events."""
    conditions: set[tuple[int, str]]
    """(run, digest of the conditions in use)."""


def truth_columns(branches: Iterable[str]) -> tuple[str, ...]:
    """Columns of the simulation's truth that a file with these branches can give.

    >>> truth_columns(["run", "MC_process", "MC_weight"])
    ('mc.process', 'mc.weight')
    """
    known = ("mc." + b.removeprefix("MC_") for b in branches if b.startswith("MC_"))
    return tuple(name for name in known if name in COLUMNS)


class SelectionProcessor:
    """Check, reconstruct and select events; works in coffea's Runner with any of its executors.

    ``process(events)`` returns ``{dataset: Result}``.

    Parameters
    ----------
    selection
        A selection, or the name or path of one.
    setup
        Default: the one that the selection names.
    calib
        Folder of the conditions; default: the shipped ones of the setup.
    nearest
        Where no conditions cover a run, take the nearest valid ones, with a warning.
    unblind
        What `check_frozen_box` returned, to show the blinded region of data.
    columns
        Reconstructed columns to write for selected events beyond those that the selection needs;
        ``"all"`` for every column that the file can give.
    sequential
        Apply the cuts one after the other: tracks and shower shapes are made only of events that
        pass all cuts before the first that uses them. Cutflow, regions and selected events are the
        same; see `na64reco.selection.sequential` for what is not there.

    Raises
    ------
    SelectionError
        If a further column does not exist.
    """

    def __init__(
        self,
        selection: Selection | str | Path,
        *,
        setup: Setup | str | Path | None = None,
        calib: Path | None = None,
        nearest: bool = False,
        unblind: FrozenBox | None = None,
        columns: Iterable[str] | str = (),
        sequential: bool = False,
    ) -> None:
        if not isinstance(selection, Selection):
            selection = load_selection(selection)
        self.selection: Selection = selection
        self.setup: Setup = (
            setup if isinstance(setup, Setup) else load_setup(setup or selection.setup)
        )
        self.calib = calib
        self.nearest = nearest
        self.unblind = unblind
        self.columns: tuple[str, ...] | None = None if columns == "all" else tuple(columns)
        self.sequential = sequential
        self._loaded: dict[int, Conditions] = {}
        for name in self.columns or ():
            if name not in COLUMNS:
                msg = f"There is no column {name!r} to write. {did_you_mean(name, COLUMNS)}"
                raise SelectionError(msg)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """In coffea's worker processes it has to be one of coffea's processors too."""
        self.__dict__.update(state)
        if "coffea.processor" in sys.modules:
            register_with_coffea()

    def process(self, events: Any) -> dict[str, Result]:
        """One chunk, as coffea hands it over: a NanoEvents array with metadata."""
        metadata = getattr(events, "metadata", None) or {}
        dataset = metadata.get("dataset", DEFAULT_DATASET)
        source = metadata.get("filename", "the events")
        entry = int(metadata.get("entrystart") or 0)
        return {dataset: self.reduce(events, source=source, entry=entry, dataset=dataset)}

    def reduce(
        self, events: Any, *, source: str, entry: int, dataset: str = DEFAULT_DATASET
    ) -> Result:
        """One chunk of one file.

        Parameters
        ----------
        events
            NanoEvents array, virtual or not.
        source
            The file, for messages and for the order of the selected events.
        entry
            Where in the file the chunk begins.
        dataset
            For messages.

        Raises
        ------
        DataError, FileFormatError
            If the file's content is impossible or unreadable.
        ConditionsError, SelectionError
            If no conditions cover a run, or the selection does not fit the events.
        """
        needed = self.needed_columns(events.fields)
        # Checked before any kernel takes a cell number for an index; only what is read anyway.
        check_events(
            events,
            self.setup,
            source=source,
            collections=needed_hits(events, self.setup, needed),
        )
        run = read_scalar(events, "run")
        seen = intervals_of(run, read_scalar(events, "event"), source=source)
        simulated = "MC_process" in events.fields
        conditions = {number: self._conditions(number) for number in map(int, np.unique(run))}
        columns = StepwiseColumns(
            events,
            self.setup,
            self.selection,
            needed,
            sequential=self.sequential,
            calib=self.calib,
            nearest=self.nearest,
            conditions=next(iter(conditions.values())) if len(conditions) == 1 else None,
        )
        outcome = apply(
            self.selection,
            columns.made,
            unblind=self.unblind,
            simulated=simulated,
            sequence=columns.sequence,
            provide=columns.provide,
        )
        found = columns.made
        histograms = empty_histograms(self.selection, weighted=simulated, sequence=columns.sequence)
        fill_histograms(histograms, outcome, found)
        chosen = np.flatnonzero(outcome.selected)
        kept = {name: found[name][chosen] for name in columns.wanted}
        for name in self.selection.regions:
            if name != outcome.blinded:
                kept[f"region.{name}"] = outcome.region(name)[chosen]
        return Result(
            kind=Kind(dataset, simulated),
            events=len(run),
            cutflow=outcome.cutflow,
            counts=count(outcome, found, _scalars(events)),
            histograms=histograms,
            skim=SkimBlocks(((source, entry, kept),) if len(chosen) else ()),
            seen={source: seen},
            conditions={(number, used.digest) for number, used in conditions.items()},
        )

    def _conditions(self, run: int) -> Conditions:
        """Of a run: the chunks of a file mostly have the same, and reading them takes 10 ms."""
        if run not in self._loaded:
            if len(self._loaded) >= _REMEMBERED:
                self._loaded.clear()
            self._loaded[run] = load_conditions(
                self.setup, run, folder=self.calib, nearest=self.nearest
            )
        return self._loaded[run]

    def __getstate__(self) -> dict[str, Any]:
        """Other processes load conditions themselves."""
        return {**vars(self), "_loaded": {}}

    def needed_columns(self, branches: Iterable[str]) -> tuple[str, ...] | None:
        """Columns to reconstruct from a file with these branches; None for all that it can give."""
        if self.columns is None:
            return None
        branches = tuple(branches)
        names = required_columns(self.selection, simulated="MC_process" in branches)
        names |= {*IDENTITY, *self.columns, *truth_columns(branches)}
        return tuple(name for name in COLUMNS if name in names)

    def postprocess(self, accumulator: dict[str, Result]) -> dict[str, Result]:
        """Put selected events into order, and refuse what makes a dataset meaningless.

        Raises
        ------
        DataError
            If an event is in two files of a dataset.
        """
        for result in accumulator.values():
            SeenEvents.check(result["seen"][name] for name in sorted(result["seen"]))
            result["skim"] = result["skim"].sorted()
        return accumulator


def register_with_coffea() -> None:
    """Make `SelectionProcessor` count as one of coffea's.

    It is none by birth: loading coffea takes a quarter of a second, and `run` needs nothing of it.
    """
    from coffea.processor import ProcessorABC

    ProcessorABC.register(SelectionProcessor)


def _scalars(events: Any) -> dict[str, NDArray[Any]]:
    """What the file says of triggers and beam."""
    names = ("trigger", "scaler", "scaler_live", "prescale")
    return {name: read_scalar(events, name) for name in names if has_scalar(events, name)}


def needed_hits(
    events: Any, setup: Setup, columns: tuple[str, ...] | None
) -> dict[str, tuple[str, ...]]:
    """Collections and fields that the reconstruction reads for some columns."""
    inputs = _read(wanted_columns(columns, events, setup), events, setup, drift=False)
    return {name: tuple(hits.columns) for name, hits in inputs.hits.items()}


def mixed_message(dataset: str) -> str:
    """Why data and simulation may not stand in one dataset."""
    return (
        f"The dataset {dataset!r} mixes data with simulated files (with MC_ branches): data are "
        "blinded, simulation is not. Put them into datasets of their own (NAME=FILE, or a fileset)."
    )
