"""The text form: what is read, what is refused and in which words."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from na64reco.calibration import LAST_RUN, Column, SdcFormat, read_sdc
from na64reco.errors import ConditionsError

if TYPE_CHECKING:
    from pathlib import Path

FORMAT = SdcFormat(
    keys=(Column("section", "text", "which"), Column("ix", "int", "cell", limit="not negative")),
    values=(
        Column("scale", "float", "GeV per count", limit="positive"),
        Column("time", "float", "ns"),
        Column("dead", "ints", "strips", default=()),
        Column("rt", "floats", "coefficients", default=()),
    ),
    numbers=("profile",),
    factors=("ECAL", "ECAL.prs"),
)


def read(tmp_path: Path, text: str):
    path = tmp_path / "ecal.txt"
    path.write_text(text, encoding="utf-8")
    return read_sdc(path, FORMAT)


def test_blocks_of_a_file(tmp_path: Path) -> None:
    file = read(
        tmp_path,
        """
# a file written by hand
setup=2022-electron   # trailing comment
profile.width = 2.5*2
runs=6035-6100
factor.ECAL=1.01
columns=section,ix,scale,time,dead,rt
prs   0   0.5*1.02   -1.5   3,1    0,2.5,5/2
main  2   80/2.5     0      -      -
runs=6101-
columns=section,ix,time
prs   0   4e-1
""",
    )
    first, second, third = file.blocks
    assert first.metadata == (("setup", "2022-electron"), ("profile.width", 5.0))
    assert first.runs == (0, LAST_RUN)
    assert second.runs == (6035, 6100)
    assert second.rows == (
        ("prs", 0, pytest.approx(0.51), -1.5, (3, 1), (0.0, 2.5, 2.5)),
        ("main", 2, 32.0, 0.0, (), ()),
    )
    assert (third.runs, third.columns) == ((6101, LAST_RUN), ("section", "ix", "time"))
    assert third.rows == (("prs", 0, 0.4),)
    assert second.row_lines == (8, 9)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("6100", (6100, 6100)), ("6100-6200", (6100, 6200)), ("6100-", (6100, LAST_RUN))],
)
def test_forms_of_validity(tmp_path: Path, text: str, expected: tuple[int, int]) -> None:
    file = read(tmp_path, f"runs={text}\ncolumns=section,ix,scale,time\nprs 0 1 0\n")
    assert file.blocks[0].runs == expected


def test_columns_stay_when_only_the_runs_change(tmp_path: Path) -> None:
    file = read(
        tmp_path, "columns=section,ix,scale,time\nruns=1-5\nprs 0 1 0\nruns=6-9\nprs 0 2 0\n"
    )
    assert [(b.runs, b.rows[0][2]) for b in file.blocks] == [((1, 5), 1.0), ((6, 9), 2.0)]


COLUMNS = "columns=section,ix,scale,time\n"


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("runz=1-5", 1, "there is no key 'runz' in such a file. Did you mean 'runs'?"),
        (
            "factr.ECAL=1",
            1,
            "there is no key 'factr.ECAL' in such a file. Did you mean 'factor.ECAL'",
        ),
        ("factor.ECAK=1", 1, "there is no 'ECAK' in such a file. Did you mean 'ECAL'"),
        ("a b=1", 1, "'a b' is not a key; a row holds no `=`, a key no spaces."),
        ("setup=a\nsetup=b", 2, "'setup' is given twice for the same runs, first in line 1."),
        ("profile.a=1\nprofile.a=2", 2, "'profile.a' is given twice for the same runs"),
        ("profile.a=x", 1, "`profile.a`: 'x' is not a number ('x' has no meaning there)."),
        ("factor.ECAL=(1+1", 1, "`factor.ECAL`: '(1+1' has 1 '(' not closed."),
        ("factor.ECAL=", 1, "`factor.ECAL`: '' is not a number."),
        ("factor.ECAL=1-1", 1, "`factor.ECAL` is 0, expected positive: it multiplies scales."),
        ("runs=six", 1, "`runs=six` is not a range of runs. Write `runs=6100`, `runs=6100-6200`"),
        ("runs=-6", 1, "`runs=-6` is not a range of runs."),
        ("runs=9-5", 1, "`runs=9-5` begins after it ends. Write the first run first: `runs=5-9`."),
        ("runs=1-99999999999", 1, "exceeds the largest run number, 4294967295"),
        (
            "columns=section,ix,scal",
            1,
            "there is no column 'scal' in such a file. Did you mean 'scale'?",
        ),
        ("columns=section,ix,time,time", 1, "the column 'time' is given twice. Remove one."),
        ("columns=section,scale,time", 1, "lacks 'ix', without which a row has no name. Add it."),
        (
            "columns=section,ix",
            1,
            "names rows but gives nothing for them. Add at least one of 'scale'",
        ),
        ("prs 0 1 0", 1, "'prs 0 1 0' stands before any `columns=`. Say first what its cells are"),
        (COLUMNS + "prs 0 1", 2, "the row has 3 cells, expected 4 (section,ix,scale,time)."),
        (COLUMNS + "prs 0 1 0 5", 2, "the row has 5 cells, expected 4"),
        (COLUMNS + "prs 0 1 * 2 0", 2, "arithmetic in a cell has no spaces"),
        (
            COLUMNS + "prs 0 one 0",
            2,
            "column 'scale': 'one' is not a number ('o' has no meaning there).",
        ),
        (COLUMNS + "prs 0 1/0 0", 2, "column 'scale': '1/0' divides by zero."),
        (COLUMNS + "prs 0 (1 0", 2, "column 'scale': '(1' has 1 '(' not closed."),
        (COLUMNS + "prs 0 nan 0", 2, "column 'scale': 'nan' is not a finite number."),
        (COLUMNS + "prs 0.5 1 0", 2, "column 'ix': '0.5' is not a whole number."),
        (COLUMNS + "prs -1 1 0", 2, "column 'ix' is -1, expected not negative: cell."),
        (COLUMNS + "prs 0 -1 0", 2, "column 'scale' is -1, expected positive: GeV per count."),
        (COLUMNS + "prs 0 0 0", 2, "column 'scale' is 0, expected positive: GeV per count."),
        (
            COLUMNS + "prs 0 1 0\n\nprs 0 2 0",
            4,
            "the row prs 0 is in this block already, in line 2.",
        ),
        ("columns=section,ix,dead\nprs 0 1,x", 2, "column 'dead': 'x' is not a number"),
        ("columns=section,ix,rt\nprs 0 1,,2", 2, "column 'rt': '' is not a number"),
    ],
)
def test_what_is_refused(tmp_path: Path, text: str, line: int, message: str) -> None:
    with pytest.raises(ConditionsError) as caught:
        read(tmp_path, text)
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path / 'ecal.txt'}, line {line}: ")


def test_missing_and_unreadable_files(tmp_path: Path) -> None:
    read(tmp_path, "")
    with pytest.raises(
        ConditionsError, match=r"no conditions file .*ecl\.txt\. Did you mean 'ecal\.txt'"
    ):
        read_sdc(tmp_path / "ecl.txt", FORMAT)
    with pytest.raises(ConditionsError, match="The folder does not exist"):
        read_sdc(tmp_path / "nowhere" / "ecal.txt", FORMAT)
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConditionsError, match=r"cannot be read as text: .*UTF-8 text files"):
        read_sdc(tmp_path / "binary.txt", FORMAT)


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    one = read(tmp_path, COLUMNS + "prs 0 1 0\n")
    os.utime(one.path, ns=(10**18, 10**18))
    assert read_sdc(one.path, FORMAT) is one
    two = read(tmp_path, COLUMNS + "prs 0 2 0\n")
    os.utime(two.path, ns=(10**18, 10**18))  # even if the clock stood still
    assert read_sdc(one.path, FORMAT).blocks[0].rows[0][2] == 2.0
