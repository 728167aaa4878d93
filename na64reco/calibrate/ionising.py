"""Calibration of HCAL, VHCAL, VETO and counters with minimum-ionising particles: muon runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from na64reco.calibrate.constants import write_constants
from na64reco.calibrate.mip import FEWEST, MipFit, fit_mip
from na64reco.calibrate.sample import Tally, read_parts
from na64reco.calibrate.task import Result, Table, Task
from na64reco.calibrate.times import TimeFit, channel_index, fit_times
from na64reco.calibration.sdc import runs_text
from na64reco.errors import DataError, SetupError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.calibration import CellConditions, Conditions
    from na64reco.calibration.sdc import Value
    from na64reco.setup import Calorimeter, Setup

    Rows = dict[tuple[Value, ...], dict[str, Value | np.floating | np.integer]]
    Index = tuple[int, ...]

__all__ = [
    "Channels",
    "MipCalibration",
    "calibrate_ionising",
    "channels_of",
]

_COUNTER_IDS: Final = 16
_IN_TIME: Final = 3.0
"""Half of the time window in resolutions."""
SHAPE: Final = 0.01
"""How well the place of the peak is known for a tail whose shape is not (see
`na64reco.calibrate.mip`), relative; a part of the error of every scale."""
_SINGLE: Final = 0.3
"""A cell of a calorimeter counts where no other one of its section has more than this of a MIP."""


@dataclass(frozen=True)
class Channels:
    """A detector that ionising particles calibrate."""

    name: str
    """As on the command line."""
    collection: str
    axes: tuple[str, ...]
    """Columns of the hits along `shape`."""
    shape: tuple[int, ...]
    keys: dict[tuple[Value, ...], Index]
    """Key of a row in the conditions file -> index."""
    mip: dict[tuple[Value, ...], float]
    """By key: most probable energy of a minimum-ionising particle, GeV."""

    @property
    def file(self) -> str:
        """Of the conditions."""
        return f"{self.name}.txt"


@dataclass(frozen=True, eq=False)
class MipCalibration:
    """What was found."""

    setup: Setup
    channels: Channels
    times: TimeFit
    fits: dict[tuple[Value, ...], MipFit]
    """By key; channels without a peak are left out."""
    start: CellConditions


@dataclass(frozen=True, eq=False)
class _Pulses:
    """Pulses of one detector, flat."""

    channel: NDArray[np.int64]
    time: NDArray[np.floating[Any]]
    amplitude: NDArray[np.float64]
    event: NDArray[np.int64]


def channels_of(setup: Setup, name: str) -> Channels:
    """Of "hcal", "vhcal", "veto" or "counters".

    Raises
    ------
    SetupError
        If the setup lacks the detector.
    """
    if name in {"hcal", "vhcal"}:
        part: Calorimeter | None = setup.hcal if name == "hcal" else setup.vhcal
        if part is not None:
            keys: dict[tuple[Value, ...], Index] = {
                (section, ix, iy): (number, ix, iy)
                for number, section in enumerate(part.sections)
                for ix in range(part.nx)
                for iy in range(part.ny)
                if (ix, iy) not in part.hole
            }
            axes = ("module", "ix", "iy") if name == "hcal" else ("ix", "iy")
            shape = part.shape if name == "hcal" else part.shape[1:]
            if name == "vhcal":
                keys = {key: index[1:] for key, index in keys.items()}
            mip = dict.fromkeys(keys, part.mip)
            return Channels(name, name.upper(), axes, shape, keys, mip)
    elif name == "veto" and setup.veto is not None:
        keys = {(i,): (i,) for i in range(2 * setup.veto.bars)}
        mip = dict.fromkeys(keys, setup.veto.mip)
        return Channels(name, "VETO", ("ix",), (len(keys),), keys, mip)
    elif name == "counters":
        keys = {(counter,): (c.id,) for counter, c in setup.counters.items()}
        mip = {(counter,): c.mip for counter, c in setup.counters.items()}
        return Channels(name, "Counter", ("id",), (_COUNTER_IDS,), keys, mip)
    msg = f"The setup {setup.name} has no {name} to calibrate."
    raise SetupError(msg)


def calibrate_ionising(task: Task, name: str) -> Result:
    """Find scales and times of a detector's channels from the peak of ionising particles.

    Channels that they do not hit keep their constants.

    Parameters
    ----------
    name
        "hcal", "vhcal", "veto" or "counters".

    Raises
    ------
    OutputExistsError
        If the conditions file is there and not to be overwritten.
    SetupError
        If the setup lacks the detector.
    DataError
        If no channel shows such a peak.
    """
    channels = channels_of(task.setup, name)
    task.check_target(channels.file)
    tally = Tally()
    pulses, conditions = _read(task, channels, tally)
    runs = tally.validity(task)
    assert conditions is not None
    start: CellConditions = getattr(conditions, name)
    if name == "vhcal":
        start = _without_section(start)
    times = fit_times(pulses.channel, pulses.time, start.time_width)
    values = _signals(channels, start, times, pulses)
    flat = {key: int(np.ravel_multi_index(i, channels.shape)) for key, i in channels.keys.items()}
    fits = {}
    for key, number in flat.items():
        expected = channels.mip[key] / start.scale.ravel()[number]
        fit = fit_mip(values[number], expected) if number in values else None
        if fit is not None:
            fits[key] = fit
    if not fits:
        most = max((len(v) for v in values.values()), default=0)
        msg = (
            f"{', '.join(task.files[:3])}: no {channels.collection} channel shows the peak of "
            f"minimum-ionising particles among {tally.text}; the busiest channel has {most} "
            f"signals in time, at least {FEWEST} near the expected peak are needed. Give runs of "
            f"muons{' (or of the beam)' if name == 'counters' else ''} that cross the detector"
        )
        raise DataError(msg)
    found = MipCalibration(task.setup, channels, times, fits, start)
    written = write_constants(
        task,
        channels.file,
        _rows(found),
        runs=runs,
        comment=f"minimum-ionising particles: {tally.text}",
    )
    rows = [row for row in _rows(found).items() if row[1]["entries"]]
    return Result(
        runs=runs,
        written=written,
        summary={
            "channels": [_entry(key, values, found) for key, values in rows],
            "without_peak": [list(key) for key in channels.keys if key not in fits],
        },
        tables=(_table(found, runs_text(runs)),),
        warnings=_warnings(found),
        detail=found,
    )


def _read(task: Task, channels: Channels, tally: Tally) -> tuple[_Pulses, Conditions | None]:
    """All pulses, and the conditions to start from."""
    first: Conditions | None = None
    columns: list[list[NDArray[Any]]] = [[], [], [], []]
    for part in read_parts(task, tally):
        if not part.has(channels.collection):
            msg = (
                f"{', '.join(task.files[:3])}: no {channels.collection} hits. Give hit files with "
                "this detector, or a mapping (--mapping) that names its branches"
            )
            raise DataError(msg)
        first = first or part.conditions
        hits = part.pulses(channels.collection, (*channels.axes, "amplitude", "time"))
        known = part.conditions.drift.get(channels.collection)
        values = hits["amplitude"].astype(np.float64)
        if known is not None:
            spill_time = part.scalar("spill_time") if part.has("spill_time") else None
            run = np.full(len(part), part.run)
            factors = known.factors(run, part.scalar("spill"), spill_time)
            values *= np.repeat(factors, hits.counts)
        columns[0].append(channel_index(hits, channels.shape, channels.axes))
        columns[1].append(hits["time"])
        columns[2].append(values)
        columns[3].append(hits.event_index() + (tally.events - len(part)))
    if first is None:
        tally.validity(task)  # says why there are none
    return _Pulses(*(np.concatenate(c) for c in columns)), first


def _without_section(conditions: CellConditions) -> CellConditions:
    return type(conditions)(
        conditions.scale[0], conditions.time[0], conditions.time_width[0], conditions.threshold[0]
    )


def _signals(
    channels: Channels,
    start: CellConditions,
    times: TimeFit,
    pulses: _Pulses,
) -> dict[int, NDArray[np.float64]]:
    """Sums of the pulses in time, ADC counts, of each channel that has any."""
    middle = np.where(times.known, times.time, start.time).ravel()
    width = np.where(times.known, times.time_width, start.time_width).ravel()
    channel = pulses.channel
    late = np.abs(pulses.time - middle[channel]) / width[channel]
    good = (channel >= 0) & (late < _IN_TIME)
    size = middle.size
    place, inverse = np.unique(pulses.event[good] * size + channel[good], return_inverse=True)
    sums = np.bincount(inverse, pulses.amplitude[good], len(place))
    number = place % size
    if channels.axes[-2:] == ("ix", "iy"):
        # A particle alone in its module: no shower that began before.
        cells = channels.shape[-2] * channels.shape[-1]
        energy = sums * start.scale.ravel()[number]
        busy = energy > _SINGLE * next(iter(channels.mip.values()))
        # Places are numbered by event, module, cell.
        _, module = np.unique(place // cells, return_inverse=True)
        alone = np.bincount(module, busy)[module] <= 1
        sums, number = sums[alone], number[alone]
    order = np.argsort(number, kind="stable")
    first = np.searchsorted(number[order], np.arange(size + 1))
    ordered = np.asarray(sums[order], np.float64)
    return {c: ordered[first[c] : first[c + 1]] for c in range(size) if first[c + 1] > first[c]}


def _scale(found: MipCalibration, key: tuple[Value, ...]) -> tuple[float, float]:
    """GeV per count and its error: statistical, and that of the shape."""
    fit, energy = found.fits[key], found.channels.mip[key]
    scale = energy / fit.most_probable
    return scale, scale * float(np.hypot(fit.most_probable_error / fit.most_probable, SHAPE))


def _rows(found: MipCalibration) -> Rows:
    rows: Rows = {}
    times, start = found.times, found.start
    for key, index in found.channels.keys.items():
        timed, peak = times.known[index], key in found.fits
        scale, error = _scale(found, key) if peak else (start.scale[index], 0.0)
        rows[key] = {
            "scale": scale,
            "time": times.time[index] if timed else start.time[index],
            "time_width": times.time_width[index] if timed else start.time_width[index],
            "threshold": start.threshold[index],
            "scale_error": error,
            "time_error": times.time_error[index] if timed else 0.0,
            "time_width_error": times.time_width_error[index] if timed else 0.0,
            "entries": found.fits[key].entries if peak else 0,
        }
    return rows


def _entry(key: tuple[Value, ...], values: Any, found: MipCalibration) -> dict[str, Any]:
    fit = found.fits[key]
    return {
        "channel": list(key),
        "scale": float(values["scale"]),
        "scale_error": float(values["scale_error"]),
        "time_ns": float(values["time"]),
        "time_width_ns": float(values["time_width"]),
        "entries": fit.entries,
        "most_probable_counts": fit.most_probable,
        "mean_counts": fit.mean,
        "chi2": fit.chi2,
        "ndf": fit.ndf,
    }


def _table(found: MipCalibration, runs: str) -> Table:
    rows = []
    for key, fit in found.fits.items():
        scale, error = _scale(found, key)
        before = found.start.scale[found.channels.keys[key]]
        rows.append(
            (
                " ".join(map(str, key)),
                f"{fit.most_probable:.1f}",
                f"{fit.mean:.1f}",
                f"{1e3 * scale:.5g}",
                f"{100 * error / scale:.2f}",
                f"{100 * (scale / before - 1):+.2f}",
                f"{fit.chi2 / fit.ndf:.2f}",
                str(fit.entries),
            )
        )
    columns = ("channel", "peak", "mean", "scale, MeV/count", "+-, %", "change, %", "chi2/ndf")
    without = len(found.channels.keys) - len(found.fits)
    return Table(
        f"{found.channels.name}, runs {runs}",
        (*columns, "events"),
        rows,
        f"The peak is set to the setup's `mip`. {without} channels without a peak keep theirs.",
    )


def _warnings(found: MipCalibration) -> tuple[str, ...]:
    return tuple(
        f"{found.channels.name} {' '.join(map(str, key))}: the peak is not well described "
        f"(chi2/ndf = {fit.chi2 / fit.ndf:.1f}); look at the picture"
        for key, fit in found.fits.items()
        if fit.chi2 > 5 * fit.ndf
    )
