"""Synchrotron radiation of electrons against that of hadrons: what the SRD is there for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from na64reco.report.page_axes import log_axis, new_figure, top_legend
from na64reco.report.page_cuts import cut_text, limit_lines
from na64reco.report.page_figures import COLOURS, DASHES, picture, plain
from na64reco.selection import clopper_pearson, histogram_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from na64reco.processors import DatasetReport
    from na64reco.report.page_figures import Picture
    from na64reco.report.page_input import RunFolder
    from na64reco.selection.model import Cut

__all__ = ["hadron_datasets", "srd_missing", "srd_picture"]

VARIABLE: Final = "srd.energy"
_WORDS: Final = ("hadron", "pion", "pi-", "pi+", "kaon", "proton", "pbar")
_BINS: Final = 50


def hadron_datasets(folder: RunFolder, given: Sequence[str] = ()) -> tuple[str, ...]:
    """Datasets of hadrons: those given, or those whose name says so."""
    names = [d.name for d in folder.datasets]
    if given:
        return tuple(n for n in names if n in given)
    return tuple(n for n in names if any(word in n.lower() for word in _WORDS))


def _found(folder: RunFolder) -> tuple[str, str] | None:
    """(histogram, stage) of the SRD's energy, at the earliest stage that the selection has."""
    for name, histogram in folder.selection.histograms.items():
        if [a.variable for a in histogram.axes] == [VARIABLE] and histogram.region is None:
            stages = [s for s in histogram.at if not s.startswith("without ")] or histogram.at
            return name, min(stages, key=folder.selection.stages.index)
    return None


def srd_missing(folder: RunFolder, hadrons: Sequence[str] = ()) -> str | None:
    """What there must be for `srd_picture`; None if it is there, or there is no SRD."""
    if not _uses_srd(folder):
        return None
    if _found(folder) is None:
        return f"The selection has no histogram of {VARIABLE}."
    known = hadron_datasets(folder, hadrons)
    if known and len(known) < len([d for d in folder.datasets if d.simulated is not None]):
        return None
    return (
        "There must be datasets of both: run with a hadron run as a dataset of its own "
        "(hadron=FILE beside the others), or name the one that it is with --hadrons."
    )


def _uses_srd(folder: RunFolder) -> bool:
    variables = {c.variable for c in folder.selection.cuts}
    variables |= {a.variable for h in folder.selection.histograms.values() for a in h.axes}
    return any(v.startswith("srd.") for v in variables)


def srd_picture(folder: RunFolder, hadrons: Sequence[str] = ()) -> Picture | None:
    """Both spectra by shape, and which share of each the cut keeps."""
    if srd_missing(folder, hadrons) is not None or (found := _found(folder)) is None:
        return None
    name, stage = found
    key = histogram_name(name, stage, None)
    known = hadron_datasets(folder, hadrons)
    shown = [d for d in folder.datasets if key in d.histograms and _total(d, key)]
    cut = next((c for c in folder.selection.cuts if c.variable == VARIABLE), None)
    figure, axes = new_figure(
        1, 1, size=(4.4, 2.9), bottom=0.55, top=0.4, above=0.04 + 0.19 * -(-len(shown) // 2)
    )
    ax = axes[0, 0]
    rows: list[Sequence[Any]] = [("dataset", "kind", "low_MeV", "high_MeV", "share", "error")]
    smallest, notes = 1.0, []
    for i, dataset in enumerate(sorted(shown, key=lambda d: d.name in known)):
        kind = "hadrons" if dataset.name in known else "electrons"
        edges, share, error = _shape(dataset, key)
        colour = COLOURS[1] if kind == "hadrons" else COLOURS[(0, 2, 3, 4, 5)[i % 5]]
        if kind == "hadrons":  # often one bin
            ax.stairs(share, edges, color=colour, fill=True, alpha=0.35, lw=0)
        ax.stairs(
            share, edges, color=colour, lw=1.3, ls="-" if kind == "hadrons" else DASHES[i % 5],
            label=plain(f"{dataset.name} ({kind})"),
        )  # fmt: skip
        smallest = min(smallest, float(share[share > 0].min(initial=1.0)))
        values = zip(edges[:-1], edges[1:], share, error, strict=True)
        rows += [(dataset.name, kind, *value) for value in values]
        if cut is not None and (text := _kept(dataset, key, cut)) is not None:
            notes.append(f"{dataset.name} ({kind}) {text}")
    ax.set_xlim(edges[0], edges[-1])
    log_axis(ax, 0.5 * smallest, 2.0)
    ax.set_xlabel("energy in the SRD [MeV]")
    ax.set_ylabel(f"share / {edges[1] - edges[0]:.3g} MeV")
    _window(ax, cut)
    top_legend(figure, ax, columns=2)
    caption = "Each spectrum over its number of events, those beyond the axis included"
    caption += f", after the cut {stage}. " if stage not in {"none", "all"} else ". "
    if cut is not None:
        caption += f"Dashed: {cut.name} ({cut_text(cut)}). "
    if notes:
        caption += "It keeps, to a bin: " + "; ".join(notes) + "."
    return picture(figure, "srd_electrons_hadrons", "Electrons against hadrons", caption, rows)


def _total(dataset: DatasetReport, key: str) -> float:
    return float(np.sum(dataset.histograms[key].values(flow=True)))


def _shape(dataset: DatasetReport, key: str) -> tuple[Any, Any, Any]:
    """Edges in MeV, shares of all entries, their errors; in at most so many bins."""
    histogram = dataset.histograms[key]
    edges = 1e3 * np.asarray(histogram.axes[0].edges)
    values = np.asarray(histogram.values(), np.float64)
    found = histogram.variances()
    squares = values if found is None else np.asarray(found, np.float64)
    n = len(values)
    together = next((k for k in range(1, 11) if n % k == 0 and n // k <= _BINS), 1)
    values, squares = (v.reshape(-1, together).sum(axis=1) for v in (values, squares))
    total = _total(dataset, key)
    return edges[::together], values / total, np.sqrt(squares) / total


def _kept(dataset: DatasetReport, key: str, cut: Cut) -> str | None:
    """The share inside the cut, by the bins whose middle is."""
    if cut.negate or any(not isinstance(limit, float | int) for _, limit in limit_lines(cut)):
        return None
    histogram = dataset.histograms[key]
    values = np.asarray(histogram.values(flow=True), np.float64)
    inner = np.asarray(histogram.axes[0].edges)
    middle = np.concatenate(([-np.inf], (inner[1:] + inner[:-1]) / 2, [np.inf]))
    inside = np.ones(len(values), bool)
    for side, limit in limit_lines(cut):
        inside &= middle >= limit if side == "min" else middle <= limit
    passed, total = float(values[inside].sum()), float(values.sum())
    if not total:
        return None
    text = f"{100 * passed / total:.3g} %"
    if passed == int(passed) and total == int(total):
        low, high = clopper_pearson(int(passed), int(total))
        text += f" (68 %: {100 * low:.3g} to {100 * high:.3g} %)"
    return text


def _window(ax: Any, cut: Cut | None) -> None:
    """The cut's limits, on an axis in MeV."""
    if cut is None:
        return
    for _, limit in limit_lines(cut):
        if isinstance(limit, float | int):
            ax.axvline(1e3 * limit, color="#333333", lw=1.1, ls=(0, (4, 2)), zorder=4)
