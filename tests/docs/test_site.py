"""The site builds without a warning, and what it shows is there.

One test, since one build takes as long as all other tests of the documentation together.
"""

from __future__ import annotations

import re
import subprocess
import sys
from html import unescape
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = (".", "docs", "docs/api", "notebooks", "calib", "data_samples", "benchmarks")
EXTERNAL = re.compile(r"^(https?:|mailto:|data:|#|javascript:)")


def build(out: Path) -> Path:
    """The folder of the site, from a fresh build with warnings as errors."""
    command = ["-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", "-c", "docs"]
    done = subprocess.run(
        [sys.executable, *command, "-d", str(out / "doctrees"), ".", str(out / "html")],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return out / "html"


def missing_pages(site: Path) -> list[str]:
    """Pages of the tree that are no pages of the site."""
    pages = [p for folder in FOLDERS for kind in ("md", "ipynb") for p in glob(folder, kind)]
    assert len(pages) > 40
    return [str(p) for p in pages if not (site / p.with_suffix(".html")).exists()]


def glob(folder: str, kind: str) -> list[Path]:
    """Files of one kind, relative to the root."""
    return [path.relative_to(ROOT) for path in sorted((ROOT / folder).glob(f"*.{kind}"))]


def dead_references(site: Path) -> list[str]:
    """What pages refer to and the site lacks: Sphinx knows its links, not pictures and downloads."""
    dead = []
    for page in sorted(site.rglob("*.html")):
        text = page.read_text(encoding="utf-8")
        for found in set(re.findall(r'\b(?:href|src)="([^"]+)"', text)):
            target = unquote(unescape(found))
            path = page.parent / re.split(r"[?#]", target)[0]
            if not EXTERNAL.match(target) and not path.exists():
                dead.append(f"{page.relative_to(site)}: {found}")
    return dead


def loaded_from_elsewhere(site: Path) -> list[str]:
    """Styles, scripts and pictures that a browser would need the network for."""
    pattern = r'<(?:script|img|iframe)[^>]+src="(https?:[^"]+)"|<link[^>]+stylesheet[^>]+href="(http[^"]+)"'
    texts = (page.read_text(encoding="utf-8") for page in site.rglob("*.html"))
    return [str(found) for text in texts for found in re.findall(pattern, text)]


def undocumented(site: Path) -> list[str]:
    """Public functions and classes that no page of docs/api describes."""
    import na64reco
    from na64reco import events, processors, reconstruction, selection, setup

    text = "".join(p.read_text(encoding="utf-8") for p in (site / "docs" / "api").glob("*.html"))
    modules = (na64reco, events, processors, reconstruction, selection, setup)
    names = [(m, name) for m in modules for name in m.__all__ if callable(getattr(m, name))]
    assert len(names) > 60
    return [f"{m.__name__}.{n}" for m, n in names if f'id="{m.__name__}.{n}"' not in text]


def test_the_site_builds_and_is_whole(tmp_path):
    for library in ("sphinx", "myst_nb", "furo", "numpydoc", "sphinx_copybutton"):
        pytest.importorskip(library, reason="pip install 'na64reco[docs]' to build the site")
    site = build(tmp_path)
    assert not missing_pages(site)
    assert not dead_references(site)
    assert not loaded_from_elsewhere(site)
    assert not undocumented(site)
    (target,) = re.findall(r"url=([^\"]+)", (site / "index.html").read_text(encoding="utf-8"))
    assert (site / target).exists()
