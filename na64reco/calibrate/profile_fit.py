"""The expected shower from electrons: mean shape, fluctuations, where the cut lies."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares, minimize

from na64reco.calibrate.profile_likelihood import fluctuation_deviance
from na64reco.calorimeters import ShowerProfile, shape_statistic
from na64reco.calorimeters.hidden import lost_energy
from na64reco.calorimeters.profile import DEPTH_RANGE, REFERENCE_ENERGY
from na64reco.calorimeters.shape import published_cut
from na64reco.calorimeters.shares import expected_shares, share_modes
from na64reco.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable

    from na64reco.setup import Calorimeter

__all__ = ["ProfileFit", "ShowerSample", "cut_values", "fit_profile"]

Array = NDArray[np.float64]

_FEWEST: Final = 200
_MOST: Final = 4000
"""Events that the shape is fitted to; the level takes all."""
_CLEAN: Final = 4.0
"""Events whose T is so many times the median have a second particle or are no electrons."""
_MEDIAN: Final = 1.2
"""Of the column at the highest energy, where the cut is the published one."""
_LEVER: Final = 2.0
"""Ratio of beam energies from which on changes with energy are fitted."""
_TAIL: Final = 1.96
_QUANTUM: Final = 0.02
"""Variance over mean of a cell's energy while the mean is fitted, GeV."""


@dataclass(frozen=True, eq=False)
class ShowerSample:
    """Electrons in the ECAL."""

    energies: Array
    """In-time energies of the cells, GeV, shape (events, 2, nx, ny)."""
    x: Array
    """Impact point in the calorimeter's frame, mm, shape (events,)."""
    y: Array
    beam: Array
    """Beam energy, GeV, shape (events,)."""
    threshold: Array
    """Of the cells, GeV, shape (2, nx, ny)."""

    def __len__(self) -> int:
        return len(self.x)

    def select(self, chosen: NDArray[Any]) -> ShowerSample:
        """Some of the events."""
        return replace(
            self,
            energies=self.energies[chosen],
            x=self.x[chosen],
            y=self.y[chosen],
            beam=self.beam[chosen],
        )


@dataclass(frozen=True, eq=False)
class ProfileFit:
    """What was found."""

    profile: ShowerProfile
    used: int
    """Events that are taken for single electrons."""
    dropped: int
    statistic: Array
    """T of the used ones, of which each was judged by a profile that it did not fit."""
    beam: Array


def fit_profile(
    sample: ShowerSample,
    calorimeter: Calorimeter,
    start: ShowerProfile,
    *,
    efficiency: float = 0.95,
) -> ProfileFit:
    """Fit the parameters of the expected shower to electrons.

    How things change with energy is fitted where the sample's beam energies differ by a factor of
    two, and kept from ``start`` otherwise. Noise, calibration error, the errors of impact points
    and the width of late showers are kept: electrons of a beam do not tell them. The level of the
    cut is from a cross-validation, two halves judging each other.

    Parameters
    ----------
    sample
        Electrons, some with a second particle do no harm.
    calorimeter
        The cells.
    start
        Where to start from.
    efficiency
        Share of electrons that the published cut is to keep.

    Raises
    ------
    DataError
        If there are too few events.
    """
    good = _plausible(sample)
    if good.sum() < _FEWEST:
        msg = (
            f"{good.sum()} of {len(sample)} events have the beam's energy within 15 % and an "
            f"impact point; the shower profile needs {_FEWEST}. Give more electrons, or "
            "check the scales"
        )
        raise DataError(msg)
    chosen = sample.select(good)
    profile = _fit_shape(chosen, calorimeter, start, clean=False)
    clean = _clean(_statistic(chosen, calorimeter, profile), chosen.beam)
    chosen = chosen.select(clean)
    profile = _fit_shape(chosen, calorimeter, profile)
    statistic = np.empty(len(chosen))
    half = np.arange(len(chosen)) % 2 == 0
    for one in (half, ~half):
        other = _fit_shape(chosen.select(~one), calorimeter, profile)
        statistic[one] = _statistic(chosen.select(one), calorimeter, other)
    return ProfileFit(
        profile=_fit_level(profile, statistic, chosen.beam, efficiency),
        used=len(chosen),
        dropped=len(sample) - len(chosen),
        statistic=statistic,
        beam=chosen.beam,
    )


def cut_values(
    chi2: Array, energy: Array, edges: Array, *, efficiency: float = 0.95
) -> tuple[Array, Array]:
    """Cut on the column that keeps a share of electrons, by energy.

    Returns
    -------
    the quantiles and their standard errors, shape (bins,); NaN in bins with fewer than 100 events
    """
    cuts, errors = np.full((2, len(edges) - 1), np.nan)
    for i, (low, high) in enumerate(pairwise(edges)):
        values = chi2[(energy >= low) & (energy < high) & np.isfinite(chi2)]
        if len(values) >= 100:
            cuts[i] = np.quantile(values, efficiency)
            step = np.sqrt(efficiency * (1 - efficiency) / len(values))
            around = np.quantile(values, [efficiency - step, min(efficiency + step, 1.0)])
            errors[i] = 0.5 * (around[1] - around[0])
    return cuts, errors


