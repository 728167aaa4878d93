"""The selection's histograms: all datasets over each other, one panel per stage, with cuts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from na64reco.report.page_axes import draw_map, new_figure, set_log, top_legend
from na64reco.report.page_cuts import cut_text, draw_cuts
from na64reco.report.page_figures import COLOURS, garwood, picture, plain
from na64reco.report.plane import draw_plane, find_planes, plane_variables
from na64reco.selection import histogram_name
from na64reco.selection.variables import find_description

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from matplotlib.axes import Axes

    from na64reco.processors import DatasetReport
    from na64reco.report.page_figures import Picture
    from na64reco.report.page_input import RunFolder
    from na64reco.selection import Selection
    from na64reco.selection.model import Axis, Histogram

__all__ = ["GROUPS", "group_of", "histogram_pictures", "plane_pictures", "stage_text"]

GROUPS: Final = {
    "energy": "Energy in ECAL and HCAL",
    "srd": "Synchrotron radiation",
    "track": "Track and momentum",
    "shape": "Shower shape and preshower",
    "time": "Times and pile-up",
    "veto": "VETO and counters",
    "other": "Further histograms",
}
"""Sections of the page: name and title."""

_COLUMNS: Final = 2
_BINS: Final = 80
"""Most bins of a panel; the tables have all of them."""
_PANEL: Final = (4.4, 2.9)


def group_of(variables: Sequence[str]) -> str:
    """The section that a histogram of some variables belongs to.

    >>> group_of(["ecal.energy", "hcal.energy"]), group_of(["ecal.energy_out"])
    ('energy', 'time')
    """
    names = " ".join(variables)
    for variable in variables:
        if variable.endswith((".time", "_out", "master_time")):
            return "time"
    for group, starts in (
        ("srd", ("srd.",)),
        ("veto", ("veto.", "counters.")),
        ("shape", ("ecal.chi2", "ecal.lateral", "ecal.fraction", "prs.", "hcal.ratio")),
        ("track", ("track.", "track_out.", "straw.", "mm.", "gem.")),
        ("energy", ("ecal.", "hcal.", "calo.", "vhcal.")),
    ):
        if any(part.startswith(start) for part in names.split() for start in starts):
            return group
    return "other"


def stage_text(stage: str) -> str:
    """A stage of the selection in words.

    >>> stage_text("none"), stage_text("without SRD"), stage_text("SRD")
    ('before all cuts', 'all cuts but SRD', 'after the cut: SRD')
    """
    if stage == "none":
        return "before all cuts"
    if stage == "all":
        return "after all cuts"
    if stage.startswith("without "):
        return f"all cuts but {stage.removeprefix('without ')}"
    return f"after the cut: {stage}"


def plane_pictures(folder: RunFolder) -> Iterator[Picture]:
    """The (E_ECAL, E_HCAL) plane of each dataset, a blinded box hatched."""
    for dataset in folder.datasets:
        figure = draw_plane(folder.selection, [dataset])
        if figure is None:
            return
        name = _file_name("plane", dataset.name)
        across, up = plane_variables(folder.selection)
        caption = (
            f"{up} against {across} of the dataset {dataset.name}, with the regions of the "
            "selection."
        )
        if dataset.blinded is not None:
            caption += (
                f" Region {dataset.blinded!r} is blinded: its events are in no histogram, no count "
                "and no list of this page."
            )
        rows = _rows_2d([dataset], _planes(folder.selection))
        yield picture(figure, name, f"Plane of {dataset.name}", caption, rows, wide=True)


def _planes(selection: Selection) -> list[tuple[str, Histogram]]:
    """Histograms that `draw_plane` shows at some of their stages."""
    shown = {p.histogram for p in find_planes(selection)}
    return [
        (name, h)
        for name, h in selection.histograms.items()
        if any(histogram_name(name, stage, h.region) in shown for stage in h.at)
    ]


def histogram_pictures(folder: RunFolder) -> Iterator[tuple[str, Picture]]:
    """``(group, picture)`` of every histogram but the plane's, in the selection's order."""
    planes = {name for name, _ in _planes(folder.selection)}
    for name, histogram in folder.selection.histograms.items():
        variables = tuple(a.variable for a in histogram.axes)
        if name in planes or len(variables) > 2:
            continue
        draw = _draw_1d if len(variables) == 1 else _draw_2d
        found = draw(folder, name, histogram)
        if found is not None:
            yield group_of(variables), found


def _present(folder: RunFolder, name: str, histogram: Histogram) -> list[str]:
    """Stages that any dataset has: histograms of a blinded region are not there."""
    return [
        stage
        for stage in histogram.at
        if any(
            histogram_name(name, stage, histogram.region) in d.histograms for d in folder.datasets
        )
    ]


def axis_label(axis: Axis) -> str:
    """Label and unit, of a column that may be unknown here."""
    known = find_description(axis.variable)
    if known is None:
        return plain(axis.label or axis.variable)
    # A meaning is a sentence, a label must fit below an axis.
    meaning = known.meaning.partition(";")[0].partition(" (")[0]
    text = axis.label or (meaning if 0 < len(meaning) <= 50 else axis.variable)
    if known.dtype.kind == "f" and known.unit:
        text += f" [{known.unit}]"
    # E_ECAL with a subscript.
    return re.sub(r"\b([A-Za-z])_([A-Z]{2,})\b", r"$\1_\\mathrm{\2}$", plain(text))


def _caption(folder: RunFolder, histogram: Histogram) -> str:
    names = {a.variable for a in histogram.axes}
    cuts = [c for c in folder.selection.cuts if c.variable in names]
    text = f"Region {histogram.region!r} alone. " if histogram.region is not None else ""
    if cuts:
        text += "Dashed: " + "; ".join(f"{c.name} ({cut_text(c)})" for c in cuts) + ". "
        if any(f"without {c.name}" in histogram.at for c in cuts):
            text += "Hatched: what the cut rejects of events that pass all others. "
    return text


def _title(histogram: Histogram, name: str) -> str:
    text = " against ".join(a.variable for a in reversed(histogram.axes))
    return f"{text} ({name})"


def _draw_1d(folder: RunFolder, name: str, histogram: Histogram) -> Picture | None:
    stages = _present(folder, name, histogram)
    if not stages:
        return None
    axis = histogram.axes[0]
    # Two panels stand over each other, so that a phone can show them in full.
    columns = 1 if len(stages) <= _COLUMNS else _COLUMNS
    lines = -(-len(stages) // columns)
    shown = [d for d in folder.datasets if d.simulated is not None]
    rows_of_names = -(-len(shown) // (2 * columns))
    figure, axes = new_figure(
        lines, columns, size=_PANEL, bottom=0.55, top=0.4, above=0.04 + 0.19 * rows_of_names
    )
    handles: dict[str, Any] = {}
    for ax in axes.flat[len(stages) :]:
        ax.set_visible(False)
    for ax, stage in zip(axes.flat, stages, strict=False):
        key = histogram_name(name, stage, histogram.region)
        found = [(i, d) for i, d in enumerate(shown) if key in d.histograms]
        largest, smallest = 0.0, np.inf
        for i, dataset in found:
            values = _draw_dataset(ax, dataset, key, i)
            if len(values):
                largest, smallest = max(largest, values.max()), min(smallest, values.min())
        edges = np.asarray(found[0][1].histograms[key].axes[0].edges)
        edges = edges[:: _merged(len(edges) - 1)]
        ax.set_xlim(edges[0], edges[-1])
        set_log(ax, largest, min(1.0, smallest) if np.isfinite(smallest) else 1.0)
        ax.set_xlabel(axis_label(axis))
        ax.set_ylabel(_per_bin(edges, axis))
        ax.set_title(plain(stage_text(stage)), loc="left")
        draw_cuts(ax, folder.selection, (axis.variable,), stage)
        if not largest:
            ax.text(0.5, 0.5, "no entries", transform=ax.transAxes, ha="center", va="center")
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    top_legend(figure, axes[0, 0], columns=2 * columns, handles=list(handles.values()))
    rows = _rows_1d(folder, name, histogram, stages)
    caption = _caption(folder, histogram)
    title = _title(histogram, name)
    return picture(figure, _file_name("histogram", name), title, caption, rows, wide=columns > 1)


def _draw_dataset(ax: Axes, dataset: DatasetReport, key: str, index: int) -> Any:
    """Data as points, simulation as a step; gives the contents that are not empty."""
    histogram = dataset.histograms[key]
    edges = np.asarray(histogram.axes[0].edges)
    values = np.asarray(histogram.values(), np.float64)
    variances = histogram.variances()
    squares = values if variances is None else np.asarray(variances, np.float64)
    together = _merged(len(values))
    values, squares = (v.reshape(-1, together).sum(axis=1) for v in (values, squares))
    edges = edges[::together]
    filled = values > 0
    if not filled.any():
        return values[filled]
    colour = "black" if not dataset.simulated else COLOURS[index % (len(COLOURS) - 1)]
    label = plain(f"{dataset.name} ({'simulation' if dataset.simulated else 'data'})")
    centres = (edges[1:] + edges[:-1]) / 2
    if dataset.simulated:
        ax.stairs(values, edges, color=colour, lw=1.2, label=label, zorder=2)
    else:
        ax.errorbar(
            centres[filled], values[filled], garwood(values[filled], squares[filled]), fmt="o",
            ms=2.5, lw=0.8, color=colour, label=label, zorder=3,
        )  # fmt: skip
    return values[filled]


def _merged(bins: int) -> int:
    """How many bins become one, so that there are few enough: the smallest divisor.

    >>> [_merged(n) for n in (60, 240, 150, 97)]
    [1, 3, 2, 1]
    """
    factors = (f for f in range(1, bins // 10 + 2) if bins % f == 0 and bins // f <= _BINS)
    return next(factors, 1)


def _per_bin(edges: Any, axis: Axis) -> str:
    if axis.edges is not None:
        return "events / bin"
    width = (edges[-1] - edges[0]) / (len(edges) - 1)
    known = find_description(axis.variable)
    if known is None:
        return "events / bin"
    if known.dtype.kind != "f":
        return "events"
    return f"events / {width:.4g} {known.unit}".strip()


def _draw_2d(folder: RunFolder, name: str, histogram: Histogram) -> Picture | None:
    stages = _present(folder, name, histogram)
    panels = [
        (dataset, stage)
        for stage in stages
        for dataset in folder.datasets
        if histogram_name(name, stage, histogram.region) in dataset.histograms
    ]
    if not panels:
        return None
    # Empty ones say nothing; of nothing but empty ones the first is shown.
    keys = [(d, histogram_name(name, stage, histogram.region)) for d, stage in panels]
    filled = [
        p for p, (d, key) in zip(panels, keys, strict=True) if np.any(d.histograms[key].values())
    ]
    panels = filled or panels[:1]
    columns = min(_COLUMNS, len(panels))
    lines = -(-len(panels) // columns)
    figure, axes = new_figure(lines, columns, size=_PANEL, bottom=0.55, top=0.4, right=0.95)
    for ax in axes.flat[len(panels) :]:
        ax.set_visible(False)
    for ax, (dataset, stage) in zip(axes.flat, panels, strict=False):
        found = dataset.histograms[histogram_name(name, stage, histogram.region)]
        x, y = (np.asarray(a.edges) for a in found.axes)
        draw_map(ax, x, y, np.asarray(found.values(), np.float64), label="events / bin")
        ax.set_xlabel(axis_label(histogram.axes[0]))
        ax.set_ylabel(axis_label(histogram.axes[1]))
        ax.set_title(plain(f"{dataset.name}, {stage_text(stage)}"), loc="left")
        draw_cuts(ax, folder.selection, tuple(a.variable for a in histogram.axes), stage)
    rows = _rows_2d(folder.datasets, [(name, histogram)])
    title, caption = _title(histogram, name), _caption(folder, histogram)
    wide = columns > 1
    return picture(figure, _file_name("histogram", name), title, caption, rows, wide=wide)


def _rows_1d(
    folder: RunFolder, name: str, histogram: Histogram, stages: Sequence[str]
) -> Iterator[Sequence[Any]]:
    yield ("dataset", "stage", "low", "high", "events", "sum_of_squared_weights")
    for dataset in folder.datasets:
        for stage in stages:
            found = dataset.histograms.get(histogram_name(name, stage, histogram.region))
            if found is None:
                continue
            values, squares = found.values(flow=True), found.variances(flow=True)
            squares = values if squares is None else squares
            edges = [-np.inf, *found.axes[0].edges, np.inf]
            for i, (value, square) in enumerate(zip(values, squares, strict=True)):
                yield (dataset.name, stage, edges[i], edges[i + 1], value, square)


def _rows_2d(
    datasets: Sequence[DatasetReport],
    histograms: Sequence[tuple[str, Histogram]],
) -> Iterator[Sequence[Any]]:
    """Bins that are not empty."""
    yield ("dataset", "histogram", "x_low", "x_high", "y_low", "y_high", "events")
    for dataset in datasets:
        for name, histogram in histograms:
            for stage in histogram.at:
                key = histogram_name(name, stage, histogram.region)
                if key not in dataset.histograms:
                    continue
                found = dataset.histograms[key]
                x, y = (np.asarray(a.edges) for a in found.axes)
                values = found.values()
                for i, j in zip(*np.nonzero(values), strict=True):
                    yield (dataset.name, key, x[i], x[i + 1], y[j], y[j + 1], values[i, j])


def _file_name(kind: str, name: str) -> str:
    """Letters, digits and underscores, whatever the name is made of; different for others."""
    import hashlib

    safe = re.sub(r"[^0-9A-Za-z]+", "_", name).strip("_")
    if safe != name:
        safe += "_" + hashlib.sha256(name.encode()).hexdigest()[:6]
    return f"{kind}_{safe}"
