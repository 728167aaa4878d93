"""The pages of the project as text: their prose, code, headings and links."""

from __future__ import annotations

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^( *)(```|~~~)(.*?)\n(.*?)^\1\2 *$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^()\s]+(?:\([^()]*\))?)\)")


def pages() -> list[Path]:
    """Every page that people read: Markdown, and the notebooks."""
    folders = (".", "docs", "docs/api", "calib", "data_samples", "benchmarks", "notebooks")
    kinds = ("*.md", "*.ipynb")
    return [page for f in folders for kind in kinds for page in sorted((ROOT / f).glob(kind))]


def name_of(page: Path) -> str:
    """How a test calls it."""
    return str(page.relative_to(ROOT))


def text_of(page: Path) -> str:
    """A page as Markdown; of a notebook its texts."""
    text = page.read_text(encoding="utf-8")
    if page.suffix != ".ipynb":
        return text
    cells = json.loads(text)["cells"]
    return "\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")


def blocks(text: str) -> list[tuple[str, str]]:
    """Language and content of every fenced block."""
    return [(found.group(3).strip(), found.group(4)) for found in FENCE.finditer(text)]


def indented(text: str) -> str:
    """Lines of indented blocks."""
    return "\n".join(line[4:] for line in without_fences(text).splitlines() if line[:4] == "    ")


def without_fences(text: str) -> str:
    """A page without its fenced blocks."""
    return FENCE.sub("", text)


def prose(text: str) -> str:
    """What is written in words: no code, no addresses, no tables' rules."""
    text = without_fences(text)
    text = "\n".join(line for line in text.splitlines() if line[:4] != "    ")
    text = re.sub(r"`[^`]*`|\$[^$]*\$|\]\([^)]*\)|<[^>]*>|https?://\S+", " ", text)
    return re.sub(r"\S*[/_\\]\S*", " ", text)


def anchors(text: str) -> set[str]:
    """The anchors that GitHub and the site make of a page's headings."""
    found: set[str] = set()
    for heading in re.findall(r"^#{1,6} +(.+?) *#*$", without_fences(text), flags=re.MULTILINE):
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)|[`*]", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", plain.strip().lower()).replace(" ", "-")
        count = sum(1 for known in found if re.fullmatch(rf"{re.escape(slug)}(-\d+)?", known))
        found.add(f"{slug}-{count}" if slug in found else slug)
    return found


def links(text: str) -> list[str]:
    """Targets of all links and pictures."""
    return LINK.findall(re.sub(r"`[^`]*`", "", without_fences(text)))
