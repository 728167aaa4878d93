"""Pictures of what later commands found: efficiency, background, limits, two folders compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from na64reco.errors import InferenceError
from na64reco.inference.comparison import compare
from na64reco.report.comparison import draw_comparison
from na64reco.report.efficiency import draw_efficiency
from na64reco.report.page_figures import (
    picture,
    picture_of_png,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from na64reco.inference.comparison import Comparison, Shape
    from na64reco.report.page_figures import Picture
    from na64reco.report.page_input import RunFolder

__all__ = [
    "background_pictures",
    "compare_folders",
    "comparison_pictures",
    "efficiency_picture",
    "other_pictures",
]

_TITLES: Final = {
    "background": "Sidebands and what they extrapolate to",
    "box": "Choice of the signal box",
    "tracking_quality": "Tracking, plane by plane",
}
_CAPTIONS: Final = {
    "background": "The fit's 68 % band is statistical; dashed: other shapes, with their Akaike "
    "weights. Numbers: the components of the background.",
    "box": "Expected limit against each side of the box. Numbers: the scan of the ECAL threshold.",
    "tracking_quality": "Residuals, pulls, efficiency and clusters of each plane, as the "
    "calibration found them.",
}


def efficiency_picture(folder: RunFolder) -> Picture | None:
    """Efficiency by cut and run, and of signal against missing energy."""
    if folder.efficiency is None:
        return None
    figure = draw_efficiency(folder.efficiency)
    if figure is None:
        return None
    rows: list[Sequence[Any]] = [("dataset", "what", "name", "value", "low", "high", "systematic")]
    for name, found in folder.efficiency.datasets.items():
        for cut in found.cuts:
            for kind in ("sequential", "cumulative", "n_minus_1"):
                m = getattr(cut, kind)
                rows.append((name, kind, cut.cut, m.value, m.low, m.high, m.systematic))
        for run, kappa in found.runs.items():
            m = kappa.kappa
            rows.append((name, "kappa of run", run, m.value, m.low, m.high, m.systematic))
        if found.signal is not None:
            for low, m in zip(found.signal.edges, found.signal.box, strict=False):
                if m is not None:
                    rows.append(
                        (
                            name,
                            "box, missing energy from",
                            low,
                            m.value,
                            m.low,
                            m.high,
                            m.systematic,
                        )
                    )
    caption = (
        "Efficiency cut by cut: of events that pass those before, of all so far, of those that "
        "pass all others; 68.27 % intervals."
    )
    return picture(figure, "efficiency", "Efficiency by cut and run", caption, rows)


def background_pictures(folder: RunFolder) -> Iterator[Picture]:
    """What `na64reco background` drew."""
    if folder.background is None:
        return
    yield from _drawn(folder, ("background", "box"))


def other_pictures(folder: RunFolder) -> Iterator[Picture]:
    """What a calibration left in the folder."""
    yield from _drawn(folder, ("tracking_quality",))


def _drawn(folder: RunFolder, kinds: Sequence[str]) -> Iterator[Picture]:
    for stem, (png, pdf) in folder.pictures.items():
        kind = next((k for k in kinds if stem == k or stem.startswith(f"{k}_")), None)
        if kind is None:
            continue
        suffix = stem.removeprefix(kind).lstrip("_")
        title = _TITLES[kind] + (f", {suffix}" if suffix else "")
        rows = _background_rows(folder.background, kind, suffix)
        yield picture_of_png(png, f"drawn_{_safe(stem)}", title, _CAPTIONS[kind], rows, pdf=pdf)


def _safe(name: str) -> str:
    return "".join(c if c.isascii() and c.isalnum() else "_" for c in name)


def _background_rows(
    content: Mapping[str, Any] | None, kind: str, period: str
) -> Iterator[Sequence[Any]]:
    if content is None or kind not in {"background", "box"}:
        yield ("no numbers",)
        return
    chosen = {n: p for n, p in content["periods"].items() if period in {"", n}}
    if kind == "background":
        yield ("period", "component", "events", "statistical", "systematic", "upper_90", "source")
        for name, p in chosen.items():
            for c in p["components"]:
                yield (
                    name, c["name"], c["value"], c["statistical"], c["systematic"], c["upper"],
                    c["source"],
                )  # fmt: skip
        return
    yield ("period", "threshold_GeV", "background", "error", "efficiency", "reach")
    for name, p in chosen.items():
        scan = p["choice"]["ecal"]
        keys = ("thresholds", "background", "error", "efficiency", "reach")
        for row in zip(*(scan[key] for key in keys), strict=True):
            yield (name, *row)


def compare_folders(first: RunFolder, second: RunFolder) -> list[Comparison]:
    """Datasets of the same name, or the only two there are, after all cuts.

    Raises
    ------
    InferenceError
        If no dataset of the one corresponds to one of the other.
    """
    ours, theirs = ([d.name for d in f.datasets] for f in (first, second))
    pairs = [(name, name) for name in ours if name in theirs]
    if not pairs and len(ours) == len(theirs) == 1:
        pairs = [(ours[0], theirs[0])]
    if not pairs:
        msg = (
            f"{first.path} has the datasets {', '.join(map(repr, ours))}, {second.path} has "
            f"{', '.join(map(repr, theirs))}: none of the same name to compare."
        )
        raise InferenceError(msg)
    return [compare(first.path, second.path, datasets=pair) for pair in pairs]


def comparison_pictures(found: Comparison, number: int) -> Iterator[Picture]:
    """Each variable, and its ratio."""
    figures = draw_comparison(found)
    for shape, figure in zip(found.shapes, figures.values(), strict=True):
        caption = (
            f"{found.first.out} against {found.second.out}, dataset {found.first.dataset}, "
            f"selected events, normalised: Kolmogorov-Smirnov distance {shape.ks:.3f} "
            f"(p = {shape.ks_p:.3g}), chi2 {shape.chi2:.1f}/{shape.ndf} (p = {shape.chi2_p:.3g})."
        )
        title = f"{shape.variable}, {found.first.dataset}"
        name = f"comparison_{number}_{_safe(shape.variable)}"
        yield picture(figure, name, title, caption, _shape_rows(shape))


def _shape_rows(shape: Shape) -> Iterator[Sequence[Any]]:
    yield ("low", "high", "first", "first_error", "second", "second_error", "ratio", "ratio_error")
    columns = (
        shape.edges[:-1], shape.edges[1:], shape.first, shape.first_error, shape.second,
        shape.second_error, shape.ratio, shape.ratio_error,
    )  # fmt: skip
    yield from zip(*columns, strict=True)
