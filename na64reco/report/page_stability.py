"""What passes, what was out of time and how much was recorded, from spill to spill."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from na64reco.report.page_axes import new_figure
from na64reco.report.page_figures import (
    COLOURS,
    DASHES,
    garwood,
    picture,
    plain,
)
from na64reco.selection import clopper_pearson

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from na64reco.processors import DatasetReport
    from na64reco.report.page_figures import Picture
    from na64reco.report.page_input import RunFolder

__all__ = ["constancy", "stability_picture"]

_LABELS: Final = 24
"""Most labels of an axis."""


def constancy(passed: Any, total: Any) -> tuple[float, int]:
    """chi2 of a share being the same in all groups, and its degrees of freedom.

    Pearson's chi2 of the table (passed, failed) by groups; groups without events do not count.
    """
    passed, total = np.asarray(passed, np.float64), np.asarray(total, np.float64)
    use = total > 0
    passed, total = passed[use], total[use]
    if len(total) < 2 or not 0 < passed.sum() < total.sum():
        return 0.0, 0
    share = passed.sum() / total.sum()
    chi2 = np.sum((passed - share * total) ** 2 / (share * (1 - share) * total))
    return float(chi2), len(total) - 1


def stability_picture(folder: RunFolder) -> Picture | None:
    """By spill: the share that passes all cuts, the share out of time, events recorded."""
    datasets = [d for d in folder.datasets if len(d.counts)]
    if not datasets:
        return None
    out_of_time = any("out_of_time" in d.counts.columns for d in datasets)
    panels = 3 if out_of_time else 2
    spills = sum(len(d.counts) for d in datasets)
    size = (max(6.0, min(11.0, 0.12 * spills)), 1.5)
    figure, grid = new_figure(
        panels, 1, size=size, bottom=0.12, top=0.12, left=1.0, below=0.8, above=0.3
    )
    axes = grid[:, 0]
    start, ticks, labels, notes = 0, [], [], []
    for i, dataset in enumerate(datasets):
        counts = dataset.counts
        x = start + np.arange(len(counts))
        start += len(counts) + (1 if len(counts) > 1 else 0)
        ticks += x.tolist()
        labels += [f"{r}:{s}" for r, s in zip(counts.run, counts.spill, strict=True)]
        colour = COLOURS[i % len(COLOURS)]
        style: Any = {"colour": colour, "dash": DASHES[i % len(DASHES)]}
        for ax, (what, part) in zip(axes, _parts(dataset), strict=False):
            _points(ax, x, part, counts["entered"], label=plain(dataset.name), **style)
            chi2, ndf = constancy(part, counts["entered"])
            if ndf:
                notes.append(f"{dataset.name}, {what}: chi2 {chi2:.1f}/{ndf}")
        events = _events(dataset)
        errors = garwood(events, events)
        axes[-1].errorbar(x, events, errors, fmt="o", ms=3, lw=0.8, color=colour)
    names = ["share passing\nall cuts", "share with\nout-of-time energy", "events"]
    for ax, name in zip(axes, names if out_of_time else names[::2], strict=True):
        ax.set_ylabel(name, loc="center", fontsize=10)
        ax.yaxis.set_label_coords(-0.55 / size[0], 0.5)
        ax.set_ylim(bottom=0)
        ax.set_xlim(-0.7, max(ticks) + 0.7)
        ax.set_xticks([])
    every = -(-len(ticks) // _LABELS)
    axes[-1].set_xticks(ticks[::every], labels[::every], rotation=60, ha="right", fontsize=8)
    axes[-1].set_xlabel("run:spill")
    axes[-1].xaxis.set_label_coords(1.0, -0.72 / size[1])
    axes[0].legend(
        loc="lower left", bbox_to_anchor=(0, 1.0), ncols=min(len(datasets), 4), frameon=False
    )
    caption = "By run and spill; bars are 68 % intervals, lines the mean of a dataset. "
    if out_of_time:
        caption += "Out of time: more than 10 GeV in the ECAL at another time. "
    if notes:
        caption += "Is it constant? " + "; ".join(notes) + "."
    title = "From spill to spill"
    return picture(figure, "stability", title, caption, _rows(datasets), wide=spills > 40)


def _parts(dataset: DatasetReport) -> Iterator[tuple[str, Any]]:
    """What is shown as a share of the events that entered, shape (spills,) each."""
    counts = dataset.counts
    yield "all cuts", np.asarray(counts["passed"])[:, -1]
    if "out_of_time" in counts.columns:
        yield "out of time", counts["out_of_time"]


def _events(dataset: DatasetReport) -> Any:
    """Events by spill; of a blinded dataset without the hidden ones."""
    return dataset.counts["events" if dataset.blinded is None else "entered"]


def _rows(datasets: Sequence[DatasetReport]) -> Iterator[Sequence[Any]]:
    yield ("dataset", "run", "spill", "events", "entered", "all cuts", "out of time")
    for dataset in datasets:
        counts = dataset.counts
        parts = dict(_parts(dataset))
        for i in range(len(counts)):
            yield (
                dataset.name,
                int(counts.run[i]),
                int(counts.spill[i]),
                int(_events(dataset)[i]),
                int(counts["entered"][i]),
                int(parts["all cuts"][i]),
                int(parts["out of time"][i]) if "out of time" in parts else None,
            )


def _points(
    ax: Any, x: Any, passed: Any, total: Any, *, colour: str, dash: Any, label: str
) -> None:
    """Shares with Clopper-Pearson errors, and their mean as a line."""
    use = total > 0
    if not use.any():
        return
    x, passed, total = x[use], passed[use], total[use]
    share = passed / total
    limits = np.array([clopper_pearson(int(p), int(t)) for p, t in zip(passed, total, strict=True)])
    errors = np.abs(np.stack([share - limits[:, 0], limits[:, 1] - share]))
    ax.errorbar(x, share, errors, fmt="o", ms=3, lw=0.8, color=colour, label=label)
    mean = passed.sum() / total.sum()
    ax.plot([x[0] - 0.4, x[-1] + 0.4], [mean, mean], color=colour, ls=dash, lw=1)
