"""Hits to columns: which groups of detectors a set of columns needs, and running them by run."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import awkward as ak
import numpy as np

from na64reco.calibration import DRIFT_FILE, load_conditions
from na64reco.calorimeters import (
    reconstruct_ecal,
    reconstruct_hcal,
    reconstruct_vhcal,
)
from na64reco.calorimeters.cells import apply_drift
from na64reco.counters import reconstruct_counters, reconstruct_srd, reconstruct_veto
from na64reco.events import TRIGGER_BITS, has_collection, has_scalar, read_scalar
from na64reco.reconstruction.columns import COLUMNS, group_of
from na64reco.reconstruction.expected import EXPECTED_COLUMNS, expected_cells, last_spectrometer
from na64reco.reconstruction.needs import (
    COLLECTIONS_OF_GROUPS,
    FIELDS,
    IMPACT,
    OPTIONAL_SCALARS,
    TRACKER_GROUPS,
    available_columns,
    first_spectrometer,
    trackers_of,
    tracks_of,
    wanted_columns,
)
from na64reco.reconstruction.samples import (
    error_columns,
    fit_samples,
    read_pulses,
    within_window,
)
from na64reco.resources import shipped_folder
from na64reco.tracking import reconstruct_tracks, unfolded_hits
from na64reco.tracking.straw_points import straw_stations
from na64reco.tracking.straws import straw_columns

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from na64reco.calibration import Conditions
    from na64reco.events import Hits
    from na64reco.setup import Setup

    Columns = dict[str, NDArray[Any]]

__all__ = ["available_columns", "reconstruct", "reconstruct_columns"]

_SCALARS: Final = ("run", "spill", "event", "master_time", *OPTIONAL_SCALARS)


def reconstruct(
    events: Any,
    setup: Setup,
    *,
    columns: Iterable[str] | None = None,
    conditions: Conditions | None = None,
    calib: Path | str | None = None,
    nearest: bool = False,
) -> ak.Array:
    """Reconstruct events: one record each, with a record per detector in it.

    Parameters and errors are those of :func:`reconstruct_columns`.

    Returns
    -------
    Array of records; ``reco.ecal.energy`` is the column ``ecal.energy``
    """
    flat = reconstruct_columns(
        events, setup, columns=columns, conditions=conditions, calib=calib, nearest=nearest
    )
    return nested(flat, length=len(events))


def reconstruct_columns(
    events: Any,
    setup: Setup,
    *,
    columns: Iterable[str] | None = None,
    conditions: Conditions | None = None,
    calib: Path | str | None = None,
    nearest: bool = False,
    chosen: NDArray[np.intp] | None = None,
    given: Columns | None = None,
) -> Columns:
    """Reconstruct events into flat columns.

    Parameters
    ----------
    events
        From `na64reco.events.open_events`. Only the branches that the columns need are read.
    setup
        The detector.
    columns
        Names from :data:`COLUMNS`. Default: all that setup and file allow.
    conditions
        Used for all events instead of those of each event's run.
    calib
        Folder of the conditions; the shipped one of the setup if not given.
    nearest
        Where no conditions cover a run, take the nearest valid ones with a warning.
    chosen
        Indices of the events to reconstruct, in rising order; all by default.
    given
        Columns of the chosen events that are known already: with both of :data:`IMPACT` a
        shower's shape needs no tracks.

    Returns
    -------
    Column name -> values, shape (events,) or (chosen,), in the types of :data:`COLUMNS`

    Raises
    ------
    SelectionError
        If a column is unknown.
    SetupError
        If the setup has no detector for it.
    FileFormatError
        If the file lacks a branch for it.
    ConditionsError
        If no conditions cover a run.
    """
    wanted = wanted_columns(columns, events, setup)
    given = {} if given is None else given
    inputs = _read(wanted, events, setup, drift=_drifts(setup, conditions, calib), given=given)
    if chosen is not None:
        inputs = inputs.select(chosen)
    inputs = replace(inputs, given=given)
    found = _scalar_columns(wanted, inputs.scalars)
    detectors = tuple(n for n in wanted if n not in found)
    if detectors:
        found |= _by_run(
            detectors, inputs, setup, conditions=conditions, calib=calib, nearest=nearest
        )
    return {n: found[n].astype(COLUMNS[n].dtype, copy=False) for n in wanted}


def nested(flat: Columns, *, length: int) -> ak.Array:
    """Records from flat columns, without copying: ``GROUP.FIELD`` becomes field of a record."""
    groups: dict[str, dict[str, Any]] = {}
    top: dict[str, Any] = {}
    for name, values in flat.items():
        content = ak.contents.NumpyArray(values)
        group = group_of(name)
        if group:
            groups.setdefault(group, {})[name.partition(".")[2]] = content
            top[group] = None
        else:
            top[name] = content
    for group, fields in groups.items():
        top[group] = ak.contents.RecordArray(list(fields.values()), list(fields), length=length)
    return ak.Array(ak.contents.RecordArray(list(top.values()), list(top), length=length))


@dataclass(frozen=True)
class _Inputs:
    """What was read of the events."""

    scalars: Columns
    hits: dict[str, Hits]
    given: Columns = field(default_factory=dict)
    """Columns that are known already."""

    def select(self, chosen: NDArray[np.intp]) -> _Inputs:
        """Some events by their indices."""
        return _Inputs(
            {name: values[chosen] for name, values in self.scalars.items()},
            {name: hits.select(chosen) for name, hits in self.hits.items()},
            {name: values[chosen] for name, values in self.given.items()},
        )


def _drifts(setup: Setup, conditions: Conditions | None, calib: Path | str | None) -> bool:
    """Whether gains drift: only then it matters when in a run an event was."""
    if conditions is not None:
        return bool(conditions.drift)
    folder = shipped_folder("calib") / setup.name if calib is None else Path(calib)
    return (folder / DRIFT_FILE).exists()


def _read(
    wanted: tuple[str, ...], events: Any, setup: Setup, *, drift: bool, given: Iterable[str] = ()
) -> _Inputs:
    groups = {group_of(n) for n in wanted}
    scalars = {n for n in wanted if n in _SCALARS}
    scalars |= {f"MC_{n.partition('.')[2]}" for n in wanted if group_of(n) == "mc"}
    if "trigger" in groups:
        scalars.add("trigger")
    if "quality" in groups:
        scalars.add("spill")
    if groups - {"", "mc", "trigger"}:
        scalars.add("run")
    collections = {COLLECTIONS_OF_GROUPS[g] for g in groups if g in COLLECTIONS_OF_GROUPS}
    for spectrometer in tracks_of(wanted, setup, given):
        trackers = trackers_of(setup, spectrometer)
        if not all(has_collection(events, name) for name in trackers):
            continue  # without tracks the shape of a shower is judged at its own position
        collections |= set(trackers)
        if straw_stations(setup, spectrometer) and has_collection(events, "ST"):
            collections.add("ST")  # tracks do without, if they must
    hits = {name: read_pulses(events, name, FIELDS[name]) for name in FIELDS if name in collections}
    if any("samples" in columns.columns for columns in hits.values()):
        scalars.add("master_time")
    if drift and hits:
        scalars |= {"run", "spill"}
        if has_scalar(events, "spill_time"):
            scalars.add("spill_time")
    return _Inputs({name: read_scalar(events, name) for name in sorted(scalars)}, hits)


def _scalar_columns(wanted: tuple[str, ...], scalars: Columns) -> Columns:
    found: Columns = {}
    for name in wanted:
        group, _, field = name.rpartition(".")
        if name in _SCALARS:
            found[name] = scalars[name]
        elif group == "mc":
            found[name] = scalars[f"MC_{field}"]
        elif group == "trigger":
            found[name] = (scalars["trigger"] & np.uint32(TRIGGER_BITS[field])) != 0
    return found


def _by_run(
    wanted: tuple[str, ...],
    inputs: _Inputs,
    setup: Setup,
    *,
    conditions: Conditions | None,
    calib: Path | str | None,
    nearest: bool,
) -> Columns:
    """Columns that need conditions: each run's events with its own, in the original order."""
    run = inputs.scalars["run"]
    if conditions is not None:
        return _detectors(wanted, inputs, setup, conditions)
    found: Columns = {}
    numbers = np.unique(run)
    if not len(numbers):
        return {n: np.zeros(0, dtype=COLUMNS[n].dtype) for n in wanted}
    for number in numbers:
        of_run = load_conditions(setup, int(number), folder=calib, nearest=nearest)
        if len(numbers) == 1:
            return _detectors(wanted, inputs, setup, of_run)
        chosen = np.flatnonzero(run == number)
        part = inputs.select(chosen)
        for name, values in _detectors(wanted, part, setup, of_run).items():
            found.setdefault(name, np.empty(len(run), dtype=COLUMNS[name].dtype))[chosen] = values
    return found


