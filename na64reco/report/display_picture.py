"""The picture of one event: beam line from above and from the side, cells, channels, times."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from na64reco.report.display_beamline import draw_view
from na64reco.report.page_figures import COLOURS, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from na64reco.report.display_event import Channels, EventView

__all__ = ["draw_event", "save_event", "svg_of"]

_SETTINGS: Final[Any] = {
    "font.size": 9,
    "axes.labelsize": 9,
    "axes.titlesize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    # Identifiers inside an SVG are random otherwise.
    "svg.hashsalt": "na64reco",
}
_IN, _OUT = COLOURS[0], COLOURS[4]
_REASONS: Final = {
    1: "no upstream segment",
    2: "no downstream segment",
    3: "no match",
    4: "fit failed",
    5: "too many combinations",
    6: "leaves the field map",
}


def draw_event(view: EventView) -> Figure:
    """Everything of one event on one page."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with mpl.rc_context(_SETTINGS):
        figure = Figure(figsize=(16, 10))
        FigureCanvasAgg(figure)
        kind = "simulation" if view.simulated else "data"
        figure.text(
            0.045, 0.968, plain(f"run {int(view.columns['run'])}, event "
            f"{int(view.columns['event'])}"), fontsize=15, weight="bold",
        )  # fmt: skip
        name = Path(view.source).name
        figure.text(0.045, 0.946, plain(f"{view.setup.name}, {name} ({kind})"), fontsize=10)
        top = figure.add_axes((0.045, 0.665, 0.655, 0.255))
        side = figure.add_axes((0.045, 0.40, 0.655, 0.225), sharex=top)
        draw_view(top, view, across="x")
        draw_view(side, view, across="y")
        top.tick_params(labelbottom=False)
        side.set_xlabel("z [m]")
        _draw_cells(figure, view)
        _write_panel(figure, view)
        _draw_channels(figure, view)
        _draw_times(figure.add_axes((0.765, 0.06, 0.22, 0.17)), view)
    return figure


def _draw_cells(figure: Figure, view: EventView) -> None:
    """A map for each section: energies in GeV, the track's impact as a cross."""
    panels = []
    for name, (in_time, out) in view.cells.items():
        calorimeter = getattr(view.setup, name)
        for i, section in enumerate(calorimeter.sections):
            label = name.upper() if len(calorimeter.sections) == 1 else f"{name.upper()} {section}"
            panels.append((label, name, calorimeter, in_time[i], out[i], i))
    if not panels:
        return
    width = 0.665 / len(panels)
    text = "Cells: energy in time [GeV], in brackets out of time; diamond: where the track enters."
    figure.text(0.045, 0.343, text, fontsize=8.5)
    for k, (label, name, calorimeter, in_time, out, section) in enumerate(panels):
        ax = figure.add_axes((0.045 + k * width, 0.055, 0.75 * width, 0.235))
        _map(ax, calorimeter, in_time, out)
        if section:
            ax.tick_params(labelleft=False)
        title = f"{label}\n{in_time.sum():.3g} GeV"
        if out.sum() > 0.005:
            title += f"\n(out of time {out.sum():.3g})"
        ax.set_title(plain(title), fontsize=8.5, linespacing=1.15)
        if section == 0:
            _impact(ax, name, view)


