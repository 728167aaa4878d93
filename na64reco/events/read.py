"""Reading hit files: lazily as NanoEvents, and from these the flat columns kernels work on."""

from __future__ import annotations

from collections.abc import Mapping as AbstractMapping
from functools import partial
from os import PathLike
from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np

from na64reco.errors import DataError, FileFormatError, did_you_mean
from na64reco.events.baskets import NotPlain
from na64reco.events.columns import EventBatch, Hits, cast
from na64reco.events.direct import DirectEvents
from na64reco.events.files import HitFile, open_file, reading
from na64reco.events.schema import COLLECTIONS, SCALARS, TREE, Column, branch_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from na64reco.events.mapping import Mapping

__all__ = [
    "has_collection",
    "has_field",
    "has_scalar",
    "open_entries",
    "open_events",
    "read_batch",
    "read_hits",
    "read_scalar",
    "source_of",
]


def open_events(
    paths: str | Path | HitFile | Sequence[str | Path],
    *,
    mapping: Mapping | None = None,
    entry_start: int | None = None,
    entry_stop: int | None = None,
    access_log: list[Any] | None = None,
) -> Any:
    """Events of one or several files as a NanoEvents array whose columns are read when used.

    Parameters
    ----------
    paths
        One or several files, or one that is open already (and stays so); whether TTree or RNTuple
        is found out.
    mapping
        For foreign branch names, see `load_mapping`.
    entry_start, entry_stop
        Range of events, counted through all files.
    access_log
        A list that coffea fills with (branch, key) for whatever is read.

    Raises
    ------
    FileFormatError
        For a file that is missing, empty, truncated, or not a hit file.
    MappingError
        If a file lacks branches of the mapping.
    """
    names: list[Any] = [paths] if isinstance(paths, (str, PathLike, HitFile)) else list(paths)
    if not names:
        msg = "There is no file to open: the list of paths is empty."
        raise FileFormatError(msg)
    tree = TREE if mapping is None else mapping.tree
    factories = []
    first = 0
    for name in names:
        file = name if isinstance(name, HitFile) else open_file(name, tree=tree)
        if file.entries == 0:
            msg = f"{file.path}: {tree!r} holds no events. Leave the file out, or make it again."
            raise FileFormatError(msg)
        if mapping is not None:
            mapping.check(file.branches, source=file.path)
        start = min(max((entry_start or 0) - first, 0), file.entries)
        stop = file.entries if entry_stop is None else min(entry_stop - first, file.entries)
        first += file.entries
        if start < stop or len(names) == 1:
            factories.append(_factory(file, tree, mapping, (start, max(start, stop)), access_log))
    if not factories:
        msg = f"The events {entry_start} to {entry_stop} lie outside the {first} of these files."
        raise FileFormatError(msg)
    return factories[0].events() if len(factories) == 1 else _chain(factories)


def open_entries(file: HitFile, start: int, stop: int, *, mapping: Mapping | None = None) -> Any:
    """Entries of an open file for `read_scalar` and `read_hits`, as fast as they can be read.

    Parameters and errors are those of `open_events`, which gives the same values; what comes back
    is no awkward array where it need not be one.
    """

    def nano() -> Any:
        return open_events(file, mapping=mapping, entry_start=start, entry_stop=stop)

    if mapping is not None or file.format != "ttree" or "://" in file.path:
        return nano()
    if not 0 <= start < stop <= file.entries:
        return nano()
    with reading(file.path, "the list of branches"):
        return DirectEvents(file, start, stop, nano)


def _factory(
    file: HitFile,
    tree: str,
    mapping: Mapping | None,
    entries: tuple[int, int],
    access_log: list[Any] | None,
) -> Any:
    # Loaded for what cannot be read straight from the baskets: a quarter of a second.
    from coffea.nanoevents import NanoEventsFactory

    from na64reco.events.nano import HitSchema

    with reading(file.path, f"the list of branches of {tree!r}"):
        return NanoEventsFactory.from_root(
            file.directory,
            treepath=tree,
            entry_start=entries[0],
            entry_stop=entries[1],
            mode="virtual",
            schemaclass=HitSchema.mapped(mapping),
            metadata={"filename": file.path},
            access_log=access_log,
        )


