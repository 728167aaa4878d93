"""Links of the site that Sphinx does not make by itself: to folders, and from the site's root.

A small extension: a link to a folder leads to the README of it, if that is a page.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx

ENTRY = """<!doctype html>
<html lang="en-GB">
<meta charset="utf-8">
<title>na64reco</title>
<meta http-equiv="refresh" content="0; url=docs/index.html">
<a href="docs/index.html">na64reco</a>
</html>
"""


def _write_entry(app: Sphinx, error: Exception | None) -> None:
    """The address of the site itself leads to its first page."""
    if error is None and app.builder.name == "html":
        (Path(app.outdir) / "index.html").write_text(ENTRY, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("build-finished", _write_entry)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
