from __future__ import annotations

from rich.console import Console

from na64reco.report import cutflow_table, region_table


def printed(table):
    console = Console(width=100, record=True, file=open("/dev/null", "w"))  # noqa: PTH123, SIM115
    with console.file:
        console.print(table)
    return [
        [cell.strip() for cell in line.strip("│┃ ").replace("┃", "│").split("│")]
        for line in console.export_text().splitlines()
    ]


def test_cutflow(cutflow):
    rows = printed(cutflow_table("runs", cutflow))
    assert rows[0] == ["Cutflow of runs"]
    assert ["(all)", "200"] in rows
    # 100 of 200; Clopper-Pearson at 68.27 %: 0.5 -+ 0.0378 (scipy's binomtest, method="exact").
    assert ["one", "100", "50.00", "-3.78 +3.78", "50.00"] in rows
    two = next(r for r in rows if r[0] == "two")
    assert (two[1], two[2], two[4]) == ("25", "25.00", "12.50")


def test_hidden_regions_say_so(cutflow):
    rows = printed(region_table("runs", cutflow))
    assert ["signal", "hidden", "hidden", "hidden"] in rows
    diagonal = next(r for r in rows if r[0] == "diagonal")
    assert diagonal[:3] == ["diagonal", "5", "20.00"]
