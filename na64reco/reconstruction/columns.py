"""The columns of a reconstructed event: name, type, unit, meaning.

A name ``GROUP.FIELD`` is a field of the nested record ``GROUP`` in the array that
:func:`na64reco.reconstruction.reconstruct` returns; one without a dot stands in the event itself.
Reconstruction functions return exactly these names; `na64reco inspect`, the written skim and the
user guide print the units and meanings from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

__all__ = ["COLUMNS", "Column", "columns_of_group", "group_of"]


@dataclass(frozen=True)
class Column:
    """One column of the reconstructed event."""

    dtype: Literal["bool", "uint8", "int8", "int16", "uint32", "uint64", "float32", "float64"]
    """numpy name of the element type."""
    unit: str
    """Empty for pure numbers."""
    meaning: str
    """One line."""


def _f(unit: str, meaning: str) -> Column:
    return Column("float32", unit, meaning)


def _b(meaning: str) -> Column:
    return Column("bool", "", meaning)


def _n(meaning: str) -> Column:
    return Column("int16", "", meaning)


_COUNTER: Final = "in-time energy in the counter"
_MIPS: Final = "minimum-ionising particles in the module: 0, 1, 2 or 3 for more"
_EXPECTED: Final = "in-time energy in the cell of module {} that the last track enters; NaN if none"
_EXPECTED_MIPS: Final = "minimum-ionising particles in that cell: 0, 1, 2 or 3 for more; -1 if none"

COLUMNS: Final[dict[str, Column]] = {
    # the event
    "run": Column("uint32", "", "run number"),
    "spill": Column("uint32", "", "spill number in the run"),
    "event": Column("uint64", "", "event number, unique in the run"),
    "trigger.physics": _b("the physics trigger fired"),
    "trigger.beam": _b("the beam (calibration) trigger fired"),
    "trigger.random": _b("the random trigger fired"),
    "master_time": _f("ns", "trigger time reference"),
    "scaler": Column(
        "uint64", "", "beam coincidences since the run began, files with scalers only"
    ),
    "scaler_live": Column(
        "uint64", "", "those of them during which a trigger could be accepted, the same"
    ),
    "prescale": Column("uint32", "", "of the beam trigger, files that have it only"),
    "quality.good": _b("neither the run nor the spill is marked bad in the conditions"),
    # truth, simulated files only
    "mc.process": Column("uint8", "", "simulated process, see na64reco.events.PROCESSES"),
    "mc.weight": _f("", "weight of the simulated event"),
    "mc.momentum": _f("GeV/c", "true momentum before the magnets"),
    "mc.x": _f("mm", "true global x at the ECAL's front face"),
    "mc.y": _f("mm", "true global y at the ECAL's front face"),
    "mc.ecal_energy": _f("GeV", "true energy deposited in the ECAL, electromagnetic scale"),
    "mc.missing_energy": _f("GeV", "true energy carried off by a dark particle"),
    "mc.pileup": Column("uint8", "", "other beam particles in the readout window"),
    # beam counters
    "counters.s0": _f("GeV", _COUNTER),
    "counters.s1": _f("GeV", _COUNTER),
    "counters.s2": _f("GeV", _COUNTER),
    "counters.s3": _f("GeV", _COUNTER),
    "counters.s4": _f("GeV", _COUNTER),
    "counters.smu": _f("GeV", _COUNTER),
    "counters.v0": _f("GeV", _COUNTER),
    "counters.v1": _f("GeV", _COUNTER),
    "counters.v2": _f("GeV", _COUNTER),
    "counters.beam": _b("all counters of the trigger's coincidence fired in time"),
    "counters.veto": _b("at least one counter of the trigger's veto fired in time"),
    # synchrotron-radiation detector
    "srd.energy": _f("GeV", "in-time energy in all modules"),
    "srd.energy_out": _f("GeV", "out-of-time energy in all modules"),
    "srd.modules": _n("modules with in-time energy above threshold"),
    "srd.module0": _f("GeV", "in-time energy in module 0"),
    "srd.module1": _f("GeV", "in-time energy in module 1"),
    "srd.module2": _f("GeV", "in-time energy in module 2"),
    # electromagnetic calorimeter
    "ecal.energy": _f("GeV", "in-time energy, preshower and main section, and ecal.hidden"),
    "ecal.energy_out": _f("GeV", "out-of-time energy, preshower and main section"),
    "ecal.energy_error": _f("GeV", "standard error of ecal.energy from the pulse fits; waveforms"),
    "ecal.energy_out_error": _f("GeV", "the same of ecal.energy_out; waveforms"),
    "ecal.energy_before": _f("GeV", "pulses beginning outside of energy_out's window; waveforms"),
    "ecal.main": _f("GeV", "in-time energy in the main section"),
    "ecal.hidden": _f(
        "GeV", "energy that cells below their thresholds hide, by the expected shower"
    ),
    "prs.energy": _f("GeV", "in-time energy in the preshower"),
    "prs.fraction": _f("", "the preshower's share of the in-time energy; 0 if E=0"),
    "prs.late": _f(
        "", "how late the shower begins: pull of the preshower's share; NaN without energy"
    ),
    "prs.energy_out": _f("GeV", "out-of-time energy in the preshower"),
    "ecal.missing": _f("GeV", "beam momentum minus ecal.energy"),
    "ecal.x": _f("mm", "shower position, local frame of the ECAL; NaN without energy"),
    "ecal.y": _f("mm", "shower position, local frame of the ECAL; NaN without energy"),
    "ecal.fraction3x3": _f(
        "", "share of the energy in 3x3 cells about the most energetic; 0 if E=0"
    ),
    "ecal.fraction5x5": _f("", "the same in 5x5 cells"),
    "ecal.width_x": _f("mm", "root of the second moment of the cells' energies in x; NaN without"),
    "ecal.width_y": _f("mm", "the same in y"),
    "ecal.lateral": _f("", "(all - 3x3)/all about the most energetic cell; 0 if E=0"),
    "ecal.chi2": _f(
        "", "chi2 of the shower shape, the published cuts keep 95 %; NaN without energy"
    ),
    "ecal.cell_ix": _n("ix of the most energetic cell (both sections); -1 without energy"),
    "ecal.cell_iy": _n("iy of the most energetic cell (both sections); -1 without energy"),
    "ecal.in_beam_cell": _b("the most energetic cell is the one that the beam hits"),
    "ecal.cells": _n("cells with in-time energy above threshold, both sections"),
    "ecal.time": _f("ns", "energy-weighted time residual of the in-time hits; NaN without any"),
    # hadronic calorimeter
    "hcal.energy": _f("GeV", "in-time energy in the modules along the beam (not module3)"),
    "hcal.energy_out": _f("GeV", "out-of-time energy in the modules along the beam"),
    "hcal.energy_error": _f("GeV", "standard error of all in-time HCAL energy; waveforms"),
    "hcal.energy_out_error": _f("GeV", "the same of all out-of-time energy; waveforms"),
    "hcal.energy_before": _f("GeV", "pulses beginning outside of energy_out's window; waveforms"),
    "hcal.module0": _f("GeV", "in-time energy in module 0"),
    "hcal.module1": _f("GeV", "in-time energy in module 1"),
    "hcal.module2": _f("GeV", "in-time energy in module 2"),
    "hcal.module3": _f("GeV", "in-time energy in module 3"),
    "hcal.mips0": _n(_MIPS),
    "hcal.mips1": _n(_MIPS),
    "hcal.mips2": _n(_MIPS),
    "hcal.mips3": _n(_MIPS),
    "hcal.muons": _n("muons: 1 or 2 where all modules along the beam agree on it, else 0"),
    "hcal.expected_ix": _n("ix of the cell of module 0 that the last track enters; -1 if none"),
    "hcal.expected_iy": _n("iy of the same cell; -1 if none"),
    **{f"hcal.expected{i}": _f("GeV", _EXPECTED.format(i)) for i in range(4)},
    **{f"hcal.expected_mips{i}": _n(_EXPECTED_MIPS) for i in range(4)},
    "hcal.zero_degree": _f("GeV", "in-time energy in the zero-degree module (module3)"),
    "hcal.ratio": _f("", "transverse R = (E - E_central)/E, modules along the beam; 0 if E=0"),
    # veto hadronic calorimeter
    "vhcal.energy": _f("GeV", "in-time energy in all cells"),
    "vhcal.energy_out": _f("GeV", "out-of-time energy in all cells"),
    "vhcal.energy_error": _f("GeV", "standard error of vhcal.energy by the pulse fits; waveforms"),
    "vhcal.energy_out_error": _f("GeV", "the same of vhcal.energy_out; waveforms"),
    "vhcal.energy_before": _f("GeV", "pulses beginning outside of energy_out's window; waveforms"),
    "vhcal.cell": _f("GeV", "largest in-time energy of a cell"),
    "vhcal.cells": _n("cells with in-time energy above threshold"),
    # veto
    "veto.energy": _f("GeV", "largest in-time bar energy"),
    "veto.energy_out": _f("GeV", "largest out-of-time bar energy"),
    "veto.bar0": _f("GeV", "in-time energy of bar 0"),
    "veto.bar1": _f("GeV", "in-time energy of bar 1"),
    "veto.bar2": _f("GeV", "in-time energy of bar 2"),
    # trackers
    "mm.clusters": _n("in-time clusters in all Micromegas planes"),
    "gem.clusters": _n("in-time clusters in all GEM planes"),
    "straw.multiplicity": _n("largest number of in-time hits in one straw plane"),
    "straw.min_multiplicity": _n("smallest number of in-time hits in one straw plane"),
    "straw.hits": _n("in-time straw hits, all planes"),
    "straw.planes": _n("straw planes with an in-time hit"),
    # track
    "track.found": _b("a track through the spectrometer was found and fitted"),
    "track.reason": Column(
        "uint8",
        "",
        "why no track: 0 ok, 1 no upstream segment, 2 no downstream "
        "segment, 3 no match, 4 fit failed, 5 too many combinations, 6 leaves the field map",
    ),
    "track.momentum": _f("GeV/c", "momentum; NaN without a track, as all of track.*"),
    "track.momentum_error": _f("GeV/c", "standard deviation of the momentum"),
    "track.charge": Column("int8", "e", "sign of the charge; 0 without a track"),
    "track.chi2": _f("", "chi2 of the fit"),
    "track.ndf": _n("degrees of freedom of the fit"),
    "track.p_value": _f("", "probability of a larger chi2"),
    "track.hits": _n("hits on the track"),
    "track.dropped": _n("hits dropped from the track since they did not belong to it"),
    "track.candidates": _n("track candidates in the event"),
    "track.most_behind": _n("most in-time hits in a projection of a chamber behind the magnets"),
    "track.angle_in": _f("mrad", "angle of the upstream segment to the z axis"),
    "track.slope_x_in": _f("mrad", "dx/dz before the magnets"),
    "track.slope_y_in": _f("mrad", "dy/dz before the magnets"),
    "track.slope_x_out": _f("mrad", "dx/dz behind the magnets"),
    "track.slope_y_out": _f("mrad", "dy/dz behind the magnets"),
    "track.x_ecal": _f("mm", "extrapolation to the ECAL's front face, local frame"),
    "track.y_ecal": _f("mm", "extrapolation to the ECAL's front face, local frame"),
    "track.x_ecal_error": _f("mm", "standard deviation of track.x_ecal"),
    "track.y_ecal_error": _f("mm", "standard deviation of track.y_ecal"),
    "track.time": _f("ns", "mean time of the hits on the track, relative to master_time"),
    # track behind the target, of the setup's last spectrometer where that is not the first
    "track_out.found": _b("the same of a track behind the target, as all of track_out.*"),
    "track_out.reason": Column("uint8", "", "why no track, codes of track.reason"),
    "track_out.momentum": _f("GeV/c", "momentum; NaN without a track, as all of track_out.*"),
    "track_out.momentum_error": _f("GeV/c", "standard deviation of the momentum"),
    "track_out.charge": Column("int8", "e", "sign of the charge; 0 without a track"),
    "track_out.chi2": _f("", "chi2 of the fit"),
    "track_out.ndf": _n("degrees of freedom of the fit"),
    "track_out.p_value": _f("", "probability of a larger chi2"),
    "track_out.hits": _n("hits on the track"),
    "track_out.dropped": _n("hits dropped from the track since they did not belong to it"),
    "track_out.candidates": _n("track candidates in the event"),
    "track_out.most_behind": _n("the same of track.most_behind: cut iii of arXiv:2401.01708"),
    "track_out.angle_in": _f("mrad", "angle of the upstream segment to the z axis"),
    "track_out.slope_x_in": _f("mrad", "dx/dz before the magnets"),
    "track_out.slope_y_in": _f("mrad", "dy/dz before the magnets"),
    "track_out.slope_x_out": _f("mrad", "dx/dz behind the magnets"),
    "track_out.slope_y_out": _f("mrad", "dy/dz behind the magnets"),
    "track_out.x_hcal": _f("mm", "extrapolation to the HCAL's front face, local frame"),
    "track_out.y_hcal": _f("mm", "extrapolation to the HCAL's front face, local frame"),
    "track_out.x_hcal_error": _f("mm", "standard deviation of track_out.x_hcal"),
    "track_out.y_hcal_error": _f("mm", "standard deviation of track_out.y_hcal"),
    "track_out.time": _f("ns", "mean time of the hits on the track, relative to master_time"),
}
"""Every column that reconstruction can give, in the order in which it is written."""


def group_of(name: str) -> str:
    """Record that a column belongs to: the part before the dot, empty for the event itself.

    >>> group_of("ecal.energy"), group_of("run")
    ('ecal', '')
    """
    return name.partition(".")[0] if "." in name else ""


def columns_of_group(*groups: str) -> tuple[str, ...]:
    """Names of all columns of some groups, in the order of :data:`COLUMNS`.

    >>> columns_of_group("trigger")
    ('trigger.physics', 'trigger.beam', 'trigger.random')
    """
    return tuple(name for name in COLUMNS if group_of(name) in groups)
