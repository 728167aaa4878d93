"""What the site needs beyond Sphinx: links to folders, formulas without a script, a first page."""

from __future__ import annotations

import posixpath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docutils import nodes
from docutils.utils.math import latex2mathml
from sphinx import addnodes

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.writers.html5 import HTML5Translator

STANDARD = {"Mapping", "Path", "Sequence"}
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


def _link_folders(app: Sphinx, tree: nodes.document) -> None:
    """A link to a folder leads to its README, or is plain text where that is no page."""
    here = posixpath.dirname(app.env.docname)
    for node in list(tree.findall(addnodes.pending_xref)):
        folder = posixpath.normpath(posixpath.join(here, node["reftarget"]))
        if node.get("reftype") != "myst" or not (Path(app.srcdir) / folder).is_dir():
            continue
        if f"{folder}/README" in app.env.found_docs:
            new = {"refdomain": "std", "reftype": "doc", "reftarget": f"/{folder}/README"}
            node.attributes |= {**new, "refexplicit": True}
        else:
            node.replace_self(node.children)


def _unlink_ambiguous(_: Sphinx, tree: nodes.document) -> None:
    """Types of a signature that are the standard library's must not lead to ours of that name."""
    for node in list(tree.findall(addnodes.pending_xref)):
        if node.get("refdomain") == "py" and node["reftarget"] in STANDARD:
            node.replace_self(nodes.Text(node["reftarget"]))


def _inline_formula(writer: HTML5Translator, node: nodes.Element) -> None:
    writer.body.append(latex2mathml.tex2mathml(node.astext()))
    raise nodes.SkipNode


def _block_formula(writer: HTML5Translator, node: nodes.Element) -> None:
    formula = latex2mathml.tex2mathml(node.astext(), as_block=True)
    writer.body.append(f'<div class="math">{formula}</div>')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.add_html_math_renderer("mathml", (_inline_formula, None), (_block_formula, None))
    app.connect("build-finished", _write_entry)
    app.connect("doctree-read", _link_folders)
    app.connect("doctree-read", _unlink_ambiguous)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