def _map(ax: Axes, calorimeter: Any, in_time: Any, out: Any) -> None:
    from matplotlib.colors import LogNorm

    nx, ny = in_time.shape
    x = (np.arange(nx + 1) - nx / 2) * calorimeter.cell_x
    y = (np.arange(ny + 1) - ny / 2) * calorimeter.cell_y
    holes = np.zeros((nx, ny), bool)
    for ix, iy in calorimeter.hole:
        holes[ix, iy] = True
    shown = np.ma.masked_where((in_time <= 0) | holes, in_time)
    norm = LogNorm(0.05, 100)
    ax.pcolormesh(
        x, y, shown.T, cmap="Blues", norm=norm, edgecolors="#BBBBBB", linewidth=0.5, alpha=0.9
    )
    for edge in x:
        ax.axvline(edge, color="#CCCCCC", lw=0.5, zorder=0)
    for edge in y:
        ax.axhline(edge, color="#CCCCCC", lw=0.5, zorder=0)
    size = min(8.0, 36.0 / max(nx, 3))
    for ix in range(nx):
        for iy in range(ny):
            where = ((x[ix] + x[ix + 1]) / 2, (y[iy] + y[iy + 1]) / 2)
            if holes[ix, iy]:
                ax.fill_between(x[ix : ix + 2], y[iy], y[iy + 1], color="#DDDDDD", lw=0)
            elif in_time[ix, iy] > 0:
                text = _energy(in_time[ix, iy])
                colour = "white" if in_time[ix, iy] > 8 else "black"
                # Above the mark of where the track enters.
                ax.text(
                    *where, text, ha="center", va="center", fontsize=size, color=colour, zorder=6
                )  # fmt: skip
            elif out[ix, iy] > 0.05:
                text = f"({_short(out[ix, iy])})"
                ax.text(*where, text, ha="center", va="center", fontsize=size, color="#8A4B00")
    ax.set_xlim(x[0], x[-1])
    ax.set_ylim(y[0], y[-1])
    ax.set_aspect("equal")
    for ticks, edge in ((ax.set_xticks, x[-1]), (ax.set_yticks, y[-1])):
        ticks([-edge, 0, edge], [f"\N{MINUS SIGN}{edge:.0f}", "0", f"{edge:.0f}"])
    ax.tick_params(labelsize=7, length=2)
    ax.set_xlabel("x [mm]", fontsize=8, labelpad=1)


def _energy(value: float) -> str:
    return f"{value:.0f}" if value >= 99.5 else f"{value:.1f}" if value >= 0.95 else f"{value:.2f}"


def _short(value: float) -> str:
    """Of a cell narrower than a number in brackets: one digit of what is small."""
    return f"{value:.0f}" if value >= 9.95 else f"{value:.1f}".removeprefix("0")


def _impact(ax: Axes, name: str, view: EventView) -> None:
    keys = {"ecal": ("track.x_ecal", "track.y_ecal"), "hcal": ("track_out.x_hcal",) * 2}
    if name == "hcal":
        keys["hcal"] = ("track_out.x_hcal", "track_out.y_hcal")
    where = [float(view.columns.get(key, np.nan)) for key in keys.get(name, ())]
    if where and np.isfinite(where).all():
        ax.plot(*where, "D", mfc="none", mec=COLOURS[1], ms=19, mew=1.3, zorder=5, clip_on=True)


def _write_panel(figure: Figure, view: EventView) -> None:
    """What was found, as text."""
    columns = view.columns
    lines = [
        f"spill {int(columns['spill'])}, trigger {' + '.join(view.triggers) or 'unknown'}"
        if "spill" in columns
        else f"trigger {' + '.join(view.triggers) or 'unknown'}"
    ]
    if "master_time" in columns:
        lines.append(f"master time {columns['master_time']:.1f} ns")
    for track in view.tracks:
        charge = "+" if track.charge > 0 else "\N{MINUS SIGN}"
        lines.append(
            f"track {track.spectrometer}: {track.momentum:.2f} \N{PLUS-MINUS SIGN} "
            f"{track.momentum_error:.2f} GeV/c, charge {charge}"
        )
        lines.append(f"    chi2/ndf {track.chi2:.1f}/{track.ndf}")
    reason = int(columns.get("track.reason", 0))
    if reason:
        lines.append(f"no track: {_REASONS.get(reason, str(reason))}")
    energies = (
        ("ECAL", "ecal.energy"), ("of it PRS", "prs.energy"), ("ECAL out of time",
        "ecal.energy_out"), ("HCAL", "hcal.energy"), ("VHCAL", "vhcal.energy"),
    )  # fmt: skip
    for label, key in energies:
        if key in columns and np.isfinite(columns[key]):
            lines.append(f"{label} {columns[key]:.2f} GeV")
    if "ecal.chi2" in columns and np.isfinite(columns["ecal.chi2"]):
        lines.append(f"shower shape chi2 {columns['ecal.chi2']:.3g}")
    if "srd.energy" in columns:
        lines.append(f"SRD {1e3 * columns['srd.energy']:.1f} MeV")
    if "veto.energy" in columns:
        lines.append(f"VETO, largest bar {1e3 * columns['veto.energy']:.1f} MeV")
    figure.text(0.722, 0.925, plain("\n".join(lines)), va="top", fontsize=9.5, linespacing=1.45)


