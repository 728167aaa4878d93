"""HTML of the report: everything that comes from files is escaped here, and nowhere else."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from na64reco.report.page_figures import Picture

__all__ = [
    "GENERATOR",
    "Html",
    "Section",
    "definitions",
    "figure_html",
    "note",
    "page_html",
    "paragraph",
    "table",
]

GENERATOR: Final = "na64reco report"
"""Content of the page's meta tag, by which it is known as a report."""


@dataclass(frozen=True)
class Html:
    """Text that is HTML already."""

    text: str


@dataclass(frozen=True)
class Section:
    """A part of the page."""

    name: str
    """Anchor."""
    title: str
    blocks: tuple[Html, ...]


def _cell(value: Any) -> str:
    return value.text if isinstance(value, Html) else escape(str(value))


def paragraph(text: str) -> Html:
    """Plain text."""
    return Html(f"<p>{escape(text)}</p>")


def note(text: str) -> Html:
    """Plain text that stands out."""
    return Html(f'<p class="note">{escape(text)}</p>')


def table(
    header: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    caption: str = "",
    text_columns: int = 1,
) -> Html:
    """A table; all columns but the first few hold numbers, to the right."""
    lines = ['<div class="scroll"><table>']
    if caption:
        lines.append(f"<caption>{escape(caption)}</caption>")
    kinds = [' class="text"' if i < text_columns else "" for i in range(len(header))]
    heads = "".join(
        f'<th scope="col"{k}>{escape(h)}</th>' for h, k in zip(header, kinds, strict=True)
    )
    lines.append(f"<thead><tr>{heads}</tr></thead><tbody>")
    for row in rows:
        cells = "".join(f"<td{k}>{_cell(v)}</td>" for v, k in zip(row, kinds, strict=True))
        lines.append(f"<tr>{cells}</tr>")
    lines.append("</tbody></table></div>")
    return Html("\n".join(lines))


def definitions(pairs: Iterable[tuple[str, Any]]) -> Html:
    """Names and what they are."""
    inner = "".join(f"<dt>{escape(name)}</dt><dd>{_cell(value)}</dd>" for name, value in pairs)
    return Html(f"<dl>{inner}</dl>")


def _uri(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def figure_html(picture: Picture) -> Html:
    """A figure with its caption and links to its files, all inside the page."""
    name = escape(picture.name)
    drawn = picture.image.startswith(b"\x89PNG")
    image = _uri(picture.image, "image/png" if drawn else "image/svg+xml")
    links = [
        (f"{name}.pdf", "PDF", _uri(picture.pdf, "application/pdf")),
        (f"{name}.csv", "CSV", _uri(picture.csv.encode(), "text/csv")),
    ]
    downloads = " ".join(
        f'<a download="{file}" href="{uri}" aria-label="{label} of {name}">{label}</a>'
        for file, label, uri in links
    )
    wide = ' class="wide"' if picture.wide else ""
    return Html(
        f'<figure id="{name}"{wide}><h3>{escape(picture.title)}</h3>'
        f'<div class="scroll"><img alt="{escape(picture.title)}" src="{image}"></div>'
        f'<figcaption>{escape(picture.caption)} <span class="files">{downloads}</span>'
        "</figcaption></figure>"
    )


def page_html(title: str, subtitle: str, sections: Sequence[Section]) -> str:
    """The whole page."""
    folder = files("na64reco.report") / "templates"
    style, script, page = (
        (folder / name).read_text(encoding="utf-8")
        for name in ("report.css", "report.js", "report.html")
    )
    links = "".join(f'<li><a href="#{escape(s.name)}">{escape(s.title)}</a></li>' for s in sections)
    body = "\n".join(
        f'<section id="{escape(s.name)}"><h2>{escape(s.title)}</h2>\n'
        + "\n".join(block.text for block in s.blocks)
        + "</section>"
        for s in sections
    )
    return Template(page).substitute(
        generator=GENERATOR,
        title=escape(title),
        subtitle=escape(subtitle),
        style=style,
        script=script,
        links=links,
        body=body,
    )
