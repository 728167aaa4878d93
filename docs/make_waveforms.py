"""Draw docs/images/waveforms.png: how well pulses are measured; `python docs/make_waveforms.py`.

Toy pulses of a closed form (tests/calorimeters/toy_pulses.py), noise 1.2 counts and rounding,
times uniform over the sampling phases. Prints the figures that docs/waveforms.md quotes.
"""

# ruff: noqa: T201 - prints the figures that the page quotes

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from na64reco.calorimeters import fit_waveforms  # noqa: E402
from tests.calorimeters import toy_pulses as toy  # noqa: E402

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

HEIGHTS = (3, 4, 5, 7, 10, 15, 20, 30, 50, 100, 200, 500, 1000, 2000, 3500, 5000, 8000, 15000)
DISTANCES = (10.0, 12.5, 15.0, 17.5, 20.0, 25.0, 30.0, 37.5, 50.0, 75.0, 100.0)
RATIOS = ((1000, 1000), (1000, 100), (100, 1000), (300, 30), (30, 300))
NUMBER = 4000
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")


def fit(samples: NDArray[np.uint16]) -> Any:
    """What is found in waveforms."""
    return fit_waveforms(toy.as_hits(samples), toy.toy_cells(), toy.toy_waveform(), toy.DIGITIZER)


def single(rng: np.random.Generator) -> NDArray[np.float64]:
    """Height, found, bias and rms of height, rms of time, its bound, pulls of both."""
    rows = []
    fine = toy.pulse(toy.TIMES + 0.05) - toy.pulse(toy.TIMES - 0.05)
    for height in HEIGHTS:
        time = rng.uniform(-6.25, 6.25, NUMBER)
        result = fit(toy.sampled(rng, (float(height), time)))
        one = result.hits.counts == 1
        at = result.hits.offsets[:-1][one]
        own = (result.hits["flags"][at] & 4) == 0
        column = {name: values[at] for name, values in result.hits.columns.items()}
        late = (column["time"] - time[one])[own]
        pull = (column["amplitude"] - height) / column["amplitude_error"]
        sigma = np.hypot(toy.NOISE, np.sqrt(1 / 12))
        bound = sigma / height / np.sqrt(((fine / 0.1) ** 2).sum())
        rows.append(
            (
                height,
                own.sum() / NUMBER,
                column["amplitude"].mean() / height - 1,
                column["amplitude"].std() / height,
                late.std(),
                bound,
                pull.std(),
                (late / column["time_error"][own]).std(),
            )
        )
    return np.array(rows)


def separated(rng: np.random.Generator) -> dict[tuple[int, int], NDArray[np.float64]]:
    """For each pair: distance, found as two, bias, rms and pull of the smaller (or first) one."""
    found = {}
    for first, second in RATIOS:
        rows = []
        for distance in DISTANCES:
            time = rng.uniform(-6.25, 6.25, NUMBER)
            result = fit(toy.sampled(rng, (float(first), time), (float(second), time + distance)))
            two = result.hits.counts == 2
            at = result.hits.offsets[:-1][two] + (1 if second < first else 0)
            small = min(first, second)
            amplitude = result.hits["amplitude"][at]
            pull = (amplitude - small) / result.hits["amplitude_error"][at]
            spread = [amplitude.mean() / small - 1, amplitude.std() / small, pull.std()]
            rows.append([distance, two.mean(), *(spread if two.sum() > 50 else [np.nan] * 3)])
        found[first, second] = np.array(rows)
    return found


