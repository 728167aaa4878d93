"""Events for other programs: Parquet, Arrow (Feather) and CSV.

What is written are the columns of selected.root, or of a hit file, under the names that they have
there; hits are lists. Units and meanings are metadata of the columns, selection, versions and
blinding of the file. Events go through memory piece by piece.
"""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import numpy as np

from na64reco.errors import OutputExistsError, SelectionError, did_you_mean
from na64reco.events import COLLECTIONS, SCALARS, file_metadata, open_events, open_file
from na64reco.events.read import has_field, has_scalar, read_hits, read_scalar
from na64reco.events.schema import branch_column, branch_name
from na64reco.processors.outputs import SELECTED
from na64reco.processors.selected_events import DATASET, describes_selected, open_selected
from na64reco.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from na64reco.events import HitFile
    from na64reco.processors.selected_events import SelectedFile

__all__ = ["METADATA_KEY", "Exported", "export_events", "export_format"]

Format: TypeAlias = Literal["parquet", "arrow", "csv"]

METADATA_KEY: Final = "na64reco"
"""Under which key the schema of an exported file holds its metadata, as JSON."""
_PANDAS_KEY: Final = "PANDAS_ATTRS"
"""Under which pandas looks for `DataFrame.attrs`."""
_FORMATS: Final[dict[str, Format]] = {
    ".parquet": "parquet", ".pq": "parquet", ".arrow": "arrow", ".feather": "arrow", ".csv": "csv",
}  # fmt: skip
_HITS: Final = 5_000
_WAVEFORMS: Final = 1_000
"""Events of a hit file read at a time, without and with waveforms."""
_RUN: Final = ("na64reco", "versions", "finished", "setup", "blinding")
"""What is copied from run.json."""


@dataclass(frozen=True)
class Exported:
    """A file that was written."""

    path: Path
    events: int
    columns: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    """Columns that the format cannot hold: lists in CSV."""


@dataclass(frozen=True)
class _Source:
    """What there is to write: a schema, and batches that fit it."""

    schema: Any
    events: int
    batches: Iterator[tuple[int, Any]]
    """Events read so far, and a `pyarrow.RecordBatch`."""