def _plausible(sample: ShowerSample) -> NDArray[np.bool_]:
    total = sample.energies.sum(axis=(1, 2, 3))
    near = np.abs(total / sample.beam - 1) < np.maximum(0.15, 0.6 / np.sqrt(sample.beam))
    good: NDArray[np.bool_] = near & np.isfinite(sample.x) & np.isfinite(sample.y)
    return good


def _statistic(sample: ShowerSample, calorimeter: Calorimeter, profile: ShowerProfile) -> Array:
    return shape_statistic(
        sample.energies, sample.x, sample.y, profile, calorimeter, sample.threshold
    )


def _clean(statistic: Array, beam: Array) -> NDArray[np.bool_]:
    clean = np.zeros(len(beam), dtype=np.bool_)
    for energy in np.unique(beam):
        of = beam == energy
        clean[of] = statistic[of] < _CLEAN * np.median(statistic[of])
    return clean


def _wide(beam: Array) -> bool:
    return bool(beam.max() > _LEVER * beam.min())


def _fit_shape(
    sample: ShowerSample, calorimeter: Calorimeter, start: ShowerProfile, *, clean: bool = True
) -> ShowerProfile:
    if len(sample) > _MOST:
        sample = sample.select(np.linspace(0, len(sample) - 1, _MOST).astype(np.int64))
    profile = _fit_share(sample, start)
    profile = _fit_mean(sample, calorimeter, profile, clean=clean)
    return _fit_fluctuations(sample, calorimeter, profile)


def _log(sample: ShowerSample) -> tuple[Array, Array]:
    """ln(E / 100 GeV) of the measured energy, and the logarithm of the preshower's share."""
    total = sample.energies.sum(axis=(1, 2, 3))
    prs = sample.energies[:, 0].sum(axis=(1, 2))
    return np.log(total / REFERENCE_ENERGY), np.log(np.maximum(prs / total, 1e-3))


def _fit_share(sample: ShowerSample, start: ShowerProfile) -> ShowerProfile:
    log_energy, log_share = _log(sample)
    slope = start.share_slope
    if _wide(sample.beam):
        slope = float(np.polyfit(log_energy, log_share, 1)[0])
    rest = log_share - slope * log_energy
    mean, width = float(rest.mean()), float(rest.std())
    low, high = np.quantile(rest, [0.025, 0.975])
    return replace(
        start,
        share_log=mean,
        share_slope=slope,
        share_width=width,
        share_early=float(high - mean) / _TAIL,
        share_late=max(start.share_late, float(mean - low) / _TAIL),
    )


def _depth(sample: ShowerSample, profile: ShowerProfile) -> Array:
    log_energy, log_share = _log(sample)
    expected = profile.share_log + profile.share_slope * log_energy
    depth: Array = np.clip(np.exp(log_share - expected) - 1, *DEPTH_RANGE)
    return depth


def _fit_mean(
    sample: ShowerSample, calorimeter: Calorimeter, start: ShowerProfile, *, clean: bool
) -> ShowerProfile:
    """Least squares of the cells' energies; large deviations have less weight if not clean."""
    total = sample.energies.sum(axis=(1, 2, 3))
    sums = np.maximum(sample.energies.sum(axis=(2, 3)), 0.02)
    visible = [_visible(sample.threshold[section], start.lone) for section in range(2)]
    depth = _depth(sample, start)
    wide = _wide(sample.beam)
    floor = start.noise**2

    def unpack(values: Array, section: int) -> ShowerProfile:
        weight, sigma, per_depth, growth = (
            getattr(start, n).copy() for n in ("weight", "sigma", "depth", "growth")
        )
        # Few events leave a component without a size; its logarithms may go anywhere.
        logs = np.clip(values[:7], -12, 12)
        weight[section] = np.exp(np.append(logs[:3], 0.0))
        weight[section] /= weight[section].sum()
        sigma[section] = np.exp(logs[3:7])
        per_depth[section] = values[7]
        if wide:
            growth[section] = values[8]
        return replace(start, weight=weight, sigma=sigma, depth=per_depth, growth=growth)

    profile = start
    for section in range(2):

        def residuals(values: Array, section: int = section) -> Array:
            trial = unpack(values, section)
            f = expected_shares(trial, calorimeter, sample.x, sample.y, total, depth=depth)
            f = f[:, section]
            mean = f * sums[:, section, None, None]
            # Close to Poisson's variance; the floor is that of lone particles and noise.
            sigma = np.sqrt(_QUANTUM * mean + floor)
            rest: Array = (sample.energies[:, section] - visible[section](mean)) / sigma
            return rest.ravel()

        weight = np.log(np.maximum(start.weight[section], 1e-3))
        first = [*(weight[:3] - weight[3]), *np.log(start.sigma[section]), start.depth[section]]
        if wide:
            first.append(start.growth[section])
        found = least_squares(
            residuals,
            np.array(first),
            loss="linear" if clean else "soft_l1",
            f_scale=5.0,
            max_nfev=15,
            x_scale="jac",
        )
        profile = unpack(found.x, section)
        start = profile
    return profile


