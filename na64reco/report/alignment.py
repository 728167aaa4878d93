"""What an alignment changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from na64reco.report.tracking_quality import draw_tracking_quality

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from na64reco.calibrate.alignment import AlignmentDetail

__all__ = ["draw_alignment"]

_SETTINGS: Final = {
    "font.size": 10,
    "axes.labelsize": 10,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "savefig.transparent": False,
}
_DATA: Final = "#0072B2"  # of Okabe and Ito's palette
_ERROR: Final = "#D55E00"


def draw_alignment(detail: AlignmentDetail) -> dict[str, Figure]:
    """Corrections and their errors by plane; and the tracks by the new constants."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    found = detail.found
    places = np.arange(len(found.names))
    settings: Any = _SETTINGS
    with mpl.rc_context(settings):
        figure = Figure(figsize=(12, 7), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(2, 2, sharex=True, height_ratios=[2, 1])
        micro = "\N{MICRO SIGN}m"
        shift, rotation = found.shift - found.start_shift, found.rotation - found.start_rotation
        columns = (
            ("shift", shift, 1e3 * found.shift_error, "mm", micro),
            ("rotation", rotation, found.rotation_error, "mrad", "mrad"),
        )
        for column, (name, change, error, unit, error_unit) in enumerate(columns):
            above, below = axes[:, column]
            above.axhline(0, color="grey", linewidth=0.8)
            above.plot(places, change, "o", color=_DATA)
            above.set_ylabel(f"{name}: new less old [{unit}]")
            below.bar(places, error, color=_ERROR, width=0.6)
            below.set_ylabel(f"standard deviation [{error_unit}]")
            below.set_xticks(places, found.names, rotation=90)
        figure.suptitle(
            f"Alignment: {found.tracks} tracks, median chi2/ndf {found.start_chi2:.2f} before, "
            f"{found.chi2:.2f} after"
        )
    return {"alignment": figure, "tracking_quality": draw_tracking_quality(detail.quality)}
