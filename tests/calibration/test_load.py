"""Conditions of a run from a folder: values by hand, validity, and every way to be wrong."""

from __future__ import annotations

import pickle
import re
import shutil
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

from na64reco.calibration import (
    Alignment,
    NearestConditionsWarning,
    StrawConditions,
    StripConditions,
    load_conditions,
)
from na64reco.errors import ConditionsError
from na64reco.resources import shipped_folder
from na64reco.setup import load_setup

if TYPE_CHECKING:
    from pathlib import Path

SETUP = load_setup("2022-electron")
CELLS = "columns=section,ix,iy,scale,time,time_width,threshold\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A complete folder to spoil."""
    return shutil.copytree(shipped_folder("calib") / SETUP.name, tmp_path / "mine")


def put(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def ecal_rows(section: str) -> str:
    """Scale 0.01 (1 + ix) + 0.001 iy, time ix - iy, width 1.5, threshold 0.1."""
    return "".join(
        f"{section} {ix} {iy} 0.01*(1+{ix})+0.001*{iy} {ix}-{iy} 3/2 1e-1\n"
        for ix in range(5)
        for iy in range(6)
    )


def test_cells_by_hand(folder: Path) -> None:
    put(
        folder,
        "ecal.txt",
        "setup=2022-electron\nfactor.ECAL=1.1\nprofile.sigma=2*4\n"
        f"runs=6035-6999\nfactor.ECAL.prs=0.5\n{CELLS}{ecal_rows('prs')}{ecal_rows('main')}"
        "runs=6150-\nfactor.ECAL=3\nprofile.sigma=9\n"
        "columns=ix,iy,section,time\n2 3 main -7.5\n",
    )
    early = load_conditions(SETUP, 6149, folder=folder)
    late = load_conditions(SETUP, 6150, folder=folder)
    assert early.ecal.scale.shape == (2, 5, 6)
    # prs (4, 5): (0.05 + 0.005) * 1.1 * 0.5; main (4, 5): without the half
    assert early.ecal.scale[0, 4, 5] == pytest.approx(0.03025)
    assert early.ecal.scale[1, 4, 5] == pytest.approx(0.0605)
    assert late.ecal.scale[1, 4, 5] == pytest.approx(0.1815)
    assert early.ecal.time[1, 2, 3] == -1
    assert late.ecal.time[1, 2, 3] == -7.5
    assert late.ecal.time[0, 2, 3] == -1
    assert late.ecal.time_width[1, 2, 3] == 1.5
    assert late.ecal.threshold[1, 2, 3] == 0.1
    assert (early.shower_profile, late.shower_profile) == ({"sigma": 8.0}, {"sigma": 9.0})
    assert (early.runs, late.runs) == ((6035, 6149), (6150, 6999))
    assert early.setup == "2022-electron"


def test_rows_of_channels_by_hand(folder: Path) -> None:
    columns = "scale,time,time_width,threshold\n"
    put(folder, "srd.txt", f"columns=module,{columns}2 3 0 1 0\n0 1 0 1 0\n1 2 0 1 0\nfactor.SRD=2")
    veto = "".join(f"{i} {i}+1 0 1 0.001\n" for i in range(6))
    put(folder, "veto.txt", f"columns=photomultiplier,{columns}{veto}")
    counters = "S1 1 .1 1 1e-4\nS2 2 .2 1 1e-4\nS3 3 .3 1 1e-4\nV1 4 .4 1 1e-4\nV2 5 .5 1 1e-4\n"
    put(folder, "counters.txt", f"factor.COUNTERS=10\ncolumns=counter,{columns}{counters}")
    found = load_conditions(SETUP, 6100, folder=folder)
    assert found.srd.scale.tolist() == [2, 4, 6]
    assert found.veto.scale.tolist() == [1, 2, 3, 4, 5, 6]
    # S1, S2, S3 have the identities 1, 2, 3; V1 and V2 have 9 and 10 (DESIGN section 3)
    assert found.counters.scale.tolist() == [0, 10, 20, 30, 0, 0, 0, 0, 0, 40, 50, 0, 0, 0, 0, 0]
    assert found.counters.time[[3, 10]].tolist() == [0.3, 0.5]
    assert found.counters.threshold[1] == 1e-4
    assert np.isinf(found.counters.threshold[[0, 4, 8, 15]]).all()
    assert (found.counters.time_width > 0).all()


def test_planes_by_hand(folder: Path) -> None:
    names = [f"MM{i} {p}" for i in (1, 2, 3, 4) for p in "XY"]
    put(
        folder,
        "mm.txt",
        "columns=station,projection,min_charge,time,time_width,resolution,dead\n"
        + "".join(f"{n} 5*6 -3 8.5 0.09 -\n" for n in names)
        + "columns=station,projection,dead\nMM3 Y 17,3,319\n",
    )
    straws = [f"ST{i} {p} {layer}" for i in (3, 4) for p in "XY" for layer in (0, 1)]
    put(
        folder,
        "straw.txt",
        "columns=station,projection,layer,t0,time_max,rt,resolution\n"
        + "".join(f"{n} {i} 75 0,4.5,-3/2 0.14\n" for i, n in enumerate(straws)),
    )
    planes = names + [f"{t}{i} {p}" for t, i in (("GEM", 1), ("GEM", 2), ("ST", 3)) for p in "XY"]
    put(
        folder,
        "alignment.txt",
        "columns=station,projection,shift\n"
        + "".join(f"{n} 0.01\n" for n in planes)
        + "columns=station,projection,shift,rotation\nST4 X 0.5 0.2\nST4 Y -0.5 0\n",
    )
    found = load_conditions(SETUP, 6100, folder=folder)
    assert sorted(found.mm) == [(station, p) for station in (1, 2, 3, 4) for p in (0, 1)]
    assert found.mm[1, 0] == StripConditions(30.0, -3.0, 8.5, 0.09, ())
    assert found.mm[3, 1].dead == (3, 17, 319)
    assert sorted(found.gem) == [(1, 0), (1, 1), (2, 0), (2, 1)]
    # ST4 Y layer 1 is the eighth row
    assert found.straw[4, 1, 1] == StrawConditions(7.0, 75.0, (0.0, 4.5, -1.5), 0.14)
    assert len(found.straw) == 8
    assert found.alignment["mm", 1, 0] == Alignment(0.01, 0.0)
    assert found.alignment["straw", 4, 0] == Alignment(0.5, 0.2)
    assert len(found.alignment) == 16


def test_bad_runs_and_spills(folder: Path) -> None:
    put(folder, "quality.txt", "columns=run,spill,reason\n6100 * beam_off\n6101 7 sparks\n6101 8 x")
    found = load_conditions(SETUP, 6500, folder=folder)
    assert found.bad_runs == {6100}
    assert found.bad_spills == {(6101, 7), (6101, 8)}
    put(folder, "quality.txt", "# all good\n")
    found = load_conditions(SETUP, 6500, folder=folder)
    assert (found.bad_runs, found.bad_spills) == (frozenset(), frozenset())


def test_detectors_that_a_setup_lacks_need_no_file(folder: Path) -> None:
    kept = {n: s for n, s in SETUP.stations.items() if s.technology == "mm"}
    bare = SETUP.model_copy(update={"srd": None, "veto": None, "stations": kept})
    for name in ("srd", "veto", "gem", "straw"):
        (folder / f"{name}.txt").unlink()
    planes = "".join(f"{n} {p} 0\n" for n in kept for p in "XY")
    put(folder, "alignment.txt", f"columns=station,projection,shift\n{planes}")
    found = load_conditions(bare, 6100, folder=folder)
    assert found.srd.scale.shape == found.veto.threshold.shape == (0,)
    assert (found.gem, found.straw, found.vhcal) == ({}, {}, None)


def test_holes_have_no_row_and_count_nothing(folder: Path) -> None:
    section = next(iter(SETUP.hcal.sections.items()))
    vhcal = SETUP.hcal.model_copy(update={"hole": ((1, 1),), "sections": dict([section])})
    muon = SETUP.model_copy(update={"vhcal": vhcal})
    with pytest.raises(
        ConditionsError, match=r"no conditions file .*vhcal\.txt\. Did you mean 'hcal"
    ):
        load_conditions(muon, 6100, folder=folder)
    cells = [(ix, iy) for ix in range(3) for iy in range(3) if (ix, iy) != (1, 1)]
    rows = "".join(f"module0 {ix} {iy} 0.03 0 5 0.2\n" for ix, iy in cells)
    put(folder, "vhcal.txt", CELLS + rows)
    found = load_conditions(muon, 6100, folder=folder)
    assert found.vhcal is not None
    assert found.vhcal.scale[0].tolist() == [[0.03] * 3, [0.03, 0, 0.03], [0.03] * 3]
    assert found.vhcal.threshold[0, 1, 1] == np.inf
    put(folder, "vhcal.txt", CELLS + rows + "module0 1 1 0.03 0 5 0.2\n")
    with pytest.raises(
        ConditionsError, match=r"line 10: the setup has no section,ix,iy = module0 1 1"
    ):
        load_conditions(muon, 6100, folder=folder)


def replaced(folder: Path, name: str, old: str, new: str) -> Path:
    path = folder / name
    text, count = re.subn(old, new, path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert count
    return put(folder, name, text)


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        (
            "srd.txt",
            r"^1 .*\n",
            "",
            "lacks 1 of 3 channels of the setup for runs 6035-6999: module = 1. Add a row for each.",
        ),
        (
            "ecal.txt",
            r"^prs +1 +3 .* 0\.01\n",
            "",
            "changes the row section=prs, ix=1, iy=3, which no earlier block defines "
            "for run 6500",
        ),
        (
            "hcal.txt",
            r"^module[12] .*\n",
            "",
            "lacks 18 of 36 channels of the setup for runs 6035-6999: section,ix,iy = module1 0 0; "
            "module1 0 1; module1 0 2; module1 1 0; module1 1 1; module1 1 2; module1 2 0; "
            "module1 2 1; .... Add a row",
        ),
        ("hcal.txt", r"^module0 ", "modul0 ", "the setup has no section,ix,iy = modul0 0 0. Did you mean 'module0 0 0'"),
        ("counters.txt", r"^S1 ", "S7 ", "the setup has no counter = S7. Known: 'S1', 'S2'"),
        ("mm.txt", r"^MM1  X", "MM1  U", "the setup has no station,projection = MM1 U. Did you mean 'MM1"),
        ("gem.txt", r"-$", "256", "column 'dead' names strip 256, but GEM1 X has the strips 0 to 255."),
        ("gem.txt", r"-$", "-1", "column 'dead' names strip -1, but GEM1 X"),
        ("straw.txt", r" 0,[\d.]+,\S*", " 0", "column 'rt' has 1 coefficients, expected two or more, such as 0,3"),
        ("alignment.txt", r"^ST4 .*\n", "", "lacks 2 of 16 channels"),
        ("quality.txt", r"^6966  \*", "6966  all", "column 'spill' is 'all', expected the number of a spill, or *"),
        ("quality.txt", r"^columns", "runs=6035-\ncolumns", "`runs=` has no meaning here; each row names its run"),
        ("veto.txt", "setup=2022-electron", "setup=2018-electron", "says it is for setup=2018-electron, but conditions of 2022-electron are wanted."),
        ("veto.txt", "setup=", "stup=", "there is no key 'stup' in such a file. Did you mean 'setup'?"),
        ("veto.txt", "runs=6035", "runs=6035,", "is not a range of runs"),
    ],
)  # fmt: skip
def test_what_is_refused(folder: Path, name: str, old: str, new: str, message: str) -> None:
    path = replaced(folder, name, old, new)
    with pytest.raises(ConditionsError) as caught:
        load_conditions(SETUP, 6500, folder=folder)
    assert message in str(caught.value)
    assert str(caught.value).startswith(str(path))


