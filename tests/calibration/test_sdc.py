"""Validity, overrides and factors; expected numbers worked out by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from na64reco.calibration import LAST_RUN, Column, SdcFormat, read_sdc
from na64reco.errors import ConditionsError

if TYPE_CHECKING:
    from pathlib import Path

FORMAT = SdcFormat(
    keys=(Column("module", "int", "which"),),
    values=(
        Column("scale", "float", "GeV per count"),
        Column("time", "float", "ns"),
        Column("dead", "ints", "strips", default=()),
    ),
    numbers=("profile",),
    factors=("SRD", "SRD.0"),
)
TEXT = """
profile.a=1
runs=100-199
factor.SRD=1.02
factor.SRD=0.5
columns=module,scale,time,dead
0  1.0  10  4,5
1  2.0  20  -
runs=150-           # later runs: one column of one row, and a factor
factor.SRD=3
factor.SRD.0=2
profile.a=7
columns=module,time
1  25
runs=300-399
columns=module,scale,time
0  1.5  11
1  2.5  21
runs=310
columns=module,scale,time
1  9  99
"""


@pytest.fixture
def file(tmp_path: Path):
    path = tmp_path / "srd.txt"
    path.write_text(TEXT, encoding="utf-8")
    return read_sdc(path, FORMAT)


def test_first_block_alone(file) -> None:
    found = file.resolve(149)
    assert found.runs == (100, 149)
    assert found.rows == {
        (0,): {"scale": 1.0, "time": 10.0, "dead": (4, 5)},
        (1,): {"scale": 2.0, "time": 20.0, "dead": ()},
    }
    assert found.factors == {"SRD": pytest.approx(0.51), "SRD.0": 1.0}
    assert found.metadata == {"profile.a": 1.0}


def test_partial_columns_change_only_what_they_name(file) -> None:
    found = file.resolve(150)
    assert found.runs == (150, 199)
    assert found.rows[(0,)] == {"scale": 1.0, "time": 10.0, "dead": (4, 5)}
    assert found.rows[(1,)] == {"scale": 2.0, "time": 25.0, "dead": ()}
    assert found.factors == {"SRD": pytest.approx(1.53), "SRD.0": 2.0}
    assert found.metadata == {"profile.a": 7.0}
    assert (found.lines[(0,)], found.lines[(1,)]) == (7, 14)


def test_whole_rows_override_whole(file) -> None:
    assert file.resolve(309).rows[(1,)]["time"] == 21.0
    assert file.resolve(309).runs == (300, 309)
    assert file.resolve(310).rows[(1,)] == {"scale": 9.0, "time": 99.0, "dead": ()}
    assert file.resolve(310).rows[(0,)]["time"] == 11.0
    assert file.resolve(310).runs == (310, 310)
    assert file.resolve(311).runs == (311, 399)


@pytest.mark.parametrize(
    ("run", "nearest", "gap", "text"),
    [
        (5, 100, (0, 99), "no conditions for run 5: the nearest after is 100-199."),
        (
            220,
            199,
            (200, 299),
            "no conditions for run 220: the nearest before is 100-199, the nearest after is 300-399.",
        ),
        (280, 300, (200, 299), "no conditions for run 280"),
        (5000, 399, (400, LAST_RUN), "no conditions for run 5000: the nearest before is 300-399."),
    ],
)
def test_gaps(file, run: int, nearest: int, gap: tuple[int, int], text: str) -> None:
    with pytest.raises(ConditionsError) as caught:
        file.resolve(run)
    assert text in str(caught.value)
    assert str(file.path) in str(caught.value)
    assert "Extend a `runs=` or add a block for the run" in str(caught.value)
    assert file.nearest(run) == nearest
    assert file.gap(run) == gap


def test_the_earlier_of_two_equally_near(tmp_path: Path) -> None:
    path = tmp_path / "srd.txt"
    path.write_text("columns=module,scale,time\nruns=1\n0 1 0\nruns=5\n0 2 0\n", encoding="utf-8")
    assert read_sdc(path, FORMAT).nearest(3) == 1


def test_adjacent_ranges_cover_as_one(tmp_path: Path) -> None:
    path = tmp_path / "srd.txt"
    path.write_text(
        "columns=module,scale,time\nruns=6-9\n0 1 0\nruns=1-5\n0 2 0\nruns=3-4\n0 3 0\nruns=20-\n0 1 0",
        encoding="utf-8",
    )
    file = read_sdc(path, FORMAT)
    assert file.coverage == ((1, 9), (20, LAST_RUN))
    assert file.resolve(5).runs == (5, 5)
    assert "the nearest after is 20-" in file.describe_gap(12)


def test_a_partial_row_that_nothing_defines(tmp_path: Path) -> None:
    path = tmp_path / "srd.txt"
    path.write_text(
        "runs=1-9\ncolumns=module,scale,time\n10 1 0\nruns=5-9\ncolumns=module,time\n11 4\n",
        encoding="utf-8",
    )
    file = read_sdc(path, FORMAT)
    assert file.resolve(4).rows == {(10,): {"scale": 1.0, "time": 0.0, "dead": ()}}
    with pytest.raises(ConditionsError) as caught:
        file.resolve(5)
    assert str(caught.value) == (
        f"{path}, line 6: changes the row module=11, which no earlier block defines for run 5 "
        "(nothing gives its scale). Known: '10'. Correct the key, or give all columns."
    )


def test_a_file_with_nothing_covers_nothing(tmp_path: Path) -> None:
    path = tmp_path / "srd.txt"
    path.write_text("# empty\nprofile.a=1\n", encoding="utf-8")
    file = read_sdc(path, FORMAT)
    assert file.nearest(5) is None
    with pytest.raises(ConditionsError, match="it has no block with all columns"):
        file.resolve(5)
