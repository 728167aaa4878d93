"""Writing hit files: TTree or RNTuple, compressed, whole or not at all."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import awkward as ak
import numpy as np
import uproot

from na64reco.errors import DataError, OutputExistsError, did_you_mean
from na64reco.events.columns import EventBatch, Hits, cast, concatenate
from na64reco.events.schema import COLLECTIONS, REQUIRED_SCALARS, SCALARS, TREE, branch_name
from na64reco.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import TracebackType

__all__ = ["METADATA", "EventWriter"]

METADATA = "na64reco_metadata"
"""Name of the object in the file that holds metadata, units and meanings as JSON."""

# Levels: beyond these, files shrink by a few per cent and writing slows down by factors.
_COMPRESSION = {"zstd": uproot.ZSTD(3), "lz4": uproot.LZ4(1), "none": None}


class EventWriter:
    """Writes batches of events to a new hit file; use it in a `with` statement.

    The file is written beside its final place and renamed when everything is in it: after an
    error there is no file. What is written is decided by `scalars` and `collections`, or else by
    the first batch; all batches must have the same.

    Parameters
    ----------
    path
        Of the file. Missing folders are made.
    format
        ``"ttree"`` or ``"rntuple"``.
    compression
        ``"zstd"`` (smallest), ``"lz4"`` (read two to three times faster) or ``"none"``.
    scalars, collections
        Names of the schema; ``collections`` may give the fields of each as well.
    metadata
        Text that travels in the file: seed, command, setup.
    overwrite
        Replace a file that is there.
    cluster_size
        Events per cluster. Small clusters (250) are read 7 times more slowly than 5000.

    Raises
    ------
    OutputExistsError
        If the file is there and `overwrite` is not set.
    DataError
        From `write`, for a batch that does not fit the schema or the batches before.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        format: Literal["ttree", "rntuple"] = "ttree",  # noqa: A002 - the name of the option
        compression: Literal["zstd", "lz4", "none"] = "zstd",
        collections: Iterable[str] | Mapping[str, Iterable[str]] | None = None,
        scalars: Iterable[str] | None = None,
        metadata: Mapping[str, str] | None = None,
        overwrite: bool = False,
        cluster_size: int = 10_000,
    ) -> None:
        if format not in {"ttree", "rntuple"}:
            msg = f"There is no format {format!r}. {did_you_mean(format, ['ttree', 'rntuple'])}"
            raise ValueError(msg)
        if compression not in _COMPRESSION:
            msg = f"There is no compression {compression!r}. " + did_you_mean(
                compression, _COMPRESSION
            )
            raise ValueError(msg)
        self.path = Path(path)
        self.format = format
        self.events = 0
        """Number of events written so far."""
        self._compression = _COMPRESSION[compression]
        self.metadata = dict(metadata or {})
        """Written with the last events: what is known only then can still be added."""
        self._overwrite = overwrite
        self._cluster_size = cluster_size
        self._scalars = tuple(scalars) if scalars is not None else None
        self._collections = _fields_of(collections)
        self._pending: list[EventBatch] = []
        self._file: Any = None
        self._tree: Any = None
        self._partial = self.path.with_name(f".{self.path.name}.{os.getpid()}.partial")
        self._refuse_existing()

    def __enter__(self) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._file = uproot.recreate(self._partial, compression=self._compression)
        except BaseException:  # Ctrl-C just here: `__exit__` will not be called
            self._partial.unlink(missing_ok=True)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            self._file.close()
            # Removes the unfinished file after an error; after success it is renamed already.
            self._partial.unlink(missing_ok=True)

    def write(self, batch: EventBatch) -> None:
        """Append events; they are collected until a cluster is full."""
        if self._file is None:
            msg = "EventWriter must be used in a `with` statement before anything is written."
            raise RuntimeError(msg)
        if self._scalars is None:
            self._scalars = tuple(batch.scalars)
        if self._collections is None:
            self._collections = {n: tuple(h.columns) for n, h in batch.collections.items()}
        self._pending.append(self._conform(batch))
        self.events += len(batch)
        if sum(len(b) for b in self._pending) >= self._cluster_size:
            self._flush(everything=False)

    def _refuse_existing(self) -> None:
        if self.path.exists() and not self._overwrite:
            msg = (
                f"{self.path} is there already. Choose another name, or allow it to be replaced "
                "(--overwrite, overwrite=True)."
            )
            raise OutputExistsError(msg)

    def _finish(self) -> None:
        self._flush(everything=True)
        if self._tree is None:
            self._make_tree()
        self._file[METADATA] = json.dumps(
            {"written_by": f"na64reco {__version__}", "metadata": self.metadata}
            | {"branches": self._descriptions()},
        )
        self._file.close()
        self._refuse_existing()
        self._partial.replace(self.path)

    def _descriptions(self) -> dict[str, list[str]]:
        """Unit and meaning by branch."""
        found = {name: SCALARS[name] for name in self._scalars or ()}
        for collection, fields in (self._collections or {}).items():
            found |= {branch_name(collection, f): COLLECTIONS[collection][f] for f in fields}
        return {name: [column.unit, column.meaning] for name, column in found.items()}

    def _conform(self, batch: EventBatch) -> EventBatch:
        """Only what the file has, in the schema's types."""
        scalars, collections = {}, {}
        for name in self._scalars or ():
            column = SCALARS.get(name)
            if column is None:
                msg = f"There is no scalar {name!r} in the schema. {did_you_mean(name, SCALARS)}"
                raise DataError(msg)
            values = batch.scalars.get(name)
            if values is None:
                msg = (
                    f"{self.path}: a batch lacks the scalar {name!r} that the file has. "
                    f"It has {sorted(batch.scalars)}."
                )
                raise DataError(msg)
            scalars[name] = cast(np.asarray(values), column.dtype, branch=name)
        for name, fields in (self._collections or {}).items():
            if name not in COLLECTIONS:
                msg = f"There is no collection {name!r} in the schema. " + did_you_mean(
                    name, COLLECTIONS
                )
                raise DataError(msg)
            hits = batch.collections.get(name)
            if hits is None:
                # A batch in which a detector saw nothing may leave it out.
                hits = _no_hits(name, fields, len(batch))
            collections[name] = Hits(
                np.asarray(hits.offsets, dtype=np.int64),
                {field: self._conform_field(name, field, hits) for field in fields},
            )
        return EventBatch(scalars, collections)

    def _conform_field(self, collection: str, field: str, hits: Hits) -> Any:
        branch = branch_name(collection, field)
        column = COLLECTIONS[collection].get(field)
        if column is None:
            msg = f"The schema has no field {field!r} in {collection}. " + did_you_mean(
                field, COLLECTIONS[collection]
            )
            raise DataError(msg)
        if field not in hits.columns:
            msg = (
                f"{self.path}: a batch lacks {branch!r} that the file has. "
                f"Its {collection} has {sorted(hits.columns)}."
            )
            raise DataError(msg)
        values = np.asarray(hits.columns[field])
        if values.shape[1:] != column.shape:
            msg = (
                f"{self.path}: values of {branch!r} have the shape {values.shape[1:]}, the schema "
                f"says {column.type_name}."
            )
            raise DataError(msg)
        return cast(values, column.dtype, branch=branch)

    def _flush(self, *, everything: bool) -> None:
        batches = [b for b in self._pending if len(b)]
        if not batches:
            return
        events = concatenate(batches)
        size = self._cluster_size
        whole = len(events) if everything else len(events) - len(events) % size
        for start in range(0, whole, size):
            self._write_cluster(events.slice(start, min(start + size, whole)))
        self._pending = [events.slice(whole, len(events))] if whole < len(events) else []

    def _write_cluster(self, events: EventBatch) -> None:
        if self._tree is None:
            self._make_tree()
        if self.format == "rntuple":
            self._tree.extend(ak.Array(_record(events)))
            return
        data: dict[str, Any] = dict(events.scalars)
        for name, hits in events.collections.items():
            index = ak.index.Index64(hits.offsets)
            for field, values in hits.columns.items():
                content = _content(values)
                data[branch_name(name, field)] = ak.Array(
                    ak.contents.ListOffsetArray(index, content)
                )
        self._tree.extend(data)

    def _make_tree(self) -> None:
        scalars = self._scalars if self._scalars is not None else REQUIRED_SCALARS
        collections = self._collections or {}
        self._scalars, self._collections = scalars, collections
        if self.format == "rntuple":
            empty = EventBatch(
                {name: np.empty(0, dtype=SCALARS[name].dtype) for name in scalars},
                {name: _no_hits(name, fields, 0) for name, fields in collections.items()},
            )
            form = _record(empty).form
            self._tree = self._file.mkrntuple(TREE, form, "Detector hits, one entry per event")
            return
        types: dict[str, Any] = {name: SCALARS[name].dtype for name in scalars}
        for name, fields in collections.items():
            for field in fields:
                column = COLLECTIONS[name][field]
                inner = "".join(f"{n} * " for n in column.shape)
                types[branch_name(name, field)] = f"var * {inner}{column.dtype.name}"
        self._tree = self._file.mktree(
            TREE,
            types,
            title="Detector hits, one entry per event",
            # A collection's fields share one counter.
            counter_name=lambda branch: "n" + branch.partition("_")[0],
        )
        _mend_waveforms(self._tree)


