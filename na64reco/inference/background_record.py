"""background.json: everything that was found about background and box, for people and for tests."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from na64reco.errors import InferenceError
from na64reco.inference.background import CL
from na64reco.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

    from na64reco.inference.background import Component, Sideband
    from na64reco.inference.box import BoxChoice, Scan
    from na64reco.inference.estimate import PeriodEstimate

__all__ = ["BACKGROUND", "background_record", "read_background"]

BACKGROUND = "background.json"
"""Name of the file."""


def background_record(found: Sequence[PeriodEstimate], folders: Sequence[Path]) -> dict[str, Any]:
    """The content of background.json: numbers, null for what is not known."""
    content = {
        "format": 1,
        "na64reco": __version__,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "folders": [str(f) for f in folders],
        "selection": found[0].selection,
        "periods": {p.label: _period(p) for p in found},
    }
    result: dict[str, Any] = _known(content)
    return result


def _period(found: PeriodEstimate) -> dict[str, Any]:
    return {
        "setup": found.data.setup,
        "box": asdict(found.data.box),
        "observed": found.data.observed,
        "components": [_component(c) for c in found.components],
        "total": {
            "expected": found.counting.background.value,
            "error": found.counting.background.error,
        },
        "correlations": "statistical errors independent; systematic errors of components marked "
        "as correlated are common to all periods; components independent of each other",
        "sidebands": {
            "A": _sideband(found.upstream),
            "C": _sideband(found.punch_through),
        },
        "closure": [asdict(c) for c in found.closure],
        "choice": _choice(found.choice),
        "notes": list(found.counting.notes),
    }


def _component(found: Component) -> dict[str, Any]:
    return {**asdict(found), "upper_cl": CL, "limit_only": found.limit_only}


def _sideband(found: Sideband) -> dict[str, Any]:
    return {
        "variable": f"{found.variable}.energy",
        "fitted_GeV": list(found.window),
        "box_GeV": list(found.box),
        "events": found.fit.events,
        "weight": found.fit.total,
        "shapes": {
            name: {
                "formula": fit.shape.formula,
                "parameters": dict(zip(fit.shape.parameters, fit.theta.tolist(), strict=True)),
                "at_limit": list(fit.at_limit),
                "aic": fit.aic,
                "akaike_weight": found.shape_weights[name],
                "goodness": asdict(found.goodness[name]) if name in found.goodness else None,
                "box": asdict(found.results[name]),
            }
            for name, fit in found.fits.items()
        },
        "log_error": {
            "propagated": found.nominal.log_error,
            "sampled": found.sampled,
            "toys": found.toys,
        },
        "model_error": found.model_error,
        "upper_end_varied": found.ranges,
    }


def _choice(found: BoxChoice) -> dict[str, Any]:
    return {
        "threshold_GeV": found.threshold,
        "plateau_GeV": list(found.ecal.plateau),
        "blinded_below_GeV": found.blinded,
        "reaches_what_was_seen": found.seen,
        "method": found.method,
        "cl": found.cl,
        "signal": found.signal,
        "ecal": _scan(found.ecal),
        "hcal": _scan(found.hcal),
    }


def _scan(found: Scan) -> dict[str, Any]:
    arrays = ("thresholds", "background", "error", "efficiency", "limit", "reach")
    return {name: getattr(found, name).tolist() for name in arrays}


def _known(value: Any) -> Any:
    """JSON has no infinity and no NaN: null."""
    if isinstance(value, dict):
        return {str(k): _known(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_known(v) for v in value]
    if isinstance(value, float):  # numpy's too
        return float(value) if math.isfinite(value) else None
    return value


def read_background(path: Path | str) -> dict[str, Any]:
    """Read background.json, of a folder or by its own path.

    Raises
    ------
    InferenceError
        If it is not there or no such file.
    """
    path = Path(path)
    path = path / BACKGROUND if path.is_dir() else path
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        _ = content["periods"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        msg = (
            f"{path} is not what `na64reco background` writes ({error}); run it on the output "
            "folders."
        )
        raise InferenceError(msg) from None
    return content
