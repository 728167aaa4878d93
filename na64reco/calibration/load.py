"""The conditions of one run, from a folder of SDC files."""

from __future__ import annotations

import hashlib
import logging
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from na64reco.calibration.conditions import (
    Alignment,
    CellConditions,
    Conditions,
    NearestConditionsWarning,
    StrawConditions,
    StripConditions,
)
from na64reco.calibration.drift import DRIFT_FILE, drift_conditions, drift_format
from na64reco.calibration.read import read_sdc
from na64reco.calibration.sdc import ALL_RUNS, Resolved, SdcFile, Value, key_text
from na64reco.calibration.tables import PROJECTIONS, file_formats
from na64reco.calibration.waveform import WAVEFORM_FILE, waveform_conditions, waveform_format
from na64reco.errors import ConditionsError, did_you_mean
from na64reco.resources import shipped_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from na64reco.setup import Calorimeter, Setup

__all__ = ["load_conditions"]

_LOG = logging.getLogger(__name__)
_COUNTER_IDS = 16
_Key = tuple[Value, ...]


def load_conditions(
    setup: Setup, run: int, *, folder: Path | str | None = None, nearest: bool = False
) -> Conditions:
    """All constants of one run.

    Parameters
    ----------
    setup
        Says which files and channels there must be.
    run
        Run number.
    folder
        Holds ecal.txt, hcal.txt, ...; the shipped folder of the setup if not given.
    nearest
        Where no block covers the run, take the nearest valid one with a
        `NearestConditionsWarning`.

    Raises
    ------
    ConditionsError
        If a file is missing or malformed, does not cover the run, lacks channels of the setup or
        has others.
    """
    run = int(run)  # the unsigned integers of a hit file would wrap around in differences
    where = _shipped(setup) if folder is None else Path(folder)
    found: dict[str, tuple[SdcFile, Resolved]] = {}
    first, last = ALL_RUNS
    gaps: list[str] = []
    digest = hashlib.sha256()
    formats = file_formats(setup)
    if (where / WAVEFORM_FILE).exists():  # only files with samples need it
        formats[WAVEFORM_FILE] = waveform_format(setup)
    if (where / DRIFT_FILE).exists():
        formats[DRIFT_FILE] = drift_format()
    for name, fmt in formats.items():
        file = read_sdc(where / name, fmt)
        _check_setup(file, setup)
        if name == "quality.txt":
            resolved = _quality(file)
        elif name == DRIFT_FILE:  # each row names its run
            resolved = file.resolve_all()
        else:
            resolved = _nearest(file, run, gaps) if nearest else file.resolve(run)
        found[name.removesuffix(".txt")] = file, resolved
        first, last = max(first, resolved.runs[0]), min(last, resolved.runs[1])
        digest.update(f"{name}\0{file.text}\0".encode())
    if gaps:
        warnings.warn("\n".join(gaps), NearestConditionsWarning, stacklevel=2)

    def cells(name: str, calorimeter: Calorimeter) -> CellConditions:
        existing: dict[_Key, tuple[int, ...]] = {
            (section, ix, iy): (number, ix, iy)
            for number, section in enumerate(calorimeter.sections)
            for ix in range(calorimeter.nx)
            for iy in range(calorimeter.ny)
            if (ix, iy) not in calorimeter.hole
        }
        return _cells(*found[name], existing, calorimeter.shape, detector=name.upper())

    def line(name: str, channels: Mapping[_Key, tuple[int]], size: int) -> CellConditions:
        if name not in found:
            return _empty((0,))
        return _cells(*found[name], channels, (size,), detector=name.upper())

    _LOG.info(
        "Conditions of run %d from %s, valid for runs %d-%d, digest %.12s",
        *(run, where, first, last, digest.hexdigest()),
    )
    modules = 0 if setup.srd is None else setup.srd.modules
    tubes = 0 if setup.veto is None else 2 * setup.veto.bars
    profile = found["ecal"][1].metadata
    bad_runs, bad_spills = _bad(*found["quality"])
    return Conditions(
        setup=setup.name,
        runs=(first, last),
        ecal=cells("ecal", setup.ecal),
        hcal=cells("hcal", setup.hcal),
        vhcal=None if setup.vhcal is None else cells("vhcal", setup.vhcal),
        srd=line("srd", {(i,): (i,) for i in range(modules)}, modules),
        veto=line("veto", {(i,): (i,) for i in range(tubes)}, tubes),
        counters=line("counters", {(n,): (c.id,) for n, c in setup.counters.items()}, _COUNTER_IDS),
        mm=_strips(found, "mm", setup),
        gem=_strips(found, "gem", setup),
        straw=_straws(found, setup),
        alignment=_alignment(found, setup),
        bad_runs=bad_runs,
        bad_spills=bad_spills,
        shower_profile={
            k.removeprefix("profile."): float(v)
            for k, v in profile.items()
            if k.startswith("profile.")
        },
        digest=digest.hexdigest(),
        drift=drift_conditions(*found["drift"], setup) if "drift" in found else {},
        waveform=waveform_conditions(*found["waveform"], setup) if "waveform" in found else {},
    )


