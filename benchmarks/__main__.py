"""`python -m benchmarks`: run every benchmark and print one JSON object.

Names of benchmarks as arguments (chain, showers, simulation, ...) run only those.
"""

from __future__ import annotations

import json
import sys

from benchmarks import chain, memory, search, showers, simulation, tracking, validation, waveforms

BENCHMARKS = {
    "chain": chain.measure,
    "memory": memory.measure,
    "search": search.measure,
    "showers": showers.measure,
    "simulation": simulation.measure,
    "tracking": tracking.measure,
    "validation": validation.measure,
    "waveforms": waveforms.measure,
}


def main() -> None:
    chosen = sys.argv[1:] or list(BENCHMARKS)
    if unknown := [name for name in chosen if name not in BENCHMARKS]:
        sys.exit(f"no benchmark {', '.join(unknown)}; there are: {', '.join(BENCHMARKS)}")
    json.dump({name: BENCHMARKS[name]() for name in chosen}, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
