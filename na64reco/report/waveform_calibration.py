"""Pictures of the calibration of waveforms: each detector's pulses, and what is left of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from na64reco.report.energy_calibration import new_figure

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from na64reco.calibrate.waveform import DetectorWaveforms

__all__ = ["draw_waveforms"]

_MEAN: Final = "#000000"
_CHANNEL: Final = "#0072B2"  # of Okabe and Ito's palette
_LEFT: Final = "#D55E00"
_MOST: Final = 12
"""Channels whose residuals are shown: those whose shape is known best, others show mostly noise."""


def draw_waveforms(found: Mapping[str, DetectorWaveforms]) -> dict[str, Figure]:
    """One picture, a column per detector.

    Pulses of all channels; how they differ from the mean one; residuals of the samples.
    """
    figure, settings = new_figure(3.4 * len(found) + 0.6, 7.6)
    with settings:
        axes = figure.subplots(
            3, len(found), squeeze=False, sharex="col", height_ratios=(2.0, 1.3, 1.3)
        )
        for column, (name, result) in zip(axes.T, found.items(), strict=True):
            _detector(column, name, result)
        axes[0, 0].set_ylabel("height")
        axes[1, 0].set_ylabel("channel less mean, % of the height")
        axes[2, 0].set_ylabel("sample less fit, % of the height")
    return {"waveform": figure}


def _detector(column: NDArray[Any], name: str, result: DetectorWaveforms) -> None:
    shapes = result.channels
    time = shapes.start + shapes.step * np.arange(len(shapes.values))
    top: Axes = column[0]
    chi2 = shapes.chi2[np.isfinite(shapes.chi2)]
    for number in result.existing:
        if shapes.entries[number] == 0:
            continue
        pulse = shapes.values + shapes.coefficients[:, number] @ shapes.modes
        pulse = pulse / pulse.max()
        top.plot(time, pulse, color=_CHANNEL, lw=0.5, alpha=0.4)
        column[1].plot(time, 100 * (pulse - shapes.values), color=_CHANNEL, lw=0.6, alpha=0.5)
    top.plot(time, shapes.values, color=_MEAN, lw=1.2)
    middles = 0.5 * (shapes.residual_times[1:] + shapes.residual_times[:-1])
    seen = [int(n) for n in result.existing if shapes.entries[n] > 0]
    shown = sorted(seen, key=lambda n: float(shapes.shape_error[n]))[:_MOST]
    for number in shown:
        column[2].plot(middles, 100 * shapes.residuals[number], color=_LEFT, lw=0.6, alpha=0.5)
    for ax in column[1:]:
        ax.axhline(0.0, color=_MEAN, lw=0.6)
    pulses = int(shapes.entries.sum())
    top.set_title(f"{name}: {pulses} pulses, {len(shapes.modes)} modes")
    lines = ["chi2/ndf", f"{result.shape.chi2:.3g} one pulse"]
    if len(chi2):
        lines.append(f"{np.median(chi2):.2f} own pulses")
    top.text(0.97, 0.95, "\n".join(lines), transform=top.transAxes, ha="right", va="top")
    column[2].set_title(f"the {len(shown)} channels known best")
    column[2].set_xlabel("time, ns")
