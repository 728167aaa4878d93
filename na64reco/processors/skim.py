"""Writing the selected events: block by block, so that they never have to fit into memory."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal, Self

import awkward as ak
import numpy as np
import uproot

from na64reco.events.schema import TREE
from na64reco.processors.root_files import recreate, seal, timeless
from na64reco.reconstruction import COLUMNS
from na64reco.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

    from numpy.typing import NDArray

__all__ = ["METADATA", "SkimWriter", "branch_of"]

METADATA = "na64reco_metadata"
"""Name of the object in the file that holds units, meanings and datasets as JSON."""

_BLOCK = 50_000


def branch_of(column: str) -> str:
    """Name of a column in the file: ROOT and RNTuple give dots a meaning of their own.

    >>> branch_of("ecal.energy")
    'ecal_energy'
    """
    return column.replace(".", "_")


def missing_value(dtype: np.dtype[Any]) -> Any:
    """What stands in a column for events whose file cannot give it."""
    if dtype.kind == "f":
        return np.nan
    return False if dtype.kind == "b" else np.iinfo(dtype).max


class SkimWriter:
    """Writes `Events` to selected.root, in the order in which blocks are added.

    Each event has the column ``dataset``, an index into ``datasets``; a column that an event's
    file cannot give is NaN, False or the largest integer of its type.

    Parameters
    ----------
    columns
        Names, `region.NAME` among them.
    """

    def __init__(
        self,
        path: Path,
        columns: Sequence[str],
        datasets: Sequence[str],
        *,
        format: Literal["ttree", "rntuple"] = "ttree",  # noqa: A002 - the name of the option
    ) -> None:
        self.events = 0
        """Number of events written."""
        self._datasets = tuple(datasets)
        self._types = {
            name: np.dtype(COLUMNS[name].dtype if name in COLUMNS else "bool") for name in columns
        }
        self._pending: list[dict[str, NDArray[Any]]] = []
        self._format = format
        self._path = path
        self._file = recreate(path, compression=uproot.ZSTD(3))
        title = "Selected events, reconstructed"
        types = {"dataset": np.dtype("uint16")}
        types |= {branch_of(name): dtype for name, dtype in self._types.items()}
        with timeless():
            if format == "rntuple":
                empty = ak.Array({name: np.empty(0, dtype=dtype) for name, dtype in types.items()})
                self._tree = self._file.mkrntuple(TREE, empty.layout.form, title)
            else:
                self._tree = self._file.mktree(TREE, types, title=title)

    def add(self, dataset: str, columns: dict[str, NDArray[Any]]) -> None:
        """Append events of one dataset, arrays of shape (events,)."""
        count = len(next(iter(columns.values()), ()))
        if not count:
            return
        index = self._datasets.index(dataset)
        block: dict[str, NDArray[Any]] = {"dataset": np.full(count, index, dtype=np.uint16)}
        for name, dtype in self._types.items():
            if name in columns:
                block[branch_of(name)] = np.asarray(columns[name]).astype(dtype, copy=False)
            else:
                block[branch_of(name)] = np.full(count, missing_value(dtype), dtype=dtype)
        self._pending.append(block)
        self.events += count
        self._flush(_BLOCK)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Write what is left and the descriptions; after an error only release the file."""
        if kind is None:
            self._flush(1)
            columns = {
                branch_of(name): [COLUMNS[name].unit, COLUMNS[name].meaning]
                if name in COLUMNS
                else ["", f"in the region {name.removeprefix('region.')} (False where hidden)"]
                for name in self._types
            }
            with timeless():
                self._file[METADATA] = json.dumps(
                    {
                        "written_by": f"na64reco {__version__}",
                        "datasets": list(self._datasets),
                        "columns": columns,
                    }
                )
        with timeless():
            self._file.close()
        if kind is None:
            seal(self._path)

    def _flush(self, least: int) -> None:
        """Write whole blocks while there are at least so many events: baskets as ever."""
        if sum(len(b["dataset"]) for b in self._pending) < least:
            return
        joined = {
            name: np.concatenate([block[name] for block in self._pending])
            for name in self._pending[0]
        }
        total = len(joined["dataset"])
        start = 0
        while total - start >= least:
            stop = min(start + _BLOCK, total)
            part = {name: values[start:stop] for name, values in joined.items()}
            with timeless():
                self._tree.extend(ak.Array(part) if self._format == "rntuple" else part)
            start = stop
        self._pending = [{n: v[start:] for n, v in joined.items()}] if start < total else []
