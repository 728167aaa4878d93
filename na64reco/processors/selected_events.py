"""Reading selected.root back: as numpy columns, awkward records or a pandas frame."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import awkward as ak
import numpy as np

from na64reco.errors import FileFormatError, SelectionError, did_you_mean
from na64reco.events.files import HitFile, open_file, reading
from na64reco.processors.outputs import RUN, SELECTED
from na64reco.processors.skim import METADATA, branch_of
from na64reco.reconstruction import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

__all__ = [
    "SelectedEvents",
    "SelectedFile",
    "describes_selected",
    "open_selected",
    "read_selected",
]

DATASET = "dataset"
_COLUMN_OF = {branch_of(name): name for name in COLUMNS}
BATCH = 50_000
"""Events read at a time: as many as selected.root has in a basket or cluster."""


@dataclass(frozen=True)
class SelectedFile:
    """An open selected.root."""

    path: Path
    file: HitFile
    datasets: tuple[str, ...]
    """Names, in the order of the numbers in the column `dataset`."""
    descriptions: Mapping[str, tuple[str, str]]
    """Unit and meaning by column, names as in the file: `ecal_energy`."""
    record: Mapping[str, Any] | None
    """run.json of the folder in which it lies, if there is one."""

    @property
    def entries(self) -> int:
        """Number of events."""
        return self.file.entries

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.directory.close()

    def names(self, columns: Sequence[str] | None = None) -> tuple[str, ...]:
        """Columns as the file calls them; `ecal.energy` is `ecal_energy` there.

        Raises
        ------
        SelectionError
            For one that is not there.
        """
        known = self.file.branches
        if columns is None:
            return known
        found = tuple(dict.fromkeys(branch_of(name) for name in columns))
        for name in found:
            if name not in known:
                msg = f"{self.path} has no column {name!r}. {did_you_mean(name, known)}"
                raise SelectionError(msg)
        return found

    def number(self, dataset: str | None) -> int | None:
        """Of a dataset; None for None.

        Raises
        ------
        SelectionError
            If there is none of that name.
        """
        if dataset is not None and dataset not in self.datasets:
            known = did_you_mean(dataset, self.datasets)
            msg = f"{self.path} has no dataset {dataset!r}. {known}"
            raise SelectionError(msg)
        return None if dataset is None else self.datasets.index(dataset)

    def batches(
        self, columns: Sequence[str] | None = None, *, dataset: str | None = None
    ) -> Iterator[tuple[int, dict[str, NDArray[Any]]]]:
        """The events piece by piece, in the order of the file.

        Parameters
        ----------
        columns
            Names, `ecal.energy` or `ecal_energy`; default: all.
        dataset
            Only its events.

        Yields
        ------
        Number of the first event behind the piece, and arrays of shape (events in it,)

        Raises
        ------
        SelectionError
            For a column or dataset that is not there.
        FileFormatError
            For a damaged file.
        """
        names, number = self.names(columns), self.number(dataset)
        wanted = names if number is None else tuple(dict.fromkeys((*names, DATASET)))
        for start in range(0, self.entries, BATCH):
            stop = min(start + BATCH, self.entries)
            with reading(str(self.path), f"events {start} to {stop}"):
                events = self.file.tree.arrays(list(wanted), entry_start=start, entry_stop=stop)
                found = {name: np.asarray(ak.to_numpy(events[name])) for name in wanted}
            if number is not None:
                here = found[DATASET] == number
                found = {name: found[name][here] for name in names}
            yield stop, found


@contextmanager
def open_selected(path: Path | str) -> Iterator[SelectedFile]:
    """Open selected.root, or that of an output folder of `na64reco run`.

    Raises
    ------
    FileFormatError
        If there is none, or the file was not written by `na64reco run`.
    """
    path = Path(path)
    if path.is_dir():
        if not (path / SELECTED).is_file():
            msg = f"{path} is not the output of `na64reco run`: it has no {SELECTED}."
            raise FileFormatError(msg)
        path /= SELECTED
    with open_file(path) as file:
        content = describes_selected(file)
        if content is None:
            msg = (
                f"{path} holds no selected events of `na64reco run`: {METADATA!r} with their "
                "datasets is missing. Name the output folder, or its selected.root."
            )
            raise FileFormatError(msg)
        described = content.get("columns", {})
        yield SelectedFile(
            path,
            file,
            tuple(content["datasets"]),
            {DATASET: ("", "sample that the event is of")}
            | {name: (str(unit), str(meaning)) for name, (unit, meaning) in described.items()},
            _record(path.parent / RUN),
        )


def describes_selected(file: HitFile) -> dict[str, Any] | None:
    """What a file says of itself if it is a selected.root."""
    if METADATA not in file.directory:
        return None
    try:
        content = json.loads(str(file.directory[METADATA]))
    except ValueError:
        return None
    return content if isinstance(content, dict) and "datasets" in content else None


def _record(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        msg = f"{path} cannot be read: {error}. Run `na64reco run` again with --overwrite."
        raise FileFormatError(msg) from None
    return content if isinstance(content, dict) else None


@dataclass(frozen=True, eq=False)
class SelectedEvents:
    """Selected events in memory.

    Floats that an event's file cannot give are NaN, integers the largest of their type.
    """

    columns: Mapping[str, NDArray[Any]]
    """Shape (events,) each; names as in the file: `ecal_energy`."""
    datasets: tuple[str, ...]
    """Names, for the numbers in the column `dataset`."""
    descriptions: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Unit and meaning by column."""

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def to_awkward(self) -> ak.Array:
        """One record per event, nested as `na64reco.reconstruct` gives it: `.ecal.energy`.

        `dataset` is the name; regions are `.region.NAME`.
        """
        groups: dict[str, dict[str, Any]] = {}
        for name, values in self.columns.items():
            dotted = _dotted(name)
            group, _, short = dotted.rpartition(".")
            groups.setdefault(group, {})[short] = self._named(name, values)
        top = groups.pop("", {})
        nested = {group: ak.zip(found, depth_limit=1) for group, found in groups.items()}
        return ak.zip({**top, **nested}, depth_limit=1)

    def to_pandas(self) -> Any:
        """A `pandas.DataFrame` of the flat columns; `dataset` is categorical.

        `frame.attrs` holds units and descriptions.
        """
        import pandas as pd

        frame = pd.DataFrame(
            {
                name: pd.Categorical.from_codes(values.astype(np.int64), self.datasets)
                if name == DATASET
                else values
                for name, values in self.columns.items()
            }
        )
        frame.attrs = {
            "units": {n: unit for n, (unit, _) in self.descriptions.items() if n in self.columns},
            "descriptions": {n: m for n, (_, m) in self.descriptions.items() if n in self.columns},
        }
        return frame

    def _named(self, name: str, values: NDArray[Any]) -> Any:
        """The column, names of datasets in place of their numbers."""
        return np.array(self.datasets, dtype=str)[values] if name == DATASET else values


