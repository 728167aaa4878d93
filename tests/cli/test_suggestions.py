"""A misspelt name of any kind is answered with the right one."""

from __future__ import annotations

import shutil

import pytest

from na64reco.cli.near_files import near_files
from na64reco.resources import shipped_folder

RUN = ["run", "electron-invisible-2022", "mc.root", "-o", "new"]
SIMULATE = ["simulate", "2022-electron", "signal", "-o", "new.root"]
CALIBRATE = ["calibrate", "2022-electron", "mc.root", "-o", "new"]
LIMIT = ["limit", "na64e-2018", "--model", "dark-photon"]
SELECTION = "based_on: electron-invisible-2022\n"
CUT = "  - {name: incoming track, variable: track.momentum, window: [97, 103]}\n"
FILES = {
    "key.yaml": SELECTION + "titel: x\n",
    "cut_key.yaml": SELECTION + "cuts:\n" + CUT.replace("window", "windw"),
    "variable.yaml": SELECTION + "cuts:\n" + CUT.replace("momentum", "momentm"),
    "region.yaml": SELECTION + "blind: signl\n",
    "removed.yaml": SELECTION + "cuts:\n  - {name: incoming trak, remove: true}\n",
    "base.yaml": "based_on: electron-invisble-2022\n",
    "of_setup.yaml": SELECTION + "setup: 2022-electrn\n",
    "setup_key.yaml": "based_on: 2022-electron\nmagnetts: {}\n",
    "setup_inner_key.yaml": "based_on: 2022-electron\nbeam: {momentm: 100}\n",
    "setup_base.yaml": "based_on: 2022-electrn\n",
    "mapping_key.yaml": "scalrs: {run: r}\n",
    "mapping_collection.yaml": "collections: {ECALL: {section: a}}\n",
    "fileset_key.yaml": "physics: {fils: {mc.root: Events}}\n",
    "fileset_fact.yaml": "physics: {files: {mc.root: {entrie: 3}}}\n",
    "model_key.yaml": "nam: x\n",
    "search_key.yaml": "titel: x\n",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, command, sample):
    """Files with a misspelt name each, a hit file, an output folder and conditions."""
    place = tmp_path_factory.mktemp("typos")
    for name, text in FILES.items():
        (place / name).write_text(text, encoding="utf-8")
    shutil.copy(sample / "mc.root", place)
    shutil.copytree(shipped_folder("calib") / "2022-electron", place / "conditions")
    text = (place / "conditions" / "ecal.txt").read_text(encoding="utf-8")
    (place / "conditions" / "ecal.txt").write_text(text.replace("columns=", "colums=", 1))
    done = command(
        *("run", "electron-invisible-2022", f"simulated={place}/mc.root", "-o", place / "out"), "-q"
    )
    assert done.exit_code == 0, done.output
    return place


