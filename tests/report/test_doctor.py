"""What `na64reco doctor` looks at, where something is missing."""

from __future__ import annotations

import json

import pytest

from na64reco.report import doctor


@pytest.mark.parametrize(
    ("requirement", "verdict", "text"),
    [
        ("numpy>=1", "ok", ">=1"),
        ("numpy>=999", "wrong", "is not >=999: pip install 'numpy>=999'"),
        ("no-such-thing>=2", "wrong", "missing; needs >=2: pip install 'no-such-thing'"),
    ],
)
def test_requirements(requirement, verdict, text):
    found = doctor.requirement_finding(requirement)
    assert found.verdict == verdict
    assert text in found.found


def test_what_few_people_need_may_be_missing(monkeypatch):
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None)
    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda name: None)
    found = {one.subject: one for one in doctor._optional()}
    assert {one.verdict for one in found.values()} == {"ok"}
    assert found["chromium"].found == "not there; only for tests of pages"
    assert "pip install 'na64reco[xrootd]'" in found["xrootd"].found


def test_too_little_of_a_resource_is_a_warning(monkeypatch):
    monkeypatch.setattr(doctor, "_free_memory", lambda: 0.5)
    found = {one.subject: one for one in doctor._resources()}
    assert found["free memory"].verdict == "warning"
    assert "a smaller --chunk-size needs less" in found["free memory"].found


def test_a_cache_that_cannot_be_written_is_a_warning(monkeypatch, tmp_path):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "nosuch"))
    found = {one.subject: one for one in doctor._compiler()}
    assert found["numba"].verdict == "ok"
    assert found["compiler's cache"].verdict == "warning"
    assert "set NUMBA_CACHE_DIR" in found["compiler's cache"].found


def test_the_command_and_its_exit_code(monkeypatch):
    from typer.testing import CliRunner

    from na64reco.cli import app

    broken = doctor.Finding("numpy", "wrong", "1.0 is not >=2")
    for found, code in ([doctor.Finding("numpy", "ok", "2")], 0), ([broken], 1):
        monkeypatch.setattr(doctor, "examine", lambda found=found: found)
        done = CliRunner().invoke(app, ["doctor", "--json"])
        assert done.exit_code == code
        assert json.loads(done.stdout)["sound"] is (code == 0)
        quiet = CliRunner().invoke(app, ["doctor", "-q"])
        assert quiet.exit_code == code
        assert ("numpy" in quiet.stdout) is (code == 1)
