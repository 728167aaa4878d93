"""Calibration of the ECAL from runs of the electron beam: scales and times of all cells."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from na64reco.calibrate.constants import write_constants
from na64reco.calibrate.ecal_scales import ScaleFit, Share, fit_scales
from na64reco.calibrate.electrons import Electrons, expected_share, leakage, read_electrons
from na64reco.calibrate.sample import Tally
from na64reco.calibrate.task import Result, Table, Task
from na64reco.calibration.sdc import runs_text
from na64reco.calorimeters import ShowerProfile

if TYPE_CHECKING:
    from na64reco.calibration.sdc import Value
    from na64reco.setup import Calorimeter, Setup

    Rows = dict[tuple[Value, ...], dict[str, Value | np.floating | np.integer]]

__all__ = ["FILE", "EcalCalibration", "calibrate_ecal", "uniformity"]

FILE: Final = "ecal.txt"
SHARE_UNCERTAINTY: Final = 0.1
"""Of the expected share in the preshower, relative: EGSnrc and parametrisations differ by 5 %, and
material in front of the ECAL shifts it."""
LEAKAGE: Final = 0.1
"""How well the share of a shower that leaks out sideways is known, relative: profiles of EGSnrc and
of a parametrisation tuned to it differ by as much in the tails. A part of the error of scales at
the rim."""
LEAKAGE_PRS: Final = 0.8
"""The same for the preshower: at the rim, early showers lose more than late ones, which looks like
a smaller scale of the preshower."""
FLOOR: Final = 0.0008
"""What the model of light collection and radiated photons leaves, relative."""
FLOOR_PRS: Final = 0.01
"""The same for the preshower's common scale, where leakage depends on the depth."""
UNIFORM: Final = 0.002
"""How equal the mean share in the preshower is, wherever inside showers hit, relative."""
RIM: Final = 0.05
"""How much the share in the preshower may differ at the rim, relative, where the wide tail of early
showers is lost."""
WORTH: Final = 0.05
"""Cells whose scale is not known better than this keep the starting one, relative."""


@dataclass(frozen=True, eq=False)
class EcalCalibration:
    """What was found."""

    setup: Setup
    electrons: Electrons
    fit: ScaleFit
    changed: np.ndarray[tuple[int], np.dtype[np.bool_]]
    """Cells whose scale is new, shape (cells,)."""


def calibrate_ecal(task: Task) -> Result:
    """Find scales and times of the ECAL's cells and write them into ecal.txt.

    Raises
    ------
    OutputExistsError
        If ecal.txt is there and not to be overwritten.
    DataError
        If the sample is not one of beam electrons.
    """
    task.check_target(FILE)
    tally = Tally()
    electrons = read_electrons(task, tally)
    runs = tally.validity(task)
    setup, ecal = task.setup, task.setup.ecal
    share = None
    profile = ShowerProfile.from_conditions(electrons.conditions.shower_profile)
    if next(iter(ecal.sections)) == "prs":
        value = expected_share(profile, setup.beam.momentum)
        share = Share(value, SHARE_UNCERTAINTY * value, uniformity(ecal))
    with task.progress("ECAL", "rounds"):
        fit = fit_scales(
            electrons.amplitude,
            electrons.energy,
            electrons.conditions.ecal.scale.ravel(),
            ecal.shape,
            impact=electrons.impact,
            share=share,
            where=", ".join(task.files[:3]),
        )
    lost = np.abs(np.tile(leakage(profile, ecal, setup.beam.momentum), len(ecal.sections)))
    unsure = FLOOR + LEAKAGE * lost
    if share is not None:
        unsure[: ecal.nx * ecal.ny] = FLOOR_PRS + LEAKAGE_PRS * lost[: ecal.nx * ecal.ny]
    fit = replace(fit, error=np.hypot(fit.error, unsure * fit.scale))
    relative = np.divide(fit.error, fit.scale, out=np.ones(len(fit.scale)), where=fit.scale > 0)
    changed = (fit.scale > 0) & (relative < WORTH) & (fit.entries > 0)
    found = EcalCalibration(setup, electrons, fit, changed)
    written = write_constants(
        task,
        FILE,
        _rows(ecal, found),
        runs=runs,
        comment=f"electrons of {setup.beam.momentum:g} GeV: {tally.text}",
    )
    return Result(
        runs=runs,
        written=written,
        summary=_summary(ecal, found),
        tables=(_table(ecal, found, runs_text(runs)),),
        warnings=_warnings(ecal, found),
        detail=found,
    )