def _mend_waveforms(tree: Any) -> None:
    """Make uproot (5.7.7) write the right basket offsets of branches with values of fixed size.

    It flattens the values and then takes one number for one entry; given them in their shape
    (which does no harm should it be corrected) it counts rightly.
    """
    inner = tree._cascading  # noqa: SLF001
    write_basket = inner.write_jagged_basket

    def write_shaped(sink: Any, branch: str, compression: Any, array: Any, offsets: Any) -> Any:
        collection, _, field = branch.partition("_")
        shape = COLLECTIONS[collection][field].shape
        return write_basket(sink, branch, compression, array.reshape(-1, *shape), offsets)

    inner.write_jagged_basket = write_shaped


def _fields_of(
    collections: Iterable[str] | Mapping[str, Iterable[str]] | None,
) -> dict[str, tuple[str, ...]] | None:
    if collections is None:
        return None
    if hasattr(collections, "items"):
        return {name: tuple(fields) for name, fields in collections.items()}
    found = {}
    for name in collections:
        if name not in COLLECTIONS:
            msg = f"There is no collection {name!r} in the schema. " + did_you_mean(
                name, COLLECTIONS
            )
            raise DataError(msg)
        found[name] = tuple(f for f in COLLECTIONS[name] if f != "samples")
    return found