class _Chain(AbstractMapping[str, Any]):
    """Buffers of several files, joined when asked for."""

    def __init__(self, factories: Sequence[Any]) -> None:
        self._parts = [(factory._mapping, factory._partition_key) for factory in factories]  # noqa: SLF001

    def __getitem__(self, key: str) -> Any:
        return partial(self._join, key)

    def _join(self, key: str) -> NDArray[Any]:
        # A key is prefix/attribute/form key; the prefix is another one in each file.
        buffers = [np.asarray(mapping[f"{prefix}{key}"]()) for mapping, prefix in self._parts]
        if key.startswith("/offsets/"):
            ends = np.cumsum([0] + [int(b[-1]) for b in buffers[:-1]])
            shifted = [b[1:] + end for b, end in zip(buffers, ends, strict=True)]
            return np.concatenate([buffers[0][:1], *shifted])
        return np.concatenate(buffers)

    def __iter__(self) -> Iterator[str]:
        # Demanded by Mapping; awkward asks for the keys that it knows, and never for all.
        raise NotImplementedError

    def __len__(self) -> int:
        return sum(len(mapping) for mapping, _ in self._parts)


def _chain(factories: Sequence[Any]) -> Any:
    from coffea.nanoevents.factory import _key_formatter

    schema = factories[0]._schema  # noqa: SLF001 - coffea has no public name for it
    form = ak.forms.from_dict(schema.form)
    for factory in factories[1:]:
        other = ak.forms.from_dict(factory._schema.form)  # noqa: SLF001
        if not form.is_equal_to(other, form_key=True):
            msg = (
                f"{_file_of(factory)} has other branches than {_file_of(factories[0])}: "
                f"{_difference(form, other)}. Files that are read together must have the same."
            )
            raise FileFormatError(msg)
    container = _Chain(factories)
    return ak.from_buffers(
        form,
        len(container),
        container,
        buffer_key=partial(_key_formatter, ""),
        behavior=schema.behavior(),
        attrs={"@events_factory": factories[0]},
    )


def _file_of(factory: Any) -> str:
    return str(factory._schema.form["parameters"]["metadata"]["filename"])  # noqa: SLF001


def _difference(one: Any, other: Any) -> str:
    only = set(one.columns()) ^ set(other.columns())
    if only:
        return f"only one of them has {', '.join(sorted(only)[:5])}"
    return "the types differ"


def source_of(events: Any) -> str:
    """File that events were read from, for messages."""
    if isinstance(events, DirectEvents):
        return events.path
    metadata = events.layout.purelist_parameter("metadata") or {}
    return str(metadata.get("filename") or metadata.get("dataset") or "(events in memory)")


def has_collection(events: Any, collection: str) -> bool:
    """Whether the file has any field of a collection."""
    return collection in events.fields


def has_field(events: Any, collection: str, field: str) -> bool:
    """Whether the file has a field of a collection."""
    return has_collection(events, collection) and field in events[collection].fields


def has_scalar(events: Any, name: str) -> bool:
    """Whether the file has a scalar."""
    return name in events.fields


def read_scalar(events: Any, name: str) -> NDArray[Any]:
    """One value per event, shape (events,), in the schema's type.

    Raises
    ------
    FileFormatError
        If the file lacks the branch, or has it with another type.
    """
    source = source_of(events)
    column = _column(SCALARS, name, "scalar")
    if name not in events.fields:
        raise _missing(source, name, events.fields)
    if isinstance(events, DirectEvents):
        try:
            found = events.scalar(name)
        except NotPlain:
            events = events.nano
        else:
            return _checked(found, column, branch=name, source=source)
    with reading(source, f"branch {name!r}"):
        layout = ak.to_layout(events[name])
        if layout.purelist_depth != 1 or layout.is_record:
            raise _wrong_type(source, name, column, str(layout.form.type))
        values = ak.to_numpy(layout)
    return _checked(np.asarray(values), column, branch=name, source=source)


