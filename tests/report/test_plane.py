from __future__ import annotations

from dataclasses import replace

import hist
from matplotlib.text import Text

from na64reco.report import draw_plane, find_planes, save_plane
from na64reco.report.plane import plane_variables
from na64reco.report.regions import outlines
from na64reco.selection import load_selection

FRAME = ((0, 220), (0, 220))


def texts(figure):
    found = []
    for ax in figure.axes:
        found += [t.get_text() for t in ax.texts]
        found += [ax.get_title(loc="left"), ax.get_xlabel(), ax.get_ylabel()]
    for legend in figure.legends:
        found += [t.get_text() for t in legend.get_texts()]
    return found


def test_earliest_stage_and_all_cuts_and_enlarged(selection):
    assert [p.histogram for p in find_planes(selection)] == ["plane__one", "plane__all", "low__all"]


def test_a_hidden_box_is_hatched_and_says_so(selection, dataset):
    figure = draw_plane(selection, [dataset])
    found = texts(figure)
    assert found.count("blinded") == 6  # three pictures, two periods
    assert found.count("signal (blinded)") == 1  # one legend for all
    hatched = [p for ax in figure.axes for p in ax.patches if p.get_hatch()]
    assert len(hatched) == 6
    assert "runs (data), after the cut: one" in found
    assert any("E_" in t and "[GeV]" in t for t in found)


def test_nothing_is_cut_off_or_written_over(selection, dataset):
    """All texts lie inside the figure, and labels of axes are apart from all other texts."""
    figure = draw_plane(selection, [dataset])
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    width, height = figure.canvas.get_width_height()
    written = [t for t in figure.findobj(Text) if t.get_text() and t.get_visible()]
    boxes = [t.get_window_extent(renderer) for t in written]
    for text, box in zip(written, boxes, strict=True):
        inside = box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height
        assert inside, text.get_text()
    labels = {id(t) for ax in figure.axes for t in (ax.xaxis.label, ax.yaxis.label)}
    for text, box in zip(written, boxes, strict=True):
        if id(text) not in labels:
            continue
        for other, there in zip(written, boxes, strict=True):
            assert other is text or not box.overlaps(there), (text.get_text(), other.get_text())


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


def test_the_plane_of_the_muon_mode():
    """p_out against E_CAL with the regions of arXiv:2401.01708, whose sides are straight lines."""
    selection = load_selection("muon-invisible-2022")
    assert plane_variables(selection) == ("track_out.momentum", "calo.all")
    planes = [p.histogram for p in find_planes(selection)]
    assert planes == ["plane__mip_behind_it", "plane__all", "plane_low__all"]
    found = {o.region: o.corners for o in outlines(selection, plane_variables(selection), FRAME)}
    assert set(found) == {"signal", "A", "B", "C", "D", "soft", "momentum_tail"}
    assert found["signal"] == ((0, 0), (80.000008, 0), (80.000008, 12), (0, 12))
    # D: below 100 GeV, above the box, and below p_out + E_CAL = 130.
    assert set(found["D"]) == {(0, 12), (100, 12), (100, 30), (0, 130)}


def test_axes_of_the_muon_mode(dataset, tmp_path):
    selection = load_selection("muon-prospects-2021")
    values = hist.new.Reg(110, 0, 220).Reg(100, 0, 50).Double()
    histograms = {p.histogram: values for p in find_planes(selection)}
    dataset = replace(dataset, histograms=histograms)
    found = texts(draw_plane(selection, [dataset]))
    assert r"$p_\mathrm{out}$ [GeV/c]" in found
    assert r"$E_\mathrm{CAL}$ [GeV]" in found
    assert "signal (blinded)" in found
    assert [path.name for path in save_plane(selection, [dataset], tmp_path)] == [
        "plane.png",
        "plane.pdf",
    ]
