"""Magnets and detectors of a setup, drawn to scale along z, each with its name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import numpy as np

from na64reco.report.page_figures import COLOURS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from na64reco.setup.model import Calorimeter, Counter, Setup

__all__ = ["MM_TO_M", "TECHNOLOGY_COLOURS", "Across", "Label", "draw_parts", "write_labels"]

Across = Literal["x", "y"]
"""What goes upwards: x as seen from above, y from the side."""

MM_TO_M: Final = 1e-3
"""z is shown in m, what goes across in mm."""

TECHNOLOGY_COLOURS: Final = {
    "mm": COLOURS[0],
    "gem": COLOURS[3],
    "straw": COLOURS[4],
    "bms": COLOURS[5],
}
"""Of trackers, where they are told apart."""

_ECAL, _HCAL, _VHCAL = "#7FB3D5", "#C8C8C8", "#E3C9A8"
_PRESHOWER: Final = "#3F7FA8"
_STATION: Final = "#AAAAAA"


class Label(NamedTuple):
    """A name and what it belongs to."""

    z: float
    """mm."""
    top: float
    """Upper edge of what is named, mm."""
    text: str


def draw_parts(
    ax: Axes, setup: Setup, *, across: Across, detailed: bool = False
) -> tuple[Label, ...]:
    """Draw magnets by their gaps, and all detectors.

    Parameters
    ----------
    ax
        z in m to the right, mm upwards.
    detailed
        Tell technologies of trackers and the preshower by colour, and name each section of a
        calorimeter. Otherwise trackers are grey, for hits to be seen.

    Returns
    -------
    The names for `write_labels`, once the limits of the axes are set
    """
    x = across == "x"
    labels: list[Label] = []
    for name, magnet in setup.magnets.items():
        half = (magnet.gap_x if x else magnet.gap_y) / 2
        middle = magnet.x if x else 0.0
        _box(ax, magnet.start, magnet.length, middle - half, 2 * half, "#F6D5B8", "#B5651D")
        labels.append(Label(magnet.z, middle + half, name))
    for name, station in setup.stations.items():
        middle = station.x if x else station.y
        colour = TECHNOLOGY_COLOURS[station.technology] if detailed else _STATION
        ends = [middle - station.half_width, middle + station.half_width]
        ax.plot([station.z * MM_TO_M] * 2, ends, color=colour, lw=1.8 if detailed else 1, zorder=1)
        labels.append(Label(station.z, ends[1], name))
    for name, counter in setup.counters.items():
        labels.append(_counter(ax, name, counter, x=x))
    if setup.srd is not None:
        srd = setup.srd
        half = (srd.modules * srd.module_width if x else srd.module_height) / 2
        middle = srd.x if x else srd.y
        plates = srd.sampling
        layer = plates.absorber_thickness + plates.scintillator_thickness
        _box(ax, srd.z, plates.layers * layer, middle - half, 2 * half, "#D9C2E9", "#6C3483")
        labels.append(Label(srd.z, middle + half, "SRD"))
    if setup.veto is not None:
        veto = setup.veto
        half = (veto.bar_length if x else veto.bars * veto.bar_height) / 2
        middle = veto.x if x else veto.y
        ends = [middle - half, middle + half]
        ax.plot([veto.z * MM_TO_M] * 2, ends, color="#922B21", lw=2, zorder=1)
        labels.append(Label(veto.z, middle + half, "VETO"))
    calorimeters = (
        ("ECAL", setup.ecal, _ECAL), ("VHCAL", setup.vhcal, _VHCAL), ("HCAL", setup.hcal, _HCAL),
    )  # fmt: skip
    for name, calorimeter, colour in calorimeters:
        if calorimeter is not None:
            sections = _calorimeter(ax, name, calorimeter, colour, x=x, detailed=detailed)
            labels.extend(sections if detailed else [sections[0]._replace(text=name)])
    return tuple(labels)


def _box(  # noqa: PLR0917 - a rectangle has four sides
    ax: Axes, z: float, length: float, low: float, height: float, face: str, edge: str
) -> None:
    from matplotlib.patches import Rectangle

    ax.add_patch(
        Rectangle((z * MM_TO_M, low), length * MM_TO_M, height, facecolor=face, edgecolor=edge,
                  lw=0.8, alpha=0.8, zorder=1)
    )  # fmt: skip
    ax.update_datalim([(z * MM_TO_M, low), ((z + length) * MM_TO_M, low + height)])


def _counter(ax: Axes, name: str, counter: Counter, *, x: bool) -> Label:
    """A line, broken by a hole."""
    middle = counter.x if x else counter.y
    half, hole = (counter.width if x else counter.height) / 2, counter.hole / 2
    pieces = ((-half, half),) if not hole else ((-half, -hole), (hole, half))
    for low, high in pieces:
        ax.plot(
            [counter.z * MM_TO_M] * 2, [middle + low, middle + high], color=COLOURS[2], lw=2,
            alpha=0.6, zorder=1,
        )  # fmt: skip
    return Label(counter.z, middle + half, name)


def _calorimeter(
    ax: Axes, name: str, calorimeter: Calorimeter, colour: str, *, x: bool, detailed: bool
) -> list[Label]:
    """Sections as parallelograms along the axis, holes dashed; gives where the labels go."""
    here = calorimeter.x if x else calorimeter.y
    z, slope = calorimeter.z, calorimeter.slope_x if x else 0.0
    size = calorimeter.cell_x if x else calorimeter.cell_y
    cells = calorimeter.nx if x else calorimeter.ny
    half = cells * size / 2
    holes = sorted({cell[0 if x else 1] for cell in calorimeter.hole})
    labels = []
    for key, section in calorimeter.sections.items():
        other = section.x if x else section.y
        here = here if other is None else other
        z = z if section.z is None else section.z
        tilt = section.slope_x if x and section.slope_x is not None else slope
        length = section.layers * calorimeter.layer_thickness
        end = here + tilt * length
        front, back = (z, here), (z + length, end)
        face = _PRESHOWER if detailed and key == "prs" else colour
        _slab(ax, front, back, (-half, half), facecolor=face, lw=0.8)
        if detailed and holes:
            edges = (holes[0] - cells / 2) * size, (holes[-1] + 1 - cells / 2) * size
            _slab(ax, front, back, edges, facecolor="#FFFFFFB0", lw=0.6, ls="--")
        text = name if len(calorimeter.sections) == 1 else f"{name} {key}"
        labels.append(Label(z + length / 2 if detailed else z, max(here, end) + half, text))
        here, z = end, z + length
    return labels


def _slab(
    ax: Axes,
    front: tuple[float, float],
    back: tuple[float, float],
    across: tuple[float, float],
    **style: Any,
) -> None:
    """What lies between two offsets from an axis, given by its ends (z and x, mm)."""
    from matplotlib.patches import Polygon

    (z, middle), (z_back, middle_back) = front, back
    low, high = across
    corners = [
        (z * MM_TO_M, middle + low), (z_back * MM_TO_M, middle_back + low),
        (z_back * MM_TO_M, middle_back + high), (z * MM_TO_M, middle + high),
    ]  # fmt: skip
    ax.add_patch(Polygon(corners, closed=True, edgecolor="#333333", zorder=1, **style))
    ax.update_datalim(corners)


def write_labels(
    ax: Axes, labels: Sequence[Label], *, size: float = 7, apart: float = 0.0145, room: float = 0.19
) -> None:
    """Names upright at the top, a line to what each names; neighbours stand apart.

    Parameters
    ----------
    ax
        With its final limits.
    size
        Of the font, points.
    apart
        Least distance of two names, as a share of the width.
    room
        For the names, as a share of the height.
    """
    from scipy.optimize import isotonic_regression

    low, high = ax.get_xlim()
    bottom, top = ax.get_ylim()
    least = apart * (high - low)
    ordered = sorted((label.z * MM_TO_M, label.top, label.text) for label in labels)
    # The nearest places, in squares, that are `least` apart: less k * least, they only increase.
    wanted = np.array([z for z, _, _ in ordered])
    steps = least * np.arange(len(wanted))
    found = isotonic_regression(wanted - steps).x
    at = np.clip(found, low + 0.5 * least, high - 0.5 * least - steps[-1]) + steps
    name_at = top - room * (top - bottom)
    for (z, height, name), place in zip(ordered, at, strict=True):
        ax.plot([z, place], [min(height, name_at), name_at], color="#BBBBBB", lw=0.5, zorder=0)
        ax.text(
            place, name_at + 0.008 * (top - bottom), name, rotation=90, ha="center", va="bottom",
            fontsize=size,
        )  # fmt: skip