def _shipped(setup: Setup) -> Path:
    calib = shipped_folder("calib")
    folder = calib / setup.name
    if not folder.is_dir():
        known = [p.name for p in calib.iterdir() if p.is_dir()]
        msg = (
            f"No conditions ship for the setup {setup.name!r}: there is no folder {folder}. "
            f"{did_you_mean(setup.name, known)} Or name a folder of your own (--calib FOLDER)."
        )
        raise ConditionsError(msg)
    return folder


def _check_setup(file: SdcFile, setup: Setup) -> None:
    for block in file.blocks:
        for name, value in block.metadata:
            if name == "setup" and value != setup.name:
                msg = (
                    f"{file.path} says it is for setup={value}, but conditions of {setup.name} "
                    "are wanted. Name the right folder, or correct the line."
                )
                raise ConditionsError(msg)


def _nearest(file: SdcFile, run: int, gaps: list[str]) -> Resolved:
    best = file.nearest(run)
    if best is None or best == run:
        return file.resolve(run)
    gaps.append(f"{file.describe_gap(run)} Those of run {best} are used.")
    resolved = file.resolve(best)
    # valid for no other run: the next one may be nearer to another block
    return Resolved((run, run), resolved.rows, resolved.lines, resolved.metadata, resolved.factors)


def _check_rows(file: SdcFile, resolved: Resolved, channels: Iterable[_Key], run: str) -> None:
    """Every channel of the setup has a row, and every row is a channel."""
    wanted = dict.fromkeys(channels)
    names = ",".join(c.name for c in file.format.keys)
    for key, line in resolved.lines.items():
        if key not in wanted:
            known = [key_text(k) for k in wanted]
            msg = (
                f"{file.path}, line {line}: the setup has no {names} = {key_text(key)}. "
                f"{did_you_mean(key_text(key), known)} Correct or remove the row."
            )
            raise ConditionsError(msg)
    missing = [key_text(key) for key in wanted if key not in resolved.rows]
    if missing:
        shown = "; ".join(missing[:8]) + ("; ..." if len(missing) > 8 else "")
        msg = (
            f"{file.path} lacks {len(missing)} of {len(wanted)} channels of the setup for {run}: "
            f"{names} = {shown}. Add a row for each."
        )
        raise ConditionsError(msg)


def _runs(resolved: Resolved) -> str:
    return f"runs {resolved.runs[0]}-{resolved.runs[1]}"


def _number(values: Mapping[str, Value], name: str) -> float:
    value = values[name]
    assert isinstance(value, int | float)
    return float(value)


def _empty(shape: tuple[int, ...]) -> CellConditions:
    return CellConditions(
        scale=np.zeros(shape),
        time=np.zeros(shape),
        time_width=np.ones(shape),
        threshold=np.full(shape, np.inf),
    )


def _cells(
    file: SdcFile,
    resolved: Resolved,
    channels: Mapping[_Key, tuple[int, ...]],
    shape: tuple[int, ...],
    *,
    detector: str,
) -> CellConditions:
    _check_rows(file, resolved, channels, _runs(resolved))
    result = _empty(shape)
    whole = resolved.factors[detector]
    for key, index in channels.items():
        values = resolved.rows[key]
        factor = whole * resolved.factors.get(f"{detector}.{key[0]}", 1.0)
        result.scale[index] = _number(values, "scale") * factor
        result.time[index] = _number(values, "time")
        result.time_width[index] = _number(values, "time_width")
        result.threshold[index] = _number(values, "threshold")
    return result


