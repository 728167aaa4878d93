"""One pass gives what matplotlib's own two passes give."""

from __future__ import annotations

import io
import re
from xml.etree import ElementTree as ET

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from na64reco.report.page_axes import draw_map, log_axis, power_of_ten, top_legend
from na64reco.report.page_figures import report_style
from na64reco.report.vector import save_vectors

IMAGES = 150


def draw():
    """Lines, markers, errors, a hatched area, an image, turned text, mathematics, a legend."""
    figure = Figure(figsize=(6, 3))
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    left.errorbar([1, 2, 3], [3, 20, 400], [1, 5, 20], fmt="o", label="points", clip_on=False)
    left.axvspan(1.2, 1.7, facecolor="none", edgecolor="grey", hatch="//")
    left.stairs([1, 10, 100], label="steps", alpha=0.4, fill=True)
    log_axis(left, 0.5, 1e4)
    left.set_ylabel(r"$E_\mathrm{ECAL}$ [GeV]")
    left.text(2, 30, "turned \N{GREEK SMALL LETTER MU}", rotation=30)
    draw_map(right, np.arange(5.0), np.arange(4.0), np.arange(12.0).reshape(4, 3), label="events")
    top_legend(figure, left)
    return figure


def own(figure, kind):
    """By matplotlib's own backend."""
    content = io.BytesIO()
    metadata = {"pdf": ["CreationDate"], "svg": ["Date", "Creator", "Format", "Type"]}[kind]
    figure.savefig(content, format=kind, dpi=IMAGES, metadata=dict.fromkeys(metadata))
    return content.getvalue()


@pytest.fixture(scope="module")
def both():
    with report_style(), mpl.rc_context({"pdf.compression": 0}):
        return save_vectors(draw()), own(draw(), "svg"), own(draw(), "pdf")


def test_the_pdf_is_matplotlibs_own(both):
    (_, pdf), _, expected = both
    assert b"/Subtype /Image" in pdf
    assert pdf == expected


def test_the_svg_draws_what_matplotlibs_own_draws(both):
    """The same elements in the same order, without the groups for those who edit it by hand.

    The legend lies elsewhere by what the two backends differ on the width of a text.
    """
    (svg, _), expected, _ = both
    found, wanted = (parts(text) for text in (svg, expected))
    assert len(found) > 100
    assert [f[0] for f in found] == [w[0] for w in wanted]
    for (_, here, numbers), (_, there, others) in zip(found, wanted, strict=True):
        assert here == there
        np.testing.assert_allclose(numbers, others, atol=0.05)  # points


def parts(svg):
    """Name, attributes without numbers and names of parts, and the numbers, of what is drawn."""
    found = []
    for element in ET.fromstring(svg).iter():
        name = element.tag.partition("}")[2]
        if name in {"path", "use", "image"}:
            text = " ".join(v for k, v in element.attrib.items() if k not in {"id", "clip-path"})
            text = re.sub(r"url\(#\w+\)|#m\w{10}", "", text)
            number = r"(?<![\w#-])-?\d+(?:\.\d+)?(?:e-?\d+)?(?![\w+/])"
            numbers = [float(n) for n in re.findall(number, text)]
            found.append((name, re.sub(number, "", text), numbers))
    return found


def test_the_same_bytes_each_time():
    with report_style():
        assert save_vectors(draw()) == save_vectors(draw())


def test_powers_of_ten_have_labels_and_others_ticks():
    with report_style():
        figure = Figure()
        ax = figure.subplots()
        log_axis(ax, 0.5, 2e4)
        assert [t.get_text() for t in ax.get_yticklabels()] == ["1", "10", "100", "1000", "10⁴"]
        left, right = ax.lines
        minor = left.get_ydata()
        assert minor[minor < 10] == pytest.approx([0.6, 0.7, 0.8, 0.9, *range(2, 10)])
        assert np.array_equal(minor, right.get_ydata())
        log_axis(ax, 1.5, 8)
        assert [t.get_text() for t in ax.get_yticklabels()] == ["2", "5"]
        log_axis(ax, 1e-12, 1e12)
        assert len(ax.get_yticks()) <= 6
    assert power_of_ten(-12) == "10⁻¹²"
