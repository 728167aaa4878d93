"""Efficiency of each cut, run by run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from na64reco.report.page_axes import new_figure
from na64reco.report.page_figures import picture, plain
from na64reco.selection import clopper_pearson

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from na64reco.processors import DatasetReport
    from na64reco.report.page_figures import Picture
    from na64reco.report.page_input import RunFolder

    Counts = NDArray[np.int64]

__all__ = ["run_counts", "runs_picture"]

_WRITTEN: Final = 16
"""Most columns in which the numbers stand, too."""
_LABELS: Final = 40
"""Most runs that are named."""


def run_counts(dataset: DatasetReport) -> tuple[list[int], Counts, Counts]:
    """Runs, and events before and after each cut in each run, shape (runs, cuts) both."""
    counts = dataset.counts
    runs, which = np.unique(np.asarray(counts.run), return_inverse=True)
    passed_spill = np.asarray(counts["passed"], np.int64)
    passed = np.zeros((len(runs), passed_spill.shape[1]), np.int64)
    entered = np.zeros(len(runs), np.int64)
    np.add.at(passed, which, passed_spill)
    np.add.at(entered, which, np.asarray(counts["entered"], np.int64))
    before = np.concatenate((entered[:, None], passed[:, :-1]), axis=1)
    return [int(run) for run in runs], before, passed


def runs_picture(folder: RunFolder) -> Picture | None:
    """Cuts by runs: of the events that pass all cuts before, those that pass."""
    cuts = folder.selection.cut_names
    datasets = [d for d in folder.datasets if len(d.counts)]
    parts = [(d, *run_counts(d)) for d in datasets]
    columns = sum(len(runs) for _, runs, _, _ in parts) + len(parts) - 1
    # Of one run alone the cutflow says the same.
    if columns < 2 or not cuts:
        return None
    shares = np.full((len(cuts), columns), np.nan)
    ticks: list[tuple[int, str]] = []
    names: list[tuple[float, str]] = []
    start = 0
    for dataset, runs, before, passed in parts:
        here = slice(start, start + len(runs))
        shares[:, here] = np.divide(
            passed, before, out=np.full(passed.shape, np.nan), where=before > 0
        ).T
        ticks += [(start + i, str(run)) for i, run in enumerate(runs)]
        names.append((start + (len(runs) - 1) / 2, dataset.name))
        start += len(runs) + 1
    written = columns <= _WRITTEN
    wide = columns > _WRITTEN
    size = (min(max(3.4, (0.48 if written else 0.22) * columns), 11.0), 0.24 * len(cuts) + 0.1)
    figure, axes = new_figure(1, 1, size=size, left=1.5, bottom=0.75, top=0.6, right=0.95)
    _draw(axes[0, 0], shares, cuts, ticks, names, written=written)
    caption = (
        "Per cent of the events that pass all cuts before and this one, by run. Grey: no event "
        "got so far. Numbers with 68 % intervals (Clopper-Pearson); simulated events count as one."
    )
    title = "Efficiency of each cut, run by run"
    return picture(figure, "cuts_by_run", title, caption, _rows(parts, cuts), wide=wide)


def _draw(
    ax: Any,
    shares: NDArray[np.float64],
    cuts: Sequence[str],
    ticks: Sequence[tuple[int, str]],
    names: Sequence[tuple[float, str]],
    *,
    written: bool,
) -> None:
    import matplotlib as mpl

    n_cuts, columns = shares.shape
    colours = mpl.colormaps["cividis"].with_extremes(bad="#DDDDDD")
    pixels = colours(np.ma.masked_invalid(shares))
    for gap in set(range(columns)) - {place for place, _ in ticks}:
        pixels[:, gap] = 1.0  # between datasets
    ax.imshow(
        pixels, extent=(-0.5, columns - 0.5, n_cuts - 0.5, -0.5), aspect="auto",
        interpolation="none",
    )  # fmt: skip
    if written:
        for (row, column), share in np.ndenumerate(shares):
            if np.isfinite(share):
                ax.text(
                    column, row, f"{100 * share:.3g}", ha="center", va="center", fontsize=7,
                    color="black" if share > 0.6 else "white",
                )  # fmt: skip
    else:
        _scale(ax, colours)
    every = -(-len(ticks) // _LABELS)
    ax.set_xticks(
        [t for t, _ in ticks[::every]],
        [name for _, name in ticks[::every]],
        rotation=90,
        fontsize=8,
    )
    ax.set_yticks(range(n_cuts), [plain(c) for c in cuts])
    ax.tick_params(which="both", length=0)
    ax.set_xlabel("run")
    ax.xaxis.set_label_coords(1.0, -0.52 / (0.24 * n_cuts + 0.1))
    for i, (place, name) in enumerate(names):
        # Names of datasets of one run each would run into each other.
        height = 1.0 + (0.08 + 0.18 * (i % 2 if len(names) > 2 else 0)) / (0.24 * n_cuts + 0.1)
        ax.text(
            place, height, plain(name), ha="center", va="bottom", fontsize=8.5,
            transform=ax.get_xaxis_transform(),
        )  # fmt: skip


def _scale(ax: Any, colours: Any) -> None:
    """Which colour is which efficiency."""
    place, figure = ax.get_position(), ax.figure
    width = figure.get_figwidth()
    bar = figure.add_axes((place.x1 + 0.12 / width, place.y0, 0.14 / width, place.height))
    steps = np.linspace(0.0, 1.0, 64)[:, None]
    bar.imshow(
        colours(steps), extent=(0, 1, 0, 100), origin="lower", aspect="auto", interpolation="none"
    )  # fmt: skip
    bar.set_xticks([])
    bar.yaxis.tick_right()
    bar.yaxis.set_label_position("right")
    bar.yaxis.set_label_coords(1 + 0.5 / 0.14, 1.0)
    bar.set_ylabel("efficiency [%]", fontsize=9)


def _rows(
    parts: Sequence[tuple[DatasetReport, list[int], Counts, Counts]], cuts: Sequence[str]
) -> Iterator[Sequence[Any]]:
    yield ("dataset", "run", "cut", "passed", "of", "share", "low", "high")
    for dataset, runs, before, passed in parts:
        for i, run in enumerate(runs):
            for j, cut in enumerate(cuts):
                p, n = int(passed[i, j]), int(before[i, j])
                low, high = clopper_pearson(p, n) if n else (None, None)
                yield (dataset.name, run, cut, p, n, p / n if n else None, low, high)
