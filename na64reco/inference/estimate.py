"""From output folders to background, box and counting.json, period by period."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from na64reco.errors import InferenceError, did_you_mean
from na64reco.inference import background as bg
from na64reco.inference.box import choose_box
from na64reco.inference.closure import closure_tests
from na64reco.inference.counting import Counting, Number, SignalCurve, background_of
from na64reco.inference.efficiency_results import EFFICIENCY, load_efficiency
from na64reco.inference.exposure_results import EXPOSURE, load_exposure
from na64reco.inference.selected import Events, read_folder
from na64reco.inference.shapes import NOMINAL
from na64reco.inference.signal_shape import sampled_signal, strahlung_signal, turn_on
from na64reco.processors.record import digest_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from na64reco.inference.box import BoxChoice
    from na64reco.inference.closure import Closure
    from na64reco.inference.expected import Method
    from na64reco.inference.selected import Folder, PeriodData

__all__ = ["Control", "Options", "PeriodEstimate", "Simulated", "estimate"]

POOR = 0.05
"""p-value below which a fit is remarked on."""
NEGLIGIBLE = 1e-3
"""Share of other particles in the beam that is not remarked on."""
FAILED = 3.0
"""Standard deviations beyond which a closure test of the nominal shape is."""


@dataclass(frozen=True)
class Simulated:
    """A dataset that gives a component of the background."""

    electrons: float
    """On target, that it stands for."""
    relative: float = 0.0
    """Systematic error of its rate."""


@dataclass(frozen=True)
class Control:
    """A control sample."""

    count: int
    transfer: float
    error: float


@dataclass(frozen=True)
class Options:
    """What the analyst may choose."""

    data: tuple[str, ...] = ()
    """Datasets to be treated as data; default: those that are not simulated."""
    simulated: Mapping[str, Simulated] = field(default_factory=dict)
    controls: Mapping[str, Control] = field(default_factory=dict)
    signal: str | None = None
    """Dataset of simulated signal; default: computed for `mass`."""
    mass: float = 0.01
    """GeV, of the dark particle whose spectrum the box is chosen for."""
    method: Method = "mean"
    """See `na64reco.inference.expected`."""
    cl: float = 0.9
    top: float | None = None
    """GeV, upper end of the fit of sideband A."""
    threshold_error: float = 0.5
    """GeV, of E_thr: the ECAL's scale, assumed."""
    exposure: Number | None = None
    kappa: Number | None = None
    calibration: Path | None = None
    """Folder of calibration runs with efficiency.json, for kappa; default: the folders of data."""
    seed: int = 1
    toys: int = 2000


@dataclass(frozen=True, eq=False)
class PeriodEstimate:
    """Everything about one period."""

    label: str
    """The period's name; with the setup's in front where two setups have periods of one name."""
    data: PeriodData
    selection: str
    upstream: bg.Sideband
    punch_through: bg.Sideband
    components: tuple[bg.Component, ...]
    closure: tuple[Closure, ...]
    choice: BoxChoice
    counting: Counting


def estimate(folders: Sequence[Path], options: Options) -> tuple[PeriodEstimate, ...]:
    """Background, box and counting input of every period in some output folders.

    Folders of the same setup, period and selection are added up.

    Raises
    ------
    InferenceError
        If a folder cannot be used, two of one period disagree about the selection, a dataset is
        not there, or the exposure is needed and not known.
    """
    read = [read_folder(path, data=options.data) for path in folders]
    _check_names(read, options)
    groups: dict[tuple[str, str], list[tuple[Folder, PeriodData]]] = {}
    for folder in read:
        for period in folder.periods:
            groups.setdefault((period.setup, period.name), []).append((folder, period))
    if not any(folder.data for folder in read):
        names = sorted({n for f in read for p in f.periods for n in p.simulated})
        msg = (
            f"There are no data in {', '.join(str(f.path) for f in read)}, only simulated datasets "
            f"({', '.join(names)}). To treat one of them as data, name it: --data NAME."
        )
        raise InferenceError(msg)
    names = [name for _, name in groups]
    return tuple(
        _estimate(members, options, label=name if names.count(name) == 1 else f"{setup}-{name}")
        for (setup, name), members in groups.items()
    )


def _check_names(read: Sequence[Folder], options: Options) -> None:
    known = {n for f in read for p in f.periods for n in p.simulated}
    wanted = [*options.simulated, *([options.signal] if options.signal else [])]
    for name in wanted:
        if name not in known:
            msg = f"There is no simulated dataset {name!r}. {did_you_mean(name, known)}"
            raise InferenceError(msg)


