"""Reading SDC text files (their form: `na64reco.calibration.sdc`)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NoReturn

from na64reco.calibration.arithmetic import evaluate
from na64reco.calibration.sdc import (
    ALL_RUNS,
    LAST_RUN,
    Block,
    Column,
    SdcFile,
    SdcFormat,
    Value,
    key_text,
)
from na64reco.errors import ConditionsError, did_you_mean

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["read_sdc"]

_NAME: Final = re.compile(r"[A-Za-z_]\w*(\.\w+)*")
_RUNS: Final = re.compile(r"(\d+)\s*(-)?\s*(\d+)?")


def read_sdc(path: Path, fmt: SdcFormat) -> SdcFile:
    """Read a file; the same text is not parsed twice.

    Raises
    ------
    ConditionsError
        If there is no such file or it is malformed; the message names file, line and mend.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        if path.parent.is_dir():
            hint = did_you_mean(path.name, [p.name for p in path.parent.glob("*.txt")])
        else:
            hint = "The folder does not exist."
        msg = f"There is no conditions file {path}. {hint}"
        raise ConditionsError(msg) from None
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path} cannot be read as text: {error}. Conditions are UTF-8 text files."
        raise ConditionsError(msg) from None
    return _parse(path, fmt, text)


# Keyed by the text itself: times of change are too coarse to tell two quick writes apart.
@lru_cache(maxsize=256)
def _parse(path: Path, fmt: SdcFormat, text: str) -> SdcFile:
    return SdcFile(path, fmt, tuple(_Parser(path, fmt).parse(text)), text)


