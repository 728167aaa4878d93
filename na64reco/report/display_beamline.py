"""The beam line in one view: magnets, detectors, measured points, tracks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from na64reco.report.page_figures import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from na64reco.report.display_event import EventView, Points
    from na64reco.setup.model import Calorimeter

__all__ = ["draw_view"]

_M: Final = 1e-3
"""z is shown in m."""
_ECAL, _HCAL, _VHCAL = "#7FB3D5", "#C8C8C8", "#E3C9A8"


def draw_view(ax: Axes, view: EventView, *, across: Literal["x", "y"]) -> None:
    """One view: z to the right in m, x (from above) or y (from the side) upwards in mm."""
    setup = view.setup
    x = across == "x"
    labels: list[tuple[float, float, str]] = []
    for name, magnet in setup.magnets.items():
        half = (magnet.gap_x if x else magnet.gap_y) / 2
        middle = magnet.x if x else 0.0
        _box(ax, magnet.start, magnet.length, middle - half, 2 * half, "#F6D5B8", "#B5651D")
        labels.append((magnet.z, middle + half, name))
    for name, station in setup.stations.items():
        middle = station.x if x else station.y
        ax.plot(
            [station.z * _M] * 2, [middle - station.half_width, middle + station.half_width],
            color="#AAAAAA", lw=1, zorder=1,
        )  # fmt: skip
        labels.append((station.z, middle + station.half_width, name))
    for name, counter in setup.counters.items():
        middle = counter.x if x else counter.y
        half = (counter.width if x else counter.height) / 2
        ax.plot(
            [counter.z * _M] * 2, [middle - half, middle + half], color=COLOURS[2], lw=2,
            alpha=0.6, zorder=1,
        )  # fmt: skip
        labels.append((counter.z, middle + half, name))
    if setup.srd is not None:
        srd = setup.srd
        half = (srd.modules * srd.module_width if x else srd.module_height) / 2
        middle = srd.x if x else srd.y
        _box(ax, srd.z, 200.0, middle - half, 2 * half, "#D9C2E9", "#6C3483")
        labels.append((srd.z, middle + half, "SRD"))
    if setup.veto is not None:
        veto = setup.veto
        half = (veto.bar_length if x else veto.bars * veto.bar_height) / 2
        middle = veto.x if x else veto.y
        ax.plot([veto.z * _M] * 2, [middle - half, middle + half], color="#922B21", lw=2, zorder=1)
        labels.append((veto.z, middle + half, "VETO"))
    calorimeters = (
        ("ECAL", setup.ecal, _ECAL), ("VHCAL", setup.vhcal, _VHCAL), ("HCAL", setup.hcal, _HCAL),
    )  # fmt: skip
    for name, calorimeter, colour in calorimeters:
        if calorimeter is not None:
            labels.append(_calorimeter(ax, name, calorimeter, colour, x=x))
    low, high = _limits(ax, setup)
    z = np.linspace(low, high, 400)
    nominal = [setup.beam_x(v) for v in z] if x else np.full(len(z), setup.beam.y)
    ax.plot(z * _M, nominal, color="#555555", lw=0.8, ls=":", zorder=2, label="nominal beam")
    _points(ax, view, view.strips, x=x)
    _straws(ax, view.straws, x=x)
    for i, track in enumerate(view.tracks):
        path = track.x if x else track.y
        colour = COLOURS[1] if i == 0 else COLOURS[3]
        ax.plot(track.z * _M, path, color=colour, lw=1.5, zorder=4, label=_name(track))
    ax.set_xlim(low * _M, high * _M)
    ax.set_ylabel("x [mm]" if x else "y [mm]")
    ax.set_title("from above" if x else "from the side", loc="left", fontsize=9)
    _write_labels(ax, labels)
    if x:
        ax.legend(loc="lower left", framealpha=0.9, ncols=4, markerscale=1.2)


def _name(track: Any) -> str:
    return f"track {track.spectrometer}, {track.momentum:.1f} GeV/c"


def _box(  # noqa: PLR0917 - a rectangle has four sides
    ax: Axes, z: float, length: float, low: float, height: float, face: str, edge: str
) -> None:
    from matplotlib.patches import Rectangle

    ax.add_patch(
        Rectangle((z * _M, low), length * _M, height, facecolor=face, edgecolor=edge, lw=0.8,
                  alpha=0.8, zorder=1)
    )  # fmt: skip
    ax.update_datalim([(z * _M, low), ((z + length) * _M, low + height)])


def _calorimeter(
    ax: Axes, name: str, calorimeter: Calorimeter, colour: str, *, x: bool
) -> tuple[float, float, str]:
    """Sections as parallelograms along the axis; gives where the label goes."""
    from matplotlib.patches import Polygon

    here = calorimeter.x if x else calorimeter.y
    z, slope = calorimeter.z, calorimeter.slope_x if x else 0.0
    cells = (calorimeter.nx * calorimeter.cell_x) if x else (calorimeter.ny * calorimeter.cell_y)
    half = cells / 2
    label = (calorimeter.z, here + half, name)
    for section in calorimeter.sections.values():
        other = section.x if x else section.y
        here = here if other is None else other
        z = z if section.z is None else section.z
        tilt = section.slope_x if x and section.slope_x is not None else slope
        length = section.layers * calorimeter.layer_thickness
        end = here + tilt * length
        corners = [
            (z * _M, here - half), ((z + length) * _M, end - half),
            ((z + length) * _M, end + half), (z * _M, here + half),
        ]  # fmt: skip
        ax.add_patch(
            Polygon(corners, closed=True, facecolor=colour, edgecolor="#333333", lw=0.8, zorder=1)
        )
        ax.update_datalim(corners)
        here, z = end, z + length
    return label


def _limits(ax: Axes, setup: Any) -> tuple[float, float]:
    """z of the picture, mm; the vertical range is that of what is drawn, with room for names."""
    box = ax.dataLim
    low, high = float(box.y0), float(box.y1)
    ax.set_ylim(low - 0.3 * (high - low), high + 0.36 * (high - low))
    first = min(setup.beam.z, box.x0 / _M)
    span = box.x1 / _M - first
    return first - 0.01 * span, box.x1 / _M + 0.015 * span


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
            ax.plot(points.z[mask] * _M, value[mask], "o", ms=3.5, mew=0, ls="none", **options)


def _straws(ax: Axes, points: Points, *, x: bool) -> None:
    """Both places on either side of the wire where the particle may have been."""
    along = points.cos if x else points.sin
    near = np.abs(along) > 0.9
    if near.any():
        ax.plot(
            points.z[near] * _M, points.u[near] / along[near], "+", ms=4, mew=0.8,
            color=COLOURS[2], label="straw, both sides", zorder=3,
        )  # fmt: skip


def _write_labels(ax: Axes, labels: list[tuple[float, float, str]]) -> None:
    """Names upright above what they name, at the top; neighbours are shifted apart."""
    low, high = ax.get_xlim()
    bottom, top = ax.get_ylim()
    least = 0.0145 * (high - low)
    places = sorted((z * _M, height, name) for z, height, name in labels)
    # Pushed to the right where they are too close, then back as a whole where they left the frame.
    at: list[float] = []
    for z, _, _ in places:
        at.append(max(z, at[-1] + least) if at else z)
    limit = high - 0.5 * least
    for i in range(len(at) - 1, -1, -1):
        at[i] = min(at[i], limit)
        limit = at[i] - least
    name_at = top - 0.19 * (top - bottom)
    for (z, height, name), place in zip(places, at, strict=True):
        ax.plot([z, place], [min(height, name_at), name_at], color="#BBBBBB", lw=0.5, zorder=0)
        ax.text(
            place, name_at + 0.008 * (top - bottom), name, rotation=90, ha="center", va="bottom",
            fontsize=7,
        )  # fmt: skip
