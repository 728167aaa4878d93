"""The application: which commands there are. Each loads what it needs only when it is called."""

from __future__ import annotations

from typing import Annotated

import typer

from na64reco.cli.background import background_command
from na64reco.cli.calibrate import calibrate_command
from na64reco.cli.catalogue import catalogue_command
from na64reco.cli.common import Group
from na64reco.cli.compare import compare_command
from na64reco.cli.display import display_command
from na64reco.cli.doctor import doctor_command
from na64reco.cli.efficiency import efficiency_command, exposure_command
from na64reco.cli.freeze import freeze_command
from na64reco.cli.inspect import inspect_command
from na64reco.cli.limit import limit_command
from na64reco.cli.lists import selections_command, setups_command
from na64reco.cli.report import report_command
from na64reco.cli.run import run_command
from na64reco.cli.simulate import simulate_command
from na64reco.cli.yields import searches_command, yield_command

__all__ = ["app", "main"]

app = typer.Typer(
    name="na64reco",
    cls=Group,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit code: 0 if all went well, 1 for an error in what was given (with a message), "
    "2 for wrong usage, 130 after Ctrl-C.",
)


def _version(wanted: bool) -> None:
    if wanted:
        from na64reco.version import __version__

        typer.echo(f"na64reco {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    _: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Missing-energy searches, from hits in ROOT files to cutflow, histograms and signal box."""


app.command("simulate")(simulate_command)
app.command("inspect")(inspect_command)
app.command("catalogue")(catalogue_command)
app.command("run")(run_command)
app.command("report")(report_command)
app.command("display")(display_command)
app.command("calibrate")(calibrate_command)
app.command("background")(background_command)
app.command("efficiency")(efficiency_command)
app.command("exposure")(exposure_command)
app.command("compare")(compare_command)
app.command("freeze")(freeze_command)
app.command("limit")(limit_command)
app.command("doctor")(doctor_command)
app.command("setups")(setups_command)
app.command("selections")(selections_command)
app.command("searches")(searches_command)
app.command("yield")(yield_command)


def main() -> None:
    """Entry point of the command `na64reco`."""
    app()
