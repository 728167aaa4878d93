"""Drawings of docs/setups.md, one for each setup: `make figures`, or this file with names."""

# ruff: noqa: T201 - prints what it has made

from __future__ import annotations

import sys
from pathlib import Path

from na64reco.report.setup_drawing import save_setup
from na64reco.setup import list_setups, load_setup

IMAGES = Path(__file__).parent / "images"


def main(names: list[str]) -> None:
    """Draw these, or all."""
    for name in names or list_setups():
        save_setup(load_setup(name), IMAGES / f"setup_{name}.svg")
        print(f"setup_{name}.svg")


if __name__ == "__main__":
    main(sys.argv[1:])