def test_missing_file_and_folder(folder: Path) -> None:
    (folder / "gem.txt").rename(folder / "gems.txt")
    with pytest.raises(
        ConditionsError, match=r"no conditions file .*gem\.txt\. Did you mean 'gems\.txt'"
    ):
        load_conditions(SETUP, 6500, folder=folder)
    with pytest.raises(ConditionsError, match="The folder does not exist"):
        load_conditions(SETUP, 6500, folder=folder / "nowhere")
    unknown = SETUP.model_copy(update={"name": "2023-electron"})
    with pytest.raises(
        ConditionsError,
        match=r"No conditions ship for the setup '2023-electron'.*Did you mean '202",
    ):
        load_conditions(unknown, 6500)


def test_a_gap_names_file_and_neighbours_and_the_nearest_is_a_warning(folder: Path) -> None:
    text = (
        (folder / "srd.txt").read_text(encoding="utf-8").replace("runs=6035-6999", "runs=6035-6100")
    )
    later = "runs=6200-6999\nfactor.SRD=2\n" + text[text.index("columns=") :]
    path = put(folder, "srd.txt", f"{text}{later}")
    gap = (
        f"{path} has no conditions for run 6150: the nearest before is 6035-6100, the nearest "
        "after is 6200-6999."
    )
    with pytest.raises(ConditionsError, match=re.escape(gap)):
        load_conditions(SETUP, 6150, folder=folder)
    with pytest.warns(
        NearestConditionsWarning, match=re.escape(f"{gap} Those of run 6100 are used.")
    ):
        early = load_conditions(SETUP, 6150, folder=folder, nearest=True)
    with pytest.warns(NearestConditionsWarning, match="Those of run 6200 are used"):
        late = load_conditions(SETUP, 6151, folder=folder, nearest=True)
    np.testing.assert_allclose(late.srd.scale, 2 * early.srd.scale, rtol=1e-15)
    assert (early.runs, late.runs) == ((6150, 6150), (6151, 6151))
    # a covered run warns of nothing: warnings are errors here
    assert load_conditions(SETUP, 6300, folder=folder, nearest=True).runs == (6200, 6999)


