"""The plane in which a selection has its signal box, with the box and its sidebands.

That is energy in the ECAL against energy in the HCAL, in the muon mode momentum behind the target
against energy in all calorimeters: the two variables of the blinded region of which the selection
has a histogram.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from na64reco.report.page_axes import draw_map, new_figure, top_legend
from na64reco.report.page_figures import COLOURS, DASHES, plain, report_style
from na64reco.report.regions import outlines
from na64reco.selection import histogram_name
from na64reco.selection.variables import describe

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from na64reco.processors import DatasetReport
    from na64reco.selection import Selection

__all__ = ["Plane", "draw_plane", "find_planes", "plane_variables", "save_plane"]

VARIABLES = ("ecal.energy", "hcal.energy")
"""Of the plane where nothing else is blinded."""

_LABELS = {
    "ecal.energy": r"$E_\mathrm{ECAL}$",
    "hcal.energy": r"$E_\mathrm{HCAL}$",
    "calo.all": r"$E_\mathrm{CAL}$",
    "track_out.momentum": r"$p_\mathrm{out}$",
}

# Dashes differ as well as colours; the sixth region has the first one's colour, other dashes.
_LINES = tuple((COLOURS[1 + i % 5], DASHES[(i + i // 5) % 5]) for i in range(25))
_PANEL = (2.9, 2.6)
_GREY = "#777777"


@dataclass(frozen=True)
class Plane:
    """A histogram of the plane at one stage of the selection."""

    histogram: str
    """Name as in histograms.root."""
    stage: str


def plane_variables(selection: Selection) -> tuple[str, str]:
    """What the axes of the plane show."""
    box = selection.regions[selection.blind] if selection.blind else {}
    for histogram in selection.histograms.values():
        shown = tuple(axis.variable for axis in histogram.axes)
        if len(shown) == len(VARIABLES) and all(v in box for v in shown):
            return shown[0], shown[1]
    return VARIABLES


def find_planes(selection: Selection) -> tuple[Plane, ...]:
    """The planes that a selection fills: at its earliest stage, after all cuts, and enlarged."""
    variables = plane_variables(selection)
    found: list[Plane] = []
    for name, histogram in selection.histograms.items():
        if tuple(a.variable for a in histogram.axes) != variables or histogram.region is not None:
            continue
        stages = sorted(histogram.at, key=selection.stages.index)
        chosen = [stages[0]] if not found else []
        if "all" in stages and "all" not in chosen:
            chosen.append("all")
        found += [Plane(histogram_name(name, stage), stage) for stage in chosen]
    return tuple(found)


def draw_plane(selection: Selection, datasets: Sequence[DatasetReport]) -> Figure | None:
    """A row of pictures for each dataset; None if the selection fills no such histogram.

    A hidden region is hatched and says so; its events are not in the histograms to begin with.
    """
    planes = find_planes(selection)
    if not planes or not datasets:
        return None
    # A hidden region and one that is not have a name each.
    columns = min(2 * len(planes), 6)
    lines = -(-(len(selection.regions) + 1) // columns)
    with report_style():
        figure, axes = new_figure(
            len(datasets), len(planes), size=_PANEL, left=0.72, right=0.92, top=0.4,
            above=0.1 + 0.2 * lines,
        )  # fmt: skip
        for dataset, row in zip(datasets, axes, strict=True):
            for plane, ax in zip(planes, row, strict=True):
                _draw(ax, selection, dataset, plane)
        shown: dict[str, Any] = {}
        for ax in axes.flat:
            for handle, name in zip(*ax.get_legend_handles_labels(), strict=True):
                shown.setdefault(name, handle)
        top_legend(figure, axes[0, 0], columns=columns, handles=list(shown.values()))
    return figure


def _draw(ax: Axes, selection: Selection, dataset: DatasetReport, plane: Plane) -> None:
    histogram = dataset.histograms[plane.histogram]
    counts = np.asarray(histogram.values())
    x_edges, y_edges = (np.asarray(axis.edges) for axis in histogram.axes)
    width = x_edges[1] - x_edges[0], y_edges[1] - y_edges[0]
    variables = plane_variables(selection)
    units = [describe(variable).unit for variable in variables]
    unit = f"{width[0]:g} {units[0]} \N{MULTIPLICATION SIGN} {width[1]:g} {units[1]}"
    draw_map(ax, x_edges, y_edges, counts, label=f"events / ({unit})")
    # Most electrons leave nothing in the HCAL: room below zero keeps that row off the axis.
    x_margin, y_margin = 0.02 * (x_edges[-1] - x_edges[0]), 0.04 * (y_edges[-1] - y_edges[0])
    frame = ((x_edges[0] - x_margin, x_edges[-1]), (y_edges[0] - y_margin, y_edges[-1]))
    _draw_regions(ax, selection, dataset, frame)
    ax.set_xlim(*frame[0])
    ax.set_ylim(*frame[1])
    x_label, y_label = (
        f"{_LABELS.get(variable, variable)} [{its}]"
        for variable, its in zip(variables, units, strict=True)
    )
    ax.set_xlabel(x_label)
    ax.set_ylabel(y_label)
    stage = "after all cuts" if plane.stage == "all" else f"after the cut: {plane.stage}"
    if plane.stage == "none":
        stage = "before all cuts"
    kind = "simulation" if dataset.simulated else "data"
    ax.set_title(plain(f"{dataset.name} ({kind}), {stage}"), loc="left")
    if not counts.any():
        ax.text(
            0.5, 0.6, "no entries", transform=ax.transAxes, ha="center", va="center", color=_GREY,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 2},
        )  # fmt: skip


def _draw_regions(ax: Axes, selection: Selection, dataset: DatasetReport, frame: Any) -> None:
    from matplotlib.patches import Polygon

    names = list(selection.regions)
    labelled: set[str] = set()
    for outline in outlines(selection, plane_variables(selection), frame):
        if len(selection.regions[outline.region]) == 1:
            continue  # half of the plane, for a histogram
        colour, dashes = _LINES[names.index(outline.region) % len(_LINES)]
        hidden = outline.region == dataset.blinded
        label = plain(f"{outline.region} (blinded)" if hidden else outline.region)
        ax.add_patch(
            Polygon(
                outline.corners,
                closed=True,
                facecolor="#BBBBBB80" if hidden else "none",
                hatch="////" if hidden else None,
                edgecolor=colour,
                linestyle=dashes,
                linewidth=1.6,
                label=None if outline.region in labelled else label,
                zorder=3,
            )
        )
        labelled.add(outline.region)
        if hidden:
            _write_blinded(ax, outline.corners, frame)


def _write_blinded(ax: Axes, corners: Sequence[tuple[float, float]], frame: Any) -> None:
    """The word itself, in the box or, where that is a sliver, just above it."""
    x = (min(c[0] for c in corners) + max(c[0] for c in corners)) / 2
    bottom, top = min(c[1] for c in corners), max(c[1] for c in corners)
    height = frame[1][1] - frame[1][0]
    inside = top - bottom > 0.08 * height
    ax.text(
        x,
        (bottom + top) / 2 if inside else top + 0.01 * height,
        "blinded",
        ha="center",
        va="center" if inside else "bottom",
        fontsize=10,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.5},
        zorder=4,
    )


def save_plane(
    selection: Selection,
    datasets: Sequence[DatasetReport],
    folder: Path,
    *,
    name: str | None = None,
) -> tuple[Path, ...]:
    """Write the picture as PNG and PDF; nothing if the selection fills no such histogram.

    By default its name is ``ecal_hcal`` for these energies, ``plane`` for other variables.
    """
    figure = draw_plane(selection, datasets)
    if figure is None:
        return ()
    if name is None:
        name = "ecal_hcal" if plane_variables(selection) == VARIABLES else "plane"
    paths = tuple(folder / f"{name}.{kind}" for kind in ("png", "pdf"))
    for path in paths:
        metadata = {"CreationDate": None} if path.suffix == ".pdf" else None
        with report_style():
            figure.savefig(path, dpi=130, metadata=metadata)
    return paths
