"""Data quality from spill to spill in one picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from na64reco.report.energy_calibration import new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from na64reco.calibrate.data_quality import QualityCheck

__all__ = ["draw_quality"]

_BAD: Final = "#D55E00"  # of Okabe and Ito's palette
_MOST_LABELS: Final = 24


def draw_quality(found: QualityCheck) -> dict[str, Figure]:
    """Gain, times and hits of all detectors by spill, and channels' rates over the usual ones."""
    history = found.history
    spills = np.arange(len(history.run))
    bad_keys = {(f.run, f.spill) for f in found.findings}
    keys = zip(history.run.tolist(), history.spill.tolist(), strict=True)
    bad = np.array([key in bad_keys for key in keys])
    figure, settings = new_figure(13, 9)
    with settings:
        sampled = {n: d for n, d in history.detectors.items() if d.pedestal is not None}
        heights = [1, 1, 1, *([1] if sampled else []), 1.6]
        axes = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights)
        axes[0].errorbar(spills, history.gain, history.gain_error, fmt="o", ms=3)
        axes[0].set_ylabel("ECAL peak\n/ beam energy")
        for name, detector in history.detectors.items():
            middle = np.nanmedian(detector.late) if np.isfinite(detector.late).any() else 0.0
            shift = detector.late - middle
            axes[1].errorbar(spills, shift, detector.late_error, fmt="o-", ms=3, lw=0.7, label=name)
            per_event = detector.hits.sum(axis=1) / np.maximum(history.events, 1)
            usual = max(float(np.median(per_event)), 1e-9)
            axes[2].plot(spills, per_event / usual, "o-", ms=3, lw=0.7, label=name)
        axes[1].set_ylabel("mean time\nless median [ns]")
        axes[2].set_ylabel("hits per event\n/ median")
        axes[1].legend(ncols=5)
        for name, detector in sampled.items():
            style = {"fmt": "o-", "ms": 3, "lw": 0.7}
            errors = detector.pedestal_error
            axes[3].errorbar(spills, detector.pedestal, errors, label=name, **style)
            axes[3].set_ylabel("shift of the\npedestals [counts]")
        _channels(axes[-1], found)
        for ax in axes:
            for spill in spills[bad]:
                ax.axvspan(spill - 0.5, spill + 0.5, color=_BAD, alpha=0.15, lw=0)
        labels = [f"{r}\n{s}" for r, s in zip(history.run, history.spill, strict=True)]
        every = -(-len(spills) // _MOST_LABELS)
        axes[-1].set_xticks(spills[::every], labels[::every])
        axes[-1].set_xlabel("run, spill")
        figure.suptitle(
            f"{found.setup.name}: {len(spills)} spills, {int(bad.sum())} proposed as bad (shaded)"
        )
    return {"quality": figure}


def _channels(ax: Axes, found: QualityCheck) -> None:
    """Hits of every channel over what it usually has."""
    history = found.history
    rows: list[NDArray[np.float64]] = []
    ticks, names = [], []
    for name, detector in history.detectors.items():
        per_event = detector.hits / np.maximum(history.events, 1)[:, None]
        usual = np.median(per_event, axis=0)
        shown = usual * float(np.median(history.events)) > 10
        if not shown.any():
            continue
        ticks.append(len(rows) + shown.sum() / 2 - 0.5)
        names.append(f"{name} ({int(shown.sum())})")
        rows += list((per_event[:, shown] / usual[shown]).T)
        ax.axhline(len(rows) - 0.5, color="white", lw=1)
    if rows:
        image = ax.imshow(
            np.array(rows), aspect="auto", cmap="coolwarm", vmin=0.5, vmax=1.5, origin="lower",
            interpolation="nearest",
        )  # fmt: skip
        # Detectors of a few channels lie too close to be named one by one.
        apart = [0]
        for i in range(1, len(ticks)):
            if ticks[i] - ticks[apart[-1]] > 0.06 * len(rows):
                apart.append(i)
            else:
                names[apart[-1]] += f", {names[i]}"
        ax.set_yticks([ticks[i] for i in apart], [names[i] for i in apart])
        ax.figure.colorbar(image, ax=ax, label="hits / usual", pad=0.01)
    ax.set_ylabel("channels")
