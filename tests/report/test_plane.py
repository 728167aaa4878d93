from __future__ import annotations

from dataclasses import replace

from na64reco.report import draw_plane, find_planes, save_plane


def texts(figure):
    found = []
    for ax in figure.axes:
        found += [t.get_text() for t in ax.texts]
        found += [ax.get_title(loc="left"), ax.get_xlabel(), ax.get_ylabel()]
        if ax.get_legend() is not None:
            found += [t.get_text() for t in ax.get_legend().get_texts()]
    return found


def test_earliest_stage_and_all_cuts_and_enlarged(selection):
    assert [p.histogram for p in find_planes(selection)] == ["plane__one", "plane__all", "low__all"]


def test_a_hidden_box_is_hatched_and_says_so(selection, dataset):
    figure = draw_plane(selection, [dataset])
    found = texts(figure)
    assert found.count("blinded") == 6  # three pictures, two periods
    assert found.count("signal (blinded)") == 3
    hatched = [p for ax in figure.axes for p in ax.patches if p.get_hatch()]
    assert len(hatched) == 6
    assert "runs (data), after the cut: one" in found
    assert any("E_" in t and "[GeV]" in t for t in found)


def test_an_open_box_is_not(selection, dataset):
    figure = draw_plane(selection, [replace(dataset, simulated=True, blinded=None)])
    found = texts(figure)
    assert not any("blinded" in t for t in found)
    assert "signal" in found
    assert not [p for ax in figure.axes for p in ax.patches if p.get_hatch()]


def test_it_is_written_as_png_and_pdf(selection, dataset, tmp_path):
    png, pdf = save_plane(selection, [dataset, dataset], tmp_path)
    assert png.read_bytes().startswith(b"\x89PNG")
    assert pdf.read_bytes().startswith(b"%PDF")


def test_without_such_a_histogram_there_is_no_picture(selection, dataset, tmp_path):
    bare = selection.model_copy(update={"histograms": {"prs": selection.histograms["prs"]}})
    assert draw_plane(bare, [dataset]) is None
    assert save_plane(bare, [dataset], tmp_path) == ()
