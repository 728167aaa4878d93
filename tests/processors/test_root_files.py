from __future__ import annotations

import hist
import numpy as np
import pytest
import uproot

from na64reco.processors.root_files import recreate, recreate_small, seal, timeless
from na64reco.processors.root_histograms import as_root

AXES = (
    hist.axis.Regular(7, -2.0, 5.0, name="x", label="E_{x} [GeV]"),
    hist.axis.Variable([-1.0, 0.0, 0.125, 3.5], name="y", label="y"),
    hist.axis.Regular(2, 0.0, 1.0, name="z"),
)


def filled(dimensions, storage):
    rng = np.random.default_rng(dimensions)
    found = hist.Hist(*AXES[:dimensions], storage=storage, name="n", label="where")
    weight = rng.choice([0.25, 0.5, 1.0, 4.0], 300)
    values = rng.normal(0.5, 2.0, (dimensions, 300))
    return found.fill(*values, weight=weight if storage == hist.storage.Weight() else None)


@pytest.mark.parametrize("dimensions", [1, 2, 3])
@pytest.mark.parametrize("storage", [hist.storage.Double(), hist.storage.Weight()], ids=str)
def test_a_histogram_is_what_uproot_makes_of_it_but_for_title_and_squares(dimensions, storage):
    histogram = filled(dimensions, storage)
    found, theirs = as_root(histogram, "a title"), uproot.to_writable(histogram)
    assert type(found) is type(theirs)
    assert found.member("fTitle") == "a title"
    np.testing.assert_array_equal(found.values(flow=True), theirs.values(flow=True))
    np.testing.assert_array_equal(found.variances(flow=True), theirs.variances(flow=True))
    ours, other = found.all_members, theirs.all_members
    assert ours.keys() == other.keys()
    numbers = [name for name, value in other.items() if np.isscalar(value) and name != "fTitle"]
    assert {"fEntries", "fTsumw", "fTsumwx", "fTsumwx2", "fNcells"} <= set(numbers)
    if storage == hist.storage.Weight():
        # uproot gives the sum of weights here.
        assert ours["fTsumw2"] == histogram.variances().sum() != other["fTsumw2"]
        numbers.remove("fTsumw2")
    for name in set(numbers) - {"fName"}:
        assert ours[name] == pytest.approx(other[name], rel=1e-13), name
    for name in "xyz"[:dimensions]:
        axis, there = found.member(f"f{name.upper()}axis"), theirs.member(f"f{name.upper()}axis")
        assert axis.serialize() == there.serialize()


def test_a_small_file_has_the_bytes_of_one_that_was_written_piece_by_piece(tmp_path):
    content = {"a/one": filled(1, hist.storage.Double()), "b/two": filled(2, hist.storage.Weight())}
    with recreate_small(tmp_path / "small.root") as file:
        file.update(content)
    with timeless(), recreate(tmp_path / "large.root") as file:
        file.update(content)
    seal(tmp_path / "large.root")
    assert (tmp_path / "small.root").read_bytes() == (tmp_path / "large.root").read_bytes()
    with uproot.open(tmp_path / "small.root") as file:
        found, meant = file["b/two"], content["b/two"]
        np.testing.assert_array_equal(found.values(flow=True), meant.values(flow=True))
        np.testing.assert_array_equal(found.variances(flow=True), meant.variances(flow=True))


def fail_while_writing(path):
    with recreate_small(path) as file:
        file["one"] = filled(1, hist.storage.Double())
        raise ZeroDivisionError


def test_nothing_is_written_of_a_small_file_that_fails(tmp_path):
    with pytest.raises(ZeroDivisionError):
        fail_while_writing(tmp_path / "small.root")
    assert list(tmp_path.iterdir()) == []
