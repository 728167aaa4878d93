"""What an installation needs, looked at piece by piece."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Finding", "examine", "requirement_finding"]

_MEMORY: Final = 2.0
"""GB below which there is a warning; a chunk of 50,000 events takes less than one."""
_DISK: Final = 1.0
"""GB."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    subject: str
    verdict: Literal["ok", "warning", "wrong"]
    found: str


def examine() -> list[Finding]:
    """Everything; what fails is a finding, never an exception."""
    return [
        Finding("python", "ok", f"{platform.python_version()} at {sys.executable}"),
        *_requirements(),
        *_compiler(),
        *_resources(),
        *_optional(),
        *_shipped(),
    ]


def _requirements() -> Iterator[Finding]:
    try:
        needed = importlib.metadata.requires("na64reco") or []
    except importlib.metadata.PackageNotFoundError:
        text = "not installed as a package; `pip install .` in the checkout"
        yield Finding("na64reco", "wrong", text)
        return
    yield Finding("na64reco", "ok", importlib.metadata.version("na64reco"))
    for text in needed:
        if "extra ==" not in text:
            yield requirement_finding(text)


def requirement_finding(text: str) -> Finding:
    """Whether a requirement such as ``numpy>=2.1,<3`` is met.

    >>> requirement_finding("there-is-no-such-thing>=1").verdict
    'wrong'
    """
    text = text.partition(";")[0].strip()
    match = re.fullmatch(r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])?\s*\(?([^)]*)\)?", text)
    if match is None:
        return Finding(text, "warning", "a requirement that is not understood")
    name, wanted = match[1], match[2].strip()
    try:
        have = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return Finding(name, "wrong", f"missing; needs {wanted or 'any'}: pip install {name!r}")
    missed = [part for part in wanted.split(",") if part and not _meets(have, part.strip())]
    if missed:
        return Finding(name, "wrong", f"{have} is not {', '.join(missed)}: pip install '{text}'")
    return Finding(name, "ok", f"{have} ({wanted})" if wanted else have)


def _meets(have: str, wanted: str) -> bool:
    match = re.fullmatch(r"(>=|<=|==|!=|<|>|~=)\s*([\w.*+!-]+)", wanted)
    if match is None:
        return True
    sign, version = match.groups()
    mine, limit = _numbers(have), _numbers(version)
    if version.endswith(".*"):
        same = mine[: len(limit)] == limit
        return same if sign == "==" else not same
    length = max(len(mine), len(limit))
    a, b = (v + (0,) * (length - len(v)) for v in (mine, limit))
    if sign == "~=":
        return a >= b and mine[: len(limit) - 1] == limit[:-1]
    results = {">=": a >= b, "<=": a <= b, "==": a == b, "!=": a != b, "<": a < b, ">": a > b}
    return results[sign]


def _numbers(version: str) -> tuple[int, ...]:
    """The release's numbers: ``2.0.1rc1`` is (2, 0, 1)."""
    match = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(part) for part in match[0].split(".")) if match else ()


def _compiler() -> Iterator[Finding]:
    try:
        import numba
        import numpy as np

        start = time.perf_counter()

        @numba.njit
        def total(values):  # type: ignore[no-untyped-def]
            result = 0.0
            for value in values:
                result += value
            return result

        right = total(np.arange(10.0)) == 45.0
        seconds = time.perf_counter() - start
        text = f"compiles and runs ({seconds:.1f} s), {numba.get_num_threads()} threads"
        yield Finding("numba", "ok" if right else "wrong", text if right else "gives a wrong sum")
    except Exception as error:  # whatever it is, it is the finding
        yield Finding("numba", "wrong", f"does not compile: {type(error).__name__}: {error}")
        return
    wanted = os.environ.get("NUMBA_CACHE_DIR")
    folder = Path(wanted) if wanted else Path(__file__).resolve().parent
    if _writable(folder):
        yield Finding("compiler's cache", "ok", f"{folder} is writable")
    else:
        text = f"{folder} is not writable; kernels go to the user's own cache, if there is one"
        yield Finding("compiler's cache", "warning", f"{text}, or set NUMBA_CACHE_DIR")


def _writable(folder: Path) -> bool:
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _resources() -> Iterator[Finding]:
    memory = _free_memory()
    if memory is not None:
        verdict: Literal["ok", "warning"] = "ok" if memory >= _MEMORY else "warning"
        note = "" if memory >= _MEMORY else "; a smaller --chunk-size needs less"
        yield Finding("free memory", verdict, f"{memory:.1f} GB{note}")
    here = Path.cwd()
    disk = shutil.disk_usage(here).free / 1e9
    yield Finding("free disk", "ok" if disk >= _DISK else "warning", f"{disk:.1f} GB in {here}")
    yield Finding("processors", "ok", str(os.cpu_count()))


# What it is for, how to tell that it is there, where it is from.
_OPTIONAL: Final = (
    (
        "dask-jobqueue",
        "dask_jobqueue",
        "clusters with a batch system",
        "pip install 'na64reco[cluster]'",
    ),
    ("xrootd", "fsspec_xrootd", "files at root:// addresses", "pip install 'na64reco[xrootd]'"),
)
_TOOLS: Final = (("chromium", "tests of pages"), ("node", "tests of ROOT files in a browser"))


def _optional() -> Iterator[Finding]:
    """What only some people need; that it is not there is nothing wrong."""
    for name, module, use, source in _OPTIONAL:
        there = importlib.util.find_spec(module) is not None
        yield Finding(name, "ok", f"for {use}" if there else f"not there; for {use}: {source}")
    for name, use in _TOOLS:
        path = shutil.which(name)
        yield Finding(name, "ok", path or f"not there; only for {use}")


def _free_memory() -> float | None:
    """GB that Linux can give; None elsewhere."""
    try:
        text = Path("/proc/meminfo").read_text(encoding="ascii")
    except OSError:
        return None
    match = re.search(r"^MemAvailable:\s+(\d+) kB", text, flags=re.MULTILINE)
    return int(match[1]) * 1024 / 1e9 if match else None


def _shipped() -> Iterator[Finding]:
    """Setups, selections and conditions; the first problem of each kind is told."""
    from na64reco.calibration import load_conditions
    from na64reco.resources import shipped_folder
    from na64reco.selection import list_selections, load_selection
    from na64reco.setup import list_setups, load_setup

    problems: dict[str, list[str]] = {"setups": [], "selections": [], "conditions": []}
    setups = []
    for name in list_setups():
        try:
            setups.append(load_setup(name))
        except Exception as error:  # whatever it is, it is the finding
            problems["setups"].append(f"{name}: {error}")
    yield _verdict("setups", len(list_setups()), problems["setups"])
    try:
        selections = list_selections()
    except FileNotFoundError as error:
        selections = ()
        problems["selections"].append(str(error))
    for name in selections:
        try:
            load_selection(name)
        except Exception as error:  # whatever it is, it is the finding
            problems["selections"].append(f"{name}: {error}")
    yield _verdict("selections", len(selections), problems["selections"])
    known = 0
    for setup in setups:
        try:
            if not (shipped_folder("calib") / setup.name).is_dir():
                continue
            known += 1
            load_conditions(setup, setup.runs[0], nearest=True)
        except Exception as error:  # whatever it is, it is the finding
            problems["conditions"].append(f"{setup.name}: {error}")
    yield _verdict("conditions", known, problems["conditions"])


def _verdict(subject: str, number: int, problems: list[str]) -> Finding:
    if problems:
        return Finding(subject, "wrong", f"{len(problems)} of {number} do not load: {problems[0]}")
    return Finding(subject, "ok" if number else "wrong", f"{number} load")
