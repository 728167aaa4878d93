"""A setup from above: magnets and detectors by name, the beam with and without its magnets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from na64reco.errors import DataError
from na64reco.report.beamline import MM_TO_M, TECHNOLOGY_COLOURS, draw_parts, write_labels
from na64reco.report.page_figures import COLOURS, plain
from na64reco.setup.parts import TECHNOLOGIES, list_parts

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from na64reco.setup.model import Setup

__all__ = ["KINDS", "describe_setup", "draw_setup", "save_setup"]

KINDS: Final = (".svg", ".png", ".pdf")
"""Endings of names that `save_setup` takes."""

_SETTINGS: Final[Any] = {
    "font.size": 9,
    "axes.labelsize": 10,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.fontsize": 8.5,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    # Names stay text: they can be searched, read aloud and tested. Identifiers are not random.
    "svg.fonttype": "none",
    "svg.hashsalt": "na64reco",
}
_SIZE: Final = (11.5, 5.6)
"""Inches."""
_BENT, _STRAIGHT, _NOT_ANALYSED = COLOURS[1], "#555555", COLOURS[6]


def draw_setup(setup: Setup) -> Figure:
    """The drawing: z to the right in m, x upwards in mm, names above.

    Magnets are drawn by their gaps with the direction of their field, everything else by its size.
    Lines are the nominal beam as the magnets bend it, as it would go on without any magnet (the
    way of photons), and, where a second spectrometer stands behind the first, without that one.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with mpl.rc_context(_SETTINGS):
        figure = Figure(figsize=_SIZE)
        FigureCanvasAgg(figure)
        ax = figure.add_axes((0.07, 0.195, 0.92, 0.725))
        labels = draw_parts(ax, setup, across="x", detailed=True)
        low, high = _z_range(ax, setup)
        _draw_beam(ax, setup, low, high)
        bottom, top = float(ax.dataLim.y0), float(ax.dataLim.y1)
        ax.set_ylim(bottom - 0.06 * (top - bottom), top + 0.42 * (top - bottom))
        ax.set_xlim(low * MM_TO_M, high * MM_TO_M)
        ax.set_xlabel("z [m]")
        ax.set_ylabel("x [mm]")
        ax.xaxis.set_major_locator(mpl.ticker.MultipleLocator(5))
        ax.xaxis.set_minor_locator(mpl.ticker.MultipleLocator(1))
        ax.grid(axis="x", which="major", color="#EEEEEE", lw=0.8, zorder=-1)
        ax.set_axisbelow(True)
        _draw_fields(ax, setup)
        write_labels(ax, labels, size=8, apart=0.0142, room=0.24)
        beam = setup.beam
        figure.text(0.07, 0.95, plain(setup.title), fontsize=13, weight="bold")
        figure.text(
            0.99, 0.95, f"from above, x stretched {_stretch(ax):.0f} times; "
            f"{beam.particle}s of {beam.momentum:g} GeV/c", ha="right",
        )  # fmt: skip
        handles, names = _legend(setup)
        rows = 1 + (len(names) > 7)
        figure.legend(
            handles, names, loc="center", bbox_to_anchor=(0.53, 0.05), frameon=False,
            ncols=-(-len(names) // rows), handlelength=1.8, columnspacing=1.4,
        )  # fmt: skip
    return figure


def save_setup(setup: Setup, path: Path | str) -> None:
    """Write the drawing, the same bytes every time; SVG, PNG or PDF by the name's ending.

    Raises
    ------
    DataError
        If the name ends in something else.
    """
    import matplotlib as mpl

    path = Path(path)
    kind = path.suffix.lower()
    if kind not in KINDS:
        msg = f"{path}: a drawing's name ends in {', '.join(KINDS)}."
        raise DataError(msg)
    title = f"{setup.name}: the beam line from above"
    text = describe_setup(setup)
    metadata = {
        ".svg": {"Date": None, "Creator": None, "Title": title, "Description": text},
        ".pdf": {"CreationDate": None, "Title": title, "Subject": text},
        ".png": {"Title": title, "Description": text, "Software": None},
    }[kind]
    with mpl.rc_context(_SETTINGS):
        draw_setup(setup).savefig(path, format=kind[1:], dpi=110, metadata=metadata)


def describe_setup(setup: Setup) -> str:
    """The drawing in words, for who cannot see it: every part with its place."""
    parts = (
        f"{part.name}: {part.kind}, z = {part.z * MM_TO_M:.3f} m, x = {part.x:.1f} mm"
        for part in list_parts(setup)
    )
    return "; ".join(parts)


def _z_range(ax: Axes, setup: Setup) -> tuple[float, float]:
    """From the beam's start to behind the last detector, mm."""
    box = ax.dataLim
    first, last = min(setup.beam.z, box.x0 / MM_TO_M), box.x1 / MM_TO_M
    return first - 0.01 * (last - first), last + 0.015 * (last - first)


def _stretch(ax: Axes) -> float:
    """How many times larger x is drawn than z."""
    box = ax.get_position()
    width, height = box.width * _SIZE[0], box.height * _SIZE[1]
    (z0, z1), (x0, x1) = ax.get_xlim(), ax.get_ylim()
    return (height / (x1 - x0)) / (width * MM_TO_M / (z1 - z0))


def _draw_beam(ax: Axes, setup: Setup, low: float, high: float) -> None:
    z = np.linspace(low, high, 600)
    beam = setup.beam
    start = np.maximum(z, beam.z)
    ax.plot(z * MM_TO_M, np.full(len(z), beam.x), color=_STRAIGHT, lw=1, ls="--", zorder=2)
    for spectrometer in list(setup.spectrometers.values())[1:]:
        magnets = [setup.magnets[name].start for name in spectrometer.magnets]
        if magnets:
            at = min(magnets)
            behind = z[z > at]
            path = setup.beam_x(at) + setup.beam_slope(at - 1.0) * (behind - at)
            ax.plot(behind * MM_TO_M, path, color=_NOT_ANALYSED, lw=1, ls=":", zorder=3)
    bent = [setup.beam_x(value) for value in start]
    ax.plot(z * MM_TO_M, bent, color=_BENT, lw=1.6, zorder=3)


def _draw_fields(ax: Axes, setup: Setup) -> None:
    """A circle with a dot for a field towards the viewer (By > 0), with a cross away from him."""
    for magnet in setup.magnets.values():
        place = magnet.z * MM_TO_M
        below = magnet.x - 0.27 * magnet.gap_x
        ax.plot(place, below, "o", ms=9, mfc="white", mec="#7A4A12", mew=1, zorder=4)
        ax.plot(
            place, below, "." if magnet.field > 0 else "x", ms=4 if magnet.field > 0 else 5,
            color="#7A4A12", zorder=5,
        )  # fmt: skip
        ax.annotate(
            f"{abs(magnet.field):.3g} T", (place, below), xytext=(0, -6), va="top", ha="center",
            textcoords="offset points", fontsize=7.5, color="#5A3408", zorder=5,
        )  # fmt: skip


def _legend(setup: Setup) -> tuple[list[Any], list[str]]:
    """What colours and lines mean; proxies, so that each appears once."""
    from matplotlib.lines import Line2D

    present = {station.technology for station in setup.stations.values()}
    entries: list[tuple[dict[str, Any], str]] = [
        ({"color": _BENT, "lw": 1.6}, "nominal beam"),
        ({"color": _STRAIGHT, "lw": 1, "ls": "--"}, "not deflected"),
    ]
    entries += [
        ({"color": _NOT_ANALYSED, "lw": 1, "ls": ":"}, f"not deflected by {name}")
        for name in list(setup.spectrometers)[1:]
        if setup.spectrometers[name].magnets
    ]
    entries += [
        ({"color": TECHNOLOGY_COLOURS[key], "lw": 2}, text)
        for key, text in TECHNOLOGIES.items()
        if key in present
    ]
    entries.append(({"color": COLOURS[2], "lw": 2, "alpha": 0.6}, "counter"))
    for positive, marker, text in (
        (True, "$\\odot$", "field upwards, to the viewer"),
        (False, "$\\otimes$", "field downwards"),
    ):  # fmt: skip
        if any((magnet.field > 0) is positive for magnet in setup.magnets.values()):
            style = {"color": "#7A4A12", "marker": marker, "ms": 9, "mew": 0, "ls": "none"}
            entries.append((style, text))
    handles = [Line2D([], [], **style) for style, _ in entries]
    return handles, [text for _, text in entries]