def _dotted(branch: str) -> str:
    """The column of a branch.

    >>> _dotted("ecal_energy"), _dotted("region_sideband_a"), _dotted("master_time")
    ('ecal.energy', 'region.sideband_a', 'master_time')
    """
    if branch.startswith("region_"):
        return f"region.{branch.removeprefix('region_')}"
    return _COLUMN_OF.get(branch, branch)


def read_selected(
    path: Path | str, *, columns: Sequence[str] | None = None, dataset: str | None = None
) -> SelectedEvents:
    """Read the events that `na64reco run` selected into memory.

    Parameters
    ----------
    path
        Output folder, or its selected.root.
    columns
        Names, `ecal.energy` or `ecal_energy`; default: all.
    dataset
        Only its events.

    Returns
    -------
    SelectedEvents
        `.columns` are numpy arrays; `.to_awkward()`, `.to_pandas()`.

    Raises
    ------
    FileFormatError
        If there is no such file, or it is damaged or of another program.
    SelectionError
        For a column or dataset that is not there.
    """
    with open_selected(path) as file:
        names = file.names(columns)
        parts = [batch for _, batch in file.batches(columns, dataset=dataset)]
        if not parts:
            with reading(str(file.path), "its columns"):
                empty = file.file.tree.arrays(list(names), entry_stop=0)
                parts = [{name: np.asarray(ak.to_numpy(empty[name])) for name in names}]
        joined = {name: np.concatenate([part[name] for part in parts]) for name in names}
        return SelectedEvents(joined, file.datasets, file.descriptions)
