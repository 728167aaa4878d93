from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad

from na64reco.cascade.stack import Stack
from na64reco.darksector.acceptance import Acceptance
from na64reco.darksector.dump import load_dump, shashlik
from na64reco.errors import ModelError


def test_track_lengths_are_those_of_egsnrc():
    """In the lead of the calorimeter, one electron of 100 GeV: cm of e- and e+ (EGSnrc v2025a-3)."""
    dump = load_dump(shashlik(), 100.0)
    lead = dump.by_material()[0]
    for energy, minus, plus in ((50.0, 0.486, 0.0217), (30.0, 0.756, 0.099), (80.0, 0.261, 0.0012)):
        above = dump.edges[:-1] >= energy
        assert lead[0, above].sum() == pytest.approx(minus, rel=0.025)
        assert lead[1, above].sum() == pytest.approx(plus, rel=0.05)


def test_groups_keep_material_and_depth():
    dump = load_dump(shashlik(), 100.0)
    np.testing.assert_allclose(dump.by_material().sum(axis=0), dump.length.sum(axis=0))
    assert [material.name for material in dump.materials] == ["lead", "polystyrene"]
    for layer, group in enumerate(dump.groups):
        assert dump.material_of_group[group] == dump.stack.index[layer]
    # The first plate: 1.5 mm, less what bremsstrahlung takes below 15 GeV.
    first = dump.length[dump.groups[0]].sum() / np.sum(dump.groups == dump.groups[0])
    assert 0.9 * 0.15 < first < 0.15


def test_atoms_per_volume():
    lead, plastic = load_dump(shashlik(), 160.0, "muon").scatterers
    assert lead[0].density == pytest.approx(3.299e22, rel=1e-3)
    assert [element.z for element in plastic] == [1, 6]
    # (C8 H8)n: as many of each.
    assert plastic[0].density == pytest.approx(plastic[1].density, rel=1e-3)


def test_thick_layers_are_looked_at_in_parts():
    dump = load_dump(Stack.sandwich([("tungsten", 7.0)]), 20.0, showers=200, cache=None)
    assert len(dump.stack.layers) > 35
    assert dump.stack.boundaries[-1] == pytest.approx(7.0)


def test_wrong_dumps():
    with pytest.raises(ModelError, match=r"no dump for a beam of 'photon'"):
        load_dump(shashlik(), 100.0, "photon")
    with pytest.raises(ModelError, match=r"a beam of 10.0 GeV: .* 15 to 200 GeV"):
        load_dump(shashlik(), 10.0)
    aluminium = load_dump(Stack.sandwich([("aluminium", 5.0)]), 100.0, "muon")
    with pytest.raises(ModelError, match=r"100% of this dump's Z\^2 .* without a table"):
        _ = aluminium.scatterers


def test_acceptance_as_steps():
    for acceptance in (
        Acceptance(50.0),
        Acceptance(50.0, 2.0, 0.5),
        Acceptance(50.0, 2.0, 0.5, ((40.0, 1.0), (70.0, 0.8), (100.0, 0.2))),
    ):
        places, rises = acceptance.steps(100.0)
        above = np.exp(-places / 20) - np.exp(-100.0 / 20)
        points = [45.0, 50.0, 55.0, 60.0, 70.0]
        expected, _ = quad(
            lambda e, kept=acceptance: float(kept(e)) * np.exp(-e / 20) / 20,
            35.0,
            100.0,
            points=points,
        )
        assert rises @ above == pytest.approx(expected, rel=1e-3)
    assert Acceptance(50.0, 2.0, 0.5)(50.0) == pytest.approx(0.25)
    assert Acceptance(50.0, 2.0)(52.0) == pytest.approx(0.841345, abs=1e-6)


def test_wrong_acceptances():
    with pytest.raises(ModelError, match=r"smearing of 60.0 GeV: expected at least 0 and less"):
        Acceptance(50.0, 60.0)
    with pytest.raises(ModelError, match="between 0 and 1, found"):
        Acceptance(50.0, plateau=50.0)
    with pytest.raises(ModelError, match="must ascend"):
        Acceptance(50.0, table=((60.0, 1.0), (50.0, 1.0)))
    with pytest.raises(ModelError, match="threshold must be positive"):
        Acceptance(-50.0)