@pytest.mark.parametrize(
    ("arguments", "right"),
    [
        # commands, options, values
        (["setpus"], "setups"),
        (["run", "--overwite"], "--overwrite"),
        ([*RUN, "--executor", "itertive"], "iterative"),
        ([*SIMULATE, "--trigger", "bean"], "beam"),
        (["simulate", "2022-electron", "electrn", "-o", "new.root"], "electron"),
        ([*LIMIT, "--method", "clz"], "cls"),
        ([*CALIBRATE, "--only", "ecla"], "ecal"),
        ([*CALIBRATE, "--spectrometer", "mein"], "main"),
        # what ships
        (["run", "electron-invisble-2022", "mc.root", "-o", "new"], "electron-invisible-2022"),
        (["freeze", "electron-calibratoin-2022", "-o", "new"], "electron-calibration-2022"),
        (["simulate", "2022-electrn", "electron", "-o", "new.root"], "2022-electron"),
        (["inspect", "mc.root", "--setup", "2021-moun"], "2021-muon"),
        (["limit", "na64e-2081", "--model", "dark-photon"], "na64e-2018"),
        (["yield", "na64e-2018", "--model", "dark-foton"], "dark-photon"),
        ([*SIMULATE, "--model", "dark-foton"], "dark-photon"),
        # columns, variables, datasets, regions
        ([*RUN, "--columns", "ecal.enrgy"], "ecal.energy"),
        (["compare", "out:simulated", "out:simulated", "--variables", "hcal.enrgy"], "hcal.energy"),
        (["compare", "out:simulatd", "out"], "simulated"),
        (["exposure", "out", "--dataset", "simulatd"], "simulated"),
        (["background", "out", "--component", "simulatd=1e9"], "simulated"),
        (["display", "out", "--where", "ecal.enrgy > 3", "-o", "new.png"], "ecal_energy"),
        (["display", "out", "--where", "regon == signal", "-o", "new.png"], "region"),
        (["display", "out", "--where", "region == signl", "-o", "new.png"], "signal"),
        # keys of files
        (["run", "key.yaml", "mc.root", "-o", "new"], "title"),
        (["run", "cut_key.yaml", "mc.root", "-o", "new"], "window"),
        (["run", "variable.yaml", "mc.root", "-o", "new"], "track.momentum"),
        (["run", "region.yaml", "mc.root", "-o", "new"], "signal"),
        (["run", "removed.yaml", "mc.root", "-o", "new"], "incoming track"),
        (["run", "base.yaml", "mc.root", "-o", "new"], "electron-invisible-2022"),
        (["run", "of_setup.yaml", "mc.root", "-o", "new"], "2022-electron"),
        (["simulate", "setup_key.yaml", "electron", "-o", "new.root"], "magnets"),
        (["simulate", "setup_inner_key.yaml", "electron", "-o", "new.root"], "momentum"),
        (["simulate", "setup_base.yaml", "electron", "-o", "new.root"], "2022-electron"),
        ([*RUN, "--mapping", "mapping_key.yaml"], "scalars"),
        ([*RUN, "--mapping", "mapping_collection.yaml"], "ECAL"),
        (["run", "electron-invisible-2022", "fileset_key.yaml", "-o", "new"], "files"),
        (["run", "electron-invisible-2022", "fileset_fact.yaml", "-o", "new"], "entries"),
        (["limit", "na64e-2018", "--model", "model_key.yaml"], "name"),
        (["limit", "search_key.yaml", "--model", "dark-photon"], "title"),
        ([*RUN, "--calib", "conditions"], "columns"),
        # files and folders
        (["run", "electron-invisible-2022", "mcc.root", "-o", "new"], "mc.root"),
        (["run", "variabel.yaml", "mc.root", "-o", "new"], "variable.yaml"),
        (["run", "electron-invisible-2022", "filset_key.yaml", "-o", "new"], "fileset_key.yaml"),
        (["simulate", "stup_key.yaml", "electron", "-o", "new.root"], "setup_key.yaml"),
        (["limit", "serch_key.yaml", "--model", "dark-photon"], "search_key.yaml"),
        (["limit", "na64e-2018", "--model", "modl_key.yaml"], "model_key.yaml"),
        ([*RUN, "--calib", "condtions"], "conditions"),
        ([*RUN, "--mapping", "maping_key.yaml"], "mapping_key.yaml"),
        (["report", "outt"], "out"),
        (["efficiency", "outt"], "out"),
        (["background", "outt"], "out"),
        (["compare", "outt:simulated", "out"], "out"),
        (["display", "outt", "--event", "1", "-o", "new.png"], "out"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)
def test_a_misspelt_name_is_answered_with_the_right_one(
    command, folder, arguments, right, monkeypatch
):
    monkeypatch.chdir(folder)
    done = command(*arguments)
    assert done.exit_code in {1, 2}
    text = " ".join(done.stderr.replace("│", " ").split())
    answer = text.partition("Did you mean ")[2] or text.partition("Possible options: ")[2]
    assert right in answer, text
    assert "Traceback" not in text
    assert not list(folder.glob("new*"))


def test_only_what_is_missing_gets_a_suggestion(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run_1.root").touch()
    assert (
        near_files("no run_2.root", ["run_2.root"]) == "no run_2.root. Did you mean 'run_1.root'?"
    )
    assert near_files("bad run_1.root", ["run_1.root"]) == "bad run_1.root"
    assert near_files("no run_2.root", ["another.root"]) == "no run_2.root"
    (tmp_path / "roots").mkdir()
    remote = "root://x/run_2.root"
    assert near_files(f"no {remote}", [remote, f"data={remote}"]) == f"no {remote}"
    assert near_files("no run_2.rooted", ["run_2.root"]) == "no run_2.rooted"
    assert near_files("no quite_different", ["quite_different"]) == "no quite_different"
    told = "no data=run_2.root. Did you mean 'x'?"
    assert near_files(told, ["data=run_2.root"]) == told
    given = near_files("There is no run_2.root.", ["data=run_2.root"])
    assert given == "There is no run_2.root. Did you mean 'run_1.root'?"
