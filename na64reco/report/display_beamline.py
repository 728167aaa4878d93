"""One event in the beam line: magnets, detectors, measured points, tracks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from na64reco.report.beamline import MM_TO_M, Across, draw_parts, write_labels
from na64reco.report.page_figures import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from na64reco.report.display_event import EventView, Points

__all__ = ["draw_view"]


def draw_view(ax: Axes, view: EventView, *, across: Across) -> None:
    """One view: z to the right in m, x (from above) or y (from the side) upwards in mm."""
    setup = view.setup
    x = across == "x"
    labels = draw_parts(ax, setup, across=across)
    room = _room(ax, max((len(label.text) for label in labels), default=0))
    low, high = _limits(ax, setup, below=0.3 if x else 0.12, room=room)
    z = np.linspace(low, high, 400)
    nominal = [setup.beam_x(v) for v in z] if x else np.full(len(z), setup.beam.y)
    ax.plot(z * MM_TO_M, nominal, color="#555555", lw=0.8, ls=":", zorder=2, label="nominal beam")
    _points(ax, view, view.strips, x=x)
    _straws(ax, view.straws, x=x)
    for i, track in enumerate(view.tracks):
        path = track.x if x else track.y
        colour = COLOURS[1] if i == 0 else COLOURS[3]
        ax.plot(track.z * MM_TO_M, path, color=colour, lw=1.5, zorder=4, label=_name(track))
    ax.set_xlim(low * MM_TO_M, high * MM_TO_M)
    ax.set_ylabel("x [mm]" if x else "y [mm]")
    ax.set_title("from above" if x else "from the side", loc="left", fontsize=9)
    write_labels(ax, labels, room=room)
    if x:
        ax.legend(loc="lower left", framealpha=0.9, ncols=4, markerscale=1.2)


def _name(track: Any) -> str:
    return f"track {track.spectrometer}, {track.momentum:.1f} GeV/c"


def _room(ax: Axes, letters: int) -> float:
    """What the longest name needs of the height, of letters of 7 points."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    height = 72 * figure.get_figheight() * ax.get_position().height
    return (5.1 * letters + 5) / height


def _limits(ax: Axes, setup: Any, *, below: float, room: float) -> tuple[float, float]:
    """z of the picture, mm; the vertical range is that of what is drawn, with room for names."""
    box = ax.dataLim
    low, high = float(box.y0), float(box.y1)
    used = room + 0.03
    above = (1 + below) * used / (1 - used)
    ax.set_ylim(low - below * (high - low), high + above * (high - low))
    first = min(setup.beam.z, box.x0 / MM_TO_M)
    span = box.x1 / MM_TO_M - first
    return first - 0.01 * span, box.x1 / MM_TO_M + 0.015 * span


def _points(ax: Axes, view: EventView, points: Points, *, x: bool) -> None:
    """Clusters at their coordinate; of stereo planes at the one that the first track gives them."""
    along, across = (points.cos, points.sin) if x else (points.sin, points.cos)
    near = np.abs(along) > 0.5
    if not near.any():
        return
    other = np.zeros(len(points.z))
    if view.tracks:
        track = view.tracks[0]
        other = np.interp(points.z, track.z, track.y if x else track.x)
    stereo = np.abs(across) > 0.1
    value = (points.u - np.where(stereo, other * across, 0.0)) / np.where(near, along, 1.0)
    for mask, options in (
        (near & points.used, {"color": COLOURS[0], "label": "cluster on a track", "zorder": 5}),
        (near & ~points.used & points.in_time, {"color": COLOURS[5], "label": "other, in time"}),
        (near & ~points.in_time, {"color": "#999999", "label": "out of time"}),
    ):
        if mask.any():
            ax.plot(points.z[mask] * MM_TO_M, value[mask], "o", ms=3.5, mew=0, ls="none", **options)


def _straws(ax: Axes, points: Points, *, x: bool) -> None:
    """Both places on either side of the wire where the particle may have been."""
    along = points.cos if x else points.sin
    near = np.abs(along) > 0.9
    if near.any():
        ax.plot(
            points.z[near] * MM_TO_M, points.u[near] / along[near], "+", ms=4, mew=0.8,
            color=COLOURS[2], label="straw, both sides", zorder=3,
        )  # fmt: skip
