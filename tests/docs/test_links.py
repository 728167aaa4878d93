"""Every link leads somewhere: to a file, to a heading in it, or to a well-formed address."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest

from .markdown import ROOT, anchors, links, name_of, pages, text_of

ARXIV = re.compile(r"\d{4}\.\d{4,5}(v\d+)?|[a-z]+-[a-z]+/\d{7}")
"""Identifiers since 2007, and before."""
DOI = re.compile(r"10\.\d{4,9}/\S+")


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_links_inside_the_project_lead_to_a_file_and_a_heading(page):
    dead = []
    for link in links(text_of(page)):
        if urlsplit(link).scheme:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or not target.is_relative_to(ROOT):
            dead.append(link)
        elif anchor and anchor not in anchors(text_of(target)):
            dead.append(f"{link}: no such heading")
    assert not dead


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_addresses_of_papers_are_well_formed(page):
    wrong = []
    for link in links(text_of(page)):
        parts = urlsplit(link)
        if not parts.scheme:
            continue
        if (
            parts.scheme != "https"
            or "." not in parts.netloc
            or (
                parts.netloc == "arxiv.org"
                and not ARXIV.fullmatch(parts.path.removeprefix("/abs/").removeprefix("/pdf/"))
            )
            or (parts.netloc == "doi.org" and not DOI.fullmatch(parts.path.removeprefix("/")))
        ):
            wrong.append(link)
    assert not wrong


def test_numbers_of_papers_are_well_formed_wherever_they_stand():
    """In pages, code, setups and selections; and where a link has one, its text has the same."""
    folders = ("na64reco", "selections", "calib", "docs", "benchmarks", "notebooks")
    kinds = ("*.py", "*.yaml", "*.md", "*.txt", "*.ipynb")
    files = [f for folder in folders for kind in kinds for f in (ROOT / folder).rglob(kind)]
    assert len(files) > 300
    found = 0
    for path in (*files, *ROOT.glob("*.md")):
        text = path.read_text(encoding="utf-8")
        for number in re.findall(r"arXiv:([\w.\-/]+)", text):
            found += 1
            assert ARXIV.fullmatch(number.rstrip(".")), f"{path}: arXiv:{number}"
        for shown, linked in re.findall(r"\[arXiv:([\w.\-/]+)\]\(\S*?/abs/([^)]+)\)", text):
            assert shown == linked, path
    assert found > 100


def test_anchors_are_those_of_github():
    text = "# A `code` heading, with [a link](x.md)\n## Twice\n## Twice\n```\n# no heading\n```\n"
    assert anchors(text) == {"a-code-heading-with-a-link", "twice", "twice-1"}
