"""Cuts on the shower's shape that keep a share of electrons, from muon pairs, by energy.

An electron that made a pair of muons in the ECAL shows an electromagnetic shower of any energy,
and says so in the HCAL, where each module sees two minimum-ionising particles. The published
analyses set their cut to 95 % of such events (arXiv:2404.06982).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from na64reco.calibrate.profile_fit import cut_values
from na64reco.calibrate.sample import Tally, read_parts
from na64reco.calibrate.task import Result, Table
from na64reco.calibration.sdc import runs_text
from na64reco.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.calibrate.sample import Part
    from na64reco.calibrate.task import Task
    from na64reco.setup import Setup

__all__ = ["CUTS_FILE", "ShapeCuts", "calibrate_cuts", "energy_bins"]

CUTS_FILE: Final = "shape_cuts.yaml"
_STEP: Final = 5.0
"""GeV; bins are multiples of it, as in the published table."""
_FEWEST: Final = 200
"""Events of a bin; narrower ones are joined."""
_PAIR: Final = 2
_PRS: Final = 0.5
"""Least energy in the preshower, GeV (arXiv:2206.03101)."""
_PILE_UP: Final = 30.0
"""Largest energy out of time in the ECAL, GeV (public analyses)."""

Array = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, eq=False)
class ShapeCuts:
    """What was found."""

    setup: Setup
    efficiency: float
    energy: Array
    """`ecal.energy` of the pairs, GeV, shape (events,)."""
    chi2: Array
    """`ecal.chi2`."""
    edges: Array
    """GeV, shape (bins + 1,)."""
    cuts: Array
    """Largest `ecal.chi2` that is kept, shape (bins,)."""
    errors: Array
    """Their standard errors."""


def calibrate_cuts(task: Task) -> Result:
    """Find cuts on `ecal.chi2`, by `ecal.energy`, that keep `task.efficiency` of muon pairs.

    Writes them as a cut of a selection into shape_cuts.yaml, and no conditions. The shape is
    judged with the starting conditions' profile.

    Raises
    ------
    OutputExistsError
        If shape_cuts.yaml is there and not to be overwritten.
    DataError
        If a detector is missing, or there are too few pairs.
    """
    target = task.check_target(CUTS_FILE)
    tally = Tally()
    parts = [_pairs(part) for part in read_parts(task, tally, label="Muon pairs")]
    runs = tally.validity(task)
    energy, chi2 = (np.concatenate(column) for column in zip(*parts, strict=True))
    edges = energy_bins(energy)
    if len(edges) < _PAIR:
        msg = (
            f"{', '.join(task.files[:3])}: {len(energy)} muon pairs among {tally.text} (a track, "
            f"two minimum-ionising particles in each HCAL module, {_PRS:g} GeV in the preshower); "
            f"at least {_FEWEST} are needed. Give runs of the physics trigger, or simulated "
            "`dimuon` events"
        )
        raise DataError(msg)
    cuts, errors = cut_values(chi2, energy, edges, efficiency=task.efficiency)
    found = ShapeCuts(task.setup, task.efficiency, energy, chi2, edges, cuts, errors)
    comment = f"{task.efficiency:.3g} of {len(energy)} muon pairs: {tally.text}"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(_selection(found, comment), encoding="utf-8")
    return Result(
        runs=runs,
        written=(target,),
        summary={"pairs": len(energy), "efficiency": task.efficiency, "cuts": _entries(found)},
        tables=(_table(found, runs_text(runs)),),
        detail=found,
    )


def energy_bins(energy: NDArray[np.floating[Any]], *, fewest: int = _FEWEST) -> Array:
    """Edges from 0 on in steps of 5 GeV, joined such that each bin has enough events.

    Returns
    -------
    shape (bins + 1,), GeV; a single edge where there are too few in all
    """
    most = float(energy.max(initial=0.0))
    grid = np.arange(0.0, most + 2 * _STEP, _STEP)
    counts = np.histogram(energy, grid)[0]
    edges, events = [0.0], 0
    for upper, n in zip(grid[1:], counts, strict=True):
        events += int(n)
        if events >= fewest:
            edges.append(float(upper))
            events = 0
    # What is left above belongs to the last bin.
    if len(edges) > 1 and events:
        edges[-1] = float(grid[np.flatnonzero(counts)[-1] + 1])
    return np.array(edges)


def _pairs(part: Part) -> tuple[Array, Array]:
    for name in ("ECAL", "HCAL"):
        if not part.has(name):
            msg = (
                f"run {part.run}: there are no {name} hits; muon pairs are known by the HCAL, "
                "their showers by the ECAL. Give hit files with both, or a mapping (--mapping) "
                "that names their branches"
            )
            raise DataError(msg)
    columns = ("ecal.energy", "ecal.chi2", "ecal.energy_out", "prs.energy", "hcal.muons")
    found = part.columns((*columns, "track.found"))
    pair = (found["hcal.muons"] == _PAIR) & found["track.found"] & np.isfinite(found["ecal.chi2"])
    pair &= (found["prs.energy"] > _PRS) & (found["ecal.energy_out"] < _PILE_UP)
    energy, chi2 = (found[name][pair].astype(np.float64) for name in columns[:2])
    return energy, chi2


def _selection(found: ShapeCuts, comment: str) -> str:
    edges = ", ".join(f"{e:g}" for e in found.edges)
    values = ", ".join(f"{v:.4g}" for v in found.cuts)
    return (
        f"# {found.setup.title}: {comment}.\n"
        "# To be put into a selection behind `based_on: SELECTION`.\n"
        "cuts:\n"
        "  - name: shower shape\n"
        "    variable: ecal.chi2\n"
        f"    max: {{by: ecal.energy, edges: [{edges}], values: [{values}], "
        f"above: {found.cuts[-1]:.4g}}}\n"
    )


def _entries(found: ShapeCuts) -> list[dict[str, Any]]:
    rows = zip(found.edges[:-1], found.edges[1:], found.cuts, found.errors, strict=True)
    return [
        {"ecal.energy": [float(low), float(high)], "max": float(cut), "error": float(error)}
        for low, high, cut, error in rows
    ]


def _table(found: ShapeCuts, runs: str) -> Table:
    counts = np.histogram(found.energy, found.edges)[0]
    return Table(
        f"Cuts on ecal.chi2 that keep {found.efficiency:.3g} of muon pairs, runs {runs}",
        ("ecal.energy, GeV", "max", "+-", "events"),
        [
            (
                "{:g} to {:g}".format(*entry["ecal.energy"]),
                f"{entry['max']:.3g}",
                f"{entry['error']:.2g}",
                str(n),
            )
            for entry, n in zip(_entries(found), counts, strict=True)
        ],
        f"As a cut of a selection: {CUTS_FILE}",
    )
