"""A figure as SVG and as PDF from one pass over its artists.

Finding out where everything goes takes most of the time that matplotlib needs; writing it down
takes little. Both formats measure in points, so one pass serves both.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Final, cast

from matplotlib.backend_bases import RendererBase
from matplotlib.backends.backend_pdf import PdfFile, RendererPdf
from matplotlib.backends.backend_svg import RendererSVG

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["save_vectors"]

_POINTS: Final = 72
"""Per inch, in both formats."""
_IMAGES: Final = 150
"""Pixels per inch of what has no vectors."""


class _Both(RendererBase):
    """Hands everything that is drawn to a renderer of SVG and to one of PDF.

    The graphics contexts are the PDF's: those of all renderers and a little more. Groups of an
    SVG, which are for those who edit it by hand, are left out.
    """

    def __init__(self, svg: Any, pdf: Any, size: tuple[float, float]) -> None:
        super().__init__()
        self._svg, self._pdf, self._size = svg, pdf, size

    def get_canvas_width_height(self) -> tuple[float, float]:
        return self._size

    def get_text_width_height_descent(self, s: Any, prop: Any, ismath: Any) -> Any:
        return self._pdf.get_text_width_height_descent(s, prop, ismath)

    def flipy(self) -> bool:
        # Only texts are told their place from above; see draw_text.
        return True

    def new_gc(self) -> Any:
        return self._pdf.new_gc()

    def option_scale_image(self) -> bool:
        return True

    def option_image_nocomposite(self) -> bool:
        return True

    def get_image_magnification(self) -> float:
        return _IMAGES / _POINTS

    def points_to_pixels(self, points: Any) -> Any:
        return points

    def draw_path(self, gc: Any, path: Any, transform: Any, rgbFace: Any = None) -> None:
        self._svg.draw_path(gc, path, transform, rgbFace)
        self._pdf.draw_path(gc, path, transform, rgbFace)

    def draw_markers(self, *args: Any, **options: Any) -> None:
        self._svg.draw_markers(*args, **options)
        self._pdf.draw_markers(*args, **options)

    def draw_path_collection(self, *args: Any, **options: Any) -> None:
        self._svg.draw_path_collection(*args, **options)
        self._pdf.draw_path_collection(*args, **options)

    def draw_image(self, *args: Any, **options: Any) -> None:
        self._svg.draw_image(*args, **options)
        self._pdf.draw_image(*args, **options)

    def draw_text(self, gc: Any, x: float, y: float, *args: Any, **options: Any) -> None:
        self._svg.draw_text(gc, x, y, *args, **options)
        self._pdf.draw_text(gc, x, self._size[1] - y, *args, **options)


def save_vectors(figure: Figure) -> tuple[bytes, bytes]:
    """SVG and PDF of a figure, without a date: the same bytes each time.

    What an SVG calls its parts is random unless ``svg.hashsalt`` is set.
    """
    width, height = figure.get_size_inches()
    text, content = io.StringIO(), io.BytesIO()
    dpi = figure.dpi
    figure.dpi = _POINTS
    # matplotlib's types end where its backends begin.
    new_file, new_pdf, new_svg = (cast("Any", kind) for kind in (PdfFile, RendererPdf, RendererSVG))
    file = new_file(content, metadata={"CreationDate": None})
    try:
        file.newPage(width, height)
        pdf = new_pdf(file, _IMAGES, height, width)
        size = (width * _POINTS, height * _POINTS)
        no_metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        svg = new_svg(*size, text, image_dpi=_IMAGES, metadata=no_metadata)
        figure.draw(_Both(svg, pdf, size))
        svg.finalize()
        pdf.finalize()
        file.finalize()
    finally:
        file.close()
        figure.dpi = dpi
    return text.getvalue().encode(), content.getvalue()
