"""How a box was chosen, as it is written down with the frozen box."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from na64reco.errors import InferenceError, did_you_mean
from na64reco.inference.background_record import BACKGROUND, read_background
from na64reco.inference.selected import ALL, ECAL
from na64reco.selection.model import ByPeriod

if TYPE_CHECKING:
    from na64reco.selection.model import Selection

__all__ = ["choice_for"]


def choice_for(selection: Selection, path: Path | str) -> dict[str, Any]:
    """The choice in background.json, if the selection's box follows it.

    Returns
    -------
    dict
        Plain values: date and SHA-256 of the file; by period the threshold in use, the best one,
        and the range that is as good; method, level and signal.

    Raises
    ------
    InferenceError
        If a period of the selection was not studied, its E_thr is not among the best, or lies in
        the part that was visible when it was chosen.
    """
    path = Path(path)
    path = path / BACKGROUND if path.is_dir() else path
    content = read_background(path)
    periods = {}
    for name, threshold in _thresholds(selection).items():
        # As named where several setups have periods of one name.
        key = name if name in content["periods"] else f"{selection.setup}-{name}"
        if key not in content["periods"]:
            msg = (
                f"{path} says nothing of the period {name!r} of {selection.name!r}. "
                f"{did_you_mean(name, content['periods'])}"
            )
            raise InferenceError(msg)
        found = content["periods"][key]["choice"]
        low, high = found["plateau_GeV"]
        if threshold > found["blinded_below_GeV"] + 1e-6:
            msg = (
                f"E_thr = {threshold:g} GeV of {selection.name!r}, period {name!r}: events above "
                f"{found['blinded_below_GeV']:g} GeV were visible when {path} was made. Choose "
                "from what was blinded."
            )
            raise InferenceError(msg)
        # Where the best lies in what was visible, the nearest that may be taken is the edge.
        least = min(low, found["blinded_below_GeV"])
        if not least - 1e-6 <= threshold <= high + 1e-6:
            msg = (
                f"E_thr = {threshold:g} GeV of {selection.name!r}, period {name!r}, is not what "
                f"{path} found best: {found['threshold_GeV']:g} GeV, or {low:g} to {high:g} GeV "
                "within 1 %. Change the selection, run it again and freeze that."
            )
            raise InferenceError(msg)
        periods[name] = {
            "threshold_GeV": threshold,
            "best_GeV": found["threshold_GeV"],
            "within_1_percent_GeV": [low, high],
            "method": found["method"],
            "cl": found["cl"],
            "signal": found["signal"],
        }
    return {
        "background_date": content["date"],
        "background_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "periods": periods,
    }


def _thresholds(selection: Selection) -> dict[str, float]:
    """E_thr by period."""
    bounds = {} if selection.blind is None else selection.regions[selection.blind]
    bound = bounds.get(ECAL, (None, None))[1]
    if bound is None:
        msg = (
            f"The selection {selection.name!r} blinds no region with an upper limit of {ECAL}: "
            "there is no E_thr to freeze."
        )
        raise InferenceError(msg)
    if isinstance(bound, ByPeriod):
        return dict(bound.values)
    return dict.fromkeys(selection.periods or (ALL,), bound)
