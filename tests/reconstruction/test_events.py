from __future__ import annotations

import shutil
import subprocess
import sys
from types import SimpleNamespace

import awkward as ak
import numpy as np
import pytest

import na64reco
from na64reco.calibration import NearestConditionsWarning, load_conditions
from na64reco.errors import ConditionsError, FileFormatError, SelectionError, SetupError
from na64reco.events import open_events
from na64reco.reconstruction import (
    COLUMNS,
    available_columns,
    columns_of_group,
    reconstruct,
    reconstruct_columns,
)
from na64reco.reconstruction import events as module
from na64reco.reconstruction.samples import ERROR_COLUMNS
from na64reco.resources import shipped_folder
from na64reco.setup import load_setup

from .conftest import EVENTS, RUNS


def branches_read(log) -> set[str]:
    """Branches that coffea's access log names, counters left out."""
    return {entry.branch for entry in log if not entry.branch.startswith("n")}


def test_all_columns_of_setup_and_file_in_declared_types(events, setup):
    found = reconstruct_columns(events, setup)
    missing = set(available_columns(setup)) - set(found)
    assert missing == {
        *(f"mc.{n}" for n in ("momentum", "x", "y", "ecal_energy", "missing_energy", "pileup")),
        *(n for n in ERROR_COLUMNS if not n.startswith("vhcal")),  # of waveforms
        *("scaler", "scaler_live", "prescale"),
    }
    assert list(found) == [name for name in COLUMNS if name in found]
    for name, values in found.items():
        assert values.dtype == COLUMNS[name].dtype, name
        assert values.shape == (EVENTS,), name


def test_hand_made_energies(events, setup, batch):
    """amplitude x scale of the run's own conditions, channel by channel."""
    found = reconstruct_columns(
        events, setup, columns=["prs.energy", "ecal.main", "hcal.module0", "srd.module1", "run"]
    )
    for event, run in enumerate(batch.scalars["run"]):
        of_run = load_conditions(setup, int(run))
        ecal = of_run.ecal.scale
        assert found["prs.energy"][event] == pytest.approx(900 * ecal[0, 2, 3], rel=1e-5)
        expected = 5000 * ecal[1, 2, 3] + 300 * ecal[1, 1, 3]
        assert found["ecal.main"][event] == pytest.approx(expected, rel=1e-5)
        hcal = 900 * of_run.hcal.scale[0, 1, 1]
        assert found["hcal.module0"][event] == pytest.approx(hcal, rel=1e-5)
        assert found["srd.module1"][event] == pytest.approx(5000 * of_run.srd.scale[1], rel=1e-5)


def test_runs_with_different_conditions_keep_the_order_of_events(events, setup, batch):
    found = reconstruct_columns(events, setup)
    np.testing.assert_array_equal(found["event"], batch.scalars["event"])
    first, second = found["ecal.main"][::2], found["ecal.main"][1::2]
    assert np.ptp(first) == np.ptp(second) == 0
    assert first[0] != second[0]
    for number, run in enumerate(RUNS):
        alone = reconstruct_columns(events[batch.scalars["run"] == run], setup)
        for name, values in alone.items():
            np.testing.assert_array_equal(values, found[name][number::2], err_msg=name)


def test_given_conditions_are_used_for_all_runs(events, setup):
    one = load_conditions(setup, RUNS[0])
    found = reconstruct_columns(events, setup, columns=["ecal.main"], conditions=one)
    assert np.ptp(found["ecal.main"]) == 0


@pytest.mark.parametrize(
    ("columns", "collections"),
    [
        (["event", "trigger.beam"], set()),
        (["hcal.energy"], {"HCAL"}),
        (["ecal.energy", "prs.energy"], {"ECAL"}),
        (["ecal.chi2"], {"ECAL", "MM", "GEM"}),
        (["veto.energy", "srd.energy"], {"VETO", "SRD"}),
        (["straw.hits"], {"ST"}),
        (["mm.clusters"], {"MM"}),
        (["track.momentum"], {"MM", "GEM"}),
        (["counters.beam"], {"Counter"}),
        (["quality.good"], set()),
    ],
)
def test_only_what_the_columns_need_is_read(path, setup, columns, collections):
    log = []
    found = reconstruct_columns(open_events(path, access_log=log), setup, columns=columns)
    assert list(found) == columns
    read = branches_read(log)
    assert {name.partition("_")[0] for name in read if name[0].isupper()} == collections
    scalars = {name for name in read if not name[0].isupper()}
    if columns == ["event", "trigger.beam"]:
        assert scalars == {"event", "trigger"}
    elif columns == ["quality.good"]:
        assert scalars == {"run", "spill"}
    else:
        assert scalars == {"run"}


def test_straws_are_read_where_tracks_use_them(path, setup):
    main = setup.spectrometers["main"]
    main = main.model_copy(update={"downstream": (*main.downstream, "ST3", "ST4")})
    listed = setup.model_copy(update={"spectrometers": {"main": main}})
    log = []
    reconstruct_columns(open_events(path, access_log=log), listed, columns=["track.momentum"])
    read = {name.partition("_")[0] for name in branches_read(log) if name[0].isupper()}
    assert read == {"MM", "GEM", "ST"}


