"""Cutflow and stability: bars of what is left, and shares from spill to spill."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from na64reco.report.page_figures import (
    COLOURS,
    DASHES,
    garwood,
    new_figure,
    picture,
    plain,
    report_style,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from na64reco.report.page_figures import Picture
    from na64reco.report.page_input import RunFolder
    from na64reco.selection import Counts

__all__ = ["constancy", "cutflow_picture", "stability_picture"]

_LABELS: Final = 24
"""Most labels of an axis."""


def cutflow_picture(folder: RunFolder) -> Picture | None:
    """A bar for each cut and dataset: the share of events that pass it and all cuts before."""
    datasets = [d for d in folder.datasets if d.cutflow.entered]
    if not datasets:
        return None
    cuts = folder.selection.cut_names
    with report_style():
        height = max(2.5, len(cuts) * (0.09 + 0.105 * len(datasets)))
        above = 0.2 + 0.2 * -(-len(datasets) // 3)
        figure, axes = new_figure(1, 1, size=(6.6, height), left=1.7, bottom=0.6, top=above)
        ax = axes[0, 0]
        places = np.arange(len(cuts))
        thick = 0.8 / len(datasets)
        smallest = 1.0
        for i, dataset in enumerate(datasets):
            shares = np.array([_share(row) for row in dataset.cutflow.cumulative_rows()])
            y = places - 0.4 + thick * (i + 0.5)
            kind = "simulation" if dataset.simulated else "data"
            ax.barh(
                y, shares, height=0.9 * thick, color=COLOURS[i % len(COLOURS)],
                label=plain(f"{dataset.name} ({kind})"),
            )  # fmt: skip
            positive = shares[shares > 0]
            smallest = min(smallest, float(positive.min(initial=1.0)))
            for place, share in zip(y, shares, strict=True):
                ax.annotate(
                    f"{100 * share:.3g} %", (max(share, 1e-12), place), xytext=(3, 0), va="center",
                    textcoords="offset points", fontsize=7, annotation_clip=False,
                )  # fmt: skip
        if smallest < 0.02:
            ax.set_xscale("log")
            ax.set_xlim(0.3 * smallest, (1 / (0.3 * smallest)) ** 0.12)
        else:
            ax.set_xlim(0, 1.12)
        ax.set_ylim(len(cuts) - 0.5, -0.5)
        ax.set_yticks(places, [plain(c) for c in cuts])
        ax.tick_params(axis="y", which="both", length=0)
        ax.set_xlabel("share of all events")
        ax.legend(
            loc="lower center",
            bbox_to_anchor=(0.5, 1.0),
            frameon=False,
            ncols=min(len(datasets), 3),
        )
    rows: list[Sequence[Any]] = [("dataset", "cut", "passed", "total", "share", "low", "high")]
    for dataset in datasets:
        for row in dataset.cutflow.cumulative_rows():
            best = row.get("weighted", row)
            rows.append(
                (
                    dataset.name,
                    row["cut"],
                    row["passed"],
                    row["total"],
                    best["efficiency"],
                    best["low"],
                    best["high"],
                )
            )
    caption = (
        "Share of all events that pass a cut and all cuts before it; simulated events by their "
        "weights."
    )
    return picture(figure, "cutflow", "Cutflow", caption, rows, wide=True)


def _share(row: dict[str, Any]) -> float:
    return float(row.get("weighted", row)["efficiency"] or 0.0)


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
    """From spill to spill: what passes all cuts, what was out of time, events recorded."""
    datasets = [d for d in folder.datasets if len(d.counts)]
    if not datasets:
        return None
    with report_style():
        size = (max(6.0, min(11.0, 0.12 * sum(len(d.counts) for d in datasets))), 1.6)
        figure, axes = new_figure(3, 1, size=size, bottom=0.15, top=0.15, left=1.0)
        # Only the lowest panel has labels below, only the highest a legend above.
        extra_low, extra_high = 0.75, 0.35
        height = figure.get_figheight() + extra_low + extra_high
        old = figure.get_figheight()
        pars = figure.subplotpars
        figure.set_figheight(height)
        figure.subplots_adjust(
            bottom=(pars.bottom * old + extra_low) / height,
            top=1 - ((1 - pars.top) * old + extra_high) / height,
        )
        start, ticks, labels, notes = 0, [], [], []
        rows: list[Sequence[Any]] = [
            ("dataset", "run", "spill", "events", "entered", "passed_all", "out_of_time")
        ]
        for i, dataset in enumerate(datasets):
            counts = dataset.counts
            x = start + np.arange(len(counts))
            start += len(counts) + (1 if len(counts) > 1 else 0)
            ticks += x.tolist()
            labels += [f"{r}:{s}" for r, s in zip(counts.run, counts.spill, strict=True)]
            passed, entered = _all_cuts(counts), counts["entered"]
            colour, dash = COLOURS[i % len(COLOURS)], DASHES[i % len(DASHES)]
            style: Any = {"colour": colour, "dash": dash, "label": plain(dataset.name)}
            _points(axes[0, 0], x, passed, entered, **style)
            _points(axes[1, 0], x, counts["out_of_time"], entered, **style)
            events = counts["events"]
            axes[2, 0].errorbar(
                x, events, garwood(events, events), fmt="o", ms=3, lw=0.8, color=colour
            )
            for what, part in (("all cuts", passed), ("out of time", counts["out_of_time"])):
                chi2, ndf = constancy(part, entered)
                if ndf:
                    notes.append(f"{dataset.name}, {what}: chi2 {chi2:.1f}/{ndf}")
            rows += list(
                zip(
                    [dataset.name] * len(counts),
                    counts.run,
                    counts.spill,
                    counts["events"],
                    entered,
                    passed,
                    counts["out_of_time"],
                    strict=True,
                )
            )
        for ax, label in zip(
            axes[:, 0],
            ("share passing\nall cuts", "share with\nout-of-time energy", "events"),
            strict=True,
        ):
            ax.set_ylabel(label)
            ax.set_ylim(bottom=0)
            ax.set_xlim(-0.7, max(ticks) + 0.7)
            ax.xaxis.set_minor_locator(_no_ticks())
        for ax in axes[:2, 0]:
            ax.set_xticks([])
        every = -(-len(ticks) // _LABELS)
        axes[2, 0].set_xticks(ticks[::every], labels[::every], rotation=60, ha="right", fontsize=8)
        axes[2, 0].set_xlabel("run:spill")
        axes[0, 0].legend(
            loc="lower left", bbox_to_anchor=(0, 1.0), ncols=min(len(datasets), 4), frameon=False
        )
    caption = (
        "By run and spill; bars are 68 % intervals, lines the mean of a dataset. Out of time: more "
        "than 10 GeV in the ECAL at another time. "
    )
    if notes:
        caption += "Constant? " + "; ".join(notes) + "."
    return picture(figure, "stability", "From spill to spill", caption, rows, wide=True)


def _no_ticks() -> Any:
    from matplotlib.ticker import NullLocator

    return NullLocator()


def _all_cuts(counts: Counts) -> NDArray[np.int64]:
    """Of shape (rows,)."""
    return np.asarray(counts["passed"])[:, -1]


def _points(
    ax: Any, x: Any, passed: Any, total: Any, *, colour: str, dash: Any, label: str
) -> None:
    """Shares with Clopper-Pearson errors, and their mean as a line."""
    from na64reco.selection import clopper_pearson

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
