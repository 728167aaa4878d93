"""run.json: what went in, what was done with it, and where every event went."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from na64reco.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable

    from na64reco.processors.collect import DatasetReport
    from na64reco.processors.job import RunReport
    from na64reco.processors.processor import SelectionProcessor

__all__ = ["run_record"]

_LIBRARIES = ("awkward", "coffea", "distributed", "hist", "numba", "numpy", "uproot")


# What is loaded does not change; to read it takes as long as a thousand events.
_version = cache(importlib.metadata.version)


def digest_of(content: Any) -> str:
    """SHA-256 of canonical JSON."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def run_record(
    report: RunReport,
    processor: SelectionProcessor,
    options: dict[str, Any],
    conditions: Iterable[tuple[int, str]],
) -> dict[str, Any]:
    """The content of run.json."""
    ledger = report.ledger
    selection = processor.selection.model_dump(mode="json", by_alias=True)
    setup = processor.setup.model_dump(mode="json")
    by_digest: dict[str, list[int]] = {}
    for run, digest in sorted(conditions):
        by_digest.setdefault(digest, []).append(run)
    box = processor.unblind
    return {
        "na64reco": __version__,
        "versions": {"python": platform.python_version()}
        | {name: _version(name) for name in _LIBRARIES},
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(report.seconds, 3),
        "options": options,
        "selection": {
            "name": processor.selection.name,
            "sha256": digest_of(selection),
            "content": selection,
        },
        "setup": {"name": processor.setup.name, "sha256": digest_of(setup)},
        "conditions": {
            "folder": None if processor.calib is None else str(processor.calib),
            "nearest": processor.nearest,
            "used": [{"sha256": d, "runs": runs} for d, runs in by_digest.items()],
        },
        "blinding": {
            "region": processor.selection.blind,
            "unblinded": box is not None,
            "frozen_box": None if box is None else asdict(box),
        },
        "files": {
            "given": len(ledger.files),
            "read": len(ledger.files) - len(ledger.skipped),
            "skipped": len(ledger.skipped),
        },
        "events": {
            "in_files": ledger.events_in_files,
            "read": ledger.events_read,
            "skipped": ledger.events_skipped,
        },
        "chunks": ledger.to_json()["chunks"],
        "inputs": [
            {key: value for key, value in vars(file).items() if key != "chunks"}
            for file in ledger.files
        ],
        "datasets": {dataset.name: _dataset(dataset) for dataset in report.datasets},
    }


def _dataset(dataset: DatasetReport) -> dict[str, Any]:
    return {
        "events": dataset.events,
        "simulated": dataset.simulated,
        "blinded": dataset.blinded,
        "selected": dataset.selected,
        "regions": dataset.cutflow.region_rows(),
        "cutflow": dataset.cutflow.to_json(),
    }