def _draw_channels(figure: Figure, view: EventView) -> None:
    """Bars of energies, in MeV, in time and out of time; ticks at one minimum-ionising particle."""
    from matplotlib.patches import Patch

    rows = sum(len(c.names) for c in view.channels.values())
    if not rows:
        return
    gap, height, low = 0.045, 0.30, 0.285
    unit = (height - gap * (len(view.channels) - 1)) / rows
    in_time, out = Patch(color=_IN), Patch(facecolor=_OUT, hatch="///", edgecolor="white", lw=0)
    figure.legend(
        [in_time, out], ["in time", "out of time"], loc="lower right", ncols=2, frameon=False,
        bbox_to_anchor=(0.985, low + height + 0.012), borderaxespad=0, borderpad=0,
    )  # fmt: skip
    top = low + height
    for name, channels in view.channels.items():
        size = unit * len(channels.names)
        ax = figure.add_axes((0.765, top - size, 0.22, size))
        top -= size + gap
        _bars(ax, name, channels)


def _bars(ax: Axes, name: str, channels: Channels) -> None:
    places = np.arange(len(channels.names))
    energy, out = 1e3 * channels.in_time, 1e3 * channels.out_of_time
    ax.barh(places, energy, height=0.7, color=_IN, label="in time")
    ax.barh(places, out, left=energy, height=0.7, color=_OUT, label="out of time", hatch="///",
            edgecolor="white", linewidth=0)  # fmt: skip
    known = np.isfinite(channels.scale)
    mips = 1e3 * channels.scale[known]
    ax.vlines(mips, places[known] - 0.42, places[known] + 0.42, color="black", lw=1.2)
    largest = max(float(np.max(energy + out, initial=0.0)), float(mips.max(initial=0.0)), 1e-3)
    ax.set_xlim(0, 1.15 * largest)
    ax.set_ylim(len(places) - 0.5, -0.5)
    ax.set_yticks(places, channels.names, fontsize=7.5)
    ax.tick_params(axis="x", labelsize=7, pad=1, length=2)
    ax.tick_params(axis="y", length=0)
    note = " (line: one MIP)" if known.any() else ""
    ax.set_title(f"{name} [MeV]{note}", fontsize=8.5, loc="left", pad=2)


def _draw_times(ax: Axes, view: EventView) -> None:
    """Time of each hit less its expected time; the area of a point grows with its energy."""
    names = [n for n, (t, _) in view.times.items() if len(t)]
    ax.axvspan(-10, 10, color="#EEEEEE", lw=0)
    for row, name in enumerate(names):
        times, sizes = view.times[name]
        shown = np.clip(times, -150, 150)
        ax.scatter(
            shown, np.full(len(times), row), s=6 + 60 * sizes, color=COLOURS[row % 6], alpha=0.6,
            linewidths=0,
        )  # fmt: skip
    ax.set_xlim(-155, 155)
    ax.set_ylim(max(len(names), 1) - 0.4, -0.6)
    ax.set_yticks(range(len(names)), names, fontsize=8)
    ax.set_xlabel("time \N{MINUS SIGN} expected [ns]", fontsize=8.5, labelpad=1)
    ax.set_title("Times of hits", fontsize=8.5, loc="left", pad=2)


def save_event(view: EventView, path: Path) -> None:
    """Write the picture; PNG, PDF or SVG by the name's ending."""
    import matplotlib as mpl

    figure = draw_event(view)
    kind = path.suffix.lower().lstrip(".")
    dates = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}
    with mpl.rc_context(_SETTINGS):
        figure.savefig(path, format=kind, dpi=130, metadata=dates.get(kind))


def svg_of(view: EventView) -> bytes:
    """The picture as SVG."""
    import matplotlib as mpl

    text = io.BytesIO()
    with mpl.rc_context(_SETTINGS):
        draw_event(view).savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return text.getvalue()
