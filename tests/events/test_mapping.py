"""Files with other names, read as hit files."""

from __future__ import annotations

import awkward as ak
import numpy as np
import pytest
import uproot
from coffea.processor import IterativeExecutor, ProcessorABC, Runner

from na64reco.errors import DataError, FileFormatError, MappingError
from na64reco.events import (
    HitSchema,
    Mapping,
    inspect_file,
    load_mapping,
    open_events,
    read_hits,
    read_scalar,
)

YAML = """\
tree: T
scalars:
  run: runNumber
  event: {branch: evt}
  spill: {constant: 3}
  trigger: {constant: 1}
  master_time: {branch: t0_us, factor: 1000}
collections:
  ECAL:
    section: {constant: 1}
    ix: ecal_col
    iy: ecal_row
    amplitude: {branch: ecal_e, factor: 50, offset: -2.5}
    time: {branch: ecal_t, factor: 1000}
  MM:
    station: mm_st
    strip: mm_strip
counters:
  ECAL: necal_hits
"""

COUNTS = [2, 0, 1, 3]
COLUMNS = [0, 1, 2, 3, 4, 0]
ENERGIES = [1.0, 2.0, 4.0, 0.5, 8.0, 16.0]


def ragged(values, dtype):
    return ak.unflatten(np.array(values, dtype=dtype), COUNTS)


BRANCHES = {
    "runNumber": np.full(4, 6100, dtype=np.int32),
    "evt": np.array([11, 12, 13, 14], dtype=np.int64),
    "t0_us": np.array([0.1, 0.2, 0.3, 0.4]),
    "ecal_col": ragged(COLUMNS, np.int32),
    "ecal_row": ragged([1] * 6, np.int32),
    "ecal_e": ragged(ENERGIES, np.float64),
    "ecal_t": ragged([0.125] * 6, np.float64),
    "mm_st": ragged([1, 2, 1, 2, 1, 2], np.uint8),
    "mm_strip": ragged([10, 20, 30, 40, 50, 60], np.int16),
    "never_read": ragged([0.0] * 6, np.float32),
}