def _detectors(
    wanted: tuple[str, ...], inputs: _Inputs, setup: Setup, conditions: Conditions
) -> Columns:
    groups = {group_of(n) for n in wanted}
    master_time = inputs.scalars.get("master_time")
    hits = {
        name: fit_samples(name, read, setup, conditions, master_time)
        for name, read in inputs.hits.items()
    }
    for name in set(conditions.drift) & set(hits):
        run, spill = inputs.scalars["run"], inputs.scalars["spill"]
        factors = conditions.drift[name].factors(run, spill, inputs.scalars.get("spill_time"))
        hits[name] = apply_drift(hits[name], factors)
    found: Columns = error_columns(wanted, hits, conditions)
    hits = {name: within_window(pulses) for name, pulses in hits.items()}
    if "quality" in groups:
        found["quality.good"] = _good(inputs.scalars, conditions)
    if "counters" in groups:
        found |= reconstruct_counters(hits["Counter"], setup, conditions)
    if "srd" in groups:
        found |= reconstruct_srd(hits["SRD"], setup, conditions)
    trackers = (hits.get("MM"), hits.get("GEM"), hits.get("ST"))
    first, needed = first_spectrometer(setup), tracks_of(wanted, setup, inputs.given)
    unfolded = len(needed) > 1
    if unfolded:
        trackers = (unfolded_hits(trackers[0], setup, conditions), *trackers[1:])
    straw = trackers[2]
    if groups & set(TRACKER_GROUPS) == {"straw"} and first not in needed and straw is not None:
        found |= straw_columns(straw, len(straw), setup, conditions)
    elif any(h is not None for h in trackers) and (groups & set(TRACKER_GROUPS) or first in needed):
        # What cells are expected from, and the track behind the target, takes other columns, too.
        alone = not unfolded and not set(wanted) & set(EXPECTED_COLUMNS)
        found |= reconstruct_tracks(
            *trackers,
            setup,
            conditions,
            spectrometer=first,
            unfolded=unfolded,
            wanted={*wanted, *IMPACT} if alone else None,
        )
    if groups & {"ecal", "prs"}:
        known = inputs.given | found
        impact_x, impact_y = (known.get(name) for name in IMPACT)
        found |= reconstruct_ecal(
            hits["ECAL"],
            setup,
            conditions,
            impact_x=impact_x,
            impact_y=impact_y,
            wanted=wanted,
        )
    last, track = last_spectrometer(setup), found
    if last != first and last in needed:
        track = reconstruct_tracks(
            *trackers, setup, conditions, spectrometer=last, unfolded=unfolded
        )
        found |= _outgoing(track)
    if "hcal" in groups:
        expected = None
        if set(wanted) & set(EXPECTED_COLUMNS):
            expected = expected_cells(track, setup)
        found |= reconstruct_hcal(hits["HCAL"], setup, conditions, expected=expected)
    if "vhcal" in groups:
        found |= reconstruct_vhcal(hits["VHCAL"], setup, conditions)
    if "veto" in groups:
        found |= reconstruct_veto(hits["VETO"], setup, conditions)
    return {name: found[name] for name in wanted}


def _outgoing(track: Columns) -> Columns:
    """Columns of the track behind the target, which ends at the HCAL's face."""
    return {
        name.replace("track.", "track_out.").replace("_ecal", "_hcal"): values
        for name, values in track.items()
        if group_of(name) == "track"
    }


def _good(scalars: Columns, conditions: Conditions) -> NDArray[np.bool_]:
    run, spill = scalars["run"].astype(np.int64), scalars["spill"].astype(np.int64)
    good = ~np.isin(run, list(conditions.bad_runs))
    for bad_run, bad_spill in conditions.bad_spills:
        good &= (run != bad_run) | (spill != bad_spill)
    return good
