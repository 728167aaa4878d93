"""The guides to limits and recasting, word for word."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import yaml

from na64reco.darksector import generic
from na64reco.inference.limits import LimitSetter
from na64reco.inference.search import load_search

DOCS = Path(__file__).parents[2] / "docs"


def blocks(page, language):
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


@pytest.fixture
def known():
    """What is registered is forgotten again."""
    before = dict(generic._MODELS)
    yield
    generic._MODELS.clear()
    generic._MODELS.update(before)


@pytest.mark.usefixtures("known")
def test_the_examples_of_recasting(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model, search = blocks("recasting.md", "yaml")
    first, second = blocks("recasting.md", "python")
    Path("leptophilic.yaml").write_text(model, encoding="utf-8")
    lines = [line for line in first.splitlines() if line]
    assert len(lines) <= 10
    names: dict = {}
    exec(first + second, names)
    assert Path("g.png").stat().st_size > 5000
    # Light: always neutrinos, so the coupling to electrons is that of dark photons, e epsilon;
    # heavier by the root of the share of neutrinos, 3 half-widths of 3 + 2.
    photon = LimitSetter((load_search("na64e-2018"),), production="strahlung")
    epsilon = photon.limits(generic.load_model("dark-photon"), [0.01]).coupling[0]
    charge = np.sqrt(4 * np.pi / 137.036)
    # Of L_e - L_mu at 10 MeV: neutrinos 2 of 2 + 2 half-widths.
    expected = charge * epsilon / np.sqrt(0.5)
    assert names["limit"].coupling[0] == pytest.approx(expected, rel=0.01)
    found = names["found"]
    assert found.signal.shape == (4, 3)
    assert found.signal.sum(axis=0) == pytest.approx(found.events, rel=1e-4)
    Path("dump.yaml").write_text(search, encoding="utf-8")
    assert load_search("dump.yaml").target.stack().materials[0].material.name == "tungsten"


def test_the_examples_of_limits():
    (block,) = blocks("limits.md", "python")
    names: dict = {}
    exec(block, names)
    # arXiv:2401.01708: ~6e-4 at 40 MeV.
    assert names["found"].coupling[0] == pytest.approx(6e-4, rel=0.15)


def test_options_in_the_guides_exist():
    from typer.main import get_command

    from na64reco.cli import app

    options = {name for p in get_command(app).commands["limit"].params for name in (*p.opts,)}
    for page in ("limits.md", "recasting.md"):
        text = (DOCS / page).read_text(encoding="utf-8")
        for line in re.findall(r"^    na64reco limit .*", text, flags=re.MULTILINE):
            given = set(re.findall(r"--[a-z-]+", line))
            assert given <= options, line


def test_all_figures_of_the_guide_are_drawn_by_its_script():
    text = (DOCS / "limits.md").read_text(encoding="utf-8")
    shown = set(re.findall(r"images/limits_(\w+)\.png", text))
    script = (DOCS / "make_limits.py").read_text(encoding="utf-8")
    (listed,) = re.findall(r"for f in \(([^)]*)\)", script)
    assert shown == {name.strip() for name in listed.split(",")}
    assert yaml.safe_load(blocks("recasting.md", "yaml")[0])["name"] == "leptophilic"
