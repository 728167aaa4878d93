"""The expected shower of electrons in the ECAL, from runs of the electron beam."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from na64reco.calibrate.constants import write_constants
from na64reco.calibrate.profile_fit import ProfileFit, ShowerSample, cut_values, fit_profile
from na64reco.calibrate.sample import Tally, read_parts
from na64reco.calibrate.task import Result, Table
from na64reco.calibration.sdc import runs_text
from na64reco.calorimeters import ShowerProfile, cell_energies, shower_chi2
from na64reco.errors import DataError
from na64reco.events import TRIGGER_BITS

if TYPE_CHECKING:
    from na64reco.calibrate.sample import Part
    from na64reco.calibrate.task import Task
    from na64reco.setup import Calorimeter

__all__ = [
    "FILE",
    "ProfileDetail",
    "calibrate_profile",
    "join_samples",
    "read_showers",
]

FILE: Final = "ecal.txt"
FIELDS: Final = ("section", "ix", "iy", "amplitude", "time")
_MOST: Final = 40_000
_EDGES: Final = np.array([0, 7, 14, 30, 45, 60, 80, 120, 200], dtype=np.float64)
"""GeV."""


@dataclass(frozen=True, eq=False)
class ProfileDetail:
    """What was found."""

    fit: ProfileFit
    sample: ShowerSample
    ecal: Calorimeter


def calibrate_profile(task: Task) -> Result:
    """Fit the shower profile to electrons with tracks and write its keys into ecal.txt.

    Raises
    ------
    OutputExistsError
        If ecal.txt is there and not to be overwritten.
    DataError
        If there is no ECAL, or too few electrons with a track.
    """
    task.check_target(FILE)
    tally = Tally()
    parts: list[ShowerSample] = []
    start: ShowerProfile | None = None
    for part in read_parts(task, tally, label="Showers"):
        start = start or ShowerProfile.from_conditions(part.conditions.shower_profile)
        parts.append(read_showers(part))
        if sum(map(len, parts)) >= _MOST:
            break
    runs = tally.validity(task)
    assert start is not None
    sample = join_samples(parts)
    ecal = task.setup.ecal
    fit = fit_profile(sample, ecal, start)
    written = write_constants(
        task,
        FILE,
        {},
        runs=runs,
        comment=f"shower profile of {fit.used} electrons: {tally.text}",
        metadata={f"profile.{n}": float(f"{v:.6g}") for n, v in fit.profile.parameters().items()},
    )
    cuts = _cuts(sample, ecal, fit.profile, task.efficiency)
    return Result(
        runs=runs,
        written=written,
        summary={
            "events": fit.used,
            "dropped": fit.dropped,
            "efficiency": task.efficiency,
            "profile": fit.profile.parameters(),
            "cuts": cuts,
        },
        tables=(_table(cuts, fit, runs_text(runs), task.efficiency),),
        detail=ProfileDetail(fit, sample, ecal),
    )


def read_showers(part: Part) -> ShowerSample:
    """Electrons of the beam trigger that have a track into the ECAL.

    Raises
    ------
    DataError
        If there is no ECAL, or no tracker.
    """
    if not part.has("ECAL") or not (part.has("MM") or part.has("GEM")):
        msg = (
            f"run {part.run}: the shower profile needs ECAL hits and tracks (MM or GEM). Give "
            "hit files with both, or a mapping (--mapping) that names their branches"
        )
        raise DataError(msg)
    columns = part.columns(("track.found", "track.x_ecal", "track.y_ecal"))
    x, y = (columns[f"track.{a}_ecal"].astype(np.float64) for a in "xy")
    ecal = part.setup.ecal
    bits = part.scalar("trigger")
    # A file without trigger bits set is one that was taken whatever happened.
    free = ((bits & (TRIGGER_BITS["beam"] | TRIGGER_BITS["random"])) != 0) | (bits == 0)
    with np.errstate(invalid="ignore"):
        inside = (np.abs(x) < 0.5 * ecal.nx * ecal.cell_x) & (
            np.abs(y) < 0.5 * ecal.ny * ecal.cell_y
        )
    chosen = np.flatnonzero(free & columns["track.found"] & inside)
    hits = part.pulses("ECAL", FIELDS).select(chosen)
    energies = cell_energies(hits, part.conditions.ecal, ecal.shape).in_time
    beam = np.full(len(chosen), part.setup.beam.momentum)
    return ShowerSample(energies, x[chosen], y[chosen], beam, part.conditions.ecal.threshold)


def join_samples(parts: list[ShowerSample]) -> ShowerSample:
    """One after the other; thresholds are those of the first."""
    return ShowerSample(
        energies=np.concatenate([p.energies for p in parts]),
        x=np.concatenate([p.x for p in parts]),
        y=np.concatenate([p.y for p in parts]),
        beam=np.concatenate([p.beam for p in parts]),
        threshold=parts[0].threshold,
    )


def _cuts(
    sample: ShowerSample, ecal: Calorimeter, profile: ShowerProfile, efficiency: float
) -> list[dict[str, Any]]:
    """Cuts on `ecal.chi2` that keep the efficiency, against `ecal.energy`."""
    chi2 = shower_chi2(sample.energies, sample.x, sample.y, profile, ecal, sample.threshold)
    energy = sample.energies.sum(axis=(1, 2, 3))
    clean = chi2 < 4 * np.nanquantile(chi2, efficiency)
    values, errors = cut_values(chi2[clean], energy[clean], _EDGES, efficiency=efficiency)
    return [
        {"ecal.energy": [float(low), float(high)], "max": float(value), "error": float(error)}
        for low, high, value, error in zip(_EDGES[:-1], _EDGES[1:], values, errors, strict=True)
        if np.isfinite(value)
    ]


def _table(cuts: list[dict[str, Any]], fit: ProfileFit, runs: str, efficiency: float) -> Table:
    return Table(
        f"Shower profile, runs {runs}: cuts on ecal.chi2 that keep {efficiency:.3g} of electrons",
        ("ecal.energy, GeV", "max", "+-"),
        [
            (
                f"{c['ecal.energy'][0]:g} to {c['ecal.energy'][1]:g}",
                f"{c['max']:.3g}",
                f"{c['error']:.2g}",
            )
            for c in cuts
        ],
        f"{fit.used} electrons, {fit.dropped} left out: no impact point, another energy, or a "
        "second particle",
    )
