from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from na64reco.cli import app


@pytest.fixture(scope="session")
def command():
    """Runs the command in this process; gives exit code, standard output and standard error."""
    runner = CliRunner(env={"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"})

    def run(*arguments):
        return runner.invoke(app, [str(a) for a in arguments])

    return run


@pytest.fixture(scope="session")
def sample(tmp_path_factory, command):
    """A small simulated run, and the same without truth."""
    folder = tmp_path_factory.mktemp("sample")
    for name, options in {"mc": [], "data": ["--no-truth"]}.items():
        done = command(
            *("simulate", "2022-electron", "electron", "-n", 200, "--seed", 3),
            *("--trigger", "beam", "-o", folder / f"{name}.root", *options),
        )
        assert done.exit_code == 0, done.output
    return folder


@pytest.fixture(scope="session")
def parse():
    return json.loads
