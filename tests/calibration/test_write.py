from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from na64reco.calibration import (
    ALL_RUNS,
    LAST_RUN,
    Block,
    Column,
    SdcFormat,
    format_sdc,
    read_sdc,
    write_sdc,
)
from na64reco.errors import ConditionsError, OutputExistsError

if TYPE_CHECKING:
    from pathlib import Path

FORMAT = SdcFormat(
    keys=(Column("station", "text", "name in the setup"),),
    values=(
        Column("time", "float", "ns"),
        Column("strip", "int", "number"),
        Column("dead", "ints", "strips to ignore"),
        Column("rt", "floats", "coefficients"),
    ),
    numbers=("profile",),
    factors=("MM",),
)
BLOCKS = (
    Block(metadata=(("setup", "2022-electron"), ("profile.a", 0.1))),
    Block(
        runs=(6035, LAST_RUN),
        metadata=(("factor.MM", 1.01), ("factor.MM", 0.99)),
        columns=("station", "time", "strip", "dead", "rt"),
        rows=(("MM1", -0.25, 3, (), (0.0, 2.5)), ("MM10", 1e-12, 120, (4, 5), (1 / 3,))),
    ),
    Block(runs=(6100, 6100), columns=("station", "time"), rows=(("MM1", 3.0),)),
)
TEXT = """\
# Written by hand.
#
# Columns:
#   station  name in the setup
#   time     ns
#   strip    number
#   dead     strips to ignore
#   rt       coefficients

setup=2022-electron
profile.a=0.1

runs=6035-
factor.MM=1.01
factor.MM=0.99
columns=station,time,strip,dead,rt
MM1   -0.25    3    -               0,2.5
MM10  1e-12  120  4,5  0.3333333333333333

runs=6100
columns=station,time
MM1  3
"""


def test_text_by_hand() -> None:
    assert format_sdc(BLOCKS, FORMAT, header="Written by hand.") == TEXT


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "new" / "mm.txt"
    write_sdc(path, BLOCKS, FORMAT, header="x")
    assert read_sdc(path, FORMAT).blocks == BLOCKS
    assert [p.name for p in path.parent.iterdir()] == ["mm.txt"]


numbers = st.floats(allow_nan=False, allow_infinity=False)
rows = st.tuples(
    st.from_regex(r"[A-Za-z]\w{0,6}", fullmatch=True),
    numbers,
    st.integers(-(10**9), 10**9),
    st.lists(st.integers(0, 999), max_size=3).map(tuple),
    st.lists(numbers, max_size=3).map(tuple),
)
blocks = st.builds(
    lambda runs, factors, table: Block(
        runs=(min(runs), max(runs)),
        metadata=tuple(("factor.MM", f) for f in factors),
        columns=("station", "time", "strip", "dead", "rt"),
        rows=tuple(table),
    ),
    st.one_of(st.just(ALL_RUNS), st.tuples(st.integers(0, LAST_RUN), st.integers(0, LAST_RUN))),
    st.lists(st.floats(1e-300, 1e300), max_size=2),
    st.lists(rows, min_size=1, max_size=4, unique_by=lambda row: row[0]),
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(blocks, min_size=1, max_size=3).map(tuple))
def test_any_blocks_round_trip(tmp_path: Path, written: tuple[Block, ...]) -> None:
    path = tmp_path / "mm.txt"
    path.unlink(missing_ok=True)
    write_sdc(path, written, FORMAT)
    assert read_sdc(path, FORMAT).blocks == written


def test_nothing_is_overwritten_unasked(tmp_path: Path) -> None:
    path = tmp_path / "mm.txt"
    path.write_text("mine", encoding="utf-8")
    with pytest.raises(OutputExistsError, match=r"mm\.txt exists already.*overwrite=True"):
        write_sdc(path, BLOCKS, FORMAT)
    assert path.read_text(encoding="utf-8") == "mine"
    write_sdc(path, BLOCKS, FORMAT, overwrite=True)
    assert read_sdc(path, FORMAT).blocks == BLOCKS


@pytest.mark.parametrize(
    ("block", "message"),
    [
        (Block(columns=("station", "tim"), rows=()), "There is no column 'tim' in such a file"),
        (
            Block(columns=("station", "time"), rows=(("MM1",),)),
            "has 1 cells, expected one for each",
        ),
        (Block(columns=("station",), rows=(("MM 1",),)), "'MM 1' is not one word without # and ="),
        (Block(columns=("time",), rows=((float("nan"),),)), "'time': nan is not a finite number"),
        (Block(columns=("time",), rows=(("one",),)), "'time': 'one' is not a number"),
        (Block(columns=("time",), rows=(((1, 2),),)), r"\(1, 2\) is a list, expected one number"),
        (Block(columns=("strip",), rows=((0.5,),)), "'strip': 0.5 is not a whole number"),
        (Block(columns=("dead",), rows=((3,),)), "'dead': 3 is not a list of numbers"),
        (Block(metadata=(("setup", "a # b"),)), "'setup': 'a # b' would not read back"),
        (Block(metadata=(("factor.MM", float("inf")),)), "'factor.MM': inf is not a finite number"),
    ],
)
def test_what_is_refused(tmp_path: Path, block: Block, message: str) -> None:
    with pytest.raises(ConditionsError, match=message):
        write_sdc(tmp_path / "mm.txt", (block,), FORMAT)
    assert list(tmp_path.iterdir()) == []
