"""Write a picture no wider than a page needs, as small as PNG can make it."""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image


def main() -> None:
    """``shrink_picture.py FROM TO``."""
    source, target = (Path(name) for name in sys.argv[1:])
    with Image.open(source) as image:
        small = image.convert("RGB")
    if small.width > 1400:
        small = small.resize((1400, round(small.height * 1400 / small.width)), Image.LANCZOS)
    small.save(target, optimize=True)


if __name__ == "__main__":
    main()
