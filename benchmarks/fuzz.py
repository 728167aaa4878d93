"""`python -m benchmarks.fuzz [FILES]`: damaged ROOT files and YAMLs, and what becomes of them.

Every mutant goes through `na64reco run`'s own worker processes, with limits of time and memory.
It must end in a result or in a named error: neither hang nor take its process down. With a
checksum in the fileset, no mutant may count at all; without one, the flips that decompression
does not notice show up as `silent` (this is what catalogues are for).
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

SELECTION = "electron-invisible-2022"
SEED = 20261121
MEMORY = 1_500_000_000
TIMEOUT = 10.0


def mutate(content: bytes, rng: np.random.Generator) -> bytes:
    """Damage some bytes: flip, overwrite, absurd numbers, cut, repeat; often in the headers."""
    data = bytearray(content)
    for _ in range(int(rng.integers(1, 4))):
        if len(data) < 64:
            break
        # Half of the damage hits the header, the streamers or the descriptions at the end.
        edge = int(rng.choice([100, 400, 4000, len(data)]))
        edge = min(edge, len(data))
        at = int(rng.integers(0, edge))
        if rng.random() < 0.4:
            at = len(data) - 1 - at
        kind = int(rng.integers(0, 6))
        if kind == 0:
            data[at] ^= 1 << int(rng.integers(0, 8))
        elif kind == 1:
            data[at : at + 8] = rng.bytes(8)
        elif kind == 2:
            data[at : at + 4] = bytes.fromhex(str(rng.choice(["7fffffff", "ffffffff", "80000000"])))
        elif kind == 3:
            data[at : at + 8] = (int(2 ** rng.integers(8, 62))).to_bytes(8, "big")
        elif kind == 4:
            del data[at : at + int(rng.integers(1, 200))]
        else:
            length = int(rng.integers(1, 200))
            data[at:at] = data[at : at + length]
    return bytes(data)


def mutate_text(text: str, rng: np.random.Generator) -> str:
    """Damage a YAML: characters, lines, nesting, absurd values."""
    lines = text.splitlines()
    for _ in range(int(rng.integers(1, 4))):
        at = int(rng.integers(0, len(lines)))
        kind = int(rng.integers(0, 7))
        if kind == 0:
            lines[at] = lines[at][: int(rng.integers(0, len(lines[at]) + 1))]
        elif kind == 1:
            lines.insert(at, lines[int(rng.integers(0, len(lines)))])
        elif kind == 2:
            del lines[at]
            lines = lines or [""]
        elif kind == 3:
            lines[at] += str(rng.choice(["[" * 5000, "{a: " * 3000, "- " * 3000, ": : :", "\t\0"]))
        elif kind == 4:
            key = lines[at].partition(":")[0]
            values = ["-1", "1e999", "9" * 5000, "[]", "~", "!!python/object:os.system x", "*a"]
            lines[at] = f"{key}: {rng.choice([*values, '2020-02-31', 'true', '{}', '../../x'])}"
        elif kind == 5:
            lines[at] = f"? {lines[at]}"
        else:
            lines[at] = "".join(rng.permutation(list(lines[at] or " ")))
    return "\n".join(lines)


def count_file(path: str, promise: Any) -> tuple[str, Any]:
    """In a worker: what becomes of one file, and in how many seconds."""
    from na64reco.processors.chunks import BadFile, Chunk, probe_file, process_chunk
    from na64reco.processors.fileset import InputFile
    from na64reco.processors.processor import SelectionProcessor

    started = time.perf_counter()
    facts = probe_file(None, InputFile("fuzz", path, size=promise.size, xxh3=promise.xxh3))
    if isinstance(facts, BadFile):
        return "refused", time.perf_counter() - started
    processor = SelectionProcessor(SELECTION)
    rows = []
    for start in range(0, min(facts.entries, 10_000), 500):
        stop = min(start + 500, facts.entries)
        try:
            result = process_chunk(processor, None, Chunk(0, path, start, stop, facts.promise))
        except Exception as error:  # conditions that do not cover a damaged run number
            return f"error {type(error).__name__}", time.perf_counter() - started
        if isinstance(result, BadFile):
            return "refused", time.perf_counter() - started
        rows.append(result["cutflow"].to_json())
    return json.dumps(rows), time.perf_counter() - started


def read_fileset(path: str) -> tuple[str, Any]:
    """In a worker: what becomes of a fileset."""
    from na64reco.errors import Na64recoError
    from na64reco.processors import resolve_inputs

    started = time.perf_counter()
    try:
        resolve_inputs(path)
    except Na64recoError:
        return "refused", time.perf_counter() - started
    return "read", time.perf_counter() - started


def read_selection(path: str) -> tuple[str, Any]:
    """In a worker: what becomes of a selection."""
    from na64reco.errors import Na64recoError
    from na64reco.selection import load_selection

    started = time.perf_counter()
    try:
        load_selection(path)
    except Na64recoError:
        return "refused", time.perf_counter() - started
    return "read", time.perf_counter() - started


def write_samples(folder: Path, events: int) -> list[Path]:
    """One hit file of each container."""
    from na64reco.setup import load_setup
    from na64reco.simulation import write_simulation

    setup = load_setup("2022-electron")
    paths = []
    for container in ("ttree", "rntuple"):
        paths.append(folder / f"{container}.root")
        write_simulation(
            paths[-1], setup, "electron", events, seed=1, trigger="beam", format=container
        )
    return paths


def fuzz(
    samples: list[Path],
    texts: list[Path],
    number: int,
    *,
    seed: int = SEED,
    workers: int = 1,
    timeout: float = TIMEOUT,
) -> dict[str, Any]:
    """Numbers of mutants by what became of them; exceptions of the readers are raised."""
    from na64reco.processors.checksums import Promise, checksums
    from na64reco.processors.workers import Lost, ProcessPool

    rng = np.random.default_rng(seed)
    tally: dict[str, int] = {}
    slowest = 0.0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pool = ProcessPool(workers, memory=MEMORY, timeout=timeout)
        try:
            # The first call imports and compiles, which is not the mutants' fault.
            warm = ProcessPool(1)
            try:
                truths = {
                    path: answer[0]
                    for path, (_, answer) in zip(
                        samples,
                        warm.ordered(count_file, [(str(p), Promise()) for p in samples]),
                        strict=True,
                    )
                }
            finally:
                warm.close()

            def mutants(promised: bool) -> Iterator[tuple[str, Any]]:
                for i in range(number // 4):
                    sample = samples[i % len(samples)]
                    path = folder / f"{promised}_{i}_{sample.name}"
                    path.write_bytes(mutate(sample.read_bytes(), rng))
                    if path.read_bytes() == sample.read_bytes():
                        path.write_bytes(b"")
                    promise = checksums(sample) if promised else Promise()
                    # The size is believed to be right: the checksum alone has to notice.
                    yield str(path), Promise(None, promise.xxh3)

            def enter(kind: str, outcome: Any, truth: str | None) -> None:
                nonlocal slowest
                if isinstance(outcome, Lost):
                    what = f"lost: {outcome.reason}"
                else:
                    what, seconds = outcome
                    slowest = max(slowest, seconds)
                    if truth is not None and what.startswith("["):
                        what = "the same" if what == truth else "silent"
                tally[f"{kind}, {what}"] = tally.get(f"{kind}, {what}", 0) + 1

            for promised, kind in ((True, "with checksum"), (False, "without checksum")):
                for (path, _), outcome in pool.ordered(count_file, mutants(promised)):
                    sample = next(s for s in samples if path.endswith(s.name))
                    enter(kind, outcome, truths[sample])
                    Path(path).unlink()
            for reader, kind, text in zip(
                (read_fileset, read_selection), ("fileset", "selection"), texts, strict=True
            ):
                paths = []
                for i in range(number // 4):
                    paths.append((str(folder / f"{kind}_{i}.yaml"),))
                    mutant = mutate_text(text.read_text(), rng)
                    Path(paths[-1][0]).write_text(mutant)
                for _, outcome in pool.ordered(partial(reader), paths):
                    enter(kind, outcome, None)
        finally:
            pool.close()
    return {"mutants": dict(sorted(tally.items())), "slowest_seconds": round(slowest, 2)}


def measure(number: int = 2000) -> dict[str, Any]:
    """A quarter of the mutants each: ROOT files with checksum and without, filesets, selections."""
    from na64reco.processors import catalogue, resolve_inputs, write_catalogue
    from na64reco.resources import shipped_folder

    with tempfile.TemporaryDirectory() as name:
        samples = write_samples(Path(name), 300)
        write_catalogue(catalogue(resolve_inputs(samples)), Path(name) / "fileset.yaml")
        selection = shipped_folder("selections") / f"{SELECTION}.yaml"
        texts = [Path(name) / "fileset.yaml", selection]
        return fuzz(samples, texts, number, workers=2)


if __name__ == "__main__":
    json.dump(measure(int(sys.argv[1]) if sys.argv[1:] else 2000), sys.stdout, indent=2)
    print()
