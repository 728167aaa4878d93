"""The commands report, display and doctor."""

from __future__ import annotations

import pytest

from na64reco.report.doctor import requirement_finding


@pytest.fixture(scope="module")
def out(sample, command, tmp_path_factory):
    folder = tmp_path_factory.mktemp("report") / "out"
    selection = folder.parent / "small.yaml"
    selection.write_text(
        "setup: 2022-electron\n"
        "cuts: [{name: beam, variable: trigger.beam}]\n"
        "regions: {all: {prs.energy: [null, 1000]}}\n"
        "histograms: {prs: {axes: [{variable: prs.energy, bins: 10, range: [0, 20]}]}}\n"
    )
    done = command("run", selection, sample / "mc.root", "-o", folder)
    assert done.exit_code == 0, done.output
    return folder


def test_report_says_where_it_is(out, command, parse):
    done = command("report", out)
    assert done.exit_code == 0, done.output
    path = out / "report.html"
    assert f"Open in a browser: {path.resolve()}" in done.stdout.splitlines()
    found = parse(command("report", out, "--json").stdout)
    assert found["path"] == str(path)
    assert found["bytes"] == path.stat().st_size
    assert found["figures"] == ["cutflow", "histogram_prs", "stability"]


def test_report_of_something_else(command, tmp_path):
    done = command("report", tmp_path)
    assert done.exit_code == 1
    assert "is not an output folder of `na64reco run`" in done.stderr
    assert "Traceback" not in done.stderr


def test_display_draws_and_replaces_nothing(sample, command, tmp_path):
    picture = tmp_path / "event.svg"
    arguments = ("display", sample / "mc.root", "--setup", "2022-electron", "--event", "0")
    done = command(*arguments, "-o", picture)
    assert done.exit_code == 0, done.output
    assert picture.read_bytes().startswith(b"<?xml")
    done = command(*arguments, "-o", picture)
    assert done.exit_code == 1
    assert "is there already" in done.stderr
    for options, message in (
        ((), "Say where to draw"),
        (("-o", tmp_path / "event.jpg"), "must end in .png, .pdf, .svg"),
    ):
        done = command(*arguments, *options)
        assert done.exit_code == 2
        assert message in done.stderr


def test_doctor_finds_this_installation_sound(command, parse):
    found = parse(command("doctor", "--json").stdout)
    assert found["sound"] is True
    subjects = {f["subject"]: f for f in found["findings"]}
    assert {"python", "numpy", "numba", "setups", "selections", "conditions"} <= set(subjects)
    assert command("doctor").stdout.rstrip().endswith("All is well.")


@pytest.mark.parametrize(
    ("requirement", "verdict"),
    [
        ("numpy>=2.0", "ok"),
        ("numpy>=2.0,<2.1.dev0", "wrong"),
        ("numpy>=999", "wrong"),
        ("numpy~=1.0", "wrong"),
        ("numpy!=2.*", "wrong"),
        ("no-such-library-anywhere", "wrong"),
        ("coffea[dask]>=2026.1; python_version > '3'", "ok"),
    ],
)
def test_versions_against_their_ranges(requirement, verdict):
    assert requirement_finding(requirement).verdict == verdict
