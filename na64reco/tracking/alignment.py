"""Alignment: shift and rotation of every strip plane from the tracks of a calibration run.

A global least-squares fit: all planes' corrections and all tracks' parameters at once, the tracks'
being eliminated (`alignment_normal`), what tracks cannot see being held (`alignment_modes`). It is
iterated from the hits on, since planes that are 0.5 mm off spoil the finding: the first roads are
as wide as the expected misalignment, later ones narrow down to the resolution.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from na64reco.calibration import Alignment
from na64reco.errors import DataError
from na64reco.tracking.alignment_modes import known_modes, solve
from na64reco.tracking.alignment_normal import derivatives, normal_equations
from na64reco.tracking.clusters import find_clusters
from na64reco.tracking.finding import find_candidates
from na64reco.tracking.fit import fit_tracks
from na64reco.tracking.layout import make_layout
from na64reco.tracking.multiplexing import unfold_hits
from na64reco.tracking.planes import PROJECTIONS, TECHNOLOGIES, strip_planes
from na64reco.tracking.reconstruct import measurements

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from na64reco.calibration import Conditions
    from na64reco.events import Hits
    from na64reco.setup import Setup
    from na64reco.tracking.alignment_modes import Mode, Solution
    from na64reco.tracking.layout import Layout
    from na64reco.tracking.planes import Planes

__all__ = ["AlignmentResult", "AlignmentSample", "align"]

REQUIRED: Final = (0.02, 0.1)
"""Wanted precision of a shift (mm) and a rotation (mrad)."""
HOLD: Final = (0.1, 0.5)
"""What tracks measure worse than this stays as it was."""
_MIN_TRACKS: Final = 200
_MIN_NDF: Final = 3
"""Of a track: with fewer, a wrong hit is not noticed."""
_NARROWER: Final = 0.2
_HUBER: Final = 2.5
"""chi2 / ndf, in units of the median track's, beyond which a track counts less and less."""
_CUT: Final = 10.0
"""The same, beyond which it does not count."""
_SETTLED: Final = 0.1
"""Corrections, in standard deviations, that need no other iteration."""


@dataclass(frozen=True)
class AlignmentSample:
    """Tracker hits of a calibration run; None for a collection that the file lacks."""

    mm: Hits | None
    gem: Hits | None
    straight: bool = False
    """Taken with the magnets off."""


@dataclass(frozen=True, eq=False)
class AlignmentResult:
    """Where the planes of a spectrometer are; arrays of shape (planes,), along the beam."""

    keys: tuple[tuple[str, int, int], ...]
    """(technology, station number, projection index), as in `Conditions.alignment`."""
    names: tuple[str, ...]
    """Station and projection, such as "MM1 X"."""
    shift: NDArray[np.float64]
    """To be used from now on, mm."""
    rotation: NDArray[np.float64]
    """mrad."""
    shift_error: NDArray[np.float64]
    """mm; held modes count as known, as in all errors here."""
    rotation_error: NDArray[np.float64]
    """mrad."""
    start_shift: NDArray[np.float64]
    """Before, mm."""
    start_rotation: NDArray[np.float64]
    """mrad."""
    covariance: NDArray[np.float64]
    """Shape (2 planes, 2 planes): shift and rotation of the first plane, of the second, ..."""
    modes: tuple[Mode, ...]
    """What tracks do not see (`Mode.held`), or not to the required precision."""
    tracks: int
    """Used in the last iteration."""
    events: int
    """Given."""
    chi2: float
    """Median of chi2 / ndf of the tracks, by the final constants; about 0.9 for 5-7 degrees."""
    start_chi2: float
    """The same by those at the start, of the tracks that were found with them."""
    iterations: int
    converged: bool

    @property
    def alignment(self) -> dict[tuple[str, int, int], Alignment]:
        """As conditions, of the planes of this spectrometer."""
        return {
            key: Alignment(float(s), float(r))
            for key, s, r in zip(self.keys, self.shift, self.rotation, strict=True)
        }

    def apply(self, conditions: Conditions) -> Conditions:
        """The conditions with these constants in place of theirs."""
        return replace(conditions, alignment={**conditions.alignment, **self.alignment})


class _Fitted(NamedTuple):
    """Tracks of one sample, one per event."""

    measured: NDArray[np.float64]
    states: NDArray[np.float64]
    planes: Planes
    layout: Layout
    straight: bool


