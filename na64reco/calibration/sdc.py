"""SDC text files: calibration constants with run validity, the form NA64 already uses.

::

    # a comment
    setup=2022-electron            metadata; a key each file format knows
    runs=6035-6999                 what follows is valid for these runs (6035, 6035-6999, 6035-)
    factor.ECAL=1.01               multiplies; all factors valid for a run multiply
    columns=section,ix,iy,scale    what the cells of the following rows are
    prs  0 0  0.5*1.02             a row; numbers may be arithmetic

Before the first ``runs=`` everything is valid for all runs. A later block changes the columns it
has in the rows it names, for the runs it is valid for, and nothing else; rows are recognised by
the format's key columns. A run counts as covered if a block with all columns is valid for it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from na64reco.errors import ConditionsError, did_you_mean

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "ALL_RUNS",
    "LAST_RUN",
    "Block",
    "Column",
    "Resolved",
    "SdcFile",
    "SdcFormat",
    "Value",
    "key_text",
    "runs_text",
]

LAST_RUN: Final = 2**32 - 1
"""Where an open validity ends: the largest run number a hit file can hold."""
ALL_RUNS: Final = (0, LAST_RUN)

Value = int | float | str | tuple[int, ...] | tuple[float, ...]


@dataclass(frozen=True)
class Column:
    """One column of a table."""

    name: str
    kind: Literal["float", "int", "text", "ints", "floats"]
    """`ints` and `floats` are comma-separated lists, ``-`` if empty."""
    meaning: str
    """With its unit; goes into the header of written files."""
    default: Value | None = None
    """None: a row must have it."""
    limit: Literal["", "positive", "not negative"] = ""
    """What its numbers must be."""


@dataclass(frozen=True)
class SdcFormat:
    """Which keys and columns a kind of file may have."""

    keys: tuple[Column, ...]
    """Columns that together name a row."""
    values: tuple[Column, ...]
    plain: tuple[str, ...] = ("setup", "comment")
    """Metadata keys with free text."""
    numbers: tuple[str, ...] = ()
    """Prefixes of metadata keys with a number, such as ``profile``; the last one given is valid."""
    factors: tuple[str, ...] = ()
    """What may stand after ``factor.``"""

    @property
    def columns(self) -> dict[str, Column]:
        """All columns by name."""
        return {c.name: c for c in (*self.keys, *self.values)}

    @property
    def required(self) -> frozenset[str]:
        """Columns of a block that covers its runs."""
        return frozenset(n for n, c in self.columns.items() if c.default is None)


@dataclass(frozen=True)
class Block:
    """Metadata and rows with one validity."""

    runs: tuple[int, int] = ALL_RUNS
    """First and last run."""
    metadata: tuple[tuple[str, str | float], ...] = ()
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[Value, ...], ...] = ()
    line: int = field(default=0, compare=False)
    """Where it begins."""
    row_lines: tuple[int, ...] = field(default=(), compare=False, repr=False)

    def covers(self, run: int) -> bool:
        """Whether it is valid for a run."""
        return self.runs[0] <= run <= self.runs[1]


@dataclass(frozen=True)
class Resolved:
    """What a file says about one run."""

    runs: tuple[int, int]
    """For which it says the same."""
    rows: dict[tuple[Value, ...], dict[str, Value]]
    """Key columns -> all value columns."""
    lines: dict[tuple[Value, ...], int]
    """The line that a row was last changed in."""
    metadata: dict[str, str | float]
    factors: dict[str, float]
    """Product by what stands after ``factor.``; 1 where there is none."""


@dataclass(frozen=True)
class SdcFile:
    """A file's blocks, in order."""

    path: Path
    format: SdcFormat
    blocks: tuple[Block, ...]
    text: str = field(repr=False, compare=False)

    @property
    def coverage(self) -> tuple[tuple[int, int], ...]:
        """Disjoint run ranges that blocks with all columns cover, ascending."""
        merged: list[tuple[int, int]] = []
        whole = [b.runs for b in self.blocks if self.format.required <= set(b.columns)]
        for first, last in sorted(whole):
            if merged and first <= merged[-1][1] + 1:
                merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
            else:
                merged.append((first, last))
        return tuple(merged)

    def nearest(self, run: int) -> int | None:
        """The covered run nearest to this one (the earlier of two); None if none is covered."""
        ends = [min(max(run, first), last) for first, last in self.coverage]
        return min(ends, key=lambda end: (abs(end - run), end), default=None)

    def gap(self, run: int) -> tuple[int, int]:
        """Around an uncovered run: the first and last run that are uncovered with it."""
        before = [last for _, last in self.coverage if last < run]
        after = [first for first, _ in self.coverage if first > run]
        return max(before, default=-1) + 1, min(after, default=LAST_RUN + 1) - 1

    def describe_gap(self, run: int) -> str:
        """Sentence for an error message on an uncovered run."""
        before = [r for r in self.coverage if r[1] < run]
        after = [r for r in self.coverage if r[0] > run]
        near = [f"the nearest before is {runs_text(before[-1])}"] if before else []
        near += [f"the nearest after is {runs_text(after[0])}"] if after else []
        found = ", ".join(near) or "it has no block with all columns"
        return f"{self.path} has no conditions for run {run}: {found}."

    def resolve(self, run: int) -> Resolved:
        """What the file says about a run.

        Raises
        ------
        ConditionsError
            If no block covers the run, or a row lacks columns.
        """
        if self.nearest(run) != run:
            msg = (
                f"{self.describe_gap(run)} Extend a `runs=` or add a block for the run, or ask "
                "for the nearest valid conditions (--nearest-conditions)."
            )
            raise ConditionsError(msg)
        return self._collect(run)

    def resolve_all(self) -> Resolved:
        """Everything the file says, for tables whose rows name their runs themselves."""
        return self._collect(None)

    def _collect(self, run: int | None) -> Resolved:
        rows: dict[tuple[Value, ...], dict[str, Value]] = {}
        lines: dict[tuple[Value, ...], int] = {}
        metadata: dict[str, str | float] = {}
        factors = dict.fromkeys(self.format.factors, 1.0)
        first, last = ALL_RUNS
        width = len(self.format.keys)
        names = [c.name for c in self.format.keys]
        for block in self.blocks:
            if run is not None and not block.covers(run):
                if block.runs[1] < run:
                    first = max(first, block.runs[1] + 1)
                else:
                    last = min(last, block.runs[0] - 1)
                continue
            first, last = max(first, block.runs[0]), min(last, block.runs[1])
            for name, value in block.metadata:
                if name.startswith("factor."):
                    factors[name.removeprefix("factor.")] *= float(value)
                else:
                    metadata[name] = value
            order = [block.columns.index(n) for n in names] if block.columns else []
            others = [(i, n) for i, n in enumerate(block.columns) if n not in names]
            for row, line in zip(block.rows, block.row_lines, strict=True):
                key = tuple(row[i] for i in order)
                rows.setdefault(key, {}).update({n: row[i] for i, n in others})
                lines[key] = line
        defaults = {c.name: c.default for c in self.format.values if c.default is not None}
        needed = [c.name for c in self.format.values if c.default is None]
        for key, row_values in rows.items():
            missing = [n for n in needed if n not in row_values]
            if missing:
                what = ", ".join(f"{n}={v}" for n, v in zip(names[:width], key, strict=True))
                at = "" if run is None else f" for run {run}"
                others_known = [key_text(k) for k, v in rows.items() if needed[0] in v]
                msg = (
                    f"{self.path}, line {lines[key]}: changes the row {what}, which no earlier "
                    f"block defines{at} (nothing gives its {', '.join(missing)}). "
                    f"{did_you_mean(key_text(key), others_known)} Correct the key, or give "
                    "all columns."
                )
                raise ConditionsError(msg)
            for name, default in defaults.items():
                row_values.setdefault(name, default)
        return Resolved((first, last), rows, lines, metadata, factors)


def key_text(key: tuple[Value, ...]) -> str:
    """Key columns as they stand in a row."""
    return " ".join(map(str, key))


def runs_text(runs: tuple[int, int]) -> str:
    """Run range as it stands behind ``runs=``."""
    first, last = runs
    return f"{first}-" if last == LAST_RUN else f"{first}-{last}" if last > first else f"{first}"
