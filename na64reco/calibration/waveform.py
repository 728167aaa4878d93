"""The conditions file waveform.txt: how each detector's pulses look in its samples.

It is needed for files with samples only. A row is a channel; the pulse of a detector stands in the
metadata, ``pulse.ECAL=0,0.012,...`` from ``start.ECAL`` ns on in steps of ``step.ECAL`` ns, with
``saturation.ECAL`` and ``shape_error.ECAL``. Detectors that have no row have no waveforms.

Channels may have pulses of their own: ``mode1.ECAL=...`` and so on are what is added to
``pulse.ECAL``, times the first, second, ... of the channel's ``coefficients``, and the sum, scaled
to height 1, is ``delay`` ns later. A ``shape_error`` of -1 stands for the detector's.
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

    from numpy.typing import NDArray

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
_MODES: Final = 8
"""That a detector may have."""
_OWN: Final = ("delay", "coefficients", "shape_error")
"""Columns of a channel's own pulse."""

_Channel = tuple[int, int, int]


def waveform_format(setup: Setup) -> SdcFormat:
    """Columns and keys of the file."""
    del setup  # detectors that it lacks may have pulses, as they may have files
    shapes = ("pulse", *(f"mode{k + 1}" for k in range(_MODES)))
    pulses = tuple(f"{shape}.{name}" for name in _DETECTORS for shape in shapes)
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
            Column("delay", "float", "ns by which its pulses are later than the mean", default=0.0),
            Column("coefficients", "floats", "of the modes of its detector", default=()),
            Column("coefficient_errors", "floats", "standard deviations", default=()),
            Column("shape_error", "float", "of its own; -1: the detector's", default=-1.0),
            Column("entries", "int", "pulses its shape is from", default=0, limit="not negative"),
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
    pulse = _pulse(file, f"pulse.{name}", metadata)
    numbers = {key: float(metadata[f"{key}.{name}"]) for key in _NUMBERS}
    rows = {index: resolved.rows[name, *key] for key, index in channels.items()}
    modes = [
        _pulse(file, f"mode{k + 1}.{name}", metadata)
        for k in range(max(len(_floats(row["coefficients"])) for row in rows.values()))
    ]
    for k, mode in enumerate(modes):
        if len(mode) != len(pulse):
            msg = (
                f"{file.path}: `mode{k + 1}.{name}` has {len(mode)} values, but `pulse.{name}` "
                f"{len(pulse)}. Make the file again with the calibration of waveforms."
            )
            raise ConditionsError(msg)
    error, delay = np.full(shape, numbers["shape_error"]), np.zeros(shape)
    coefficients = np.zeros((*shape, len(modes)))
    for index, row in rows.items():
        own = _floats(row["coefficients"])
        coefficients[index][: len(own)] = own
        delay[index] = _float(row["delay"])
        if _float(row["shape_error"]) >= 0:
            error[index] = _float(row["shape_error"])
    alike = not modes and not delay.any() and bool((error == numbers["shape_error"]).all())
    return WaveformConditions(
        pedestal=pedestal,
        noise=noise,
        saturation=numbers["saturation"],
        start=numbers["start"],
        step=numbers["step"],
        pulse=pulse,
        shape_error=numbers["shape_error"] if alike else error,
        modes=None if alike else np.array(modes).reshape(len(modes), len(pulse)),
        coefficients=None if alike else np.moveaxis(coefficients, -1, 0).copy(),
        delay=None if alike else delay,
    )


def _float(value: Value) -> float:
    assert isinstance(value, int | float)
    return float(value)


def _floats(value: Value) -> tuple[float, ...]:
    assert isinstance(value, tuple)
    return tuple(float(v) for v in value)


def _pulse(
    file: SdcFile, key: str, metadata: Mapping[str, str | float]
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    if key not in metadata:
        msg = f"{file.path} has coefficients, but no `{key}` that they belong to. Make it again."
        raise ConditionsError(msg)
    try:
        values = [float(part) for part in str(metadata[key]).split(",")]
    except ValueError as error:
        msg = f"{file.path}: `{key}` is no list of numbers with commas between: {error}."
        raise ConditionsError(msg) from None
    if not all(map(math.isfinite, values)):
        msg = f"{file.path}: `{key}` has a value that is not finite. Make it again."
        raise ConditionsError(msg)
    return np.array(values)


def waveform_block(
    setup: Setup,
    waveform: Mapping[str, WaveformConditions],
    *,
    runs: tuple[int, int],
    comment: str = "",
    errors: Mapping[str, tuple[NDArray[np.float64], NDArray[np.int64]]] | None = None,
) -> Block:
    """A block of the file from conditions; the inverse of :func:`waveform_conditions`.

    `errors`, by detector: standard errors of the coefficients, shape (modes, ...), and pulses they
    are from, shape (...); for people only.
    """
    channels = waveform_channels(setup)
    metadata: list[tuple[str, str | float]] = [("setup", setup.name)]
    if comment:
        metadata.append(("comment", comment))
    rows: list[tuple[Value, ...]] = []
    own = any(found.modes is not None for found in waveform.values())
    for name in _DETECTORS:
        if name not in waveform:
            continue
        found = waveform[name]
        shape_error = np.broadcast_to(np.asarray(found.shape_error), found.noise.shape)
        typical = np.median([shape_error[index] for index in channels[name][1].values()])
        for key in _NUMBERS:
            value = typical if key == "shape_error" else getattr(found, key)
            metadata.append((f"{key}.{name}", _digits(value, 6)))
        metadata.append((f"pulse.{name}", _joined(found.pulse)))
        modes = () if found.modes is None else found.modes
        metadata += [(f"mode{k + 1}.{name}", _joined(mode, 4)) for k, mode in enumerate(modes)]
        for place, index in channels[name][1].items():
            even, odd = float(found.pedestal[0, *index]), float(found.pedestal[1, *index])
            noise = _digits(found.noise[index], 4)
            added = _own(found, index, (errors or {}).get(name)) if own else ()
            rows.append((name, *place, round(even, 3), round(odd, 3), noise, *added))
    columns: tuple[str, ...] = ("detector", "section", "ix", "iy")
    columns += ("pedestal_even", "pedestal_odd", "noise")
    columns += (*_OWN, "coefficient_errors", "entries") if own else ()
    return Block(runs=runs, metadata=tuple(metadata), columns=columns, rows=tuple(rows))


def _own(
    found: WaveformConditions,
    index: tuple[int, ...],
    errors: tuple[NDArray[np.float64], NDArray[np.int64]] | None,
) -> tuple[Value, ...]:
    """Columns of a channel's own pulse."""
    if found.coefficients is None or found.delay is None:
        return 0.0, (), -1.0, (), 0
    coefficients = tuple(round(float(v), 5) for v in np.moveaxis(found.coefficients, 0, -1)[index])
    error = float(np.broadcast_to(np.asarray(found.shape_error), found.noise.shape)[index])
    sigma, entries = np.zeros(0), 0
    if errors is not None:
        sigma, entries = np.moveaxis(errors[0], 0, -1)[index], int(errors[1][index])
    return (
        round(float(found.delay[index]), 3),
        coefficients,
        _digits(error, 3),
        tuple(_digits(v, 2) for v in sigma),
        entries,
    )


def _joined(values: NDArray[np.float64], digits: int = 5) -> str:
    return ",".join(f"{v:.5g}" for v in values.round(digits) + 0.0)


def _digits(value: float, digits: int) -> float:
    return float(f"{float(value):.{digits}g}")