def export_format(path: Path | str) -> Format:
    """The format that a file's ending asks for.

    >>> export_format("selected.feather")
    'arrow'

    Raises
    ------
    ValueError
        For an ending that is unknown.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in _FORMATS:
        found = f"{suffix!r}" if suffix else "none"
        msg = f"{path}: the ending says the format: {', '.join(_FORMATS)}; found {found}"
        raise ValueError(msg)
    return _FORMATS[suffix]


def export_events(
    source: Path | str,
    path: Path | str,
    *,
    columns: Sequence[str] | None = None,
    dataset: str | None = None,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Exported:
    """Write selected events, or the hits of a hit file, as Parquet, Arrow or CSV.

    Numbers keep type and value. The column `dataset` holds names. CSV has flat columns only.

    Parameters
    ----------
    source
        Output folder of `na64reco run`, its selected.root, or a hit file.
    path
        The file, complete or not there at all; its ending is the format: .parquet, .arrow or
        .feather, .csv.
    columns
        Names, `ecal.energy` or `ecal_energy`; default: all.
    dataset
        Only its events.
    progress
        Called with the number of events that are done, and of all.

    Raises
    ------
    ValueError
        For an ending that is unknown.
    OutputExistsError
        If the file is there and is not to be overwritten.
    FileFormatError, DataError
        If the source is missing, damaged, or neither of these.
    SelectionError
        For a column or dataset that is not there.
    """
    source, path = Path(source), Path(path)
    kind = export_format(path)
    if path.exists() and not overwrite:
        msg = f"{path} is there already; choose another name or give --overwrite."
        raise OutputExistsError(msg)
    with _open(source, columns, dataset, flat=kind == "csv") as (opened, left_out):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        try:
            written = _write(kind, partial, opened, progress)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        return Exported(path, written, tuple(opened.schema.names), left_out)


@contextmanager
def _open(
    source: Path, columns: Sequence[str] | None, dataset: str | None, *, flat: bool
) -> Iterator[tuple[_Source, tuple[str, ...]]]:
    if source.is_dir():
        source /= SELECTED
    with open_file(source) as file:
        selected = describes_selected(file) is not None
        if not selected:
            if dataset is not None:
                msg = f"{source} is a hit file: it has no datasets. Leave --dataset out."
                raise SelectionError(msg)
            yield _hits(file, columns, flat=flat)
            return
    with open_selected(source) as found:
        yield _selected(found, columns, dataset), ()


def _write(
    kind: Format, path: Path, source: _Source, progress: Callable[[int, int], None] | None
) -> int:
    written = 0
    with _writer(kind, path, source.schema) as write:
        for done, batch in source.batches:
            if batch.num_rows:
                write(batch)
                written += batch.num_rows
            if progress is not None:
                progress(done, source.events)
    return written


@contextmanager
def _writer(kind: Format, path: Path, schema: Any) -> Iterator[Callable[[Any], None]]:
    """A function that takes record batches; closes the file at the end."""
    import pyarrow as pa

    if kind == "parquet":
        from pyarrow import parquet

        with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
            yield writer.write_batch
    elif kind == "arrow":
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        with pa.OSFile(str(path), "wb") as out, pa.ipc.new_file(out, schema, options=options) as w:
            yield w.write_batch
    else:
        from pyarrow import csv

        # CSV knows no dictionaries: names are written out.
        plain = pa.schema([(f.name, _plain(f.type)) for f in schema])
        style = csv.WriteOptions(quoting_style="needed")
        with csv.CSVWriter(path, plain, write_options=style) as writer:
            yield lambda batch: writer.write_batch(batch.cast(plain))


def _plain(kind: Any) -> Any:
    import pyarrow as pa

    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _field(name: str, kind: Any, unit: str, meaning: str) -> Any:
    import pyarrow as pa

    return pa.field(name, kind, nullable=False, metadata={"unit": unit, "description": meaning})


def _schema(fields: Sequence[Any], content: dict[str, Any]) -> Any:
    import pyarrow as pa

    described = {f.name: {k.decode(): v.decode() for k, v in f.metadata.items()} for f in fields}
    attrs = {
        "units": {name: d["unit"] for name, d in described.items()},
        "descriptions": {name: d["description"] for name, d in described.items()},
    }
    return pa.schema(
        fields, metadata={METADATA_KEY: json.dumps(content), _PANDAS_KEY: json.dumps(attrs)}
    )


def _selected(file: SelectedFile, columns: Sequence[str] | None, dataset: str | None) -> _Source:
    import pyarrow as pa

    names = file.names(columns)
    file.number(dataset)
    labels = pa.array(file.datasets, pa.string())
    types = {
        name: pa.from_numpy_dtype(np.asarray(file.file.tree[name].array(entry_stop=0)).dtype)
        for name in names
    }
    types |= {DATASET: pa.dictionary(pa.int32(), pa.string())} if DATASET in names else {}
    fields = [_field(n, types[n], *file.descriptions.get(n, ("", ""))) for n in names]
    schema = _schema(fields, _about_selected(file, dataset))

    def batches() -> Iterator[tuple[int, Any]]:
        for done, arrays in file.batches(names, dataset=dataset):
            parts = [
                pa.DictionaryArray.from_arrays(pa.array(a.astype(np.int32)), labels)
                if name == DATASET
                else pa.array(a)
                for name, a in arrays.items()
            ]
            yield done, pa.record_batch(parts, schema=schema)

    return _Source(schema, file.entries, batches())


def _about_selected(file: SelectedFile, dataset: str | None) -> dict[str, Any]:
    content: dict[str, Any] = {
        "written_by": f"na64reco {__version__}",
        "content": "selected events",
        "source": file.path.name,
        "datasets": list(file.datasets) if dataset is None else [dataset],
    }
    runs: set[int] = set()
    if "run" in file.file.branches:
        for _, arrays in file.batches(["run"], dataset=dataset):
            runs |= set(np.unique(arrays["run"]).tolist())
        content["runs"] = sorted(runs)
    record = file.record
    if record is not None:
        content |= {key: record[key] for key in _RUN if key in record}
        content["conditions"] = record.get("conditions", {}).get("used")
        selection = record.get("selection", {})
        content["selection"] = {k: selection[k] for k in ("name", "sha256") if k in selection}
        content["samples"] = {
            name: {k: found.get(k) for k in ("events", "simulated", "blinded", "selected")}
            for name, found in record.get("datasets", {}).items()
            if dataset in {None, name}
        }
    return content


def _hits(
    file: HitFile, columns: Sequence[str] | None, *, flat: bool
) -> tuple[_Source, tuple[str, ...]]:
    """Scalars and collections of the schema; what else is in the file is left out."""
    import pyarrow as pa

    empty = open_events(file, entry_stop=1)
    scalars = {n: (n, "") for n in SCALARS if has_scalar(empty, n)}
    lists = {
        branch_name(c, f): (c, f) for c, known in COLLECTIONS.items() for f in known
        if has_field(empty, c, f)
    }  # fmt: skip
    wanted = [*scalars, *lists] if columns is None else list(dict.fromkeys(columns))
    for name in wanted:
        if name not in scalars and name not in lists:
            msg = f"{file.path} has no column {name!r}. {did_you_mean(name, [*scalars, *lists])}"
            raise SelectionError(msg)
    left_out = tuple(n for n in wanted if n in lists) if flat else ()
    names = [n for n in wanted if n not in left_out]
    fields = []
    for name in names:
        column = branch_column(name)
        assert column is not None
        kind = pa.from_numpy_dtype(column.dtype)
        for size in column.shape:
            kind = pa.list_(kind, size)
        if name in lists:
            kind = pa.list_(pa.field("item", kind, nullable=False))
        fields.append(_field(name, kind, column.unit, column.meaning))
    content = {
        "written_by": f"na64reco {__version__}",
        "content": "hits",
        "source": Path(file.path).name,
        "metadata": file_metadata(file),
    }
    schema = _schema(fields, content)
    size = _WAVEFORMS if any(n.endswith("_samples") for n in names) else _HITS

    def batches() -> Iterator[tuple[int, Any]]:
        total = file.entries
        for start in range(0, total, size):
            stop = min(start + size, total)
            events = open_events(file, entry_start=start, entry_stop=stop)
            parts = [
                pa.array(read_scalar(events, n)) if n in scalars else _list(events, *lists[n], f)
                for n, f in zip(names, fields, strict=True)
            ]
            yield stop, pa.record_batch(parts, schema=schema)

    return _Source(schema, file.entries, batches()), left_out


def _list(events: Any, collection: str, name: str, field: Any) -> Any:
    """One field of all hits, as lists."""
    import pyarrow as pa

    hits = read_hits(events, collection, [name])
    values = np.ascontiguousarray(hits[name])
    content = pa.array(values.reshape(-1))
    if values.ndim > 1:
        content = pa.FixedSizeListArray.from_arrays(content, values.shape[1])
    return pa.ListArray.from_arrays(
        pa.array(hits.offsets.astype(np.int32)), content, type=field.type
    )
