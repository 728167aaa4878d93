"""`python -m benchmarks`: run every benchmark and print one JSON object."""

from __future__ import annotations

import json
import sys

from benchmarks import chain


def main() -> None:
    json.dump({"chain": chain.measure()}, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
