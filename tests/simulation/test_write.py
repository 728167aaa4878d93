from __future__ import annotations

import json

import numpy as np
import pytest
import uproot

from na64reco.errors import OutputExistsError
from na64reco.simulation import simulate, write_simulation


@pytest.mark.parametrize("container", ["ttree", "rntuple"])
def test_what_is_written_can_be_read(setup, tmp_path, container):
    path, seen = tmp_path / "run.root", []
    options = {"seed": 9, "trigger": "beam", "intensity": 0.0}
    n = write_simulation(
        path,
        setup,
        "electron",
        4500,
        format=container,
        progress=lambda done, total: seen.append((done, total)),
        **options,
    )
    assert n == 4500
    assert seen[-1] == (4500, 4500)
    expected = next(simulate(setup, "electron", 4500, **options))
    with uproot.open(path) as file:
        tree = file["Events"]
        assert tree.num_entries == 4500
        momentum = tree["MC_momentum"].array(library="np")
        metadata = json.loads(str(file["na64reco_metadata"]))["metadata"]
    np.testing.assert_array_equal(momentum[: len(expected)], expected.scalars["MC_momentum"])
    assert metadata["process"] == "electron"
    assert metadata["seed"] == "9"


def test_pseudo_data_do_not_tell_what_they_are(setup, tmp_path):
    path = tmp_path / "data.root"
    write_simulation(path, setup, "pion", 20, seed=1, trigger="beam", truth=False)
    with uproot.open(path) as file:
        assert not file["Events"].keys(filter_name="MC_*")
        assert "pion" not in str(file["na64reco_metadata"])


def test_nothing_is_overwritten_by_accident(setup, tmp_path):
    path = tmp_path / "run.root"
    path.write_text("mine")
    with pytest.raises(OutputExistsError, match=r"run\.root is there already"):
        write_simulation(path, setup, "muon", 5, seed=1, trigger="beam")
    assert path.read_text() == "mine"
