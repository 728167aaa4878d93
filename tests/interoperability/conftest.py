"""An output folder of data and simulation, with all columns that there are."""

from __future__ import annotations

from pathlib import Path

import pytest

SAMPLES = Path(__file__).parents[2] / "data_samples"


@pytest.fixture(scope="session")
def out(tmp_path_factory):
    from na64reco.processors import run

    folder = tmp_path_factory.mktemp("interoperability") / "out"
    files = {"data": [SAMPLES / "physics.root"], "signal": [SAMPLES / "signal.root"]}
    run("electron-invisible-2022", files, folder, columns="all")
    return folder