def _merge(members: Sequence[tuple[Folder, PeriodData]]) -> PeriodData:
    (first_folder, first), *others = members
    for folder, _ in others:
        if folder.selection != first_folder.selection:
            msg = (
                f"{first_folder.path} and {folder.path} hold the same period, {first.name!r} of "
                f"{first.setup}, with different selections; make them with the same one."
            )
            raise InferenceError(msg)
    everything = [p for _, p in members]
    names = {n for p in everything for n in p.simulated}
    counts = [p.observed for p in everything]
    return replace(
        first,
        data=Events.join([p.data for p in everything]),
        observed=None if None in counts else sum(c for c in counts if c is not None),
        simulated={
            n: Events.join([p.simulated[n] for p in everything if n in p.simulated]) for n in names
        },
    )


def _estimate(
    members: Sequence[tuple[Folder, PeriodData]], options: Options, *, label: str
) -> PeriodEstimate:
    period = _merge(members)
    folder = members[0][0]
    rng = np.random.default_rng(options.seed)
    a = bg.upstream(period, rng, top=options.top, toys=options.toys)
    c = bg.punch_through(period, rng, toys=options.toys)
    notes: list[str] = []
    exposure = options.exposure or _exposure(members, notes)
    kappa = options.kappa or _kappa(members, options.calibration, notes)
    if options.exposure is None and options.kappa is None and options.calibration is not None:
        notes.extend(_kinds(members, options.calibration))
    box = (period.box.ecal, period.box.hcal)
    components = [bg.component_of("upstream", a), bg.component_of("punch-through", c)]
    for name, sample in options.simulated.items():
        if exposure is None:
            msg = (
                f"The simulated background {name!r} needs the electrons on target of the data: "
                f"run `na64reco efficiency {folder.path}` first, or give --eot."
            )
            raise InferenceError(msg)
        events = period.simulated.get(name, Events.join([]))
        components.append(_simulated(name, events, box, sample, exposure.value))
    for name, control in options.controls.items():
        components.append(bg.from_control(name, control.count, control.transfer, control.error))
    goodness = a.goodness.get(NOMINAL)
    if goodness is not None and min(goodness.ks_p, goodness.ad_p) < POOR:
        notes.append(
            f"the {NOMINAL} describes sideband A poorly (p-values: KS {goodness.ks_p:.2g}, AD "
            f"{goodness.ad_p:.2g}); see whether its fit should end earlier, below the trigger's "
            "threshold (--top)"
        )
    closure = closure_tests(period, top=options.top)
    notes.extend(_failures(closure))
    signal = (
        strahlung_signal(options.mass, beam=period.beam)
        if options.signal is None
        else sampled_signal(
            options.signal, period.simulated[options.signal], period.box.hcal, beam=period.beam
        )
    )

    def others(ecal: float, hcal: float) -> float:
        assert exposure is not None or not options.simulated
        found = [
            _simulated(n, period.simulated.get(n, Events.join([])), (ecal, hcal), s, scale)
            for n, s in options.simulated.items()
            if (scale := exposure.value if exposure else 0.0)
        ]
        return sum(f.expected for f in found) + sum(c.expected for c in controls)

    controls = [x for x in components if x.name in options.controls]
    choice = choose_box(
        period, a, c, signal, simulated=[others], method=options.method, cl=options.cl
    )
    frozen = folder.unblinded
    counting = Counting(
        period=label,
        setup=period.setup,
        selection=folder.selection.name,
        selection_sha256=digest_of(folder.selection.model_dump(mode="json", by_alias=True)),
        frozen_box=None if frozen is None else str(frozen["sha256"]),
        observed=period.observed,
        threshold=Number(
            value=period.box.ecal,
            statistical=0.0,
            systematic=options.threshold_error,
            source="selection; error assumed",
        ),
        hcal_threshold=period.box.hcal,
        beam_energy=period.beam,
        background=background_of(components),
        kappa=kappa,
        exposure=exposure,
        signal_efficiency=_curve(members, period),
        notes=tuple(notes),
    )
    return PeriodEstimate(
        label,
        period,
        folder.selection.name,
        a,
        c,
        tuple(components),
        closure,
        choice,
        counting,
    )


def _failures(closure: Sequence[Closure]) -> list[str]:
    """The worst closure test of the nominal shape in each sideband, if it fails."""
    notes = []
    for sideband, remedy in (("A", "let the fit end earlier (--top)"), ("C", "do not rely on it")):
        tests = [
            (abs(t.pull), t)
            for t in closure
            if t.pull is not None and t.name.startswith(sideband) and t.name.endswith(NOMINAL)
        ]
        worst, test = max(tests, key=lambda pair: pair[0], default=(0.0, None))
        if test is not None and worst > FAILED:
            low, high = test.predicted_range
            notes.append(
                f"closure of sideband {sideband} fails: {test.expected:.3g} events expected from "
                f"{low:g} to {high:g} GeV, {test.observed:g} found ({test.pull:+.1f} standard "
                f"deviations); {remedy}"
            )
    return notes