def _visible(threshold: Array, lone: float) -> Callable[[Array], Array]:
    """Mean energy that is read out against the expected one, for the section's usual threshold."""
    finite = threshold[np.isfinite(threshold)]
    value = float(np.median(finite)) if len(finite) else 0.0
    if value <= 0:
        return lambda mean: mean
    points = np.linspace(0, 6 * value, 40)
    lost = lost_energy(points, value, lone)
    return lambda mean: mean - np.interp(mean, points, lost, right=0.0)


def _fit_fluctuations(
    sample: ShowerSample, calorimeter: Calorimeter, start: ShowerProfile
) -> ShowerProfile:
    """Largest likelihood of quantum, single, wander and width."""
    events = len(sample)
    total = sample.energies.sum(axis=(1, 2, 3))
    modes = share_modes(
        start, calorimeter, sample.x, sample.y, total, depth=_depth(sample, start)
    ).reshape(events, 2, 4, -1)
    error = np.full(events, start.track_error)
    found = {n: getattr(start, n).copy() for n in ("quantum", "single", "wander", "width")}
    for section in range(2):
        energies = np.ascontiguousarray(sample.energies[:, section].reshape(events, -1))
        of_section = np.ascontiguousarray(modes[:, section])
        threshold = np.where(
            np.isfinite(sample.threshold[section]), sample.threshold[section], 0.0
        ).ravel()
        noise2 = np.maximum(start.noise, 0.5 * threshold) ** 2

        first = np.log(
            [
                max(start.quantum[section], 1e-3),
                max(start.single[section], 0.01) ** 2,
                max(start.wander[section], 0.5) ** 2,
                max(start.width[section], 0.05) ** 2,
            ]
        )
        # At one energy the quanta and single particles are the same thing.
        free = np.array([True, _wide(sample.beam), True, True])

        def deviance(  # noqa: PLR0917
            logs: Array,
            energies: Array = energies,
            modes: Array = of_section,
            threshold: Array = threshold,
            noise2: Array = noise2,
            first: Array = first,
            free: NDArray[np.bool_] = free,
        ) -> float:
            values = np.append(_values(logs, first, free), start.calibration_error**2)
            each = fluctuation_deviance(energies, modes, error, threshold, values, noise2)
            return float(each.sum())

        best = first[free]
        for _ in range(1 if free.all() else 2):
            best = minimize(deviance, best, method="Nelder-Mead", options={"maxfev": 400}).x
        values = _values(best, first, free)
        found["quantum"][section] = values[0]
        for name, value in zip(("single", "wander", "width"), values[1:], strict=True):
            found[name][section] = np.sqrt(value)
    return replace(start, **found)


def _values(logs: Array, first: Array, free: NDArray[np.bool_]) -> Array:
    """Parameters of the fluctuations, those that are not free as they were."""
    all_logs = first.copy()
    all_logs[free] = logs
    values: Array = np.exp(np.clip(all_logs, -20, 10))
    return values


def _fit_level(
    profile: ShowerProfile, statistic: Array, beam: Array, efficiency: float
) -> ShowerProfile:
    """Where the published cut has the efficiency asked for, and the power that spreads chi2."""
    energies = np.unique(beam)
    quantile = np.array([np.quantile(statistic[beam == e], efficiency) for e in energies])
    top = beam == energies[-1]
    power = float(
        np.log(published_cut(energies[-1]) / _MEDIAN)
        / np.log(quantile[-1] / np.median(statistic[top]))
    )
    level = np.log(quantile)
    log_energy = np.log(energies / REFERENCE_ENERGY)
    slope, curve = profile.level_slope, profile.level_curve
    if _wide(beam):
        # With two energies a straight line, with more a parabola.
        terms = np.polyfit(
            log_energy,
            level,
            min(2, len(energies) - 1),
            w=np.sqrt([np.count_nonzero(beam == e) for e in energies]),
        )[::-1]
        slope, curve = float(terms[1]), float(terms[2]) if len(terms) > 2 else 0.0
    rest = level - slope * log_energy - curve * log_energy**2
    weights = [np.count_nonzero(beam == e) for e in energies]
    return replace(
        profile,
        power=power,
        level=float(np.average(rest, weights=weights)),
        level_slope=slope,
        level_curve=curve,
    )
