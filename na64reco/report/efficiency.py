"""Efficiencies and exposure as tables for the terminal, and the picture of efficiencies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from rich.table import Table

from na64reco.report.pictures import save_pictures

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from na64reco.inference.efficiency_results import DatasetEfficiency, EfficiencyFile
    from na64reco.inference.exposure_results import ExposureFile
    from na64reco.inference.measurement import Measurement

__all__ = ["draw_efficiency", "efficiency_tables", "exposure_tables", "save_efficiency"]


def _percent(found: Measurement | None) -> str:
    if found is None:
        return "-"
    text = f"{100 * found.value:.2f} {100 * (found.low - found.value):+.2f}"
    text += f" {100 * (found.high - found.value):+.2f}"
    return text + (f" \N{PLUS-MINUS SIGN} {100 * found.systematic:.2f}" if found.systematic else "")


def efficiency_tables(content: EfficiencyFile) -> list[Table | str]:
    """Everything that efficiency.json says but the curves."""
    shown: list[Table | str] = []
    for name, found in content.datasets.items():
        if found.kappa is not None:
            shown += _kappa_tables(name, found)
        if (signal := found.signal) is not None:
            text = f"{name}: eta_up {_percent(signal.up)} %"
            if (turn_on := signal.turn_on) is not None:
                text += (
                    f"; eta_down {_percent(turn_on.plateau)} %, half of it at "
                    f"{turn_on.threshold.value:.2f} \N{PLUS-MINUS SIGN} "
                    f"{turn_on.threshold.error:.2f} GeV of missing energy (box: "
                    f"{signal.expected_threshold:.2f}), width {turn_on.width.value:.2f} "
                    f"\N{PLUS-MINUS SIGN} {turn_on.width.error:.2f} GeV (resolution: "
                    f"{signal.expected_width:.2f})"
                )
            shown.append(text)
        shown += [f"{name}: {note}" for note in found.notes]
    return shown


def _kappa_tables(name: str, found: DatasetEfficiency) -> list[Table | str]:
    assert found.kappa is not None
    table = Table(title=f"Efficiency of {name}, %", title_justify="left")
    for column in ("cut", "of those before", "up to here", "of all others"):
        table.add_column(column, justify="left" if column == "cut" else "right", no_wrap=True)
    for cut in found.cuts:
        rows = (cut.sequential, cut.cumulative, cut.n_minus_1)
        table.add_row(cut.cut, *(_percent(r) for r in rows))
    runs = Table(title=f"kappa of {name}, %", title_justify="left")
    for column in ("", "passed", "of", "raw", "kappa"):
        runs.add_column(column, justify="right" if column else "left", no_wrap=True)
    rows_ = [(f"run {run}", k) for run, k in found.runs.items()]
    rows_ += [(f"period {period}", k) for period, k in found.periods.items()]
    for label, k in [*rows_, ("all", found.kappa)]:
        runs.add_row(
            label, f"{k.passed:.10g}", f"{k.total:.10g}", _percent(k.raw), _percent(k.kappa)
        )
    lines: list[Table | str] = [table, runs]
    lines.append(f"{name}: contamination of the beam trigger {_percent(found.contamination)} %")
    if (fit := found.pile_up) is not None:
        text = f"{name}: pile-up ({fit.measure}), {fit.model}: kappa {_percent(fit.zero)} % at 0, "
        text += f"slope {fit.slope.value:.4g} \N{PLUS-MINUS SIGN} {fit.slope.error:.2g}, "
        text += f"chi2 {fit.chi2:.1f}/{fit.ndf}"
        if fit.extrapolated is not None:
            text += f"; at {fit.intensity:g}: {_percent(fit.extrapolated)} %"
        lines.append(text)
    for trigger, turn_on in found.trigger.items():
        if turn_on is not None:
            lines.append(
                f"{name}: physics trigger, {trigger} threshold {turn_on.threshold.value:.3f} "
                f"\N{PLUS-MINUS SIGN} {turn_on.threshold.error:.3f} GeV, width "
                f"{turn_on.width.value:.3f} GeV, beyond it {_percent(turn_on.plateau)} %"
            )
    return lines


def exposure_tables(content: ExposureFile) -> list[Table | str]:
    """One row per run, period and dataset."""
    shown: list[Table | str] = []
    for name, found in content.datasets.items():
        table = Table(title=f"Exposure of {name}", title_justify="left")
        for column in ("", "particles", "error", "from", "spills", "bad", "live %"):
            table.add_column(column, justify="right" if column else "left", no_wrap=True)
        for run, e in found.runs.items():
            live = "-" if e.live_fraction is None else f"{100 * e.live_fraction:.2f}"
            row = (f"{e.particles.value:.5g}", f"{e.particles.error:.2g}", e.source)
            table.add_row(f"run {run}", *row, str(e.good_spills), str(e.bad_spills), live)
        for period, p in found.periods.items():
            value, error = f"{p.particles.value:.5g}", f"{p.particles.error:.2g}"
            table.add_row(f"period {period}", value, error)
        table.add_row("all", f"{found.particles.value:.5g}", f"{found.particles.error:.2g}")
        table.add_row("electrons", f"{found.electrons.value:.5g}", f"{found.electrons.error:.2g}")
        shown.append(table)
        if (ratio := found.scaler_to_beam) is not None:
            text = f"{ratio.value:.4f} \N{PLUS-MINUS SIGN} {ratio.error:.4f}"
            shown.append(f"{name}: scalers to beam triggers {text}")
    return shown


def draw_efficiency(content: EfficiencyFile) -> Figure | None:
    """Cut by cut, run by run and the signal's curve; None if there is nothing to draw."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows: list[tuple[Any, DatasetEfficiency]] = []
    for found in content.datasets.values():
        if found.kappa is not None:
            rows += [(_draw_cuts, found), (_draw_runs, found)]
        if found.signal is not None:
            rows.append((_draw_signal, found))
    if not rows:
        return None
    figure = Figure(figsize=(7.5, 4.2 * len(rows)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(rows), 1, squeeze=False)[:, 0]
    for ax, (draw, found) in zip(axes, rows, strict=True):
        draw(ax, found)
        ax.set_ylim(0, 1.05)
        ax.grid(alpha=0.3)
    return figure


def _points(ax: Axes, x: Any, found: list[Measurement], **options: Any) -> None:
    y = np.array([f.value for f in found])
    errors = np.array([[f.value - f.low, f.high - f.value] for f in found]).T
    ax.errorbar(x, y, yerr=np.maximum(errors, 0), fmt="o", markersize=4, capsize=2, **options)


def _draw_cuts(ax: Axes, found: DatasetEfficiency) -> None:
    x = np.arange(len(found.cuts))
    for shift, kind in ((-0.15, "cumulative"), (0.0, "sequential"), (0.15, "n_minus_1")):
        label = {"n_minus_1": "of all others", "sequential": "of those before"}.get(kind, "so far")
        _points(ax, x + shift, [getattr(c, kind) for c in found.cuts], label=label)
    ax.set_xticks(x, [c.cut for c in found.cuts], rotation=40, ha="right", fontsize=8)
    ax.set_ylabel("efficiency")
    ax.set_title(f"{found.name}: cut by cut", fontsize=10, loc="left")
    ax.legend(fontsize=8)


def _draw_runs(ax: Axes, found: DatasetEfficiency) -> None:
    assert found.kappa is not None
    x = np.arange(len(found.runs))
    _points(ax, x, [k.kappa for k in found.runs.values()], color="#1F77B4")
    kappa = found.kappa.kappa
    ax.axhspan(kappa.value - kappa.error, kappa.value + kappa.error, color="#1F77B4", alpha=0.15)
    ax.set_xticks(x, [str(run) for run in found.runs], rotation=40, ha="right", fontsize=8)
    ax.set_ylabel("kappa")
    ax.set_title(f"{found.name}: run by run; band: all, both errors", fontsize=10, loc="left")


def _draw_signal(ax: Axes, found: DatasetEfficiency) -> None:
    from scipy.special import erf

    signal = found.signal
    assert signal is not None
    edges = np.array(signal.edges)
    centres = (edges[1:] + edges[:-1]) / 2
    for label, values in (("up", signal.up_by_energy), ("down", signal.down)):
        have = [i for i, v in enumerate(values) if v is not None]
        _points(ax, centres[have], [v for v in values if v is not None], label=f"eta_{label}")
    if (fit := signal.turn_on) is not None:
        x = np.linspace(edges[0], edges[-1], 400)
        z = (x - fit.threshold.value) / (np.sqrt(2) * fit.width.value)
        ax.plot(x, fit.plateau.value * (1 + erf(z)) / 2, color="black", linewidth=1)
    ax.set_xlabel("missing energy [GeV]")
    ax.set_ylabel("efficiency")
    ax.set_title(f"{found.name}: signal", fontsize=10, loc="left")
    ax.legend(fontsize=8)


def save_efficiency(content: EfficiencyFile, folder: Path) -> tuple[Path, ...]:
    """Write the picture into a folder; nothing if there is nothing to draw."""
    figure = draw_efficiency(content)
    if figure is None:
        return ()
    return tuple(save_pictures({"efficiency": figure}, folder))
