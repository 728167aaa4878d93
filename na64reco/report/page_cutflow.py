"""The cutflow as bars."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from na64reco.report.page_axes import log_axis, new_figure
from na64reco.report.page_figures import (
    COLOURS,
    picture,
    plain,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from na64reco.report.page_figures import Picture
    from na64reco.report.page_input import RunFolder

__all__ = ["cutflow_picture"]


def cutflow_picture(folder: RunFolder) -> Picture | None:
    """A bar for each cut and dataset: the share of events that pass it and all cuts before."""
    datasets = [d for d in folder.datasets if d.cutflow.entered]
    if not datasets:
        return None
    cuts = folder.selection.cut_names
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
        log_axis(ax, 0.3 * smallest, (1 / (0.3 * smallest)) ** 0.12, axis="x")
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