def test_outside_all_shipped_conditions() -> None:
    with pytest.raises(ConditionsError) as caught:
        load_conditions(SETUP, 5000)
    assert re.search(
        r"2022-electron/ecal\.txt has no conditions for run 5000: the nearest after is 6035-6999\. "
        r"Extend a `runs=` or add a block for the run, or ask for the nearest valid conditions "
        r"\(--nearest-conditions\)\.",
        str(caught.value),
    )


def test_nearest_cannot_help_a_file_without_conditions(folder: Path) -> None:
    put(folder, "srd.txt", "# nothing yet\n")
    with pytest.raises(ConditionsError, match="it has no block with all columns"):
        load_conditions(SETUP, 6150, folder=folder, nearest=True)


def test_digest_is_of_the_text(folder: Path) -> None:
    shipped, copied = load_conditions(SETUP, 6100), load_conditions(SETUP, 6100, folder=folder)
    assert re.fullmatch("[0-9a-f]{64}", shipped.digest)
    assert shipped.digest == copied.digest
    with (folder / "srd.txt").open("a", encoding="utf-8") as stream:
        stream.write("# touched\n")
    assert load_conditions(SETUP, 6100, folder=folder).digest != shipped.digest


def test_travels_to_other_processes_and_loads_quickly() -> None:
    found = load_conditions(SETUP, 6100)
    again = pickle.loads(pickle.dumps(found))
    np.testing.assert_array_equal(again.ecal.scale, found.ecal.scale)
    assert again.straw == found.straw
    begin = time.perf_counter()
    for _ in range(5):
        load_conditions(SETUP, 6200)
    assert (time.perf_counter() - begin) / 5 < 0.05


def test_run_as_a_hit_file_holds_it(folder: Path) -> None:
    found = load_conditions(SETUP, np.uint32(6100), folder=folder)
    assert found.runs == (6035, 6149)
    with pytest.warns(NearestConditionsWarning, match="Those of run 6999 are used"):
        late = load_conditions(SETUP, np.uint32(7100), folder=folder, nearest=True)
    assert (late.runs, type(late.runs[0])) == ((7100, 7100), int)
