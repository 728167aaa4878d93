"""Electrons of calibration runs as arrays: amplitudes, expected energies, impact points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from na64reco.calibrate.sample import Tally, read_parts
from na64reco.calibrate.times import TimeFit, channel_index, fit_times
from na64reco.calibration import CellConditions
from na64reco.calorimeters import ShowerProfile, cell_energies
from na64reco.calorimeters.profile import REFERENCE_ENERGY
from na64reco.constants import ELECTRON_MASS
from na64reco.errors import DataError
from na64reco.events import TRIGGER_BITS
from na64reco.tracking.material import synchrotron

if TYPE_CHECKING:
    from na64reco.calibrate.sample import Part
    from na64reco.calibrate.task import Task
    from na64reco.calibration import Conditions
    from na64reco.setup import Calorimeter, Setup

__all__ = [
    "Electrons",
    "contained",
    "electron_energy",
    "expected_share",
    "leakage",
    "read_electrons",
]

Array = NDArray[np.float64]

FIELDS: Final = ("section", "ix", "iy", "amplitude", "time")
_TRACK: Final = ("track.found", "track.momentum", "track.x_ecal", "track.y_ecal")
_FOR_TIMES: Final = 100_000
"""Events whose pulses serve to fit the times: enough for 0.01 ns."""
_MOMENTUM: Final = 0.05
"""Tracks further from the beam's momentum are left out: radiated upstream, or other particles."""
_TRACKED: Final = 0.2
"""With fewer events with a track, tracks are not used."""
_FREE: Final = 0.5
"""Largest share of events that the physics trigger, too, would have taken."""


@dataclass(frozen=True, eq=False)
class Electrons:
    """Events of the beam trigger."""

    amplitude: NDArray[np.float32]
    """In time, ADC counts, shape (events, cells), cells in the order (section, ix, iy)."""
    energy: Array
    """That the ECAL should show: GeV, shape (events,); NaN where the track is not the beam's."""
    impact: Array | None
    """In the cell hit, in units of its size from its middle, shape (events, 2); None without
    tracks."""
    run: NDArray[np.int64]
    spill: NDArray[np.int64]
    spill_time: NDArray[np.float64]
    """s since the beginning of the spill; NaN where the file does not say."""
    times: TimeFit
    conditions: Conditions
    """Those to start from, of the first run."""
    momentum_scale: float
    """By which the tracks' momenta were multiplied so that they peak at the beam's."""


def electron_energy(setup: Setup, momentum: Array) -> Array:
    """Energy with which electrons arrive: less the mean that they radiate in the magnets."""
    loss = sum(
        synchrotron(setup.beam.momentum, ELECTRON_MASS, m.field, m.length).mean
        for m in setup.magnets.values()
    )
    return momentum - loss * (momentum / setup.beam.momentum) ** 2


