"""Pulse shapes, pedestals and noise of sampled channels, from files with waveforms."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from na64reco.calibrate.constants import copy_files, others_of
from na64reco.calibrate.sample import Tally, read_parts
from na64reco.calibrate.task import Result, Table, Task
from na64reco.calibration import (
    WAVEFORM_FILE,
    WaveformConditions,
    read_sdc,
    waveform_block,
    waveform_channels,
    waveform_format,
    write_sdc,
)
from na64reco.calibration.sdc import runs_text
from na64reco.calorimeters.channel_shapes import ChannelShapes, measure_channels
from na64reco.calorimeters.pedestals import Pedestals, measure_pedestals
from na64reco.calorimeters.pulse_shapes import PulseShape, measure_pulse
from na64reco.calorimeters.waveforms import channel_index
from na64reco.errors import DataError, SetupError
from na64reco.events import COLLECTIONS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from na64reco.calibrate.sample import Part
    from na64reco.setup import Digitizer, Setup

__all__ = ["DetectorWaveforms", "calibrate_waveform"]

_CONDITIONS: Final = {
    "ECAL": "ecal",
    "HCAL": "hcal",
    "VHCAL": "vhcal",
    "SRD": "srd",
    "VETO": "veto",
    "Counter": "counters",
}
_KEYS: Final = ("section", "module", "ix", "iy", "id")
_MOST: Final = 1_000_000
"""Waveforms of a detector that are used at most."""


@dataclass(frozen=True, eq=False)
class DetectorWaveforms:
    """What was found for one detector."""

    conditions: WaveformConditions
    pedestals: Pedestals
    shape: PulseShape
    """Mean of all channels."""
    channels: ChannelShapes
    existing: NDArray[np.int64]
    """Flat numbers of the channels that there are."""
    waveforms: int
    """That were looked at."""
    guessed: int
    """Channels without enough samples: they were given the mean of the others."""


@dataclass
class _Sample:
    """Waveforms of one detector."""

    samples: list[NDArray[np.uint16]] = field(default_factory=list)
    channel: list[NDArray[np.int32]] = field(default_factory=list)
    expected: list[NDArray[np.float64]] = field(default_factory=list)
    size: int = 0


def calibrate_waveform(task: Task) -> Result:
    """Measure pulse shapes, pedestals and noise of all detectors with waveforms.

    The time of a pulse is set such that pulses of the trigger's particle have, in the median, the
    times that the starting conditions give for their channels.

    Raises
    ------
    OutputExistsError
        If waveform.txt is there and not to be overwritten.
    SetupError
        If the setup has no digitizer.
    DataError
        If there are no waveforms, or of no detector enough isolated pulses.
    ConditionsError
        If the conditions to start from do not cover the runs.
    """
    target = task.check_target(WAVEFORM_FILE)
    digitizer = task.setup.digitizer
    if digitizer is None:
        msg = (
            f"The setup {task.setup.name} has no `digitizer`: nothing says how waveforms are "
            "sampled. Add one to the setup."
        )
        raise SetupError(msg)
    tally = Tally()
    found: dict[str, _Sample] = {}
    for part in read_parts(task, tally, label="Waveforms"):
        _read(part, found)
    runs = tally.validity(task)
    if not found:
        msg = (
            f"{', '.join(task.files[:3])}: no collection has samples. Give files with waveforms, "
            "such as those of `na64reco simulate --waveforms`."
        )
        raise DataError(msg)
    detectors: dict[str, DetectorWaveforms] = {}
    warnings: list[str] = []
    for name, sample in found.items():
        try:
            detectors[name] = _detector(name, sample, task.setup, digitizer)
        except DataError as error:
            warnings.append(f"{error} {WAVEFORM_FILE} stays without new values of {name}.")
            continue
        if detectors[name].guessed:
            warnings.append(
                f"{name}: {detectors[name].guessed} channels have too few samples for a pedestal "
                "of their own and were given the mean of the others."
            )
    if not detectors:
        raise DataError("\n".join(warnings))
    written = _write(task, target, detectors, tally, runs)
    return Result(
        runs=runs,
        written=written,
        summary={name: _summary(result) for name, result in detectors.items()},
        tables=(_table(detectors, runs),),
        warnings=tuple(warnings),
        detail=detectors,
    )


def _read(part: Part, found: dict[str, _Sample]) -> None:
    for name in waveform_channels(part.setup):
        if not part.has_samples(name):
            continue
        sample = found.setdefault(name, _Sample())
        if sample.size >= _MOST:
            continue
        keys = [key for key in _KEYS if key in COLLECTIONS[name]]
        hits = part.hits(name, (*keys, "samples"))
        cells = getattr(part.conditions, _CONDITIONS[name])
        channel = channel_index(hits, cells.scale.shape, name)
        sample.samples.append(hits["samples"])
        sample.channel.append(channel)
        trigger = part.scalar("master_time").astype(np.float64) - part.setup.trigger.master_time
        sample.expected.append(cells.time.ravel()[channel] + np.repeat(trigger, hits.counts))
        sample.size += hits.size


def _detector(name: str, sample: _Sample, setup: Setup, digitizer: Digitizer) -> DetectorWaveforms:
    shape, existing = waveform_channels(setup)[name]
    channel = np.concatenate(sample.channel)
    samples = np.concatenate(sample.samples)
    channels = int(np.prod(shape))
    pedestals = measure_pedestals(
        samples, channel, channels, first=max(digitizer.presamples // 2, 2)
    )
    flat = np.ravel_multi_index(tuple(np.array(list(existing.values())).T), shape)
    pedestal, noise = pedestals.pedestal.copy(), pedestals.noise.copy()
    lacking = flat[np.isnan(noise[flat])]
    known = np.isfinite(noise)
    if not known.any():
        msg = f"{name} has too few waveforms for a pedestal: {len(samples)}."
        raise DataError(msg)
    pedestal[:, lacking] = pedestal[:, known].mean(axis=1)[:, None]
    noise[lacking] = noise[known].mean()
    ceiling = 2**digitizer.bits - 1
    # Only what may serve: the others cost time.
    top = samples.max(axis=1)
    chosen = np.flatnonzero(
        (top < ceiling) & (top > pedestal.max(axis=0)[channel] + 9.0 * noise[channel])
    )
    at = channel[chosen]
    y = samples[chosen].astype(np.float64)
    y[:, 0::2] -= pedestal[0, at, None]
    y[:, 1::2] -= pedestal[1, at, None]
    expected = np.concatenate(sample.expected)[chosen]
    pulse = measure_pulse(y, noise[at], expected, digitizer, ceiling=np.inf, what=name)
    own = measure_channels(y, noise[at], expected, at, channels, digitizer, pulse)
    # A channel that does not exist is never read.
    return DetectorWaveforms(
        WaveformConditions(
            pedestal=np.nan_to_num(pedestal).reshape(2, *shape),
            noise=np.nan_to_num(noise, nan=1.0).reshape(shape),
            saturation=float(ceiling),
            start=own.start,
            step=own.step,
            pulse=own.values,
            shape_error=own.shape_error.reshape(shape),
            modes=own.modes,
            coefficients=own.coefficients.reshape(-1, *shape),
            delay=own.delay.reshape(shape),
        ),
        pedestals,
        pulse,
        own,
        flat,
        len(samples),
        len(lacking),
    )


def _write(
    task: Task,
    target: Path,
    detectors: Mapping[str, DetectorWaveforms],
    tally: Tally,
    runs: tuple[int, int],
) -> tuple[Path, ...]:
    fmt = waveform_format(task.setup)
    source = task.source / WAVEFORM_FILE
    before = read_sdc(source, fmt).blocks if source.exists() else ()
    others = others_of(task, WAVEFORM_FILE)
    block = waveform_block(
        task.setup,
        {name: result.conditions for name, result in detectors.items()},
        runs=runs,
        comment=f"pulses and pedestals from {tally.text}",
        errors={
            name: (
                result.channels.coefficient_error.reshape(-1, *result.conditions.noise.shape),
                result.channels.entries.reshape(result.conditions.noise.shape),
            )
            for name, result in detectors.items()
        },
    )
    # One for the same runs that has no other detectors: nothing of it would be valid.
    kept = [
        b
        for b in before
        if b.runs != block.runs or not {row[0] for row in b.rows} <= {row[0] for row in block.rows}
    ]
    header = (
        f"{task.setup.title}: pulses, pedestals and noise of channels with waveforms.\n"
        f"Last block: {tally.text}; isolated pulses: "
        f"{', '.join(f'{name} {r.shape.pulses}' for name, r in detectors.items())}."
    )
    write_sdc(target, (*kept, block), fmt, header=header, overwrite=True)
    return target, *copy_files(task, others)


def _summary(result: DetectorWaveforms) -> dict[str, Any]:
    known = np.isfinite(result.pedestals.noise)
    return {
        "waveforms": result.waveforms,
        "pulses": result.shape.pulses,
        "noise_ADC": float(result.pedestals.noise[known].mean()),
        "pedestal_error_ADC": float(result.pedestals.error[:, known].max()),
        "modes": len(result.channels.modes),
        "shape_error": float(np.median(result.channels.shape_error[result.existing])),
        "chi2_per_ndf": _chi2(result),
        "chi2_per_ndf_of_mean_pulse": result.shape.chi2,
        "channels_without_pulses": int((result.channels.entries[result.existing] == 0).sum()),
        "channels_without_samples": result.guessed,
    }


def _chi2(result: DetectorWaveforms) -> float:
    """Median over the channels with pulses; of the mean pulse if there is none."""
    chi2 = result.channels.chi2[np.isfinite(result.channels.chi2)]
    return float(np.median(chi2)) if len(chi2) else result.shape.chi2


def _table(detectors: Mapping[str, DetectorWaveforms], runs: tuple[int, int]) -> Table:
    rows = []
    for name, result in detectors.items():
        values = result.shape.values
        above = np.flatnonzero(values > 0.5) * result.shape.step
        known = np.isfinite(result.pedestals.noise)
        rows.append(
            [
                name,
                str(result.waveforms),
                str(result.shape.pulses),
                f"{result.pedestals.noise[known].mean():.2f}",
                f"{above[-1] - above[0]:.1f}",
                f"{100 * np.median(result.channels.shape_error[result.existing]):.2f}",
                f"{result.shape.chi2:.2f}",
                str(len(result.channels.modes)),
                f"{_chi2(result):.2f}",
            ]
        )
    return Table(
        title=f"Waveforms, runs {runs_text(runs)}",
        columns=(
            "detector",
            "waveforms",
            "pulses",
            "noise, ADC",
            "width, ns",
            "shape error, %",
            "chi2/ndf, one shape",
            "modes",
            "chi2/ndf",
        ),
        rows=rows,
        note="Width at half height; medians of chi2 with noise alone and of errors of the shape.",
    )
