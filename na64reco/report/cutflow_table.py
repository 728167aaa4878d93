"""Cutflow and regions as tables for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.table import Table

if TYPE_CHECKING:
    from na64reco.selection import Cutflow

__all__ = ["cutflow_table", "region_table"]

HIDDEN = "hidden"
"""What stands in the place of a blinded number."""


def _percent(row: dict[str, Any]) -> tuple[str, str]:
    """Efficiency and its interval, in per cent."""
    if row["efficiency"] is None:
        return "-", "-"
    low, high = (100 * (row[key] - row["efficiency"]) for key in ("low", "high"))
    return f"{100 * row['efficiency']:.2f}", f"{low:+.2f} {high:+.2f}"


def cutflow_table(dataset: str, cutflow: Cutflow) -> Table:
    """One row per cut: events that passed, and the share of those that entered the cut.

    The last column is the share of all events; errors are 68 % Clopper-Pearson intervals.
    """
    table = Table(title=f"Cutflow of {dataset}", title_justify="left")
    table.add_column("cut", no_wrap=True)
    table.add_column("passed", justify="right")
    table.add_column("efficiency %", justify="right")
    table.add_column("68 % interval", justify="right")
    table.add_column("of all %", justify="right")
    table.add_row("(all)", str(cutflow.entered), "", "", "")
    for row, cumulative in zip(cutflow.rows(), cutflow.cumulative_rows(), strict=True):
        efficiency, interval = _percent(row)
        table.add_row(row["cut"], str(row["passed"]), efficiency, interval, _percent(cumulative)[0])
    return table


def region_table(dataset: str, cutflow: Cutflow) -> Table:
    """One row per region: events that pass all cuts and lie in it; blinded ones say so."""
    table = Table(title=f"Regions of {dataset}, after all cuts", title_justify="left")
    table.add_column("region", no_wrap=True)
    table.add_column("events", justify="right")
    table.add_column("of selected %", justify="right")
    table.add_column("68 % interval", justify="right")
    for row in cutflow.region_rows():
        if row["passed"] is None:
            table.add_row(row["region"], HIDDEN, HIDDEN, HIDDEN)
        else:
            table.add_row(row["region"], str(row["passed"]), *_percent(row))
    return table
