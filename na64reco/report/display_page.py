"""Several events on one page to step through and zoom into."""

from __future__ import annotations

import base64
from html import escape
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING

from na64reco.report.display_picture import svg_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from na64reco.report.display_event import EventView

__all__ = ["write_display_page"]


def write_display_page(
    views: Sequence[EventView],
    path: Path,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write one self-contained page; arrows step, the wheel zooms, dragging moves."""
    folder = files("na64reco.report") / "templates"
    names = ("display.css", "display.js", "display.html")
    style, script, page = ((folder / name).read_text(encoding="utf-8") for name in names)
    options, images = [], []
    for i, view in enumerate(views):
        label = escape(f"{view.label}, {view.setup.name}")
        content = base64.b64encode(svg_of(view)).decode("ascii")
        options.append(f'<option value="{i}">{label}</option>')
        images.append(
            f'<img id="event{i}" alt="Event {label}" '
            f'src="data:image/svg+xml;base64,{content}"{"" if i == 0 else " hidden"}>'
        )
        if progress is not None:
            progress(i + 1, len(views))
    text = Template(page).substitute(
        style=style, script=script, options="".join(options), images="\n".join(images)
    )
    path.write_text(text, encoding="utf-8")