def read_hits(events: Any, collection: str, fields: Iterable[str]) -> Hits:
    """Fields of a collection as flat columns with offsets from 0, in the schema's types.

    Only the fields asked for are read. Columns are views of what was read where its type is
    the schema's: do not write into them.

    Raises
    ------
    FileFormatError
        If the file lacks a branch, or has it with another type.
    DataError
        If branches of the collection differ in their number of hits.
    """
    schema = COLLECTIONS.get(collection)
    if schema is None:
        msg = f"There is no collection {collection!r}. {did_you_mean(collection, COLLECTIONS)}"
        raise FileFormatError(msg)
    wanted = {field: _column(schema, field, f"field of {collection}") for field in fields}
    source = source_of(events)
    if collection not in events.fields:
        name = branch_name(collection, next(iter(wanted), ""))
        raise _missing(source, name, events.fields)
    hits = events[collection]
    for field in wanted:
        if field not in hits.fields:
            known = [branch_name(collection, f) for f in hits.fields] or events.fields
            raise _missing(source, branch_name(collection, field), known)
    if isinstance(events, DirectEvents):
        try:
            direct = events.hits(collection, wanted)
        except NotPlain:
            hits = events.nano[collection]
        else:
            return Hits(direct.offsets, _all_checked(direct.columns, collection, wanted, source))
    offsets: NDArray[np.int64] | None = None
    columns = {}
    with reading(source, f"collection {collection!r}"):
        layout = _as_lists(hits.layout)
        offsets = np.asarray(layout.offsets.data).astype(np.int64, copy=False)
    first, last = int(offsets[0]), int(offsets[-1])
    for field, column in wanted.items():
        branch = branch_name(collection, field)
        with reading(source, f"branch {branch!r}"):
            content = layout.content.content(field)
            if not (content.is_numpy or content.is_regular):
                raise _wrong_type(source, branch, column, f"per hit {content.form.type}")
            values = np.asarray(ak.to_numpy(content))
        if len(values) < last:
            msg = (
                f"{source}: branch {branch!r} holds {len(values)} hits, but {collection} has "
                f"{last} by its counter. The branches of a collection must have the same number "
                "of hits in each event; check how the file was written."
            )
            raise DataError(msg)
        columns[field] = _checked(values[first:last], column, branch=branch, source=source)
    return Hits(offsets - first if first else offsets, columns)


def read_batch(events: Any) -> EventBatch:
    """All that the format knows of these events, as `EventWriter` takes it: to copy or change them.

    Raises
    ------
    FileFormatError, DataError
        As `read_scalar` and `read_hits`.
    """
    return EventBatch(
        {name: read_scalar(events, name) for name in SCALARS if has_scalar(events, name)},
        {
            name: read_hits(events, name, [f for f in known if has_field(events, name, f)])
            for name, known in COLLECTIONS.items()
            if has_collection(events, name)
        },
    )


def _as_lists(layout: Any) -> Any:
    """A list-offset layout over a record; a copy only where events were selected before."""
    if layout.is_list and hasattr(layout, "offsets") and layout.content.is_record:
        return layout
    return ak.to_packed(ak.Array(layout), highlevel=False)


def _column(schema: AbstractMapping[str, Column], name: str, what: str) -> Column:
    if name not in schema:
        msg = f"There is no {what} {name!r} in the schema. {did_you_mean(name, schema)}"
        raise FileFormatError(msg)
    return schema[name]


def _checked(values: NDArray[Any], column: Column, *, branch: str, source: str) -> NDArray[Any]:
    fits = values.dtype.kind in {"f": "fiub", "u": "iub"}[column.dtype.kind]
    if not fits or values.shape[1:] != column.shape:
        shape = "".join(f"[{n}]" for n in values.shape[1:])
        raise _wrong_type(source, branch, column, f"{values.dtype.name}{shape}")
    return cast(values, column.dtype, branch=branch, source=source)


def _all_checked(
    columns: AbstractMapping[str, NDArray[Any]],
    collection: str,
    wanted: AbstractMapping[str, Column],
    source: str,
) -> dict[str, NDArray[Any]]:
    return {
        field: _checked(
            columns[field], column, branch=branch_name(collection, field), source=source
        )
        for field, column in wanted.items()
    }


def _missing(source: str, branch: str, known: Iterable[str]) -> FileFormatError:
    return FileFormatError(
        f"{source}: there is no branch {branch!r}, which is needed. {did_you_mean(branch, known)} "
        "A file with other names can be read with a mapping (--mapping)."
    )


def _wrong_type(source: str, branch: str, column: Column, found: str) -> FileFormatError:
    return FileFormatError(
        f"{source}: branch {branch!r} has the type {found}, but {column.type_name} is expected "
        f"({column.meaning}). Write it with that type, or map another branch (--mapping)."
    )