def align(
    samples: Sequence[AlignmentSample],
    setup: Setup,
    conditions: Conditions,
    *,
    spectrometer: str = "main",
    tolerance: float = 1.0,
    required: tuple[float, float] = REQUIRED,
    hold: tuple[float, float] = HOLD,
    beam_momentum: bool = False,
    max_iterations: int = 12,
    progress: Callable[[int, int], None] | None = None,
) -> AlignmentResult:
    """Align the strip planes of a spectrometer.

    Parameters
    ----------
    samples
        Hits of runs with the magnets on, off, or both. Events with exactly one candidate count.
    conditions
        Where to start from: its alignment may be off by ``tolerance``.
    tolerance
        Expected misalignment, mm: it widens the first roads.
    required, hold
        Shift (mm) and rotation (mrad). Common movements of planes that tracks measure worse than
        ``hold`` are kept as they were; those and others that they measure worse than
        ``required`` are named in the result.
    beam_momentum
        Take the momentum of every track to be the beam's, within its spread: this fixes the
        momentum scale, else a mode that no bent track sees.
    progress
        Called as ``progress(iterations done, most iterations)``.

    Raises
    ------
    DataError
        Where fewer than 200 tracks can be used.
    SetupError, ConditionsError
        As `reconstruct_tracks`.
    """
    start = strip_planes(setup, conditions)
    layout = make_layout(setup, start, spectrometer=spectrometer)
    centres, names, keys = _describe(setup, start, layout)
    before = _constants(conditions, keys)
    constants = before.copy()
    width, chi2, start_chi2, tracks = tolerance, np.nan, np.nan, 0
    finest = 0.5 * float(start.resolution[layout.planes].min())
    momentum = setup.beam.momentum
    beam = (setup.beam.charge / momentum, setup.beam.momentum_spread / momentum)
    solution: Solution | None = None
    converged = False
    iteration = 0
    while iteration < max_iterations and not converged:
        iteration += 1
        here = _with(conditions, keys, constants)
        fitted = [
            _fitted(s, setup, here, spectrometer, width=width if width > finest else 0.0)
            for s in samples
        ]
        matrix, vector = np.zeros((2 * len(keys),) * 2), np.zeros(2 * len(keys))
        ratios, tracks = [], 0
        for sample in fitted:
            part, right, ratio, used = _equations(sample, centres, beam if beam_momentum else None)
            matrix += part
            vector += right
            tracks += used
            ratios.append(ratio)
        if tracks < _MIN_TRACKS:
            msg = _too_few(samples, tracks, tolerance)
            raise DataError(msg)
        chi2 = float(np.median(np.concatenate(ratios)))
        start_chi2 = chi2 if iteration == 1 else start_chi2
        known = _known(fitted, setup)
        solution = solve(
            matrix, vector, constants - before, known, names, required=required, hold=hold
        )
        constants = constants + solution.correction
        errors = np.sqrt(np.diag(solution.covariance))
        small = np.abs(solution.correction) <= _SETTLED * np.maximum(errors, 1e-9)
        converged = width <= finest and bool(small.all())
        width *= _NARROWER
        if progress is not None:
            progress(iteration, max_iterations)
    assert solution is not None
    errors = np.sqrt(np.diag(solution.covariance))
    return AlignmentResult(
        keys=tuple(keys),
        names=tuple(names),
        shift=constants[0::2],
        rotation=constants[1::2],
        shift_error=errors[0::2],
        rotation_error=errors[1::2],
        start_shift=before[0::2],
        start_rotation=before[1::2],
        covariance=solution.covariance,
        modes=solution.modes,
        tracks=tracks,
        events=sum(_events(s) for s in samples),
        chi2=chi2,
        start_chi2=start_chi2,
        iterations=iteration,
        converged=converged,
    )


def _events(sample: AlignmentSample) -> int:
    return len(sample.mm) if sample.mm is not None else len(sample.gem or ())


def _too_few(samples: Sequence[AlignmentSample], tracks: int, tolerance: float) -> str:
    return (
        f"alignment: {tracks} tracks can be used of {sum(map(_events, samples))} events, at least "
        f"{_MIN_TRACKS} are needed (one candidate in the event, {_MIN_NDF} hits more than it has "
        "parameters). Give more events of a run with beam at low intensity, or a larger "
        f"tolerance than {tolerance:g} mm if the planes may be further off"
    )


