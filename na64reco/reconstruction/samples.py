"""Files with waveforms: their samples instead of amplitude and time, and what only they give."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from na64reco.calibration import WAVEFORM_FILE
from na64reco.calorimeters import OUTSIDE, energy_errors, pulse_energies, pulses_from_waveforms
from na64reco.errors import ConditionsError, SetupError
from na64reco.events import Hits, has_field, read_hits

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from na64reco.calibration import CellConditions, Conditions
    from na64reco.setup import Setup

__all__ = ["ERROR_COLUMNS", "error_columns", "fit_samples", "read_pulses", "within_window"]

WINDOW: Final = 200.0
"""Pulses farther from the trigger, ns, are no out-of-time energy: readouts that give peaks do not
see them."""

_CONDITIONS: Final = {
    "Counter": "counters",
    "SRD": "srd",
    "ECAL": "ecal",
    "HCAL": "hcal",
    "VHCAL": "vhcal",
    "VETO": "veto",
}
"""Field of the conditions with the channels of a collection that may have samples."""

ERROR_COLUMNS: Final = (
    "ecal.energy_error",
    "ecal.energy_out_error",
    "ecal.energy_before",
    "hcal.energy_error",
    "hcal.energy_out_error",
    "hcal.energy_before",
    "vhcal.energy_error",
    "vhcal.energy_out_error",
    "vhcal.energy_before",
)
"""Columns that only waveforms give."""


def read_pulses(events: Any, collection: str, fields: tuple[str, ...]) -> Hits:
    """Read a collection; where it has samples, these instead of amplitude and time."""
    if "amplitude" in fields and has_field(events, collection, "samples"):
        fields = (*(f for f in fields if f not in {"amplitude", "time"}), "samples")
    return read_hits(events, collection, fields)


def fit_samples(
    name: str,
    hits: Hits,
    setup: Setup,
    conditions: Conditions,
    master_time: NDArray[np.floating[Any]] | None,
) -> Hits:
    """Hits with amplitude and time, fitted to their samples where they have samples.

    `master_time` of each event, ns, is needed for these only.

    Raises
    ------
    SetupError
        If the setup does not say how waveforms are sampled.
    ConditionsError
        If the conditions do not say how the detector's pulses look.
    """
    if "samples" not in hits.columns:
        return hits
    if setup.digitizer is None:
        msg = (
            f"The file has waveforms ({name}_samples), but the setup {setup.name} has no "
            "`digitizer` that says how they were sampled. Add one to the setup."
        )
        raise SetupError(msg)
    waveform = conditions.waveform.get(name)
    if waveform is None:
        first, last = conditions.runs
        msg = (
            f"The file has waveforms ({name}_samples), but the conditions of runs {first}-{last} "
            f"have no pulse shape and pedestals of {name}: {WAVEFORM_FILE} is missing from their "
            "folder, or lacks the detector. Make it from waveforms of calibration runs, "
            f"`na64reco calibrate {setup.name} FILES -o FOLDER --only waveform`, and use it with "
            "`--calib FOLDER`."
        )
        raise ConditionsError(msg)
    assert master_time is not None
    # In double precision: the difference is what counts.
    trigger = master_time.astype(np.float64) - setup.trigger.master_time
    return pulses_from_waveforms(
        hits, _cells(name, conditions), waveform, setup.digitizer, trigger=trigger, name=name
    )


def within_window(hits: Hits) -> Hits:
    """Pulses that peaks would show; all hits where there were no samples.

    What is left out: pulses whose maximum is outside the waveform, only known from a tail or a
    rise, and such that are more than WINDOW from the trigger.
    """
    flags = hits.columns.get("flags")
    if flags is None:
        return hits
    seen = (flags & OUTSIDE == 0) & (np.abs(hits["time"]) < WINDOW)
    offsets = np.concatenate([[0], np.cumsum(seen)])[hits.offsets]
    return Hits(offsets, {name: column[seen] for name, column in hits.columns.items()})


def error_columns(
    wanted: Iterable[str], hits: Mapping[str, Hits], conditions: Conditions
) -> dict[str, NDArray[Any]]:
    """What only waveforms give of the calorimeters that are wanted, from all of their pulses, GeV.

    Standard errors of the energies in and out of time, and the energy left out of both by
    `within_window`.
    """
    found: dict[str, NDArray[Any]] = {}
    wanted = set(wanted)
    for group, collection in (("ecal", "ECAL"), ("hcal", "HCAL"), ("vhcal", "VHCAL")):
        names = tuple(n for n in ERROR_COLUMNS if n.startswith(f"{group}."))
        if wanted & set(names):
            pulses, cells = hits[collection], _cells(collection, conditions)
            seen = within_window(pulses)
            errors = energy_errors(seen, cells)
            before = pulse_energies(pulses, cells) - pulse_energies(seen, cells)
            values = zip(names, (*errors, before), strict=True)
            found |= {name: value for name, value in values if name in wanted}
    return found


def _cells(name: str, conditions: Conditions) -> CellConditions:
    cells: CellConditions = getattr(conditions, _CONDITIONS[name])
    return cells
