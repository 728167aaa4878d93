from __future__ import annotations

import importlib.util

import pytest
import yaml

from na64reco.errors import FileFormatError
from na64reco.processors import FilesetError, catalogue, resolve_inputs


@pytest.fixture
def folder(tmp_path):
    for name in ("run_1.root", "run_2.root", "other.root"):
        (tmp_path / name).touch()
    return tmp_path


def names(fileset):
    return [(f.dataset, f.path.rpartition("/")[2]) for f in fileset.files]


def test_plain_files_form_one_dataset_in_the_given_order(folder):
    fileset = resolve_inputs([folder / "run_2.root", folder / "run_1.root"])
    assert names(fileset) == [("events", "run_2.root"), ("events", "run_1.root")]
    assert resolve_inputs(folder / "run_1.root", dataset="x").datasets == ("x",)


def test_globs_and_folders_are_sorted(folder):
    assert [n for _, n in names(resolve_inputs(f"{folder}/run_*.root"))] == [
        "run_1.root",
        "run_2.root",
    ]
    assert [n for _, n in names(resolve_inputs(folder))] == [
        "other.root",
        "run_1.root",
        "run_2.root",
    ]


def test_names_make_datasets_that_stand_together(folder):
    fileset = resolve_inputs(
        [f"a={folder}/run_1.root", f"b={folder}/other.root", f"a={folder}/run_2.root"]
    )
    assert names(fileset) == [("a", "run_1.root"), ("a", "run_2.root"), ("b", "other.root")]


@pytest.mark.parametrize(
    ("inputs", "text"),
    [
        ([], "No input files were given"),
        (["{f}/nothing_*.root"], "No file matches"),
        (["{f}/run_1.root", "{f}/../{n}/run_1.root"], "is given twice"),
        (["a={f}/run_1.root", "b={f}/run_*.root"], "datasets 'a' and 'b'"),
        (["7={f}/run_1.root"], "'7' is no name for a dataset"),
        (["{f}/none.yaml"], "There is no fileset"),
        (["a={f}/x.yaml"], "names its datasets itself"),
    ],
)
def test_what_is_refused(folder, inputs, text):
    inputs = [i.format(f=folder, n=folder.name) for i in inputs]
    with pytest.raises(FilesetError, match=text):
        resolve_inputs(inputs)


@pytest.mark.parametrize("name", ["run_1.root", "run_*.root", "folder/"])
@pytest.mark.parametrize("lacking", ["fsspec_xrootd", "XRootD"])
def test_without_a_client_it_is_said_how_to_get_one(name, lacking, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda n: None if n == lacking else found(n))
    with pytest.raises(FileFormatError, match=r"pip install 'na64reco\[xrootd\]'"):
        catalogue(resolve_inputs(f"root://127.0.0.1:1//{name}"))


def test_what_cannot_be_listed_is_refused():
    with pytest.raises(FilesetError, match="wildcards are for root:// and local paths"):
        resolve_inputs("http://127.0.0.1/run_*.root")
    # The server's name may have brackets, and what follows a question mark is no name.
    for url in ("root://[::1]:1094//a.root", "http://127.0.0.1/a.root?x=*"):
        (file,) = resolve_inputs(url).files
        assert file.path == url
    with pytest.raises(FilesetError, match="is no path of a hit file"):
        resolve_inputs("xroot://127.0.0.1//a.root")


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(FilesetError, match=r"holds no \*\.root file"):
        resolve_inputs(tmp_path)


def test_a_fileset_yaml_has_paths_relative_to_itself(folder):
    path = folder / "fileset.yaml"
    sha = "ab" * 32
    path.write_text(
        yaml.safe_dump(
            {
                "data": {"files": {"run_1.root": {"entries": 5, "size": 7, "sha256": sha}}},
                "mc": {"treename": "Events", "files": ["other.root"]},
                "coffea": {"files": {str(folder / "run_2.root"): "Events"}},
            },
            sort_keys=False,
        )
    )
    first, second, third = resolve_inputs(path).files
    assert (first.path, first.entries, first.size, first.sha256) == (
        str(folder / "run_1.root"),
        5,
        7,
        sha,
    )
    assert (second.dataset, second.entries) == ("mc", None)
    assert third.path == str(folder / "run_2.root")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("[1, 2]", "must be a mapping"),
        ("a: [", "is not valid YAML"),
        ("a: {file: [x.root]}", r"unknown key 'file'. Did you mean 'files'\?"),
        ("a: {files: {}}", "must list at least one file"),
        ("a: {files: {x.root: {entrys: 3}}}", r"unknown key 'entrys'. Did you mean 'entries'"),
        ("a: {files: {x.root: {entries: many}}}", "`entries` must be a whole number"),
        ("a: {files: {x.root: {sha256: 12}}}", "`sha256` must be 64 hexadecimal digits"),
        ("a: {files: {x.root: 3}}", "expected a mapping of facts, found int"),
        ("a: {files: {x.root: {entries: 9, steps: [[0, 4]]}}}", "leave out some of the 9 entries"),
        ("'a b': {files: [x.root]}", "'a b' is no name for a dataset"),
    ],
)
def test_a_malformed_fileset_names_the_place(tmp_path, content, text):
    path = tmp_path / "fileset.yaml"
    path.write_text(content)
    with pytest.raises(FilesetError, match=text):
        resolve_inputs(path)


def test_coffea_reads_the_form_we_hand_over(folder):
    from coffea.processor import Runner

    fileset = resolve_inputs([f"a={folder}/run_1.root", f"a={folder}/run_2.root"])
    found = list(Runner._normalize_fileset(fileset.for_coffea(), "Events"))
    assert [(f.dataset, f.filename, f.treename) for f in found] == [
        ("a", str(folder / "run_1.root"), "Events"),
        ("a", str(folder / "run_2.root"), "Events"),
    ]
