"""Saving figures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["IN_REPORT", "save_pictures"]

IN_REPORT: Final = ("background", "box", "tracking_quality")
"""Pictures that belong to the report of a run: these names, and NAME_PERIOD."""


def save_pictures(pictures: Mapping[str, Any], out: Path | str) -> tuple[Path, ...]:
    """Write figures by their names as ``out/pictures/NAME.png``, over those that are there.

    Those that belong to the report are written as PDF, too, which it offers.
    """
    if not pictures:
        return ()
    folder = Path(out) / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, figure in pictures.items():
        path = folder / f"{name}.png"
        figure.savefig(path, dpi=130)
        paths.append(path)
        if any(name == n or name.startswith(f"{n}_") for n in IN_REPORT):
            # The places found for the first format hold for the second; finding them takes longest.
            figure.set_layout_engine("none")
            figure.savefig(path.with_suffix(".pdf"), metadata={"CreationDate": None})
    return tuple(paths)
