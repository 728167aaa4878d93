"""Examples in docstrings give what they say."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

from .markdown import ROOT


def modules() -> list[str]:
    """Modules with an example in a docstring."""
    paths = (p.relative_to(ROOT) for p in sorted((ROOT / "na64reco").rglob("*.py")))
    shown = (p for p in paths if ">>> " in (ROOT / p).read_text(encoding="utf-8"))
    return [".".join(Path(p).with_suffix("").parts).removesuffix(".__init__") for p in shown]


@pytest.mark.parametrize("name", modules())
def test_examples_of_docstrings(name):
    result = doctest.testmod(importlib.import_module(name))
    assert result.failed == 0
    assert result.attempted > 0
