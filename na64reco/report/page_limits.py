"""Limits in the report: coupling against mass beside what others published."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from na64reco.darksector.generic import load_model
from na64reco.errors import ModelError
from na64reco.inference.limits import CouplingLimits
from na64reco.report.limits import bare_plane, usual_plane
from na64reco.report.page_figures import picture, plain
from na64reco.report.published import published_curves

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from matplotlib.figure import Figure

    from na64reco.report.limits import Overlay
    from na64reco.report.page_figures import Picture
    from na64reco.report.page_input import RunFolder

__all__ = ["limit_pictures"]


def limit_pictures(folder: RunFolder, overlays: Sequence[Overlay] = ()) -> Iterator[Picture]:
    """Coupling against mass with the expected bands, of every limit in the folder.

    Parameters
    ----------
    overlays
        Lines of others, beside those that are known for the model.
    """
    for file, content in folder.limits.items():
        found = _limits(content)
        if not (np.isfinite(found.coupling) & (found.coupling > 0)).any():
            continue
        others = (*published_curves(str(content["model"])), *overlays)
        figure = _draw(content, found, others)
        caption = (
            f"From {file}: {content['cl']:.0%} CL, {content['method']}, production "
            f"{content['production']}. No limit where the line ends; below the dotted line alone, "
            "if there is one."
        )
        if others:
            caption += f" Of others: {'; '.join(o.title for o in others)}."
        name = "".join(c if c.isascii() and c.isalnum() else "_" for c in file)
        title = f"Limit on {content['model']}"
        yield picture(figure, f"limit_{name}", title, caption, _rows(content, others))


def _draw(content: Mapping[str, Any], found: CouplingLimits, others: Sequence[Overlay]) -> Figure:
    name = f"{content['search']} ({'expected' if found.projection else 'observed'})"
    curves = {plain(name): found}
    title = plain(f"{content['model']}, {content['cl']:.0%} CL")
    dark = content.get("dark") or {}
    try:
        model = load_model(
            content["model"],
            kind=dark.get("kind"),
            alpha=dark.get("alpha_D"),
            mass_ratio=dark.get("mass_ratio"),
        )
    except ModelError:  # of somebody's own file: only its name is known
        return bare_plane(str(content["strength"]), curves, overlays=others, title=title)
    return usual_plane(model, curves, overlays=others, title=title)


def _limits(content: Mapping[str, Any]) -> CouplingLimits:
    """What `na64reco limit --json` printed; what it does not exclude is infinite again."""
    points = content["points"]
    empty = np.full(len(points), np.nan)

    def column(key: str) -> Any:
        values = [p.get(key) for p in points]
        return np.array([np.inf if v is None else v for v in values], np.float64)

    bands = [[np.inf if v is None else v for v in p["bands"]] for p in points]
    return CouplingLimits(
        mass=1e-3 * column("mass_MeV"),
        coupling=column("coupling"),
        upper=column("upper_edge"),
        bands=np.array(bands, np.float64).reshape(len(points), 5).T,
        events=empty,
        signal=empty[None],
        threshold_error=empty[None],
        iterated=empty,
        iterations=np.zeros(len(points), np.int64),
        projection=bool(content.get("projection", False)),
    )


def _rows(content: Mapping[str, Any], others: Sequence[Overlay]) -> Iterator[Sequence[Any]]:
    yield (
        "curve", "mass_MeV", "coupling", "minus_2_sigma", "minus_1_sigma", "median",
        "plus_1_sigma", "plus_2_sigma",
    )  # fmt: skip
    for p in content["points"]:
        yield (content["search"], p["mass_MeV"], p["coupling"], *p["bands"])
    for other in others:
        for mass, coupling in zip(1e3 * other.mass, other.coupling, strict=True):
            yield (other.title, mass, coupling, *[None] * 5)