def contained(
    profile: ShowerProfile, ecal: Calorimeter, x: Array, y: Array, energy: float
) -> Array:
    """Share of a shower that the cells hold, relative to one at the middle of the beam's cell.

    Parameters
    ----------
    x, y
        Impact point in the ECAL's frame, mm, shape (events,).
    """
    ix, iy = ecal.beam_cell or (ecal.nx // 2, ecal.ny // 2)
    centre = _inside(profile, ecal, ecal.x_centres[[ix]], ecal.y_centres[[iy]], energy)
    return _inside(profile, ecal, x, y, energy) / centre


def leakage(profile: ShowerProfile, ecal: Calorimeter, energy: float) -> Array:
    """What is lost of a shower in the middle of each cell, beyond that in the beam's cell.

    Returns
    -------
    shape (nx * ny,)
    """
    x, y = np.repeat(ecal.x_centres, ecal.ny), np.tile(ecal.y_centres, ecal.nx)
    return 1 - contained(profile, ecal, x, y, energy)


def expected_share(profile: ShowerProfile, energy: float) -> float:
    """Mean share of the energy in the preshower: that of a log-normal distribution."""
    middle = profile.share_log + profile.share_slope * np.log(energy / REFERENCE_ENERGY)
    return float(np.exp(middle + 0.5 * profile.share_width**2))


def _inside(profile: ShowerProfile, ecal: Calorimeter, x: Array, y: Array, energy: float) -> Array:
    share = expected_share(profile, energy)
    half_x, half_y = ecal.nx * ecal.cell_x / 2, ecal.ny * ecal.cell_y / 2
    total = np.zeros(len(x))
    for section, part in enumerate((share, 1 - share)):
        sigma = profile.sigma[section] * (energy / REFERENCE_ENERGY) ** profile.growth[section]
        for weight, s in zip(profile.weight[section], sigma, strict=True):
            across = ndtr((half_x - x) / s) - ndtr((-half_x - x) / s)
            up = ndtr((half_y - y) / s) - ndtr((-half_y - y) / s)
            total += part * weight * across * up
    return total


def read_electrons(
    task: Task, tally: Tally, *, use_tracks: bool = True, drift: bool = True
) -> Electrons:
    """Read the electrons of a task's files.

    Parameters
    ----------
    use_tracks
        For momenta and impact points, where most events have one.
    drift
        Correct amplitudes for the drift that the starting conditions know of.

    Raises
    ------
    DataError
        If there is no ECAL, or the events were selected by their energy in it.
    """
    times, conditions = _times(task)
    ecal = task.setup.ecal
    raw = CellConditions(
        scale=(conditions.ecal.scale > 0).astype(np.float64),
        time=np.where(times.known, times.time, conditions.ecal.time),
        time_width=np.where(times.known, times.time_width, conditions.ecal.time_width),
        threshold=np.zeros(ecal.shape),
    )
    found: dict[str, list[NDArray[Any]]] = {}
    tracked = use_tracks
    for part in read_parts(task, tally):
        chosen = _of_beam_trigger(part, task)
        hits = part.pulses("ECAL", FIELDS).select(chosen)
        cells = cell_energies(hits, raw, ecal.shape).in_time
        amplitude = cells.reshape(len(cells), -1)
        run, spill = np.full(len(chosen), part.run), part.scalar("spill")[chosen].astype(np.int64)
        timed = part.has("spill_time")
        spill_time = (
            part.scalar("spill_time")[chosen].astype(np.float64)
            if timed
            else np.full(len(chosen), np.nan)
        )
        known = part.conditions.drift.get("ECAL") if drift else None
        if known is not None:
            factors = known.factors(run, spill, spill_time if timed else None)
            amplitude *= factors[:, None]
        _append(found, "amplitude", amplitude.astype(np.float32))
        _append(found, "run", run)
        _append(found, "spill", spill)
        _append(found, "spill_time", spill_time)
        tracked = tracked and (part.has("MM") or part.has("GEM"))
        if tracked:
            for name, values in part.columns(_TRACK).items():
                _append(found, name, values[chosen].astype(np.float64))
    joined = {name: np.concatenate(values) for name, values in found.items()}
    tracked = tracked and len(joined["run"]) > 0 and joined["track.found"].mean() > _TRACKED
    energy, impact, scale = _expectation(
        task.setup, conditions, joined, tracked=tracked, events=len(joined["run"])
    )
    return Electrons(
        amplitude=joined["amplitude"],
        energy=energy,
        impact=impact,
        run=joined["run"],
        spill=joined["spill"],
        spill_time=joined["spill_time"],
        times=times,
        conditions=conditions,
        momentum_scale=scale,
    )


def _append(found: dict[str, list[NDArray[Any]]], name: str, values: NDArray[Any]) -> None:
    found.setdefault(name, []).append(values)


def _of_beam_trigger(part: Part, task: Task) -> NDArray[np.int64]:
    """Events that were recorded whatever the ECAL showed."""
    if not part.has("ECAL"):
        msg = (
            f"{', '.join(task.files[:3])}: no ECAL hits. Give hit files with the ECAL, or a "
            "mapping (--mapping) that names its branches"
        )
        raise DataError(msg)
    bits = part.scalar("trigger")
    free = (bits & (TRIGGER_BITS["beam"] | TRIGGER_BITS["random"])) != 0
    low = (bits & TRIGGER_BITS["physics"]) != 0
    if np.mean(low) > _FREE or not free.any():
        msg = (
            f"{', '.join(task.files[:3])}: {np.mean(low):.0%} of the events of run {part.run} "
            "fired the physics trigger, which asks for less than "
            f"{task.setup.trigger.ecal_max:g} GeV in the ECAL, and "
            f"{np.mean(free):.0%} the beam trigger. The energies of such a sample "
            "are not those of beam electrons; give runs with the beam (calibration) trigger"
        )
        raise DataError(msg)
    return np.flatnonzero(free)


def _times(task: Task) -> tuple[TimeFit, Conditions]:
    """Times of the ECAL's cells, and the conditions of the first run."""
    channels, times = [], []
    conditions: Conditions | None = None
    left = _FOR_TIMES
    axes = ("section", "ix", "iy")
    for part in read_parts(task, Tally()):
        conditions = conditions or part.conditions
        hits = part.pulses("ECAL", FIELDS).select(_of_beam_trigger(part, task)[:left])
        channels.append(channel_index(hits, task.setup.ecal.shape, axes).astype(np.int32))
        times.append(hits["time"])
        left -= len(hits)
        if left <= 0:
            break
    if conditions is None:
        msg = f"{', '.join(task.files[:3])}: no good events. Give other files"
        raise DataError(msg)
    fit = fit_times(np.concatenate(channels), np.concatenate(times), conditions.ecal.time_width)
    return fit, conditions


def _expectation(
    setup: Setup,
    conditions: Conditions,
    found: dict[str, NDArray[Any]],
    *,
    tracked: bool,
    events: int,
) -> tuple[Array, Array | None, float]:
    """What the ECAL should show, where the electron enters its cell, the momenta's scale."""
    ecal, nominal = setup.ecal, setup.beam.momentum
    profile = ShowerProfile.from_conditions(conditions.shower_profile)
    if not tracked:
        start = conditions.ecal.scale.ravel()
        columns = ecal.nx * ecal.ny
        by_column = (found["amplitude"] * start).reshape(events, -1, columns).sum(axis=1)
        hit = by_column.argmax(axis=1)
        x, y = ecal.x_centres[hit // ecal.ny], ecal.y_centres[hit % ecal.ny]
        energy = electron_energy(setup, np.full(events, nominal))
        return energy * contained(profile, ecal, x, y, nominal), None, 1.0
    momentum = np.where(found["track.found"] > 0, found["track.momentum"], np.nan)
    scale = nominal / _peak(momentum, nominal)
    momentum = momentum * scale
    x, y = found["track.x_ecal"], found["track.y_ecal"]
    with np.errstate(invalid="ignore"):
        good = np.abs(momentum / nominal - 1) < _MOMENTUM
        good &= (np.abs(x) < ecal.nx * ecal.cell_x / 2) & (np.abs(y) < ecal.ny * ecal.cell_y / 2)
    x, y = np.where(good, x, 0.0), np.where(good, y, 0.0)
    energy = electron_energy(setup, momentum) * contained(profile, ecal, x, y, nominal)
    impact = np.column_stack(
        [
            (x / ecal.cell_x + ecal.nx / 2) % 1 - 0.5,
            (y / ecal.cell_y + ecal.ny / 2) % 1 - 0.5,
        ]
    )
    return np.where(good, energy, np.nan), impact, scale


def _peak(values: Array, start: float) -> float:
    """Median of the values near the peak."""
    peak, half = start, 0.2
    for _ in range(10):
        near = values[np.abs(values / peak - 1) < half]
        if len(near) < 10:
            return start
        peak, half = float(np.median(near)), max(0.6 * half, 0.03)
    return peak