def uniformity(ecal: Calorimeter) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """How equal the share in the preshower is taken to be by column, relative."""
    x, y = np.divmod(np.arange(ecal.nx * ecal.ny), ecal.ny)
    rim = (x == 0) | (x == ecal.nx - 1) | (y == 0) | (y == ecal.ny - 1)
    return np.where(rim, RIM, UNIFORM)


def _cells(ecal: Calorimeter) -> dict[int, tuple[str, int, int]]:
    """Keys of the cells that there are, by their flat number."""
    names = list(ecal.sections)
    keys = {}
    for cell in range(int(np.prod(ecal.shape))):
        section, ix, iy = (int(i) for i in np.unravel_index(cell, ecal.shape))
        if (ix, iy) not in ecal.hole:
            keys[cell] = (names[section], ix, iy)
    return keys


def _rows(ecal: Calorimeter, found: EcalCalibration) -> Rows:
    fit, times, start = found.fit, found.electrons.times, found.electrons.conditions.ecal
    rows: Rows = {}
    for cell, key in _cells(ecal).items():
        index = np.unravel_index(cell, ecal.shape)
        new, timed = found.changed[cell], times.known[index]
        rows[key] = {
            "scale": fit.scale[cell] if new else start.scale[index],
            "time": times.time[index] if timed else start.time[index],
            "time_width": times.time_width[index] if timed else start.time_width[index],
            "threshold": start.threshold[index],
            "scale_error": fit.error[cell] if new else 0.0,
            "time_error": times.time_error[index] if timed else 0.0,
            "time_width_error": times.time_width_error[index] if timed else 0.0,
            "entries": int(fit.entries[cell]) if new else 0,
        }
    return rows


def _summary(ecal: Calorimeter, found: EcalCalibration) -> dict[str, object]:
    fit = found.fit
    return {
        "events": int(np.count_nonzero(fit.weight)),
        "rounds": fit.rounds,
        "converged": fit.converged,
        "resolution": fit.resolution,
        "preshower_share": fit.share,
        "preshower_share_error": fit.share_error,
        "momentum_scale": found.electrons.momentum_scale,
        "cells": [
            {
                "section": key[0],
                "ix": key[1],
                "iy": key[2],
                "scale": float(fit.scale[cell]),
                "scale_error": float(fit.error[cell]),
                "entries": int(fit.entries[cell]),
                "energy_share": float(fit.energy_share[cell]),
                "new": bool(found.changed[cell]),
            }
            for cell, key in _cells(ecal).items()
        ],
        "dead": [list(_cells(ecal)[cell]) for cell in fit.dead],
    }


def _table(ecal: Calorimeter, found: EcalCalibration, runs: str) -> Table:
    fit, start = found.fit, found.electrons.conditions.ecal.scale.ravel()
    rows = [
        (
            f"{key[0]} {key[1]} {key[2]}",
            f"{100 * fit.energy_share[cell]:.2f}",
            f"{1e3 * fit.scale[cell]:.4f}",
            f"{100 * fit.error[cell] / fit.scale[cell]:.2f}",
            f"{100 * (fit.scale[cell] / start[cell] - 1):+.2f}",
            str(fit.entries[cell]),
        )
        for cell, key in _cells(ecal).items()
        if found.changed[cell]
    ]
    note = (
        f"{np.count_nonzero(fit.weight)} electrons, resolution {100 * fit.resolution:.2f} %, "
        f"{len(_cells(ecal)) - len(rows)} cells keep their starting scale"
    )
    return Table(
        f"ECAL, runs {runs}",
        ("cell", "energy, %", "scale, MeV/count", "+-, %", "change, %", "events"),
        rows,
        note,
    )


def _warnings(ecal: Calorimeter, found: EcalCalibration) -> tuple[str, ...]:
    fit, warnings = found.fit, []
    if not fit.converged:
        warnings.append(
            f"the ECAL's scales did not settle in {fit.rounds} rounds; start again from the file "
            "that was written (--calib)"
        )
    for cell in fit.dead:
        name = " ".join(map(str, _cells(ecal)[cell]))
        warnings.append(f"ECAL cell {name} never has a signal; showers around it are left out")
    if found.electrons.impact is None:
        warnings.append(
            "no tracks: all electrons are taken to have the beam's momentum, and the light "
            "collection is not fitted"
        )
    return tuple(warnings)
