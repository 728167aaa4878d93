"""The application: which commands there are. Each loads what it needs only when it is called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from na64reco.cli.background import background_command
from na64reco.cli.calibrate import calibrate_command
from na64reco.cli.catalogue import catalogue_command
from na64reco.cli.compare import compare_command
from na64reco.cli.display import display_command
from na64reco.cli.doctor import doctor_command
from na64reco.cli.efficiency import efficiency_command, exposure_command
from na64reco.cli.exit_codes import exit_code_text
from na64reco.cli.export import export_command
from na64reco.cli.freeze import freeze_command
from na64reco.cli.groups import QUIET, VERBOSE, Group, with_manners
from na64reco.cli.inspect import inspect_command
from na64reco.cli.limit import limit_command
from na64reco.cli.lists import selections_command, setups_command
from na64reco.cli.plain_text import write_anywhere
from na64reco.cli.report import report_command
from na64reco.cli.run import run_command
from na64reco.cli.simulate import simulate_command
from na64reco.cli.yields import searches_command, yield_command

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["app", "main"]

app = typer.Typer(
    name="na64reco",
    cls=Group,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=exit_code_text(),
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
    __: Annotated[bool, QUIET] = False,
    ___: Annotated[bool, VERBOSE] = False,
) -> None:
    """Missing-energy searches, from hits in ROOT files to cutflow, histograms and signal box."""


_COMMANDS: dict[str, Callable[..., None]] = {
    "simulate": simulate_command,
    "inspect": inspect_command,
    "catalogue": catalogue_command,
    "run": run_command,
    "report": report_command,
    "display": display_command,
    "calibrate": calibrate_command,
    "background": background_command,
    "efficiency": efficiency_command,
    "exposure": exposure_command,
    "compare": compare_command,
    "freeze": freeze_command,
    "limit": limit_command,
    "export": export_command,
    "doctor": doctor_command,
    "setups": setups_command,
    "selections": selections_command,
    "searches": searches_command,
    "yield": yield_command,
}
_LIGHT = {"doctor", "freeze", "selections", "setups"}
"""Commands that do without kernels; `doctor` looks at numba as others find it."""

for _name, _command in _COMMANDS.items():
    app.command(_name)(with_manners(_command, computes=_name not in _LIGHT))


def main() -> None:
    """Entry point of the command `na64reco`."""
    write_anywhere()
    app()
