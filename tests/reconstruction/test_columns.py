from __future__ import annotations

import re

import numpy as np

from na64reco.reconstruction import COLUMNS, columns_of_group, group_of


def test_every_column_says_what_it_is():
    for name, column in COLUMNS.items():
        assert re.fullmatch(r"[a-z_]+(\.[a-z0-9_]+)?", name), name
        assert np.dtype(column.dtype).name == column.dtype, name
        assert column.unit in {"", "GeV", "GeV/c", "mm", "mrad", "ns", "e"}, name
        assert column.meaning, name
        assert not column.meaning.endswith("."), name


def test_energies_times_and_lengths_have_their_units():
    assert COLUMNS["ecal.energy"].unit == COLUMNS["srd.energy"].unit == "GeV"
    assert COLUMNS["track.momentum"].unit == "GeV/c"
    assert COLUMNS["track.x_ecal"].unit == "mm"
    assert COLUMNS["ecal.time"].unit == "ns"


def test_groups():
    assert group_of("prs.energy_out") == "prs"
    assert group_of("spill") == ""
    assert columns_of_group("prs") == (
        "prs.energy",
        "prs.fraction",
        "prs.late",
        "prs.energy_out",
    )
    scalars = {"run", "spill", "event", "master_time", "scaler", "scaler_live", "prescale"}
    assert scalars == set(columns_of_group(""))
