"""How commands behave towards shells, pipes and terminals."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.table import Table
from typer.main import get_command

from na64reco.cli import app
from na64reco.cli.common import Verbosity, progress_bar, set_verbosity, show, working
from na64reco.cli.exit_codes import EXIT_CODES, ExitCode

PROGRAM = str(Path(sys.executable).with_name("na64reco"))
GROUP = get_command(app)
COMMANDS = sorted(GROUP.commands)
COLOUR = "\x1b["


def examples(name):
    text = GROUP.commands[name].help.partition("[bold]Example")[2]
    return re.findall(r"^ *na64reco .*$", text, flags=re.MULTILINE)


def shell(line, **environment):
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", line.replace("na64reco", PROGRAM)],
        capture_output=True,
        env={**os.environ, **environment},
        timeout=120,
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_of_the_help_are_understood(name):
    found = examples(name)
    assert 1 <= len(found) <= 4
    assert any(shlex.split(line)[1] == name for line in found)
    for line in found:
        _, command, *arguments = shlex.split(line)
        GROUP.commands[command].make_context(command, arguments)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_says_what_it_is(name):
    command = GROUP.commands[name]
    context = command.make_context(name, [], resilient_parsing=True)
    for option in command.get_params(context):
        assert getattr(option, "help", None), f"{name} {option.name}"
    given = {flag for option in command.get_params(context) for flag in option.opts}
    assert {"--quiet", "-q", "--verbose", "-v", "--help"} <= given


def test_the_help_names_all_exit_codes(command):
    text = " ".join(command("--help").stdout.split())
    for code, meaning in EXIT_CODES.items():
        assert f"{int(code)} {meaning}" in text
    assert set(EXIT_CODES) == set(ExitCode)


def test_exit_codes(command, sample, tmp_path):
    good, broken = sample / "mc.root", tmp_path / "broken.root"
    broken.write_bytes(b"root")
    assert command("setups").exit_code == ExitCode.DONE == 0
    assert command("inspect", good).exit_code == ExitCode.DONE
    assert command("inspect", broken).exit_code == ExitCode.WRONG == 1
    assert command("freeze", "nosuch", "-o", tmp_path / "x").exit_code == ExitCode.WRONG
    assert command("setups", "--nosuch").exit_code == ExitCode.USAGE == 2
    assert command("yield", "na64e-2018").exit_code == ExitCode.USAGE


def test_exit_codes_of_a_closed_pipe(sample):
    done = shell(f"na64reco inspect {sample}/mc.root | head -n 1")
    assert done.returncode == ExitCode.BROKEN_PIPE == 128 + signal.SIGPIPE
    assert done.stdout.count(b"\n") == 1
    assert done.stderr == b""


def test_ctrl_c_ends_a_command_with_a_message(tmp_path):
    arguments = [
        "simulate",
        "2022-electron",
        "beam",
        "--eot",
        "1e9",
        "-o",
        str(tmp_path / "x.root"),
    ]
    with subprocess.Popen(
        [PROGRAM, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        started = time.monotonic()
        while not list(tmp_path.iterdir()) and time.monotonic() - started < 60:
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == ExitCode.INTERRUPTED == 128 + signal.SIGINT
    assert (out, err) == ("", "Interrupted. No output was written.\n")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_a_message():
    done = shell("na64reco setups > /dev/full")
    assert done.returncode == ExitCode.WRONG
    assert done.stderr == b"Error: No space left on device.\n"


def test_colours_only_on_a_terminal_or_where_they_are_asked_for():
    assert COLOUR.encode() not in shell("na64reco setups", TERM="xterm").stdout
    # `script` gives the command a terminal.
    on_terminal = "script -qec 'na64reco doctor' /dev/null"
    assert COLOUR.encode() in shell(on_terminal, TERM="xterm").stdout
    assert b"\x1b[32m" not in shell(on_terminal, TERM="xterm", NO_COLOR="1").stdout
    forced = shell("na64reco doctor", TERM="xterm", FORCE_COLOR="1").stdout
    assert COLOUR.encode() in forced
    content = shell("na64reco setups --json", TERM="xterm", FORCE_COLOR="1")
    assert len(json.loads(content.stdout)) > 5


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_signs_that_an_encoding_lacks_are_spelt_out(encoding):
    done = shell("na64reco run --help", PYTHONIOENCODING=encoding, COLUMNS="80")
    assert done.returncode == 0, done.stderr
    text = done.stdout.decode(encoding)
    assert "Examples" in text
    assert "─" not in text


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self):
        return True


def test_nothing_is_cut_off_on_a_narrow_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "24")
    monkeypatch.setenv("TERM", "dumb")
    # rich takes a dumb terminal's width from the environment only together with its height.
    monkeypatch.setenv("LINES", "20")
    monkeypatch.setattr(sys, "stdout", screen := Screen())
    table = Table("name", "first value", "second value")
    table.add_row("x", "1234567890123", "9876543210987")
    show(table)
    lines = screen.getvalue().splitlines()
    assert max(map(len, lines)) <= 24
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if line[0] == "│"]
    joined = ["".join(parts) for parts in zip(*rows, strict=True)]
    # Numbers go on in the next line.
    assert joined == ["x", "1234567890123", "9876543210987"]


def test_work_that_cannot_be_counted_is_named_on_terminals_alone(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", screen := Screen())
    with working("Limits at 20 masses"):
        pass
    assert "Limits at 20 masses" in screen.getvalue()
    monkeypatch.setattr(sys, "stderr", pipe := io.StringIO())
    with working("Limits at 20 masses"):
        pass
    assert pipe.getvalue() == ""


def test_quiet_gives_paths_alone(command, sample, tmp_path):
    path = tmp_path / "x.root"
    arguments = ["simulate", "2022-electron", "muon", "-n", 5, "--trigger", "none", "-o", path]
    done = command("-q", *arguments)
    assert (done.stdout, done.stderr) == (f"{path}\n", "")
    ran = command("run", "-q", "electron-calibration-2022", f"x={path}", "-o", tmp_path / "out")
    assert ran.exit_code == 0, ran.output
    assert sorted(ran.stdout.split()) == sorted(str(p) for p in (tmp_path / "out").iterdir())
    assert ran.stderr == ""
    # Tables are what these commands are for.
    assert "2022-electron" in command("setups", "--quiet").stdout
    # Warnings and errors stay.
    broken = tmp_path / "broken.root"
    broken.write_bytes(path.read_bytes()[:3000])
    skipping = ["run", "-q", "electron-calibration-2022", path, broken, "--skip-bad-files"]
    assert "Warning: skipped" in command(*skipping, "-o", tmp_path / "skipped").stderr
    assert command("inspect", "-q", path).stdout == ""
    assert command("inspect", "-q", broken).stdout.startswith("Problem: ")


def test_verbose_tells_what_is_read_from_where(command, sample, tmp_path):
    arguments = ["run", "electron-calibration-2022", sample / "mc.root", "--chunk-size", 70]
    done = command(*arguments, "-v", "--json", "-o", tmp_path / "out")
    assert json.loads(done.stdout)["events"]["read"] == 200
    told = done.stderr
    assert re.search(r"Selection from .*/electron-calibration-2022.yaml", told)
    assert re.search(r"Conditions of run \d+ from .*/2022-electron, valid for runs ", told)
    assert told.count("Conditions of run") == 1  # of three chunks
    assert re.search(rf"{sample}/mc.root: 200 events in \d", told)
    assert re.search(r"Done in \d+\.\d\d s", told)
    again = command(*arguments, "--json", "-o", tmp_path / "again")
    assert again.stderr == ""
    assert logging.getLogger("na64reco").handlers == []
    both = command("-q", "setups", "-v")
    assert both.exit_code == ExitCode.USAGE
    assert "exclude each other" in both.stderr


def test_progress_has_rate_and_time_left(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", screen := Screen())
    with progress_bar("Events", "events") as update:
        time.sleep(0.2)
        update(1000, 3000)
        time.sleep(0.3)  # to be drawn
    text = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", screen.getvalue())
    rate, minutes, seconds = re.findall(
        r"1000/3000 events +([\d,]+)/s +0:(\d\d):(\d\d)", text.replace("\n", " ")
    )[-1]
    # 1000 events in half a second or, on a busy machine, more.
    assert 50 < int(rate.replace(",", "")) <= 5000
    assert int(minutes) * 60 + int(seconds) == pytest.approx(
        2000 / int(rate.replace(",", "")), abs=1
    )


def test_no_progress_where_it_is_not_wanted(monkeypatch):
    with progress_bar("Events", "events") as update:
        assert update is None  # no terminal
    monkeypatch.setattr(sys, "stderr", screen := Screen())
    set_verbosity(Verbosity.QUIET)
    with progress_bar("Events", "events") as update:
        assert update is None
    set_verbosity(Verbosity.NORMAL)
    assert screen.getvalue() == ""