def _planes(setup: Setup, technologies: tuple[str, ...]) -> dict[_Key, tuple[str, int, int]]:
    """(station name, projection) -> (technology, station number, projection index)."""
    return {
        (name, projection): (s.technology, s.number, PROJECTIONS.index(projection))
        for technology in technologies
        for name, s in setup.stations_of(technology).items()
        for projection in s.projections
    }


def _strips(
    found: Mapping[str, tuple[SdcFile, Resolved]], technology: str, setup: Setup
) -> dict[tuple[int, int], StripConditions]:
    if technology not in found:
        return {}
    file, resolved = found[technology]
    planes = _planes(setup, (technology,))
    _check_rows(file, resolved, planes, _runs(resolved))
    result = {}
    for key, (_, number, projection) in planes.items():
        values = resolved.rows[key]
        dead = values["dead"]
        assert isinstance(dead, tuple)
        strips = tuple(sorted({int(s) for s in dead}))
        channels = setup.stations[str(key[0])].channels
        if strips and not (strips[0] >= 0 and strips[-1] < channels):
            outside = [s for s in strips if not 0 <= s < channels]
            msg = (
                f"{file.path}, line {resolved.lines[key]}: column 'dead' names strip {outside[0]}, "
                f"but {key_text(key)} has the strips 0 to {channels - 1}. Correct the list."
            )
            raise ConditionsError(msg)
        result[number, projection] = StripConditions(
            min_charge=_number(values, "min_charge"),
            time=_number(values, "time"),
            time_width=_number(values, "time_width"),
            resolution=_number(values, "resolution"),
            dead=strips,
        )
    return result


def _straws(
    found: Mapping[str, tuple[SdcFile, Resolved]], setup: Setup
) -> dict[tuple[int, int, int], StrawConditions]:
    if "straw" not in found:
        return {}
    file, resolved = found["straw"]
    channels = {
        (*key, layer): (number, projection, layer)
        for key, (_, number, projection) in _planes(setup, ("straw",)).items()
        for layer in range(setup.stations[str(key[0])].layers)
    }
    _check_rows(file, resolved, channels, _runs(resolved))
    result = {}
    for key, index in channels.items():
        values = resolved.rows[key]
        rt = values["rt"]
        assert isinstance(rt, tuple)
        if len(rt) < 2:
            msg = (
                f"{file.path}, line {resolved.lines[key]}: column 'rt' has {len(rt)} "
                "coefficients, expected two or more, such as 0,3 for a constant drift velocity."
            )
            raise ConditionsError(msg)
        result[index] = StrawConditions(
            t0=_number(values, "t0"),
            time_max=_number(values, "time_max"),
            rt=tuple(float(r) for r in rt),
            resolution=_number(values, "resolution"),
        )
    return result


def _alignment(
    found: Mapping[str, tuple[SdcFile, Resolved]], setup: Setup
) -> dict[tuple[str, int, int], Alignment]:
    file, resolved = found["alignment"]
    planes = _planes(setup, ("mm", "gem", "straw"))
    _check_rows(file, resolved, planes, _runs(resolved))
    return {
        index: Alignment(
            shift=_number(resolved.rows[key], "shift"),
            rotation=_number(resolved.rows[key], "rotation"),
        )
        for key, index in planes.items()
    }


def _quality(file: SdcFile) -> Resolved:
    for block in file.blocks:
        if block.runs != ALL_RUNS:
            msg = (
                f"{file.path}, line {block.line}: `runs=` has no meaning here; each row names its "
                "run. Remove the line."
            )
            raise ConditionsError(msg)
    return file.resolve_all()


def _bad(file: SdcFile, resolved: Resolved) -> tuple[frozenset[int], frozenset[tuple[int, int]]]:
    runs, spills = set(), set()
    for (run, spill), line in resolved.lines.items():
        assert isinstance(run, int)
        text = str(spill)
        if text == "*":
            runs.add(run)
        elif text.isdecimal():
            spills.add((run, int(text)))
        else:
            msg = (
                f"{file.path}, line {line}: column 'spill' is {text!r}, expected the number of a "
                "spill, or * for the whole run."
            )
            raise ConditionsError(msg)
    return frozenset(runs), frozenset(spills)
