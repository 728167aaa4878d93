"""Nothing that a run writes or draws tells what is in the box."""

from __future__ import annotations

import json

import numpy as np
import pytest
import uproot

from na64reco.errors import SelectionError
from na64reco.processors import run
from na64reco.selection import freeze_box, load_selection


@pytest.fixture(scope="module")
def pair(tmp_path_factory, selection_path, write_file, truths):
    """Outputs of the same events but for what is in the box, which differs as much as it can."""
    folder = tmp_path_factory.mktemp("blind")
    truth = truths[0]
    box = truth.in_box
    moved = type(truth)(
        truth.event,
        np.where(box, True, truth.physics),
        truth.prs,
        np.where(box, 5.0 + (truth.event % np.uint64(40)), truth.ecal),
        truth.hcal,
    )
    outs = []
    for name, content in (("one", truth), ("two", moved)):
        path = write_file(folder / name / "run.root", content)
        outs.append(run(selection_path, path, folder / name / "out", columns="all"))
    return outs


def test_no_output_depends_on_the_content_of_the_box(pair):
    one, two = pair
    for report in pair:
        record = json.loads((report.out / "run.json").read_text())
        for key in ("seconds", "finished", "inputs"):
            del record[key]
        report_text = json.dumps(record)
        if report is one:
            first = report_text
    assert first == report_text
    assert (one.out / "cutflow.json").read_text() == (two.out / "cutflow.json").read_text()
    with (
        uproot.open(one.out / "histograms.root") as a,
        uproot.open(two.out / "histograms.root") as b,
    ):
        assert a.keys() == b.keys()
        for name in a.keys(cycle=False, filter_classname="TH*"):
            assert np.array_equal(a[name].values(flow=True), b[name].values(flow=True)), name
    with uproot.open(one.out / "selected.root") as a, uproot.open(two.out / "selected.root") as b:
        for name in a["Events"].keys():  # noqa: SIM118 - a branch, not a mapping
            left, right = (f["Events"][name].array(library="np") for f in (a, b))
            assert np.array_equal(left, right, equal_nan=left.dtype.kind == "f"), name
        inside = (a["Events"]["ecal_energy"].array() < 50) & (
            a["Events"]["hcal_energy"].array() < 1
        )
        assert not np.any(inside)


def test_what_is_drawn_does_not_either(pair, tmp_path):
    from na64reco.report import save_plane

    pictures = []
    for name, report in zip("ab", pair, strict=True):
        (tmp_path / name).mkdir()
        png, _ = save_plane(report.selection, report.datasets, tmp_path / name)
        pictures.append(png.read_bytes())
    assert pictures[0] == pictures[1]


def test_a_frozen_box_opens_it(tmp_path, selection_path, data_files, joined):
    box = tmp_path / "box.yaml"
    freeze_box(load_selection(selection_path), box)
    report = run(selection_path, data_files, tmp_path / "out", unblind=box)
    good = np.logical_and.reduce(joined.cut_masks())
    assert dict(report.datasets[0].cutflow.regions)["signal"] == np.count_nonzero(
        good & joined.in_box
    )
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert record["blinding"]["unblinded"] is True
    assert len(record["blinding"]["frozen_box"]["sha256"]) == 64
    with uproot.open(tmp_path / "out" / "selected.root") as file:
        assert np.any(file["Events"]["region_signal"].array())


def test_the_box_of_another_selection_does_not(tmp_path, selection_path, data_files):
    box = tmp_path / "box.yaml"
    freeze_box(load_selection(selection_path), box)
    changed = tmp_path / "known.yaml"
    changed.write_text(selection_path.read_text().replace("min: 0.5", "min: 0.4"))
    with pytest.raises(SelectionError, match="cut 'PRS'"):
        run(changed, data_files, tmp_path / "out", unblind=box)
    assert not (tmp_path / "out").exists()