def test_tracking_runs_only_where_its_result_is_used(events, setup, monkeypatch):
    calls = []

    def stub(mm, gem, straw, setup, conditions, *, spectrometer, unfolded, wanted):
        assert {"track.x_ecal", "track.y_ecal"} <= wanted
        calls.append((mm is not None, gem is not None, straw is not None))
        n = len(next(h for h in (mm, gem, straw) if h is not None))
        return {"track.x_ecal": np.full(n, -19.1), "track.y_ecal": np.full(n, 19.1)}

    monkeypatch.setattr(module, "reconstruct_tracks", stub)
    reconstruct_columns(events, setup, columns=["ecal.energy", "ecal.x"])
    assert calls == []
    at_edge = reconstruct_columns(events, setup, columns=["ecal.chi2"])["ecal.chi2"]
    assert calls == [(True, True, False)] * 2  # once a run
    # The impact is what tracking says: its own position fits this shower differently.
    monkeypatch.setattr(module, "tracks_of", lambda wanted, setup, given: set())
    own = reconstruct_columns(events, setup, columns=["ecal.chi2"])["ecal.chi2"]
    assert (at_edge > 1.1 * own).all()


def test_nested_records_share_memory_with_the_columns(events, setup):
    flat = reconstruct_columns(events, setup)
    nested = module.nested(flat, length=EVENTS)
    assert np.shares_memory(ak.to_numpy(nested.ecal.energy), flat["ecal.energy"])
    reco = reconstruct(events, setup)
    assert len(reco) == EVENTS
    for name, values in flat.items():
        column = reco
        for part in name.split("."):
            column = column[part]
        np.testing.assert_array_equal(ak.to_numpy(column), values, err_msg=name)
    one = reconstruct(events, setup, columns=["ecal.energy", "run"])
    assert one.fields == ["ecal", "run"]


def test_no_events(events, setup):
    found = reconstruct_columns(events[:0], setup, columns=["run", "ecal.energy", "track.found"])
    assert [v.shape for v in found.values()] == [(0,)] * 3
    assert found["track.found"].dtype == np.bool_


def test_trigger_bits(events, setup):
    found = reconstruct_columns(events, setup, columns=columns_of_group("trigger"))
    bits = np.arange(EVENTS) % 8
    for name, bit in (("physics", 1), ("beam", 2), ("random", 4)):
        assert found[f"trigger.{name}"].tolist() == [(b & bit) > 0 for b in bits]


def test_truth_is_passed_on(events, setup, batch):
    found = reconstruct_columns(events, setup, columns=["mc.process", "mc.weight"])
    assert found["mc.process"].tolist() == [5] * EVENTS
    np.testing.assert_array_equal(found["mc.weight"], batch.scalars["MC_weight"])


def test_bad_runs_and_spills(events, setup, tmp_path):
    folder = tmp_path / "calib"
    shutil.copytree(shipped_folder("calib") / setup.name, folder)
    (folder / "quality.txt").write_text(
        "setup=2022-electron\ncolumns=run,spill,reason\n6200 * broken\n6100 4 beam_off\n"
    )
    found = reconstruct_columns(events, setup, columns=["quality.good"], calib=folder)
    # run 6100 has the even spills, 6200 the odd ones
    assert found["quality.good"].tolist() == [i % 2 == 0 and i != 4 for i in range(EVENTS)]


def test_unknown_column(events, setup):
    with pytest.raises(SelectionError, match=r"no column 'ecal\.enrgy'\. Did you mean 'ecal\.ener"):
        reconstruct_columns(events, setup, columns=["ecal.enrgy"])


def test_column_without_detector(events, setup):
    with pytest.raises(SetupError, match=r"2022-electron has no detector .* 'counters\.s4'.*s1"):
        reconstruct_columns(events, setup, columns=["counters.s4"])
    bare = setup.model_copy(update={"srd": None})
    with pytest.raises(SetupError, match=r"'srd\.energy'\. It has nothing of the kind"):
        reconstruct_columns(events, bare, columns=["srd.energy"])


@pytest.mark.parametrize(
    ("column", "branch"),
    [
        ("gem.clusters", "GEM_station"),
        ("track.momentum", "GEM_station"),
        ("veto.energy", "VETO_ix"),
        ("mc.pileup", "MC_pileup"),
    ],
)
def test_missing_branch_is_named(without, setup, column, branch):
    events = without("GEM", "VETO")
    with pytest.raises(FileFormatError, match=f"{column!r} needs the branch {branch!r}.*--mapping"):
        reconstruct_columns(events, setup, columns=[column])


def test_without_columns_given_a_file_gives_what_it_can(without, setup):
    found = reconstruct_columns(without("GEM", "VETO", "MC_process", "MC_weight"), setup)
    groups = {name.partition(".")[0] for name in found}
    assert not groups & {"gem", "track", "veto", "mc"}
    assert {"ecal", "prs", "hcal", "mm", "straw", "srd", "counters"} <= groups
    # without tracks the shape is judged at the shower's own position
    assert np.isfinite(found["ecal.chi2"]).all()


def test_run_outside_all_conditions(events, setup):
    old = load_setup("2018-electron")
    with pytest.raises(ConditionsError, match="6100"):
        reconstruct_columns(events, old, columns=["hcal.energy"])
    with pytest.warns(NearestConditionsWarning):
        reconstruct_columns(events, old, columns=["hcal.energy"], nearest=True)


def test_package_offers_the_main_functions_lazily(path, setup):
    reco = na64reco.reconstruct(na64reco.open_events(path), setup, columns=["ecal.energy"])
    assert ak.all(reco.ecal.energy > 10)
    assert {"open_events", "reconstruct", "load_selection"} <= set(dir(na64reco))
    with pytest.raises(AttributeError, match="'nonsense'"):
        na64reco.nonsense  # noqa: B018
    code = (
        "import sys, na64reco, na64reco.reconstruction\n"
        "assert not {'numba', 'uproot', 'coffea', 'awkward'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_good_needs_no_bad_spills():
    scalars = {"run": np.array([1, 2], np.uint32), "spill": np.array([1, 1], np.uint32)}
    none = SimpleNamespace(bad_runs=frozenset(), bad_spills=frozenset())
    assert module._good(scalars, none).all()
