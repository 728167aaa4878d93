"""Writing SDC text files: the same blocks give the same bytes, readable by people."""

from __future__ import annotations

import math
import os
import re
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from na64reco.calibration.sdc import ALL_RUNS, runs_text
from na64reco.errors import ConditionsError, OutputExistsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from na64reco.calibration.sdc import Block, Column, SdcFormat, Value

__all__ = ["format_sdc", "write_sdc"]

_TEXT = re.compile(r"[^\s#=]+")


def format_sdc(blocks: Sequence[Block], fmt: SdcFormat, *, header: str = "") -> str:
    """Text of an SDC file; floats in the shortest form that reads back as the same number.

    Parameters
    ----------
    header
        Becomes comment lines above a legend of the columns.

    Raises
    ------
    ConditionsError
        If the blocks hold what the format does not, or what would not read back.
    """
    used = {name for block in blocks for name in block.columns}
    lines = [f"# {line}".rstrip() for line in header.splitlines()]
    if used:
        lines += ["#", "# Columns:"] if lines else ["# Columns:"]
        width = max(map(len, used))
        lines += [f"#   {n:<{width}}  {c.meaning}" for n, c in fmt.columns.items() if n in used]
    for number, block in enumerate(blocks):
        if lines:
            lines.append("")
        # A first block for all runs needs no `runs=`; after another one it must say so.
        if block.runs != ALL_RUNS or number:
            lines.append(f"runs={runs_text(block.runs)}")
        lines += [_metadata(name, value) for name, value in block.metadata]
        if block.columns:
            lines += _table(block, fmt)
    return "\n".join(lines) + "\n"


def write_sdc(
    path: Path | str,
    blocks: Sequence[Block],
    fmt: SdcFormat,
    *,
    header: str = "",
    overwrite: bool = False,
) -> None:
    """Write an SDC file, whole or not at all.

    Raises
    ------
    OutputExistsError
        If the file exists and is not to be overwritten.
    ConditionsError
        As `format_sdc`.
    """
    target = Path(path)
    text = format_sdc(blocks, fmt, header=header)
    if target.exists() and not overwrite:
        msg = f"{target} exists already. Choose another name, or pass overwrite=True."
        raise OutputExistsError(msg)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
        Path(temporary).chmod(0o644)  # mkstemp's own mode hides it from others
        Path(temporary).replace(target)
    except BaseException:
        with suppress(FileNotFoundError):
            Path(temporary).unlink()
        raise


def _metadata(name: str, value: str | float) -> str:
    text = _float(value, name) if isinstance(value, int | float) else value
    if "#" in text or "\n" in text or not text.strip():
        msg = f"{name!r}: {text!r} would not read back: it is empty or has a # or a line end."
        raise ConditionsError(msg)
    return f"{name}={text.strip()}"


def _table(block: Block, fmt: SdcFormat) -> list[str]:
    columns = fmt.columns
    unknown = [n for n in block.columns if n not in columns]
    if unknown:
        msg = f"There is no column {unknown[0]!r} in such a file; it has {', '.join(columns)}."
        raise ConditionsError(msg)
    cells = []
    for row in block.rows:
        if len(row) != len(block.columns):
            msg = f"The row {row} has {len(row)} cells, expected one for each of {block.columns}."
            raise ConditionsError(msg)
        pairs = zip(row, block.columns, strict=True)
        cells.append([_cell(value, columns[name]) for value, name in pairs])
    widths = [max((len(row[i]) for row in cells), default=0) for i in range(len(block.columns))]
    words = [columns[name].kind == "text" for name in block.columns]
    lines = [f"columns={','.join(block.columns)}"]
    for texts in cells:
        padded = [
            text.ljust(width) if word else text.rjust(width)
            for text, width, word in zip(texts, widths, words, strict=True)
        ]
        lines.append("  ".join(padded).rstrip())
    return lines


def _cell(value: Value, column: Column) -> str:
    if column.kind == "text":
        if not isinstance(value, str) or _TEXT.fullmatch(value) is None:
            msg = f"Column {column.name!r}: {value!r} is not one word without # and =."
            raise ConditionsError(msg)
        return value
    if isinstance(value, tuple):
        if column.kind not in {"ints", "floats"}:
            msg = f"Column {column.name!r}: {value!r} is a list, expected one number."
            raise ConditionsError(msg)
        parts = [
            _int(v, column) if column.kind == "ints" else _float(v, column.name) for v in value
        ]
        return ",".join(parts) or "-"
    if isinstance(value, str) or column.kind in {"ints", "floats"}:
        what = "a list of numbers" if column.kind in {"ints", "floats"} else "a number"
        msg = f"Column {column.name!r}: {value!r} is not {what}."
        raise ConditionsError(msg)
    return _int(value, column) if column.kind == "int" else _float(value, column.name)


def _int(value: float, column: Column) -> str:
    if int(value) != value:
        msg = f"Column {column.name!r}: {value!r} is not a whole number."
        raise ConditionsError(msg)
    return str(int(value))


def _float(value: float, name: str) -> str:
    number = float(value)
    if not math.isfinite(number):
        msg = f"{name!r}: {number} is not a finite number and would not read back."
        raise ConditionsError(msg)
    return repr(number).removesuffix(".0")
