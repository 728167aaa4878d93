"""The wheel carries what a checkout has beside the package."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PARTS = ("na64reco", "selections", "calib", "pyproject.toml", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of the tree and unpacked as an installer does."""
    source = tmp_path_factory.mktemp("source")
    for name in PARTS:
        if (ROOT / name).is_dir():
            shutil.copytree(
                ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__")
            )
        else:
            shutil.copy(ROOT / name, source / name)
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", "dist"],
        cwd=source,
        check=True,
        capture_output=True,
    )
    target = tmp_path_factory.mktemp("site")
    (wheel,) = (source / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    return target


def test_selections_and_conditions_are_found_in_an_installed_wheel(installed, tmp_path):
    code = """
import na64reco
from na64reco.calibration import load_conditions
from na64reco.selection import list_selections, load_selection
print(na64reco.__file__)
setups = na64reco.list_setups()
for name in setups:
    setup = na64reco.load_setup(name)
    if "electron" in name:  # no conditions ship for the muon mode
        load_conditions(setup, setup.runs[0])
for name in list_selections():
    load_selection(name)
print(len(setups), len(list_selections()))
"""
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(installed)!r})\n{code}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    path, counts = done.stdout.splitlines()
    assert Path(path).is_relative_to(installed)
    shipped = len(list((ROOT / "selections").glob("*.yaml")))
    setups = len(list((ROOT / "na64reco" / "setup" / "data").glob("*.yaml")))
    assert counts == f"{setups} {shipped}"


def test_nothing_else_slips_into_the_wheel(installed):
    found = {p.name for p in installed.iterdir() if not p.name.endswith(".dist-info")}
    assert found == {"na64reco"}
    assert (installed / "na64reco" / "py.typed").exists()
