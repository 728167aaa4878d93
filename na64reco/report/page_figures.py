"""Figures of the report: one style, vectors for the page and as PDF, numbers as a table."""

from __future__ import annotations

import csv
import io
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from matplotlib.figure import Figure
    from numpy.typing import NDArray

__all__ = [
    "COLOURS",
    "DASHES",
    "Picture",
    "garwood",
    "picture",
    "picture_of_png",
    "plain",
    "report_style",
    "table_csv",
    "use_style",
]

COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's palette, told apart by every kind of colour vision."""

DASHES: Final[tuple[Any, ...]] = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
"""Line styles that go with the colours where lines are smooth, for print in grey."""

_SETTINGS: Final = {
    "font.size": 10,
    "axes.labelsize": 11,
    "axes.titlesize": 10,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.fontsize": 8.5,
    "xtick.major.size": 5,
    "xtick.minor.size": 2.5,
    "ytick.major.size": 5,
    "ytick.minor.size": 2.5,
    "axes.linewidth": 1,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "savefig.transparent": False,
    # Drawing minor ticks takes as long as all the rest, finding room for titles as well.
    "xtick.minor.visible": False,
    "ytick.minor.visible": False,
    "axes.titley": 1.02,
    # What an SVG calls its parts is random otherwise.
    "svg.hashsalt": "na64reco",
}


@dataclass(frozen=True)
class Picture:
    """A figure, and what it shows as numbers."""

    name: str
    """For files and anchors: letters, digits and underscores."""
    title: str
    caption: str
    image: bytes
    """What the page shows: SVG, from which a browser makes a PNG, or PNG."""
    pdf: bytes
    csv: str
    wide: bool = False
    """Too wide to be shrunk to a phone: it scrolls there, and takes a row of its own elsewhere."""


@cache
def _style() -> Any:
    import mplhep

    style = {k: v for k, v in mplhep.style.ROOT.items() if not k.startswith(("font", "mathtext"))}
    return {**style, **_SETTINGS}


@contextmanager
def report_style() -> Iterator[None]:
    """mplhep's ROOT style with fonts that are installed everywhere."""
    import matplotlib as mpl

    with mpl.rc_context(_style()):
        yield


def use_style() -> None:
    """Draw all further figures of a session, such as a notebook's, in the style of the report.

    Lines take `COLOURS` one after the other.
    """
    import matplotlib as mpl
    from cycler import cycler

    session = {
        "axes.prop_cycle": cycler(color=COLOURS),
        "figure.figsize": (6.4, 4.2),
        "figure.dpi": 80,
        "legend.frameon": False,
    }
    settings: Any = {**_style(), **session}
    mpl.rcParams.update(settings)


def plain(text: str) -> str:
    r"""A user's text for a figure: no part of it is taken for mathematics.

    >>> plain("cost in $")
    'cost in \\$'
    """
    return text.replace("$", r"\$")


def picture(
    figure: Figure,
    name: str,
    title: str,
    caption: str,
    rows: Iterable[Sequence[Any]],
    *,
    wide: bool = False,
) -> Picture:
    """Save a figure as SVG and PDF, without a date, so that it is the same from run to run.

    It is called, as all that draws figures of the page, in `report_style`.

    Parameters
    ----------
    rows
        Of the CSV; the first is the header.
    """
    from na64reco.report.vector import save_vectors

    svg, pdf = save_vectors(figure)
    return Picture(name, title, caption, svg, pdf, table_csv(rows), wide)


def picture_of_png(
    png: bytes,
    name: str,
    title: str,
    caption: str,
    rows: Iterable[Sequence[Any]],
    *,
    pdf: bytes | None = None,
) -> Picture:
    """A picture that another command drew; without a PDF of it, one of the same pixels."""
    if pdf is None:
        from PIL import Image

        content = io.BytesIO()
        with Image.open(io.BytesIO(png)) as image:
            # Pillow writes the time of saving unless it is given one.
            image.convert("RGB").save(
                content, format="PDF", resolution=130, creationDate=0, modDate=0
            )
        pdf = content.getvalue()
    return Picture(name, title, caption, png, pdf, table_csv(rows), wide=True)


def table_csv(rows: Iterable[Sequence[Any]]) -> str:
    """Rows as CSV; numbers with all digits that count, nothing for None."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for row in rows:
        writer.writerow(["" if v is None else _number(v) for v in row])
    return text.getvalue()


def _number(value: Any) -> Any:
    return f"{float(value):.10g}" if isinstance(value, float | np.floating) else value


def garwood(counts: Any, squares: Any) -> NDArray[np.float64]:
    """Central 68.27 % of a Poisson mean, below and above the counts, shape (2, ...).

    Garwood, Biometrika 28 (1936) 437; sums of weights count as as many events as they are worth.
    """
    from scipy.special import gammaincinv

    counts, squares = np.asarray(counts, np.float64), np.asarray(squares, np.float64)
    weight = np.divide(squares, counts, out=np.ones_like(counts), where=counts > 0)
    effective = counts / weight
    low = np.where(effective > 0, gammaincinv(np.maximum(effective, 1e-9), 0.158655), 0.0)
    high = gammaincinv(effective + 1, 0.841345)
    return np.asarray([(effective - low) * weight, (high - effective) * weight])
