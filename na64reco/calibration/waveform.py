"""The conditions file waveform.txt: how each detector's pulses look in its samples.

It is needed for files with samples only. A row is a channel; the pulse of a detector stands in the
metadata, ``pulse.ECAL=0,0.012,...`` from ``start.ECAL`` ns on in steps of ``step.ECAL`` ns, with
``saturation.ECAL`` and ``shape_error.ECAL``. Detectors that have no row have no waveforms.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from na64reco.calibration.conditions import WaveformConditions
from na64reco.calibration.sdc import Block, Column, SdcFormat
from na64reco.errors import ConditionsError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping

    from na64reco.calibration.sdc import Resolved, SdcFile, Value
    from na64reco.setup import Calorimeter, Setup

__all__ = [
    "WAVEFORM_FILE",
    "waveform_block",
    "waveform_channels",
    "waveform_conditions",
    "waveform_format",
]

WAVEFORM_FILE: Final = "waveform.txt"
_COUNTER_IDS: Final = 16
_DETECTORS: Final = ("ECAL", "HCAL", "VHCAL", "SRD", "VETO", "Counter")
_NUMBERS: Final = ("start", "step", "saturation", "shape_error")

_Channel = tuple[int, int, int]


def waveform_format(setup: Setup) -> SdcFormat:
    """Columns and keys of the file."""
    del setup  # detectors that it lacks may have pulses, as they may have files
    pulses = tuple(f"pulse.{name}" for name in _DETECTORS)
    return SdcFormat(
        keys=(
            Column("detector", "text", "collection of the hit file"),
            Column(
                "section", "int", "section or module, 0 where there is one", limit="not negative"
            ),
            Column(
                "ix", "int", "cell number along x, or number of the channel", limit="not negative"
            ),
            Column(
                "iy", "int", "cell number along y, 0 where there is one row", limit="not negative"
            ),
        ),
        values=(
            Column("pedestal_even", "float", "ADC counts of the samples 0, 2, ..."),
            Column("pedestal_odd", "float", "ADC counts of the samples 1, 3, ..."),
            Column("noise", "float", "rms of a sample, ADC counts", limit="positive"),
        ),
        plain=("setup", "comment", *pulses),
        numbers=_NUMBERS,
    )


def waveform_channels(
    setup: Setup,
) -> dict[str, tuple[tuple[int, ...], dict[_Channel, tuple[int, ...]]]]:
    """Channels that can have waveforms, by collection.

    Returns
    -------
    collection -> (shape of its arrays, {(section, ix, iy) of a row: index in the arrays})
    """
    found: dict[str, tuple[tuple[int, ...], dict[_Channel, tuple[int, ...]]]] = {}
    calorimeters: dict[str, Calorimeter | None] = {
        "ECAL": setup.ecal,
        "HCAL": setup.hcal,
        "VHCAL": setup.vhcal,
    }
    for name, calorimeter in calorimeters.items():
        if calorimeter is not None:
            found[name] = (
                calorimeter.shape,
                {
                    index: index
                    for index in np.ndindex(calorimeter.shape)
                    if index[1:] not in calorimeter.hole
                },
            )
    modules = 0 if setup.srd is None else setup.srd.modules
    tubes = 0 if setup.veto is None else 2 * setup.veto.bars
    for name, size, numbers in (
        ("SRD", modules, range(modules)),
        ("VETO", tubes, range(tubes)),
        ("Counter", _COUNTER_IDS, sorted(c.id for c in setup.counters.values())),
    ):
        if numbers:
            found[name] = (size,), {(0, i, 0): (i,) for i in numbers}
    return found


def waveform_conditions(
    file: SdcFile, resolved: Resolved, setup: Setup
) -> dict[str, WaveformConditions]:
    """What the file says about one run, by collection.

    Raises
    ------
    ConditionsError
        If rows or keys of a detector are missing or none of the setup's.
    """
    channels = waveform_channels(setup)
    by_detector: dict[str, set[_Channel]] = {}
    for key, line in resolved.lines.items():
        name, section, ix, iy = key
        if name in _DETECTORS and name not in channels:
            continue
        known = channels.get(str(name), ((), {}))[1]
        if (section, ix, iy) not in known:
            hint = did_you_mean(str(name), channels) if not known else ""
            msg = (
                f"{file.path}, line {line}: the setup has no channel {name} {section} {ix} {iy}. "
                f"{hint} Correct or remove the row."
            )
            raise ConditionsError(msg)
        assert isinstance(section, int)
        assert isinstance(ix, int)
        assert isinstance(iy, int)
        by_detector.setdefault(str(name), set()).add((section, ix, iy))
    return {name: _detector(file, resolved, name, *channels[name]) for name in by_detector}


def _detector(
    file: SdcFile,
    resolved: Resolved,
    name: str,
    shape: tuple[int, ...],
    channels: Mapping[_Channel, tuple[int, ...]],
) -> WaveformConditions:
    missing = [key for key in channels if (name, *key) not in resolved.rows]
    if missing:
        shown = "; ".join(" ".join(map(str, key)) for key in missing[:8])
        msg = (
            f"{file.path} has rows of {name}, but lacks {len(missing)} of its {len(channels)} "
            f"channels: section ix iy = {shown}{'; ...' if len(missing) > 8 else ''}. Add a row "
            "for each, or leave the detector out."
        )
        raise ConditionsError(msg)
    # A channel that does not exist is never read; its noise must not be zero all the same.
    pedestal, noise = np.zeros((2, *shape)), np.ones(shape)
    for key, index in channels.items():
        row = resolved.rows[name, *key]
        pedestal[0, *index] = _float(row["pedestal_even"])
        pedestal[1, *index] = _float(row["pedestal_odd"])
        noise[index] = _float(row["noise"])
    metadata = resolved.metadata
    absent = [f"{k}.{name}" for k in ("pulse", *_NUMBERS) if f"{k}.{name}" not in metadata]
    if absent:
        msg = (
            f"{file.path} has rows of {name}, but no {', '.join(absent)}. Make the file again with "
            "the calibration of waveforms."
        )
        raise ConditionsError(msg)
    return WaveformConditions(
        pedestal=pedestal,
        noise=noise,
        pulse=_pulse(file, name, str(metadata[f"pulse.{name}"])),
        **{key: float(metadata[f"{key}.{name}"]) for key in _NUMBERS},
    )


def _float(value: Value) -> float:
    assert isinstance(value, int | float)
    return float(value)


def _pulse(file: SdcFile, name: str, text: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError as error:
        msg = f"{file.path}: `pulse.{name}` is no list of numbers with commas between: {error}."
        raise ConditionsError(msg) from None
    if not all(map(math.isfinite, values)):
        msg = f"{file.path}: `pulse.{name}` has a value that is not finite. Make it again."
        raise ConditionsError(msg)
    return np.array(values)


def waveform_block(
    setup: Setup,
    waveform: Mapping[str, WaveformConditions],
    *,
    runs: tuple[int, int],
    comment: str = "",
) -> Block:
    """A block of the file from conditions; the inverse of :func:`waveform_conditions`."""
    channels = waveform_channels(setup)
    metadata: list[tuple[str, str | float]] = [("setup", setup.name)]
    if comment:
        metadata.append(("comment", comment))
    rows: list[tuple[Value, ...]] = []
    for name in _DETECTORS:
        if name not in waveform:
            continue
        found = waveform[name]
        metadata += [(f"{key}.{name}", _digits(getattr(found, key), 6)) for key in _NUMBERS]
        metadata.append((f"pulse.{name}", ",".join(f"{v:.5g}" for v in found.pulse.round(5) + 0.0)))
        for key, index in channels[name][1].items():
            even, odd = float(found.pedestal[0, *index]), float(found.pedestal[1, *index])
            rows.append((name, *key, round(even, 3), round(odd, 3), _digits(found.noise[index], 4)))
    columns = ("detector", "section", "ix", "iy", "pedestal_even", "pedestal_odd", "noise")
    return Block(runs=runs, metadata=tuple(metadata), columns=columns, rows=tuple(rows))


def _digits(value: float, digits: int) -> float:
    return float(f"{float(value):.{digits}g}")
