"""From files of a calibration run to an alignment file of the conditions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from na64reco.calibration import (
    LAST_RUN,
    PROJECTIONS,
    Block,
    file_formats,
    load_conditions,
    read_sdc,
    write_sdc,
)
from na64reco.errors import ConditionsError, DataError, OutputExistsError
from na64reco.events import has_collection, open_events, read_hits, read_scalar
from na64reco.resources import shipped_folder
from na64reco.tracking.alignment import AlignmentSample, align

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from na64reco.events import Hits, Mapping
    from na64reco.setup import Setup
    from na64reco.tracking.alignment import AlignmentResult
    from na64reco.tracking.alignment_modes import Mode

__all__ = ["align_files", "describe_modes", "write_alignment"]

ALIGNMENT_FILE: Final = "alignment.txt"
_HOPELESS: Final = {"mm": 10.0, "mrad": 50.0}
"""An error with which nobody would say that a movement is seen."""
_FIELDS: Final = ("station", "projection", "strip", "charge", "time")


def align_files(
    setup: Setup,
    files: Sequence[str | Path],
    out: str | Path,
    *,
    straight: Sequence[str | Path] = (),
    calib: str | Path | None = None,
    spectrometer: str | None = None,
    runs: tuple[int, int] | None = None,
    tolerance: float = 1.0,
    beam_momentum: bool = False,
    max_events: int | None = None,
    mapping: Mapping | None = None,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[AlignmentResult, tuple[int, int], tuple[Path, ...]]:
    """Align the planes of a setup with the tracks of hit files and write the conditions.

    Parameters
    ----------
    files, straight
        Hit files of runs with the magnets on, and off.
    out
        Folder of the new conditions: alignment.txt is written, which is that of ``calib`` with one
        block more; other files that are not there yet are copied.
    calib
        Folder of the conditions to start from; the shipped ones by default.
    spectrometer
        Whose planes; the first one's of the setup by default.
    runs
        For which the result is valid; from the first run of the files to the last of the setup if
        not given.
    max_events
        Of each of the two kinds of files.

    Returns
    -------
    tuple
        The result, the runs it is valid for, the files written.

    Raises
    ------
    OutputExistsError
        If alignment.txt is there and not to be overwritten.
    DataError
        If the files hold too few tracks, or no tracker, or runs of several periods.
    ConditionsError
        If the conditions to start from do not cover the runs.
    """
    folder = Path(out)
    target = folder / ALIGNMENT_FILE
    if target.exists() and not overwrite:
        msg = f"{target} exists already. Choose another folder, or ask to overwrite it."
        raise OutputExistsError(msg)
    source = shipped_folder("calib") / setup.name if calib is None else Path(calib)
    samples, seen = [], set()
    for paths, is_straight in ((files, False), (straight, True)):
        if paths:
            mm, gem, found = _read(paths, max_events, mapping)
            samples.append(AlignmentSample(mm, gem, straight=is_straight))
            seen |= found
    if not samples:
        msg = "alignment: no hit files were given"
        raise DataError(msg)
    first, last = min(seen), max(seen)
    conditions = load_conditions(setup, first, folder=source)
    for run in sorted(seen):
        other = load_conditions(setup, run, folder=source)
        if any(getattr(other, n) != getattr(conditions, n) for n in ("mm", "gem", "alignment")):
            msg = (
                f"the files hold runs {first} to {last}, but the trackers' conditions in {source} "
                f"are others for run {run} than for run {first}; align the two periods one by one"
            )
            raise DataError(msg)
    valid = (first, max(last, setup.runs[1])) if runs is None else runs
    if not valid[0] <= first <= last <= valid[1]:
        msg = (
            f"the constants would be valid for runs {valid[0]} to {valid[1]}, but the files hold "
            f"runs {first} to {last}; let the validity include them"
        )
        raise ConditionsError(msg)
    result = align(
        samples,
        setup,
        conditions,
        spectrometer=spectrometer or next(iter(setup.spectrometers)),
        tolerance=tolerance,
        beam_momentum=beam_momentum,
        progress=progress,
    )
    alignment = result.apply(conditions).alignment
    block = _block(setup, alignment, valid)
    written = write_alignment(
        result, setup, block, folder, source=source, run_range=(first, last), overwrite=overwrite
    )
    return result, valid, written


def _read(
    paths: Sequence[str | Path], most: int | None, mapping: Mapping | None
) -> tuple[Hits | None, Hits | None, set[int]]:
    """Hits of Micromegas and GEM, and the runs."""
    events = open_events([str(p) for p in paths], mapping=mapping, entry_stop=most)
    present = {name: has_collection(events, name) for name in ("MM", "GEM")}
    if not any(present.values()):
        msg = (
            f"{', '.join(map(str, paths))}: neither MM nor GEM hits; the alignment needs those of "
            "strip planes. Give hit files with trackers, or a mapping that names their branches"
        )
        raise DataError(msg)
    hits = {
        name: read_hits(events, name, _FIELDS) if have else None for name, have in present.items()
    }
    return hits["MM"], hits["GEM"], {int(r) for r in set(read_scalar(events, "run").tolist())}


def _block(setup: Setup, alignment: Any, runs: tuple[int, int]) -> Block:
    """All planes of the setup: a block that lacked some would not cover its runs."""
    rows = []
    for technology in ("mm", "gem", "straw"):
        for name, station in setup.stations_of(technology).items():
            for projection in station.projections:
                key = (technology, station.number, PROJECTIONS.index(projection))
                a = alignment[key]
                rows.append((name, projection, round(a.shift, 4), round(a.rotation, 3)))
    return Block(
        runs=(runs[0], min(runs[1], LAST_RUN)),
        metadata=(("setup", setup.name),),
        columns=("station", "projection", "shift", "rotation"),
        rows=tuple(rows),
    )


def write_alignment(
    result: AlignmentResult,
    setup: Setup,
    block: Block,
    folder: Path,
    *,
    source: Path,
    run_range: tuple[int, int],
    overwrite: bool = False,
) -> tuple[Path, ...]:
    """Write alignment.txt: the blocks of ``source`` and the new one, which overrides them.

    Files that a folder of conditions needs and that are not there are copied from ``source``.
    """
    formats = file_formats(setup)
    before = read_sdc(source / ALIGNMENT_FILE, formats[ALIGNMENT_FILE])
    copies = {
        name: (source / name).read_text(encoding="utf-8")
        for name in formats
        if name != ALIGNMENT_FILE and not (folder / name).exists()
    }
    target = folder / ALIGNMENT_FILE
    write_sdc(
        target,
        (*(b for b in before.blocks if not _inside(b.runs, block.runs)), block),
        formats[ALIGNMENT_FILE],
        header=_header(result, setup, run_range),
        overwrite=overwrite,
    )
    for name, text in copies.items():
        (folder / name).write_text(text, encoding="utf-8")
    return target, *(folder / name for name in copies)


def describe_modes(modes: Sequence[Mode]) -> list[str]:
    """One line for each mode."""
    lines = []
    for mode in modes:
        errors = [(mode.shift_error, "mm"), (mode.rotation_error, "mrad")]
        known = [f"{e:.2g} {unit}" for e, unit in errors if e and e < _HOPELESS[unit]]
        how = f"tracks know it to {' and '.join(known)}" if known else "no track sees it"
        what = "kept as before" if mode.held else "fitted"
        lines.append(f"{mode.name}: {what}, {how}")
    return lines


def _inside(runs: tuple[int, int], others: tuple[int, int]) -> bool:
    return others[0] <= runs[0] and runs[1] <= others[1]


def _header(result: AlignmentResult, setup: Setup, runs: tuple[int, int]) -> str:
    taken = f"run {runs[0]}" if runs[0] == runs[1] else f"runs {runs[0]} to {runs[1]}"
    lines = [
        f"{setup.title}: positions of the tracking planes.",
        f"Last block: fitted to {result.tracks} tracks in {result.events} events of {taken}; "
        f"median chi2/ndf {result.start_chi2:.2f}",
        f"before and {result.chi2:.2f} after, {result.iterations} iterations"
        f"{'' if result.converged else ', NOT CONVERGED'}.",
        "",
        "Standard deviations, for what is kept as before being right:",
    ]
    width = max(map(len, result.names))
    lines += [
        f"  {name:<{width}}  {s:.4f} mm  {r:.3f} mrad"
        for name, s, r in zip(result.names, result.shift_error, result.rotation_error, strict=True)
    ]
    if result.modes:
        lines += ["", "What tracks do not see, or worse than wanted:"]
        lines += [f"  {line}" for line in describe_modes(result.modes)]
    return "\n".join(lines)
