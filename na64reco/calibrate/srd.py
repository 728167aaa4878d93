"""Calibration of the SRD with the synchrotron spectrum of beam electrons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from na64reco.calibrate.constants import write_constants
from na64reco.calibrate.mip import fit_mip
from na64reco.calibrate.sample import Tally, read_parts
from na64reco.calibrate.synchrotron_spectrum import (
    DOUBLE,
    FEWEST,
    SpectrumFit,
    critical_energy,
    fit_spectrum,
    photons_caught,
)
from na64reco.calibrate.task import Result, Table, Task
from na64reco.calibrate.times import TimeFit, channel_index, fit_times
from na64reco.calibration.sdc import runs_text
from na64reco.errors import DataError, SetupError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.calibration import CellConditions, Conditions
    from na64reco.calibration.sdc import Value
    from na64reco.setup import Setup

    Rows = dict[tuple[Value, ...], dict[str, Value | np.floating | np.integer]]

__all__ = ["FILE", "SrdCalibration", "calibrate_srd"]

FILE: Final = "srd.txt"
_IN_TIME: Final = 3.0
_TWO: Final = 1.6
"""Two particles if all counters of the trigger have more than this of their peak."""


@dataclass(frozen=True, eq=False)
class SrdCalibration:
    """What was found."""

    setup: Setup
    times: TimeFit
    fits: dict[int, SpectrumFit]
    """By module."""
    critical: float
    """Critical energy, GeV."""
    start: CellConditions


def calibrate_srd(task: Task) -> Result:
    """Find scales and times of the SRD's modules and write them into srd.txt.

    Raises
    ------
    OutputExistsError
        If srd.txt is there and not to be overwritten.
    SetupError
        If the setup has no SRD, or no electron beam and field.
    DataError
        If no module shows the spectrum.
    """
    setup = task.setup
    bends = any(m.field for m in setup.magnets.values())
    if setup.srd is None or setup.beam.particle == "muon" or not bends:
        msg = f"The setup {setup.name} has no SRD that sees synchrotron photons of electrons."
        raise SetupError(msg)
    task.check_target(FILE)
    tally = Tally()
    pulses, counters, conditions = _read(task, tally)
    runs = tally.validity(task)
    assert conditions is not None
    start = conditions.srd
    channel, time, amplitude, _ = pulses
    times = fit_times(channel, time, start.time_width)
    middle = np.where(times.known, times.time, start.time)
    width = np.where(times.known, times.time_width, start.time_width)
    good = (channel >= 0) & (np.abs(time - middle[channel]) < _IN_TIME * width[channel])
    double = _double(setup, conditions, counters, tally.events, _IN_TIME * float(width.mean()))
    critical, photons = critical_energy(setup), photons_caught(setup)
    fits = {}
    for module in range(setup.srd.modules):
        fit = fit_spectrum(
            amplitude[good & (channel == module)],
            critical,
            setup.srd.resolution,
            1 / float(start.scale[module]),
            electrons=tally.events,
            photons=float(photons[module]),
            double=double,
        )
        if fit is not None and fit.chi2 < 10 * fit.ndf:
            fits[module] = fit
    if not fits:
        msg = (
            f"{', '.join(task.files[:3])}: no module of the SRD shows the synchrotron spectrum of "
            f"electrons among {tally.text}: {int(good.sum())} signals in time, at least {FEWEST} "
            f"per module above {0.25e3 * critical:.1f} MeV are needed, about "
            f"{np.mean(photons):.1f} photons per electron. Give runs of the electron beam with the "
            "magnets on"
        )
        raise DataError(msg)
    found = SrdCalibration(setup, times, fits, critical, start)
    rows = _rows(found)
    written = write_constants(
        task, FILE, rows, runs=runs, comment=f"synchrotron spectrum: {tally.text}"
    )
    return Result(
        runs=runs,
        written=written,
        summary={
            "critical_energy_MeV": 1e3 * critical,
            "modules": [
                {
                    "module": module,
                    "scale": 1 / fit.counts_per_gev,
                    "scale_error": fit.counts_per_gev_error / fit.counts_per_gev**2,
                    "photons": fit.photons,
                    "photons_expected": float(photons[module]),
                    "entries": fit.entries,
                    "chi2": fit.chi2,
                    "ndf": fit.ndf,
                }
                for module, fit in fits.items()
            ],
        },
        tables=(_table(found, photons, runs_text(runs)),),
        detail=found,
    )


_Flat = tuple["NDArray[Any]", "NDArray[Any]", "NDArray[Any]", "NDArray[Any]"]


def _read(task: Task, tally: Tally) -> tuple[_Flat, _Flat | None, Conditions | None]:
    """Pulses (channel, time, amplitude, event) of the SRD and the counters."""
    first: Conditions | None = None
    srd: list[tuple[Any, ...]] = []
    counters: list[tuple[Any, ...]] = []
    for part in read_parts(task, tally):
        if not part.has("SRD"):
            msg = (
                f"{', '.join(task.files[:3])}: no SRD hits. Give hit files with this detector, or "
                "a mapping (--mapping) that names its branches"
            )
            raise DataError(msg)
        first = first or part.conditions
        shift = tally.events - len(part)
        for name, axis, size, into in (
            ("SRD", "ix", task.setup.srd.modules if task.setup.srd else 0, srd),
            ("Counter", "id", 16, counters),
        ):
            if part.has(name):
                hits = part.pulses(name, (axis, "amplitude", "time"))
                into.append(
                    (
                        channel_index(hits, (size,), (axis,)),
                        hits["time"],
                        hits["amplitude"].astype(np.float64),
                        hits.event_index() + shift,
                    )
                )
    if first is None:
        tally.validity(task)  # says why there are none
    return _join(srd), _join(counters) if counters else None, first


def _join(parts: list[tuple[Any, ...]]) -> _Flat:
    channel, time, amplitude, event = (np.concatenate(c) for c in zip(*parts, strict=True))
    return channel, time, amplitude, event


def _double(
    setup: Setup, conditions: Conditions, counters: _Flat | None, events: int, window: float
) -> tuple[float, float]:
    """Share of events in which all counters of the trigger saw two particles; its uncertainty."""
    if counters is None or not setup.trigger.coincidence:
        return DOUBLE
    channel, time, amplitude, event = counters
    two = np.ones(events, np.bool_)
    for name in setup.trigger.coincidence:
        counter = setup.counters[name]
        own = channel == counter.id
        own &= np.abs(time - conditions.counters.time[counter.id]) < window
        peak = fit_mip(amplitude[own], counter.mip / conditions.counters.scale[counter.id])
        if peak is None:
            return DOUBLE
        total = np.bincount(event[own], amplitude[own], events)
        two &= total > _TWO * peak.most_probable
    share = float(two.mean())
    # Unequal signals of two electrons stay in time longer than the counters tell.
    return share, 0.3 * share + 0.001


def _rows(found: SrdCalibration) -> Rows:
    rows: Rows = {}
    times, start = found.times, found.start
    for module in range(len(start.scale)):
        fit, timed = found.fits.get(module), times.known[module]
        rows[module,] = {
            "scale": start.scale[module] if fit is None else 1 / fit.counts_per_gev,
            "time": times.time[module] if timed else start.time[module],
            "time_width": times.time_width[module] if timed else start.time_width[module],
            "threshold": start.threshold[module],
            "scale_error": 0.0 if fit is None else fit.counts_per_gev_error / fit.counts_per_gev**2,
            "time_error": times.time_error[module] if timed else 0.0,
            "time_width_error": times.time_width_error[module] if timed else 0.0,
            "entries": 0 if fit is None else fit.entries,
        }
    return rows


def _table(found: SrdCalibration, photons: NDArray[np.float64], runs: str) -> Table:
    rows = [
        (
            f"module {module}",
            f"{1e6 / fit.counts_per_gev:.3f}",
            f"{100 * fit.counts_per_gev_error / fit.counts_per_gev:.2f}",
            f"{100 * (1 / fit.counts_per_gev / found.start.scale[module] - 1):+.2f}",
            f"{fit.photons:.2f}",
            f"{photons[module]:.2f}",
            f"{fit.chi2 / fit.ndf:.2f}",
            str(fit.entries),
        )
        for module, fit in found.fits.items()
    ]
    return Table(
        f"SRD, runs {runs}",
        ("", "scale, keV/count", "+-, %", "change, %", "photons", "expected", "chi2/ndf", "events"),
        rows,
        f"Critical energy {1e3 * found.critical:.2f} MeV",
    )
