"""Background, closure and choice of the box as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    from na64reco.inference.estimate import PeriodEstimate

__all__ = ["background_table", "choice_lines", "closure_table"]


def background_table(found: PeriodEstimate) -> Table:
    """Components and their sum in one period."""
    data = found.data
    table = Table(
        title=f"{found.selection}, period {found.label}: events expected in the box "
        f"(E_ECAL < {data.box.ecal:g}, E_HCAL < {data.box.hcal:g} GeV)"
    )
    table.add_column("background")
    for column in ("value", "statistical", "systematic", "90 % upper limit"):
        table.add_column(column, justify="right")
    table.add_column("from")
    for c in found.components:
        if c.value is None:
            table.add_row(c.name, "limit", "", "", f"< {c.upper:.2g}", c.source)
        else:
            table.add_row(
                c.name,
                f"{c.value:.3g}",
                f"{c.statistical:.2g}",
                f"{c.systematic:.2g}",
                f"{c.upper:.3g}",
                c.source,
            )
    total = found.counting.background
    table.add_section()
    limits = any(c.limit_only for c in found.components)
    table.add_row(
        "total",
        f"{total.value:.3g}",
        f"+- {total.error:.2g}",
        "",
        "",
        "limits enter as their mean, upper / 2.3" if limits else "",
    )
    observed = "blinded" if data.observed is None else str(data.observed)
    table.add_row("observed", observed)
    table.caption = (
        "Statistical errors are independent; the systematic error of a component is common to "
        "all periods; components are independent."
    )
    return table


def closure_table(found: PeriodEstimate) -> Table:
    """Predictions of ranges outside the box against what is there."""
    table = Table(title=f"Closure outside the box, period {found.label}")
    table.add_column("test")
    for column in ("fitted [GeV]", "predicted [GeV]", "expected", "found", "pull"):
        table.add_column(column, justify="right")
    for test in found.closure:
        ranges = (f"{r[0]:g}-{r[1]:g}" for r in (test.fitted, test.predicted_range))
        if test.expected is None or test.log_error is None:
            expected, pull = f"< {test.upper:.3g}", ""
        else:
            expected = f"{test.expected:.3g} +- {test.expected * test.log_error:.2g}"
            pull = f"{test.pull:+.2f}"
        table.add_row(test.name, *ranges, expected, f"{test.observed:g}", pull)
    return table


def choice_lines(found: PeriodEstimate) -> tuple[str, ...]:
    """The choice of the box in words."""
    choice = found.choice
    low, high = choice.ecal.plateau
    background = choice.ecal.background[choice.ecal.best]
    return (
        f"Best E_thr of period {found.label}: {choice.threshold:g} GeV (limit within 1 % of "
        f"the best from {low:g} to {high:g} GeV), with {background:.2g} events of background; "
        f"{choice.method} limit at {100 * choice.cl:g} % CL, signal: {choice.signal}.",
    )
