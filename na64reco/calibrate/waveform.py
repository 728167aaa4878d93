"""Pulse shapes, pedestals and noise of sampled channels, from files with waveforms."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from na64reco.calibrate.sample import Tally, read_parts
from na64reco.calibrate.task import Result, Table, Task
from na64reco.calibration import (
    WAVEFORM_FILE,
    WaveformConditions,
    file_formats,
    read_sdc,
    waveform_block,
    waveform_channels,
    waveform_format,
    write_sdc,
)
from na64reco.calibration.sdc import runs_text
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
        (top < ceiling) & (top > pedestal.max(axis=0)[channel] + 20.0 * noise[channel])
    )
    at = channel[chosen]
    y = samples[chosen].astype(np.float64)
    y[:, 0::2] -= pedestal[0, at, None]
    y[:, 1::2] -= pedestal[1, at, None]
    pulse = measure_pulse(
        y,
        noise[at],
        np.concatenate(sample.expected)[chosen],
        digitizer,
        ceiling=np.inf,
        what=name,
    )
    # A channel that does not exist is never read.
    return DetectorWaveforms(
        WaveformConditions(
            pedestal=np.nan_to_num(pedestal).reshape(2, *shape),
            noise=np.nan_to_num(noise, nan=1.0).reshape(shape),
            saturation=float(ceiling),
            start=pulse.start,
            step=pulse.step,
            pulse=pulse.values,
            shape_error=pulse.shape_error,
        ),
        pedestals,
        pulse,
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
    block = waveform_block(
        task.setup,
        {name: result.conditions for name, result in detectors.items()},
        runs=runs,
        comment=f"pulses and pedestals from {tally.text}",
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
    copies = {
        other: (task.source / other).read_text(encoding="utf-8")
        for other in file_formats(task.setup)
        if not (task.out / other).exists()
    }
    write_sdc(target, (*kept, block), fmt, header=header, overwrite=True)
    for other, text in copies.items():
        (task.out / other).write_text(text, encoding="utf-8")
    return target, *(task.out / other for other in copies)


def _summary(result: DetectorWaveforms) -> dict[str, Any]:
    known = np.isfinite(result.pedestals.noise)
    return {
        "waveforms": result.waveforms,
        "pulses": result.shape.pulses,
        "noise_ADC": float(result.pedestals.noise[known].mean()),
        "pedestal_error_ADC": float(result.pedestals.error[:, known].max()),
        "shape_error": result.shape.shape_error,
        "chi2_per_ndf": result.shape.chi2,
        "channels_without_samples": result.guessed,
    }


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
                f"{100 * result.shape.shape_error:.2f}",
                f"{result.shape.chi2:.2f}",
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
            "chi2/ndf",
        ),
        rows=rows,
        note="Width at half height; chi2 with noise alone, median.",
    )
