"""The site builds without a warning, and what it shows is there."""

from __future__ import annotations

import re
import subprocess
import sys
from html import unescape
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).parents[2]
EXTERNAL = re.compile(r"^(https?:|mailto:|data:|#|javascript:)")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the built site."""
    for library in ("sphinx", "myst_nb", "furo", "numpydoc", "sphinx_copybutton"):
        pytest.importorskip(library, reason="pip install 'na64reco[docs]' to build the site")
    out = tmp_path_factory.mktemp("site")
    command = ["-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", "-c", "docs"]
    done = subprocess.run(
        [sys.executable, *command, "-d", str(out / "doctrees"), ".", str(out / "html")],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return out / "html"


def test_every_page_of_the_tree_is_a_page_of_the_site(site):
    for folder in (".", "docs", "notebooks", "calib", "data_samples", "benchmarks"):
        pages = [*(ROOT / folder).glob("*.md"), *(ROOT / folder).glob("*.ipynb")]
        for page in pages:
            made = site / page.relative_to(ROOT).with_suffix(".html")
            assert made.exists(), f"{page} is missing from `include_patterns` in docs/conf.py"


def test_all_that_pages_refer_to_is_in_the_site(site):
    """Sphinx knows its own links; this also sees pictures, styles and downloads, as files."""
    missing = []
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 20
    for page in pages:
        text = page.read_text(encoding="utf-8")
        for found in re.findall(r'\b(?:href|src)="([^"]+)"', text):
            target = unquote(unescape(found))
            if EXTERNAL.match(target):
                continue
            path = page.parent / re.split(r"[?#]", target)[0]
            if not path.exists():
                missing.append(f"{page.relative_to(site)}: {found}")
    assert not missing


def test_the_site_needs_no_network(site):
    """Styles, scripts and pictures come from the site; only links lead elsewhere."""
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(r'<(?:script|img|iframe)[^>]+src="(https?:[^"]+)"', text)
        loaded += re.findall(r'<link[^>]+rel="stylesheet"[^>]+href="(https?:[^"]+)"', text)
        assert not loaded, page


def test_the_address_of_the_site_leads_to_its_first_page(site):
    (target,) = re.findall(r"url=([^\"]+)", (site / "index.html").read_text(encoding="utf-8"))
    assert (site / target).exists()
