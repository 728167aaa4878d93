"""Adding results of the same dataset."""

from __future__ import annotations

from na64reco.processors.processor import Result

__all__ = ["add_results"]


def add_results(a: Result, b: Result) -> Result:
    """Join two results of the same dataset; the histograms of the first are added to in place."""
    for name, histogram in b["histograms"].items():
        a["histograms"][name] += histogram
    seen = dict(a["seen"])
    for source, intervals in b["seen"].items():
        seen[source] = seen[source] + intervals if source in seen else intervals
    return Result(
        kind=a["kind"] + b["kind"],
        events=a["events"] + b["events"],
        cutflow=a["cutflow"] + b["cutflow"],
        counts=a["counts"] + b["counts"],
        histograms=a["histograms"],
        skim=a["skim"] + b["skim"],
        seen=seen,
        conditions=a["conditions"] | b["conditions"],
    )