def _simulated(
    name: str, events: Events, box: tuple[float, float], sample: Simulated, exposure: float
) -> bg.Component:
    return bg.from_simulation(
        name,
        events,
        box,
        simulated=sample.electrons,
        exposure=exposure,
        relative=sample.relative,
    )


def _exposure(members: Sequence[tuple[Folder, PeriodData]], notes: list[str]) -> Number | None:
    """Electrons on target of all data: statistics in quadrature, systematics added."""
    values, statistical, systematic = [], [], []
    for folder, period in members:
        if not (folder.path / EXPOSURE).is_file():
            notes.append(f"no {EXPOSURE} in {folder.path}: exposure not known")
            return None
        file = load_exposure(folder.path)
        for dataset in folder.data:
            try:
                found = file.electrons(dataset=dataset, period=period.name)
            except InferenceError as error:
                notes.append(f"exposure not known: {error}")
                return None
            values.append(found.value)
            statistical.append(found.statistical)
            systematic.append(found.systematic)
    return Number(
        value=sum(values),
        statistical=float(np.hypot.reduce(statistical)),
        systematic=sum(systematic),
        source=EXPOSURE,
    )


def _kinds(members: Sequence[tuple[Folder, PeriodData]], calibration: Path) -> list[str]:
    """Whether kappa is that of electrons and the exposure that of all particles."""
    measured = [d for d in load_efficiency(calibration).datasets.values() if d.kappa is not None]
    f = max((d.contamination for d in measured), key=lambda m: m.value, default=None)
    if f is None or f.value < NEGLIGIBLE:
        return []
    return [
        f"kappa is that of electrons, the exposure of {folder.path} that of all particles: repeat "
        f"`na64reco exposure {folder.path} --contamination {f.value:.2g}+-{f.error:.1g}`"
        for folder, _ in members
        if (folder.path / EXPOSURE).is_file()
        for name, found in load_exposure(folder.path).datasets.items()
        if name in folder.data and not found.contamination.value
    ]


def _kappa(
    members: Sequence[tuple[Folder, PeriodData]], calibration: Path | None, notes: list[str]
) -> Number | None:
    """Mean over the folders that have one; their errors are taken as common."""
    found = []
    period = members[0][1]
    paths = [folder.path for folder, _ in members] if calibration is None else [calibration]
    for path in paths:
        if calibration is None and not (path / EFFICIENCY).is_file():
            continue
        file = load_efficiency(path)
        if file.setup != period.setup:
            msg = f"{path} holds kappa of {file.setup}; the data are of {period.setup}."
            raise InferenceError(msg)
        try:
            found.append(file.kappa(period=period.name))
        except InferenceError as error:
            notes.append(f"kappa not known: {error}")
    if not found:
        notes.append(f"no kappa in {EFFICIENCY} of any folder")
        return None
    return Number(
        value=float(np.mean([f.value for f in found])),
        statistical=float(np.hypot.reduce([f.statistical for f in found]) / len(found)),
        systematic=float(np.mean([f.systematic for f in found])),
        source=EFFICIENCY,
    )


def _curve(members: Sequence[tuple[Folder, PeriodData]], period: PeriodData) -> SignalCurve:
    """eta(E) of the simulated signal if it was measured, else the threshold's resolution."""
    for folder, _ in members:
        if not (folder.path / EFFICIENCY).is_file():
            continue
        for name, dataset in load_efficiency(folder.path).datasets.items():
            if dataset.signal is None:
                continue
            edges = np.array(dataset.signal.edges)
            points = [
                (float(e), m.value, m.error)
                for e, m in zip(0.5 * (edges[1:] + edges[:-1]), dataset.signal.box, strict=True)
                if m is not None
            ]
            if len(points) > 1:
                energy, value, error = zip(*points, strict=True)
                return SignalCurve(
                    missing_energy=energy,
                    efficiency=value,
                    error=error,
                    source=f"{EFFICIENCY}: simulated {name}",
                )
    grid = np.arange(0.0, period.beam + 0.5, 0.5)
    values = turn_on(grid, period.box.ecal, beam=period.beam)
    return SignalCurve(
        missing_energy=tuple(map(float, grid)),
        efficiency=tuple(map(float, values)),
        error=(0.0,) * len(grid),
        source="threshold smeared with 10 %/sqrt(E) (+) 4 % [arXiv:2206.03101]",
    )
