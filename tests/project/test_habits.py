"""What those who carry on rely on: forms, targets, versions."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from na64reco.version import __version__

ROOT = Path(__file__).parents[2]
FORMS = sorted(p for p in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml") if p.stem != "config")


@pytest.mark.parametrize("path", FORMS, ids=lambda p: p.stem)
def test_forms_are_what_github_takes(path):
    """Its rules: docs.github.com, "Syntax for GitHub's form schema"."""
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert set(form) == {"name", "description", "labels", "body"}
    assert len(form["name"]) > 3
    assert 3 < len(form["description"]) <= 200
    ids = [part["id"] for part in form["body"]]
    assert len(ids) == len(set(ids))
    for part in form["body"]:
        assert part["type"] in {"markdown", "textarea", "input", "dropdown", "checkboxes"}
        assert re.fullmatch(r"[\w-]+", part["id"])
        assert part["attributes"]["label"]
        if part["type"] in {"dropdown", "checkboxes"}:
            # YAML's own yes and no are refused by the form.
            for option in part["attributes"]["options"]:
                assert isinstance(option["label"] if isinstance(option, dict) else option, str)


def test_there_is_a_form_for_each_kind_of_question():
    assert {path.stem for path in FORMS} == {"bug", "physics", "detector"}


def test_every_target_of_make_says_what_it_does():
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    (phony,) = re.findall(r"^\.PHONY:(.*)$", text, flags=re.MULTILINE)
    rules = set(re.findall(r"^([a-z][\w-]*):", text, flags=re.MULTILINE))
    assert rules == set(phony.split())
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith("make ")]
    described = {line.split()[1]: " ".join(line.split()[2:]) for line in lines}
    assert set(described) == rules
    assert all(len(what) > 10 for what in described.values())


def test_the_changelog_ends_at_this_version():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    entries = re.findall(r"^## (\S+) \((.+)\)$", text, flags=re.MULTILINE)
    assert entries
    assert entries[0][0] == __version__
    for _, date in entries:
        assert date == "unreleased" or re.fullmatch(r"\d{4}-\d\d-\d\d", date)


def test_the_citation_is_complete():
    """Keys and values that Citation File Format 1.2.0 wants; `cffconvert --validate` agrees."""
    content = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert content["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= set(content)
    assert content["type"] == "software"
    assert content["version"] == __version__
    assert content["license"] == "BSD-3-Clause"
    assert "BSD 3-Clause" in (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert all(set(author) <= {"name", "alias", "website"} for author in content["authors"])


def test_packages_for_tests_are_no_reason_to_fail(tmp_path):
    """Without chromium, node and root there is a line on what is missing, and exit code 0."""
    (tmp_path / "id").write_text("#!/bin/sh\necho 1000\n")
    (tmp_path / "bash").symlink_to("/bin/bash")
    (tmp_path / "id").chmod(0o755)
    script = ROOT / ".ci" / "packages"
    done = subprocess.run(
        ["/bin/bash", script], env={"PATH": str(tmp_path)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert "so some tests are skipped: chromium nodejs" in done.stderr
    # As root: every package on its own, and what cannot be had is said.
    (tmp_path / "id").write_text("#!/bin/sh\necho 0\n")
    apt = tmp_path / "apt-get"
    apt.write_text(f'#!/bin/bash\necho "$*" >> {tmp_path}/log\n[ "${{@: -1}}" != nodejs ]\n')
    apt.chmod(0o755)
    done = subprocess.run(
        ["/bin/bash", script], env={"PATH": str(tmp_path)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert done.stderr == "Cannot install nodejs; some tests are skipped.\n"
    asked = (tmp_path / "log").read_text().splitlines()
    assert any(line.endswith(" chromium") for line in asked)
    assert any(line.endswith(" xrootd-server") for line in asked)