def _no_hits(collection: str, fields: Iterable[str], events: int) -> Hits:
    columns = {
        field: np.empty((0, *column.shape), dtype=column.dtype)
        for field in fields
        if (column := COLLECTIONS[collection].get(field)) is not None
    }
    return Hits(np.zeros(events + 1, dtype=np.int64), columns)


def _content(values: Any, **parameters: str) -> Any:
    if values.ndim == 1:
        return ak.contents.NumpyArray(values, parameters=parameters or None)
    flat = ak.contents.NumpyArray(values.reshape(-1))
    return ak.contents.RegularArray(flat, values.shape[1], parameters=parameters or None)


def _record(events: EventBatch) -> Any:
    """Layout of an RNTuple; `__doc__` becomes the description of the field in the file."""

    def doc(unit: str, meaning: str) -> str:
        return f"{meaning} [{unit}]" if unit else meaning

    names, contents = [], []
    for name, values in events.scalars.items():
        column = SCALARS[name]
        names.append(name)
        contents.append(_content(values, __doc__=doc(column.unit, column.meaning)))
    for name, hits in events.collections.items():
        schema = COLLECTIONS[name]
        fields = [
            _content(values, __doc__=doc(schema[field].unit, schema[field].meaning))
            for field, values in hits.columns.items()
        ]
        record = ak.contents.RecordArray(fields, list(hits.columns), length=hits.size)
        names.append(name)
        contents.append(ak.contents.ListOffsetArray(ak.index.Index64(hits.offsets), record))
    return ak.contents.RecordArray(contents, names, length=len(events))
