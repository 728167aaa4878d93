"""Saving figures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["save_pictures"]


def save_pictures(pictures: Mapping[str, Any], out: Path | str) -> tuple[Path, ...]:
    """Write figures by their names as ``out/pictures/NAME.png``, over those that are there."""
    if not pictures:
        return ()
    folder = Path(out) / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, figure in pictures.items():
        path = folder / f"{name}.png"
        figure.savefig(path, dpi=130)
        paths.append(path)
    return tuple(paths)
