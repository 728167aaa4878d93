"""Models from files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pytest

from na64reco.darksector import generic
from na64reco.darksector.generic import load_model, read_model, register_model
from na64reco.darksector.models import BMinusL, DarkPhoton
from na64reco.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path


def test_b_minus_l_from_a_file_is_b_minus_l(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("{electron: -1, muon: -1, tau: -1, neutrinos: [1, 1, 1]}")
    mine, own = load_model(path), BMinusL()
    mass = np.array([0.01, 0.1, 0.3])
    assert mine.name == "mine"
    found, expected = mine.widths(mass, 1e-4), own.widths(mass, 1e-4)
    for channel in expected:
        np.testing.assert_allclose(found[channel], expected[channel], rtol=1e-14)


def test_tables_are_linear_and_do_not_extrapolate(tmp_path: Path) -> None:
    path = tmp_path / "table.yaml"
    path.write_text(
        "electron: {against: q2, points: [[0, 1], [0.01, 3]]}\n"
        "muon: {against: mass, points: [[0.0, 1.0], [1.0, 2.0]]}\n"
        "hadrons: 1\n"
        "dark: {kind: majorana, alpha: 0.2, mass_ratio: 0.25}\n"
    )
    model = read_model(path)
    assert model.dark is not None
    assert model.dark.kind == "majorana"
    np.testing.assert_allclose(model.vertex("electron", [0.0, 0.005], 0.1, 0.3), [0.1, 0.2])
    np.testing.assert_allclose(model.vertex("muon", 55.0, 0.1, [0.25, 1.0]), [0.125, 0.2])
    with pytest.raises(ModelError, match=r"q2 = 0.02 is outside.*\[0, 0.01\]; extend"):
        model.vertex("electron", [0.0, 0.02], 0.1, 0.3)
    with pytest.raises(ModelError, match=r"mass = 1.5 is outside"):
        model.vertex("muon", 0.0, 0.1, 1.5)


def test_hadrons_as_of_a_dark_photon(tmp_path: Path) -> None:
    path = tmp_path / "h.yaml"
    path.write_text("hadrons: 0.30282212\n")
    expected = DarkPhoton().widths(0.7, 1e-3)["hadrons"]
    assert load_model(path).widths(0.7, 1e-3)["hadrons"] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("elektron: 1", "unknown key 'elektron'. Did you mean 'electron'"),
        ("electron: yes", "electron: expected a number or a table, found True"),
        ("electron: .nan", "electron: expected a number"),
        ("electron: {against: q2}", "electron: a table needs"),
        ("electron: {against: q3, points: [[0, 1], [1, 1]]}", "'q2' or 'mass', found 'q3'"),
        ("electron: {against: q2, points: [[1, 1], [0, 1]]}", "must ascend in q2"),
        ("electron: {against: q2, points: [[1, 1]]}", "two points"),
        ("neutrinos: 3", "expected a list of couplings by flavour"),
        ("dark: {kind: fuzzy}", "dark: There is no dark particle of kind 'fuzzy'"),
        ("dark: {alpha: much}", "dark: "),
        ("dark: {aplha: 0.1}", "dark: unknown key 'aplha'. Did you mean 'alpha'"),
        ("[1, 2]", "expected a mapping"),
        ("a: [", "cannot be read as YAML"),
    ],
)
def test_wrong_files(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(text)
    with pytest.raises(ModelError, match=message) as caught:
        load_model(path)
    assert "wrong.yaml" in str(caught.value)
    with pytest.raises(ModelError, match="cannot be read"):
        load_model(tmp_path / "missing.yaml")


def test_a_new_model_is_one_class(monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclass(frozen=True)
    class Halved(DarkPhoton):
        def vertex(self, lepton, q2, coupling, mass):
            return 0.5 * super().vertex(lepton, q2, coupling, mass)

    monkeypatch.setattr(generic, "_MODELS", dict(generic._MODELS))
    register_model("halved", Halved)
    found = load_model("halved").widths(0.05, 1e-3)["e e"]
    assert found == pytest.approx(DarkPhoton().widths(0.05, 1e-3)["e e"] / 4)
    with pytest.raises(ModelError, match="already"):
        register_model("halved", Halved)