class _Parser:
    """Holds where in the file it is."""

    def __init__(self, path: Path, fmt: SdcFormat) -> None:
        self.path = path
        self.format = fmt
        self.columns_known = fmt.columns
        self.line = 0
        self.runs = ALL_RUNS
        self.runs_line = 0
        self.columns: tuple[Column, ...] = ()
        self.metadata: list[tuple[str, str | float]] = []
        self.metadata_lines: dict[str, int] = {}
        self.rows: list[tuple[Value, ...]] = []
        self.row_lines: list[int] = []
        self.seen: dict[tuple[Value, ...], int] = {}
        self.key_at: list[int] = []
        self.start = 1

    def parse(self, text: str) -> list[Block]:
        blocks: list[Block] = []
        for number, raw in enumerate(text.splitlines(), start=1):
            self.line = number
            content = raw.split("#", 1)[0].strip()
            if not content:
                continue
            if "=" not in content:
                self._row(content)
                continue
            key, value = (part.strip() for part in content.split("=", 1))
            if key == "runs":
                self._close(blocks)
                self.runs = self._validity(value)
                self.metadata_lines = {}
            elif key == "columns":
                if self.rows:
                    self._close(blocks)
                self._columns(value)
            else:
                self._metadata(key, value)
        self._close(blocks)
        return blocks

    def _fail(self, what: str) -> NoReturn:
        msg = f"{self.path}, line {self.line}: {what}"
        raise ConditionsError(msg)

    def _close(self, blocks: list[Block]) -> None:
        if self.rows or self.metadata:
            columns = tuple(c.name for c in self.columns) if self.rows else ()
            blocks.append(
                Block(
                    runs=self.runs,
                    metadata=tuple(self.metadata),
                    columns=columns,
                    rows=tuple(self.rows),
                    line=self.start,
                    row_lines=tuple(self.row_lines),
                )
            )
        self.metadata, self.rows, self.row_lines, self.seen = [], [], [], {}
        self.start = self.line

    def _validity(self, value: str) -> tuple[int, int]:
        found = _RUNS.fullmatch(value)
        if found is None:
            self._fail(
                f"`runs={value}` is not a range of runs. Write `runs=6100`, `runs=6100-6200` or "
                "`runs=6100-` (open end)."
            )
        first = int(found[1])
        last = int(found[3]) if found[3] else (LAST_RUN if found[2] else first)
        if first > last:
            self._fail(
                f"`runs={value}` begins after it ends. Write the first run first: "
                f"`runs={last}-{first}`."
            )
        if last > LAST_RUN:
            self._fail(f"`runs={value}` exceeds the largest run number, {LAST_RUN}.")
        return first, last

    def _columns(self, value: str) -> None:
        names = [n.strip() for n in value.split(",")]
        for name in names:
            if name not in self.columns_known:
                self._fail(
                    f"there is no column {name!r} in such a file. "
                    f"{did_you_mean(name, self.columns_known)}"
                )
            if names.count(name) > 1:
                self._fail(f"the column {name!r} is given twice. Remove one.")
        lacking = [c.name for c in self.format.keys if c.name not in names]
        if lacking:
            self._fail(
                f"`columns={value}` lacks {', '.join(map(repr, lacking))}, without which a row "
                "has no name. Add it."
            )
        if len(names) == len(self.format.keys) and self.format.values:
            self._fail(
                f"`columns={value}` names rows but gives nothing for them. Add at least one of "
                f"{', '.join(repr(c.name) for c in self.format.values)}."
            )
        self.columns = tuple(self.columns_known[n] for n in names)
        self.key_at = [names.index(c.name) for c in self.format.keys]

    def _metadata(self, key: str, text: str) -> None:
        if _NAME.fullmatch(key) is None:
            self._fail(f"{key!r} is not a key; a row holds no `=`, a key no spaces.")
        prefix, _, rest = key.partition(".")
        number = False
        if prefix == "factor" and rest and self.format.factors:
            if rest not in self.format.factors:
                self._fail(
                    f"`{key}`: there is no {rest!r} in such a file. "
                    f"{did_you_mean(rest, self.format.factors)}"
                )
            number = True
        elif prefix in self.format.numbers and rest:
            number = True
        elif key not in self.format.plain:
            self._fail(f"there is no key {key!r} in such a file. {self._known(key)}")
        if prefix != "factor":
            if key in self.metadata_lines:
                self._fail(
                    f"{key!r} is given twice for the same runs, first in line "
                    f"{self.metadata_lines[key]}. Remove one."
                )
            self.metadata_lines[key] = self.line
        if number:
            value = self._number(text, f"`{key}`")
            if prefix == "factor" and value <= 0:
                self._fail(f"`{key}` is {value:g}, expected positive: it multiplies scales.")
            self.metadata.append((key, value))
        else:
            self.metadata.append((key, text))

    def _known(self, key: str) -> str:
        known = ["runs", "columns", *self.format.plain]
        known += [f"factor.{f}" for f in self.format.factors]
        known += [f"{p}.NAME" for p in self.format.numbers]
        return did_you_mean(key, known)

    def _row(self, content: str) -> None:
        if not self.columns:
            self._fail(
                f"{content[:40]!r} stands before any `columns=`. Say first what its cells are, or "
                "write `key=value`."
            )
        cells = content.split()
        if len(cells) != len(self.columns):
            names = ",".join(c.name for c in self.columns)
            self._fail(
                f"the row has {len(cells)} cells, expected {len(self.columns)} ({names}). Give "
                "each column one cell; arithmetic in a cell has no spaces."
            )
        row = tuple(self._cell(c, text) for c, text in zip(self.columns, cells, strict=True))
        key = tuple(row[i] for i in self.key_at)
        if key in self.seen:
            self._fail(
                f"the row {key_text(key)} is in this block already, in line {self.seen[key]}. "
                "Remove one, or begin another block for a later change."
            )
        self.seen[key] = self.line
        self.rows.append(row)
        self.row_lines.append(self.line)

    def _cell(self, column: Column, text: str) -> Value:
        where = f"column {column.name!r}"
        if column.kind == "text":
            return text
        if column.kind in {"float", "int"}:
            number = self._whole if column.kind == "int" else self._number
            value = number(text, where)
            self._check(column, value, where)
            return value
        parts = () if text == "-" else tuple(text.split(","))
        if column.kind == "ints":
            return tuple(self._whole(t, where) for t in parts)
        return tuple(self._number(t, where) for t in parts)

    def _check(self, column: Column, value: float, where: str) -> None:
        if value > 0 or not column.limit or (value == 0 and column.limit == "not negative"):
            return
        self._fail(f"{where} is {value:g}, expected {column.limit}: {column.meaning}.")

    def _number(self, text: str, where: str) -> float:
        try:
            return evaluate(text)
        except ValueError as error:
            self._fail(f"{where}: {error}. Write a number or arithmetic like `0.5*1.02`.")

    def _whole(self, text: str, where: str) -> int:
        if text.isdecimal():
            return int(text)
        value = self._number(text, where)
        if not value.is_integer():
            self._fail(f"{where}: {text!r} is not a whole number.")
        return int(value)
