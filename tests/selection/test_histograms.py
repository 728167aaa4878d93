from __future__ import annotations

import numpy as np
import pytest
import uproot

from na64reco.errors import SelectionError
from na64reco.selection import (
    apply,
    check_frozen_box,
    empty_histograms,
    fill_histograms,
    freeze_box,
    histogram_name,
)


def filled(selection, columns, **options):
    histograms = empty_histograms(selection)
    fill_histograms(histograms, apply(selection, columns, **options), columns)
    return histograms


def test_names_and_labels(mini):
    histograms = empty_histograms(mini)
    assert set(histograms) == {
        "ecal_hcal__none",
        "ecal_hcal__trigger",
        "ecal_hcal__all",
        "ecal_hcal__without_straw_hits",
        "sum__all__sideband",
    }
    assert histograms["sum__all__sideband"].axes[0].label == "total [GeV]"
    assert histograms["ecal_hcal__all"].axes[0].label.endswith(" [GeV]")
    assert histograms["ecal_hcal__all"].axes.name == ("ecal.energy", "hcal.energy")
    assert histogram_name("x", "ECAL pile-up", "Side A") == "x__ecal_pile_up__side_a"


def test_contents_against_hand_count(mini, columns):
    histograms = filled(mini, columns)
    # Events 2 and 4 are hidden, 0 1 3 8 pass all cuts (see conftest.py).
    plane = histograms["ecal_hcal__all"].values()
    expected = np.zeros((11, 10))
    expected[7, 0] = expected[5, 0] = expected[4, 0] = expected[1, 4] = 1
    assert np.array_equal(plane, expected)
    assert histograms["ecal_hcal__none"].sum() == 8
    assert histograms["ecal_hcal__trigger"].sum() == 8
    assert histograms["ecal_hcal__without_straw_hits"].values()[6, 0] == 1
    # 70.2 and 50.0 in the bins [0, 50), [50, 100), [100, 200)
    assert histograms["sum__all__sideband"].values().tolist() == [0, 2, 0]


def test_histograms_of_the_blinded_region_exist_only_when_it_is_open(mini, columns, tmp_path):
    assert not [name for name in filled(mini, columns) if name.startswith("box")]
    frozen = freeze_box(mini, tmp_path / "box.yaml")
    opened = filled(mini, columns, unblind=check_frozen_box(mini, tmp_path / "box.yaml"))
    assert opened["box__none__signal"].sum() == 2
    assert opened["box__all__signal"].sum() == 1
    assert filled(mini, columns, unblind=frozen)["box__all__signal"].sum() == 1


def test_nan_goes_to_overflow(mini, columns):
    columns["ecal.energy"][8] = np.nan
    histogram = filled(mini, columns)["ecal_hcal__none"]
    assert histogram.values(flow=True)[-1].sum() == 1


def test_root_file_reads_back(mini, columns, tmp_path):
    histograms = filled(mini, columns)
    with uproot.recreate(tmp_path / "h.root") as file:
        for name, histogram in histograms.items():
            file[name] = histogram
    with uproot.open(tmp_path / "h.root") as file:
        assert file["ecal_hcal__all"].classname == "TH2D"
        for name, histogram in histograms.items():
            assert np.array_equal(file[name].values(flow=True), histogram.values(flow=True))


def test_wrong_arguments(mini, columns):
    outcome = apply(mini, columns)
    with pytest.raises(SelectionError, match=r"9 events in the columns, 10 in the outcome"):
        fill_histograms(
            empty_histograms(mini), outcome, {name: array[1:] for name, array in columns.items()}
        )
    with pytest.raises(SelectionError, match="no histogram 'ecal_hcal__none' to fill"):
        fill_histograms({}, outcome, columns)