def main() -> None:
    """Draw, and print the figures."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rng = np.random.default_rng(2022)
    one, two = single(rng), separated(rng)
    print("height found bias rms(height) rms(time) bound pull(height) pull(time)")
    for row in one:
        print(" ".join(f"{v:9.4f}" for v in row))
    print("first second distance two bias rms pull")
    for pair, rows in two.items():
        for row in rows:
            print(*pair, " ".join(f"{v:8.3f}" for v in row))
    with mpl.rc_context({"font.size": 9, "savefig.transparent": False}):
        figure = Figure(figsize=(11, 7.6), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(2, 2)
        example(axes[0, 0], rng)
        times(axes[0, 1], one)
        heights(axes[1, 0], one)
        separation(axes[1, 1], two)
        figure.savefig(ROOT / "docs" / "images" / "waveforms.png", dpi=110)


def example(ax: Axes, rng: np.random.Generator) -> None:
    """A small pulse before a large one."""
    samples = toy.sampled(rng, (40.0, np.array([-3.0])), (400.0, np.array([22.0])))
    hits = fit(samples).hits
    y = samples[0] - np.where(np.arange(32) % 2 == 0, *toy.PEDESTALS)
    fine = np.linspace(toy.TIMES[0], toy.TIMES[-1], 1000)
    parts = [a * toy.pulse(fine - t) for a, t in zip(hits["amplitude"], hits["time"], strict=True)]
    ax.plot(toy.TIMES, y, "ok", ms=4, label="samples less pedestals")
    ax.plot(fine, sum(parts), color="0.5", lw=1, label="sum of the fitted pulses")
    for colour, part, true, height, error, time in zip(
        COLOURS,
        parts,
        (40, 400),
        hits["amplitude"],
        hits["amplitude_error"],
        hits["time"],
        strict=False,
    ):
        label = f"{height:.1f} $\\pm$ {error:.1f} counts at {time:.1f} ns (true {true})"
        ax.plot(fine, part, color=colour, lw=1.3, ls="--", label=label)
    ax.set(xlabel="time, ns", ylabel="ADC counts", title="Two pulses 25 ns apart, 1:10")
    ax.set_ylim(-20, 640)
    ax.legend(frameon=False, loc="upper right")


def times(ax: Axes, one: NDArray[np.float64]) -> None:
    """Resolution of the time against the height."""
    below = one[:, 0] < 4000
    ax.loglog(one[below, 0], one[below, 4], "o", color=COLOURS[0], label="rms of fitted time")
    ax.loglog(one[~below, 0], one[~below, 4], "s", color=COLOURS[1], label="clipped at 4095 counts")
    ax.loglog(one[:, 0], one[:, 5], "-", color="0.4", lw=1, label="bound (Cramer-Rao), unclipped")
    ax.set(xlabel="height, ADC counts", ylabel="ns", title="Time")
    ax.legend(frameon=False)


def heights(ax: Axes, one: NDArray[np.float64]) -> None:
    """Bias and rms of the height."""
    error = one[:, 3] / np.sqrt(NUMBER)
    ax.errorbar(one[:, 0], 100 * one[:, 2], 100 * error, fmt="o", color=COLOURS[0], label="bias")
    ax.fill_between(
        one[:, 0], -100 * one[:, 3], 100 * one[:, 3], color=COLOURS[0], alpha=0.15, label="rms"
    )
    ax.axhline(0, color="0.6", lw=0.8)
    ax.axvline(4040, color=COLOURS[1], lw=0.8, ls=":", label="clipped from here on")
    ax.set(xscale="log", ylim=(-12, 12), xlabel="height, ADC counts", ylabel="%", title="Height")
    ax.legend(frameon=False)


def separation(ax: Axes, two: dict[tuple[int, int], NDArray[np.float64]]) -> None:
    """Bias and rms of the smaller of two pulses against their distance."""
    for colour, ((first, second), rows) in zip(COLOURS, two.items(), strict=True):
        shown = rows[rows[:, 1] > 0.3]
        dashes = "--" if first < second else "-"
        ax.plot(shown[:, 0], 100 * shown[:, 3], dashes, color=colour, lw=1.2)
        label = f"{first} then {second}"
        ax.plot(shown[:, 0], 100 * np.abs(shown[:, 2]), "o", color=colour, ms=4, label=label)
    ax.axvline(25, color="0.6", lw=0.8, ls=":")
    ax.axhline(5, color="0.6", lw=0.8, ls=":")
    ax.set(
        xscale="log",
        yscale="log",
        ylim=(2e-3, 60),
        xlabel="distance, ns",
        ylabel="% of the smaller pulse",
        title="Two pulses, where both are found: rms (lines), bias (points)",
    )
    ax.set_xticks([10, 20, 50, 100], ["10", "20", "50", "100"])
    ax.minorticks_off()
    ax.legend(frameon=False, title="counts", loc="lower left")


if __name__ == "__main__":
    main()
