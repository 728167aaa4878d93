"""Writing what was found: a block more in a conditions file of the starting folder."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from na64reco.calibration import (
    DRIFT_FILE,
    LAST_RUN,
    WAVEFORM_FILE,
    Block,
    file_formats,
    read_sdc,
    write_sdc,
)
from na64reco.errors import ConditionsError
from na64reco.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from na64reco.calibrate.task import Task
    from na64reco.calibration import SdcFile, SdcFormat
    from na64reco.calibration.sdc import Value

    Rows = Mapping[Any, Mapping[str, Any]]
    """By the values of the key columns; values as `Value`, numpy's numbers too."""

__all__ = ["write_constants", "write_summary"]

_DIGITS: Final = 6
_FACTORED: Final = ("scale", "scale_error")
_SHORT: Final = frozenset({"setup", "comment"})


def write_constants(
    task: Task,
    name: str,
    rows: Rows,
    *,
    runs: tuple[int, int],
    comment: str,
    metadata: Mapping[str, float] | None = None,
    header: str = "",
) -> tuple[Path, ...]:
    """Write ``out/name``: the blocks of the starting folder's file and a new one behind them.

    Parameters
    ----------
    name
        Such as "ecal.txt".
    rows
        By the values of the key columns, such as ("main", 2, 2) or ("ST3", "X", 0): values, their
        standard deviations (``scale_error``) and ``entries``. All rows have the same columns; rows
        and columns that are left out stay as they were. ``scale`` is in GeV per ADC count with all
        factors applied: what the file's ``factor.`` keys multiply is divided by them here.
    runs
        Validity.
    comment
        One line on where the constants are from, kept in the block.
    metadata
        Such as {"profile.sigma": 1.2}.
    header
        Comment lines at the top of the file; the setup's title by default.

    Returns
    -------
    tuple
        The file, and others of the starting folder that ``out`` lacked and that were copied.

    Raises
    ------
    OutputExistsError
        If the file is there and not to be overwritten.
    ConditionsError
        If rows differ in their columns, or values are not finite.
    """
    target = task.check_target(name)
    formats = file_formats(task.setup)
    if name not in formats:
        msg = f"Setup {task.setup.name} needs no {name}; its files are {', '.join(formats)}."
        raise ConditionsError(msg)
    fmt = formats[name]
    before = read_sdc(task.source / name, fmt)
    keys: dict[str, str | float] = {"setup": task.setup.name, "comment": " ".join(comment.split())}
    keys |= metadata or {}
    blocks = tuple(
        Block(valid, tuple(keys.items()), *_table(name, fmt, rows, factors))
        for valid, factors in _factors(before, (runs[0], min(runs[1], LAST_RUN)))
    )
    others = others_of(task, name)
    write_sdc(
        target,
        (*(b for b in before.blocks if not any(_replaced(b, new, fmt) for new in blocks)), *blocks),
        fmt,
        header=header or f"{task.setup.title}: {name.removesuffix('.txt')}.",
        overwrite=True,
    )
    return target, *copy_files(task, others)


def others_of(task: Task, name: str) -> dict[str, str]:
    """Texts of the starting folder's conditions files, but ``name``, that ``out`` lacks.

    To be read before anything is written: it says what is missing.

    Raises
    ------
    OSError
        If a file that the setup needs is not there.
    """
    optional = (WAVEFORM_FILE, DRIFT_FILE)
    return {
        other: (task.source / other).read_text(encoding="utf-8")
        for other in (*file_formats(task.setup), *optional)
        if other != name
        and not (task.out / other).exists()
        and (other not in optional or (task.source / other).exists())
    }


def copy_files(task: Task, texts: Mapping[str, str]) -> tuple[Path, ...]:
    """Write what `others_of` has read into ``out``."""
    for other, text in texts.items():
        (task.out / other).write_text(text, encoding="utf-8")
    return tuple(task.out / other for other in texts)


def write_summary(task: Task, name: str, summary: Mapping[str, Any]) -> Path:
    """Put what a calibration found into ``out/calibration.json``, beside that of others."""
    path = task.out / "calibration.json"
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    known[name] = {
        "na64reco": __version__,
        "setup": task.setup.name,
        "files": list(task.files),
        "start": str(task.source),
        **summary,
    }
    text = json.dumps(known, indent=2, allow_nan=False, sort_keys=True)
    path.write_text(f"{text}\n", encoding="utf-8")
    return path


def _table(
    name: str, fmt: SdcFormat, rows: Rows, factors: Mapping[str, float]
) -> tuple[tuple[str, ...], tuple[tuple[Value, ...], ...]]:
    """Columns and rows of a block."""
    if not rows:
        return (), ()
    columns = tuple(next(iter(rows.values())))
    table = []
    for key, values in rows.items():
        if set(values) != set(columns):
            msg = f"{name}: the row {key} has the columns {tuple(values)}, the first has {columns}."
            raise ConditionsError(msg)
        factor = 1.0
        for whole in fmt.factors[:1]:  # the detector, before its sections
            factor = factors.get(whole, 1.0) * factors.get(f"{whole}.{key[0]}", 1.0)
        cells = (_number(values[n], factor if n in _FACTORED else 1.0) for n in columns)
        table.append((*key, *cells))
    return (*(c.name for c in fmt.keys), *columns), tuple(table)


def _factors(
    before: SdcFile, runs: tuple[int, int]
) -> list[tuple[tuple[int, int], dict[str, float]]]:
    """Ranges of runs in which the file multiplies scales by the same factors, and these."""
    ranges: list[tuple[tuple[int, int], dict[str, float]]] = []
    first = runs[0]
    while first <= runs[1]:
        if not before.format.factors:
            return [(runs, {})]
        if before.nearest(first) == first:
            resolved = before.resolve(first)
            last, factors = resolved.runs[1], resolved.factors
        else:
            last, factors = before.gap(first)[1], {}
        last = min(last, runs[1])
        if ranges and ranges[-1][1] == factors:
            ranges[-1] = ((ranges[-1][0][0], last), factors)
        else:
            ranges.append(((first, last), factors))
        first = last + 1
    return ranges


def _number(value: Value | np.floating | np.integer, factor: float) -> Value:
    """With as many digits as anyone can use."""
    if isinstance(value, str | int | np.integer) and not isinstance(value, bool):
        return value if isinstance(value, str) else int(value)
    if isinstance(value, tuple):
        return tuple(v if isinstance(v, int) else _digits(v) for v in value)
    return _digits(float(value) / factor)


def _digits(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


def _replaced(old: Block, new: Block, fmt: SdcFormat) -> bool:
    """Whether nothing of a block can be valid any longer."""
    if not (new.runs[0] <= old.runs[0] and old.runs[1] <= new.runs[1]):
        return False
    if not {name for name, _ in old.metadata} <= _SHORT:
        return False
    if not set(old.columns) <= set(new.columns):
        return False
    keys = [c.name for c in fmt.keys]

    def rows(block: Block) -> set[tuple[Value, ...]]:
        places = [block.columns.index(k) for k in keys] if block.columns else []
        return {tuple(row[i] for i in places) for row in block.rows}

    return rows(old) <= rows(new)