@pytest.fixture
def mapping(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(YAML, encoding="utf-8")
    return load_mapping(path)


def write_tree(path, branches):
    types = {
        name: values.dtype if isinstance(values, np.ndarray) else ak.type(values).content
        for name, values in branches.items()
    }
    with uproot.recreate(path) as file:
        file.mktree("T", types, counter_name=lambda n: "n" + n.split("_")[0] + "_hits").extend(
            branches
        )
    return path


def write_rntuple(path, branches):
    with uproot.recreate(path) as file:
        file.mkrntuple("T", ak.zip(branches, depth_limit=1))
    return path


@pytest.fixture(params=["ttree", "rntuple"])
def foreign(request, tmp_path):
    return {"ttree": write_tree, "rntuple": write_rntuple}[request.param](
        tmp_path / "foreign.root", BRANCHES
    )


@pytest.fixture
def fitting(request, mapping, foreign):
    """The mapping without a counter for the RNTuple, which has none."""
    with uproot.open(foreign) as file:
        if file.classname_of("T") == "TTree":
            return mapping
    return mapping.model_copy(update={"counters": {}})


def test_values_arrive_renamed_and_rescaled(foreign, fitting):
    events = open_events(foreign, mapping=fitting)
    assert read_scalar(events, "run").tolist() == [6100] * 4
    assert read_scalar(events, "event").tolist() == [11, 12, 13, 14]
    assert read_scalar(events, "trigger").tolist() == [1] * 4
    assert read_scalar(events, "spill").tolist() == [3] * 4
    np.testing.assert_allclose(read_scalar(events, "master_time"), [100, 200, 300, 400], rtol=1e-6)
    hits = read_hits(events, "ECAL", ["section", "ix", "iy", "amplitude", "time"])
    assert hits.counts.tolist() == COUNTS
    assert hits["section"].tolist() == [1] * 6
    assert hits["section"].dtype == np.uint8
    assert hits["ix"].tolist() == COLUMNS
    assert hits["ix"].dtype == np.uint8
    assert hits["amplitude"].tolist() == [47.5, 97.5, 197.5, 22.5, 397.5, 797.5]
    assert hits["time"].tolist() == [125.0] * 6
    assert read_hits(events, "MM", ["strip"])["strip"].tolist() == [10, 20, 30, 40, 50, 60]


def test_events_look_as_those_of_a_hit_file(foreign, fitting):
    events = open_events(foreign, mapping=fitting)
    assert events.ECAL.amplitude.to_list()[3] == [22.5, 397.5, 797.5]
    assert not ak.any(events.ECAL.is_preshower)
    assert set(events.fields) == {
        "run", "event", "spill", "trigger", "master_time", "ECAL", "MM"
    }  # fmt: skip


def test_ranges_of_events(foreign, fitting):
    events = open_events(foreign, mapping=fitting, entry_start=2, entry_stop=4)
    hits = read_hits(events, "ECAL", ["section", "amplitude"])
    assert hits.offsets.tolist() == [0, 1, 4]
    assert hits["amplitude"].tolist() == [197.5, 22.5, 397.5, 797.5]
    assert hits["section"].tolist() == [1] * 4
    assert read_scalar(events, "trigger").tolist() == [1, 1]


def test_only_what_is_needed_is_read(tmp_path, mapping):
    log = []
    path = write_tree(tmp_path / "foreign.root", BRANCHES)
    events = open_events(path, mapping=mapping, access_log=log)
    read_hits(events, "ECAL", ["amplitude"])
    assert {entry.branch for entry in log} == {"necal_hits", "ecal_e"}


def test_schema_names_need_no_mention(tmp_path, mapping):
    branches = BRANCHES | {
        "spill": np.full(4, 9, dtype=np.uint32),
        "SRD_ix": ragged([0, 1, 2, 0, 1, 2], np.uint8),
    }
    path = tmp_path / "foreign.root"
    with uproot.recreate(path) as file:
        file.mktree(
            "T",
            {
                k: v.dtype if isinstance(v, np.ndarray) else ak.type(v).content
                for k, v in branches.items()
            },
            counter_name=lambda n: "nSRD" if n == "SRD_ix" else "n" + n.split("_")[0] + "_hits",
        ).extend(branches)
    less = mapping.model_copy(
        update={"scalars": {k: v for k, v in mapping.scalars.items() if k != "spill"}}
    )
    events = open_events(path, mapping=less)
    assert read_scalar(events, "spill").tolist() == [9] * 4
    assert read_hits(events, "SRD", ["ix"])["ix"].tolist() == [0, 1, 2, 0, 1, 2]


def test_fields_of_a_mapped_collection_keep_their_own_names(tmp_path, mapping):
    """Only one field of the ECAL is called otherwise: the rest needs no mention."""
    path = tmp_path / "partly.root"
    with uproot.recreate(path) as file:
        own = {"ix": COLUMNS, "iy": [1] * 6, "section": [1] * 6, "time": [0.5] * 6}
        jagged = {
            f"ECAL_{k}": ragged(v, np.float32 if k == "time" else np.uint8) for k, v in own.items()
        }
        energy = ragged(ENERGIES, np.float32)
        file["Events"] = {"run": BRANCHES["runNumber"], "ECAL_energy": energy, **jagged}
    chosen = Mapping.model_validate({"collections": {"ECAL": {"amplitude": "ECAL_energy"}}})
    hits = read_hits(open_events(path, mapping=chosen), "ECAL", ("ix", "amplitude", "time"))
    np.testing.assert_array_equal(hits.offsets, [0, 2, 2, 3, 6])
    np.testing.assert_array_equal(hits["ix"], COLUMNS)
    np.testing.assert_allclose(hits["amplitude"], ENERGIES)
    np.testing.assert_allclose(hits["time"], 0.5)


def test_fields_of_a_foreign_rntuple_collection(tmp_path):
    path = tmp_path / "foreign.root"
    calo = ak.zip({"e": ragged(ENERGIES, np.float64), "col": ragged(COLUMNS, np.int32)})
    write_rntuple(path, {"runNumber": BRANCHES["runNumber"], "calo": calo})
    text = "tree: T\nscalars: {run: runNumber}\ncollections:\n  ECAL: {amplitude: calo.e, ix: calo.col}\n"
    (tmp_path / "m.yaml").write_text(text)
    events = open_events(path, mapping=load_mapping(tmp_path / "m.yaml"))
    hits = read_hits(events, "ECAL", ["ix", "amplitude"])
    assert hits["ix"].tolist() == COLUMNS
    assert hits["amplitude"].tolist() == ENERGIES
    assert hits.counts.tolist() == COUNTS


class _Sum(ProcessorABC):
    def process(self, events):
        return {"sum": float(read_hits(events, "ECAL", ["amplitude"])["amplitude"].sum())}

    def postprocess(self, accumulator):
        return accumulator


def test_coffeas_runner_takes_the_mapped_schema(foreign, fitting):
    run = Runner(IterativeExecutor(status=False), schema=HitSchema.mapped(fitting), chunksize=2)
    found = run({"a": [str(foreign)]}, _Sum(), treename="T")
    assert found["sum"] == pytest.approx(50 * sum(ENERGIES) - 6 * 2.5)


def test_missing_branches_are_all_named(tmp_path, mapping):
    branches = {k: v for k, v in BRANCHES.items() if k not in {"evt", "ecal_e"}}
    branches |= {"event_no": BRANCHES["evt"], "ecal_en": BRANCHES["ecal_e"]}
    path = write_tree(tmp_path / "foreign.root", branches)
    with pytest.raises(MappingError) as caught:
        open_events(path, mapping=mapping)
    text = str(caught.value)
    assert f"{path}: the mapping {tmp_path / 'mine.yaml'} does not fit this file" in text
    assert "scalars.event: there is no branch 'evt'." in text
    assert "collections.ECAL.amplitude: there is no branch 'ecal_e'. Did you mean 'ecal_en'" in text
    report = inspect_file(path, mapping=mapping)
    assert any("scalars.event: there is no branch 'evt'" in p for p in report.problems)


def test_a_foreign_tree_of_another_name(tmp_path, mapping):
    path = write_tree(tmp_path / "foreign.root", BRANCHES)
    other = mapping.model_copy(update={"tree": "Tree"})
    with pytest.raises(FileFormatError, match=r"there is no 'Tree' in this file. .*'T'"):
        open_events(path, mapping=other)


def test_wrong_shapes_are_refused_when_read(tmp_path, mapping):
    branches = BRANCHES | {"runNumber": BRANCHES["ecal_col"], "ecal_col": BRANCHES["runNumber"]}
    events = open_events(write_tree(tmp_path / "foreign.root", branches), mapping=mapping)
    with pytest.raises(FileFormatError, match="no branch 'run', which is needed"):
        read_scalar(events, "run")
    with pytest.raises(FileFormatError, match="no branch 'ECAL_ix', which is needed"):
        read_hits(events, "ECAL", ["ix"])


@pytest.mark.parametrize("counts", [[3, 0, 1], [1, 0, 1], [1, 1, 1]])
def test_branches_of_one_collection_must_have_equally_many_hits(tmp_path, counts):
    ix = ak.unflatten(np.arange(3, dtype=np.uint8), [2, 0, 1])
    time = ak.unflatten(np.arange(sum(counts), dtype=np.float32), counts)
    path = tmp_path / "foreign.root"
    with uproot.recreate(path) as file:
        file.mktree("Events", {"cells": "var * uint8", "t": "var * float32"}).extend(
            {"cells": ix, "t": time}
        )
    mapping = Mapping(collections={"ECAL": {"ix": "cells", "time": "t"}})
    events = open_events(path, mapping=mapping)
    assert read_hits(events, "ECAL", ["ix"])["ix"].tolist() == [0, 1, 2]
    with pytest.raises(
        DataError,
        match=rf"foreign\.root: branches 't' and 'cells' differ in their "
        rf"number of hits.*: {counts[0]} and 2 in entry 0",
    ):
        read_hits(events, "ECAL", ["ix", "time"])


def test_strips_counted_from_one(tmp_path):
    path = write_tree(tmp_path / "foreign.root", BRANCHES)
    shifted = Mapping.model_validate(
        {"tree": "T", "collections": {"MM": {"strip": {"branch": "mm_strip", "offset": -1}}}}
    )
    hits = read_hits(open_events(path, mapping=shifted), "MM", ["strip"])
    assert hits["strip"].tolist() == [9, 19, 29, 39, 49, 59]
    assert hits["strip"].dtype == np.uint16
    too_far = Mapping.model_validate(
        {"tree": "T", "collections": {"MM": {"strip": {"branch": "mm_strip", "offset": -11}}}}
    )
    with pytest.raises(
        DataError,
        match=r"foreign\.root: .*the values go from -1 to 49, which does "
        r"not fit into uint16 \(0 to 65535\)",
    ):
        read_hits(open_events(path, mapping=too_far), "MM", ["strip"])


def test_inspecting_a_foreign_file(foreign, fitting):
    report = inspect_file(foreign, mapping=fitting)
    assert report.problems == ()
    assert report.runs == {6100: 4}
    assert report.hits == {"ECAL": 1.5, "MM": 1.5}
    branch = next(b for b in report.branches if b.name == "ecal_e")
    assert (branch.schema, branch.unit) == ("ECAL_amplitude", "ADC")
    assert "never_read" in report.unknown
    assert set(report.missing) == {"MM_projection", "MM_charge", "MM_time"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("scalar: {}\n", r"line 1, scalar: unknown key\. Did you mean 'scalars'"),
        ("tree: T\nscalars:\n  runn: x\n", r"line 2, scalars: .*no scalar 'runn'\. Did you mean"),
        (
            "tree: T\nscalars:\n  run: {brunch: x}\n",
            r"line 3, scalars\.run\.brunch: unknown key\. Did you mean 'branch'",
        ),
        (
            "collections:\n  ECAL:\n    ix: a\n    time: {branch: t, factor: fast}\n",
            r"line 4, collections\.ECAL\.time\.factor: Input should be a valid number",
        ),
        ("scalars:\n  run: {}\n", r"line 2, scalars\.run: give either 'branch' or 'constant'"),
        (
            "scalars:\n  run: {constant: 1, factor: 2}\n",
            r"line 2, scalars\.run: a constant takes no 'factor'",
        ),
        ("collections:\n  ECALL: {ix: a}\n", r"no collection 'ECALL'\. Did you mean 'ECAL'"),
        ("collections:\n  ECAL: {ixx: a}\n", r"ECAL has no field 'ixx'\. Did you mean 'ix'"),
        (
            "collections:\n  ECAL: {ix: {constant: 1}}\n",
            r"ECAL: at least one field must come from a branch",
        ),
        (
            "scalars:\n  trigger: {constant: -1}\n",
            r"trigger is uint32: a constant must be a whole number from 0 to 4294967295, found -1",
        ),
        ("counters: {ECAL: n}\n", r"'ECAL' is not among the collections"),
        ("a: [\n", r"is not valid YAML: .*line 2"),
        ("- a\n", r"must be a mapping of keys, found list"),
        ("", r"must be a mapping of keys, found NoneType"),
    ],
)
def test_malformed_mappings(tmp_path, text, message):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(MappingError, match=rf"(?s)mine\.yaml.*{message}"):
        load_mapping(path)


def test_a_mapping_that_is_not_there(tmp_path):
    with pytest.raises(MappingError, match=r"none\.yaml cannot be read: No such file"):
        load_mapping(tmp_path / "none.yaml")