def _describe(
    setup: Setup, planes: Planes, layout: Layout
) -> tuple[NDArray[np.float64], list[str], list[tuple[str, int, int]]]:
    """Centres (planes, 2), names and keys of a spectrometer's planes."""
    centres, names, keys = [], [], []
    for p in layout.planes:
        technology = TECHNOLOGIES[planes.technology[p]]
        number, projection = int(planes.station[p]), int(planes.projection[p])
        name, station = next(
            (n, s) for n, s in setup.stations_of(technology).items() if s.number == number
        )
        centres.append((station.x, station.y))
        names.append(f"{name} {PROJECTIONS[projection]}")
        keys.append((technology, number, projection))
    return np.array(centres, np.float64).reshape(-1, 2), names, keys


def _constants(conditions: Conditions, keys: Sequence[tuple[str, int, int]]) -> NDArray[np.float64]:
    nothing = Alignment(0.0, 0.0)
    known: Mapping[tuple[str, int, int], Alignment] = conditions.alignment
    pairs = [known.get(key, nothing) for key in keys]
    return np.array([v for a in pairs for v in (a.shift, a.rotation)], np.float64)


def _with(
    conditions: Conditions, keys: Sequence[tuple[str, int, int]], constants: NDArray[np.float64]
) -> Conditions:
    new = {
        key: Alignment(float(constants[2 * i]), float(constants[2 * i + 1]))
        for i, key in enumerate(keys)
    }
    return replace(conditions, alignment={**conditions.alignment, **new})


def _fitted(
    sample: AlignmentSample,
    setup: Setup,
    conditions: Conditions,
    spectrometer: str,
    *,
    width: float,
) -> _Fitted:
    """Tracks of all events with one candidate, found in roads that are ``width`` (mm) wider."""
    planes = strip_planes(setup, conditions)
    wide = planes._replace(resolution=np.hypot(planes.resolution, width))
    layout = make_layout(setup, wide, spectrometer=spectrometer)
    if sample.straight:
        # To the finder they are tracks of infinite momentum in the field that is not there.
        dipoles, field = layout.dipoles, layout.field
        layout = layout._replace(
            dipoles=dipoles._replace(loss=0 * dipoles.loss),
            field=None if field is None else field._replace(loss=0 * field.loss),
        )
    mm = None if sample.mm is None else unfold_hits(sample.mm, setup, planes)
    clusters = find_clusters(mm, sample.gem, planes)
    candidates = find_candidates(clusters, layout)
    first = candidates.offsets[:-1][candidates.number == 1]
    measured = measurements(candidates, clusters, planes, layout)[first]
    fits = fit_tracks(measured, candidates.seed[first], planes, layout)
    good = fits.ok & (fits.ndf >= _MIN_NDF)
    return _Fitted(measured[good], fits.first[good], planes, layout, sample.straight)


def _equations(
    tracks: _Fitted, centres: NDArray[np.float64], beam: tuple[float, float] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], int]:
    """Matrix and vector with robust weights; chi2 / ndf of all tracks; how many of them count."""

    def equations(
        weights: NDArray[np.float64],
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
        return normal_equations(
            tracks.measured,
            tracks.states,
            weights,
            tracks.planes,
            tracks.layout,
            centres,
            straight=tracks.straight,
            beam=beam or (0.0, 0.0),
        )

    _, _, chi2, ndf = equations(np.zeros(len(tracks.measured)))
    fine = (ndf >= _MIN_NDF) & np.isfinite(chi2)
    ratio = chi2[fine] / ndf[fine]
    # The median is that of the tracks as they are, misaligned or of a resolution that the
    # conditions do not know: only what sticks out from the others counts less.
    typical = max(1.0, float(np.median(ratio))) if len(ratio) else 1.0
    weights = np.zeros(len(chi2))
    relative = np.maximum(ratio / typical, 1e-12)
    weights[fine] = np.where(relative > _CUT, 0.0, np.minimum(1.0, np.sqrt(_HUBER / relative)))
    matrix, vector, _, _ = equations(weights)
    return matrix, vector, ratio, int(np.count_nonzero(weights))


def _known(fitted: Sequence[_Fitted], setup: Setup) -> list[tuple[str, NDArray[np.float64]]]:
    """Modes with a name, about the nominal beam particle."""
    tracks = fitted[0]
    z = float(tracks.layout.z[0])
    charge = setup.beam.charge
    state = np.array(
        [setup.beam_x(z), setup.beam.y, setup.beam_slope(z), 0.0, charge / setup.beam.momentum]
    )
    bent = next((t for t in fitted if not t.straight), tracks)
    slopes = derivatives(state, bent.planes, bent.layout, straight=bent.straight)
    chosen = bent.layout.planes
    return known_modes(slopes, tracks.planes.cos[chosen], tracks.planes.sin[chosen])
