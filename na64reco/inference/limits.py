"""Limits on a model's coupling from one search or several together.

Every run period or trigger configuration of every search is a channel of a counting model. The
signal's composition (which share in which channel) and its threshold error depend on mass and
coupling; the limit on the number of events depends on them, weakly. So: number of events N for the
composition at a coupling, coupling for this N, and again until nothing changes. The coupling itself
is found by iteration and by root finding (`couplings`).

Uncertainties of the signal: a search's `systematics` act on all its periods at once; exposure,
efficiency and threshold (arXiv:2404.06982, section 5: rms of the yield over a Gaussian of
thresholds) on each period alone. Searches have no uncertainty in common.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from na64reco.darksector.models import DarkPhoton, DarkSector
from na64reco.errors import InferenceError
from na64reco.inference.counting_model import CountingModel
from na64reco.inference.couplings import by_iteration, by_root_finding, scan
from na64reco.inference.poisson import check_level
from na64reco.inference.search_yields import SearchYields
from na64reco.inference.upper_limits import expected_limits, upper_limit

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray

    from na64reco.darksector.models import VectorModel
    from na64reco.darksector.yields import Production
    from na64reco.inference.search import Period, Search
    from na64reco.inference.upper_limits import Method

__all__ = ["CouplingLimits", "LimitSetter"]

BOUNDS = (1e-8, 1.0)
"""Couplings between which limits are looked for."""

_ROUNDED = 1e-3
"""Shares and errors of the signal closer than this have the same limit on the number of events."""
_BANDS_ROUNDED = 0.002
"""The same for what is dear: expected limits of more than two channels, and toys."""
_ROUNDS = 4
_SAME = 1e-4


@dataclass(frozen=True, eq=False)
class CouplingLimits:
    """What a search says of a model, mass by mass."""

    mass: NDArray[np.float64]
    """GeV, shape (masses,)."""
    coupling: NDArray[np.float64]
    """Upper limit; inf: nothing is excluded. For a projection the expected one. Shape (masses,)."""
    upper: NDArray[np.float64]
    """Above it nothing is excluded; inf: no such edge below 1. Shape (masses,)."""
    bands: NDArray[np.float64]
    """Expected limits at -2, -1, 0, 1, 2 sigma, shape (5, masses)."""
    events: NDArray[np.float64]
    """Limit on the number of signal events in all channels, shape (masses,)."""
    signal: NDArray[np.float64]
    """Events at the limit by channel, shape (channels, masses)."""
    threshold_error: NDArray[np.float64]
    """Relative error of the yield from the threshold by channel, shape (channels, masses)."""
    iterated: NDArray[np.float64]
    """The limit by the papers' iteration, shape (masses,)."""
    iterations: NDArray[np.int64]
    """Steps that it took from the narrow-width limit, shape (masses,)."""
    projection: bool
    """Whether nothing was observed (yet), so that `coupling` is what is expected."""


@dataclass(frozen=True, eq=False)
class LimitSetter:
    """Limits of one or several searches, taken together."""

    searches: tuple[Search, ...]
    exposure: float | None = None
    """Beam particles instead of the search's own; makes a projection, with the background scaled.
    For one search."""
    cl: float = 0.9
    method: Method = "cls"
    production: Production = "all"
    cache: Path | None = None
    """Folder of track lengths that are not shipped."""
    _known: dict[tuple[str | int, ...], NDArray[np.float64]] = field(
        default_factory=dict, repr=False
    )

    def __post_init__(self) -> None:
        if not self.searches:
            msg = "A limit needs at least one search."
            raise InferenceError(msg)
        check_level(self.cl)
        if self.exposure is not None and len(self.searches) > 1:
            msg = "An exposure is that of one search; give one, or leave the exposure out."
            raise InferenceError(msg)
        if self.exposure is not None and not 0 < self.exposure < float("inf"):
            msg = f"An exposure must be a positive number of particles, found {self.exposure!r}."
            raise InferenceError(msg)
        names = [search.name for search in self.searches]
        if len(set(names)) < len(names):
            msg = f"The same search twice would be counted twice: {', '.join(names)}."
            raise InferenceError(msg)

    @cached_property
    def _yields(self) -> tuple[SearchYields, ...]:
        return tuple(SearchYields(search, self.cache) for search in self.searches)

    @cached_property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels: search and period."""
        return tuple(f"{search.name} {name}" for search in self.searches for name in search.periods)

    @cached_property
    def _periods(self) -> tuple[Period, ...]:
        return tuple(period for search in self.searches for period in search.periods.values())

    @property
    def projection(self) -> bool:
        """Whether some channel has no count."""
        return self.exposure is not None or any(p.observed is None for p in self._periods)

    @cached_property
    def _background(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Value and covariance."""
        value = np.array([p.background.value for p in self._periods])
        error = np.array([p.background.error for p in self._periods])
        search = np.repeat(np.arange(len(self.searches)), [len(s.periods) for s in self.searches])
        common = np.array([s.background_correlation for s in self.searches])[search]
        correlation = np.where(search[:, None] == search, common[:, None], 0.0)
        np.fill_diagonal(correlation, 1.0)
        scale = 1.0
        if self.exposure is not None:
            scale = self.exposure / sum(p.exposure.value for p in self._periods)
        return scale * value, scale**2 * correlation * np.outer(error, error)

    def _sources(self, threshold: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        """Relative errors of the signal by source, shape (channels,)."""
        sources: dict[str, NDArray[np.float64]] = {}
        start = 0
        for search in self.searches:
            here = np.zeros(len(self.channels))
            here[start : start + len(search.periods)] = 1
            for name, size in search.systematics.items():
                sources[f"{search.name} {name}"] = size * here
            start += len(search.periods)
        for i, (channel, period) in enumerate(zip(self.channels, self._periods, strict=True)):
            relative = [
                p.error / p.value for p in (period.exposure, period.efficiency) if p.value > 0
            ]
            alone = np.zeros(len(self.channels))
            alone[i] = np.sqrt(np.sum(np.square(relative)) + threshold[i] ** 2)
            sources[channel] = alone
        return {name: size for name, size in sources.items() if size.any()}

    def counting_model(
        self, signal: NDArray[np.float64], threshold_error: NDArray[np.float64]
    ) -> CountingModel:
        """The likelihood for a signal, events by channel, and its relative threshold errors."""
        background, covariance = self._background
        observed = None
        if not self.projection:
            observed = np.array([p.observed for p in self._periods], dtype=np.int64)
        return CountingModel(
            self.channels,
            signal,
            background,
            covariance,
            self._sources(threshold_error),
            observed,
        )

    def _signal(
        self, model: VectorModel, mass: NDArray[np.float64], coupling: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        return np.concatenate(
            [
                yields.events(
                    model, mass, coupling, production=self.production, exposure=self.exposure
                ).total
                for yields in self._yields
            ]
        )

    def _threshold_errors(
        self, model: VectorModel, mass: NDArray[np.float64], coupling: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        errors = [
            yields.threshold_error(model, mass, coupling, production=self.production)
            for yields in self._yields
        ]
        return np.concatenate(errors)

    def _event_limits(
        self, signal: NDArray[np.float64], threshold: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Limits on the whole number of events, shape (masses,), and bands, shape (5, masses)."""
        total = signal.sum(axis=0)
        toys = self.method.endswith("toys")
        if toys and self.projection:
            msg = (
                f"With {self.method!r} no expected limits are calculated, it would take hours; for "
                "a projection choose a method without toys."
            )
            raise InferenceError(msg)
        rounded = _BANDS_ROUNDED if toys or len(signal) > 2 else _ROUNDED
        bands = np.full((5, signal.shape[1]), np.inf)
        observed = np.full(signal.shape[1], np.inf)
        for i in np.flatnonzero(total > 0):
            parts = signal[:, i] / total[i], threshold[:, i]
            if not toys:
                bands[:, i] = self._expected(*parts, rounded)
            fine = rounded if toys else _ROUNDED
            observed[i] = bands[2, i] if self.projection else self._observed(*parts, fine)
        return observed, bands

    def _expected(
        self, share: NDArray[np.float64], error: NDArray[np.float64], rounded: float
    ) -> NDArray[np.float64]:
        def find(counting: CountingModel) -> NDArray[np.float64]:
            return expected_limits(counting, cl=self.cl, method=self.method)

        return self._once("expected", find, share, error, rounded)

    def _observed(
        self, share: NDArray[np.float64], error: NDArray[np.float64], rounded: float
    ) -> NDArray[np.float64]:
        def find(counting: CountingModel) -> NDArray[np.float64]:
            return np.array(upper_limit(counting, cl=self.cl, method=self.method))

        return self._once("observed", find, share, error, rounded)

    def _once(
        self,
        what: str,
        find: Callable[[CountingModel], NDArray[np.float64]],
        share: NDArray[np.float64],
        error: NDArray[np.float64],
        rounded: float,
    ) -> NDArray[np.float64]:
        """The same for signals that are nearly the same."""
        shares = np.round(share / rounded).astype(int)
        errors = np.round(error / rounded).astype(int)
        key = (what, *shares.tolist(), *errors.tolist())
        if key not in self._known:
            self._known[key] = find(self.counting_model(shares / shares.sum(), errors * rounded))
        return self._known[key]

    def limits(self, model: VectorModel, mass: ArrayLike) -> CouplingLimits:
        """Upper limits on the model's coupling.

        Parameters
        ----------
        mass
            GeV, shape (masses,).

        Raises
        ------
        InferenceError
            For confidence levels and methods that are none.
        ModelError
            For masses outside the tables, or models that the masses do not fit.
        """
        masses = np.atleast_1d(np.asarray(mass, dtype=np.float64))

        def total(coupling: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.asarray(self._signal(model, masses, coupling).sum(axis=0))

        narrow = np.full(masses.shape, 10 * BOUNDS[0])
        threshold = self._threshold_errors(model, masses, narrow)
        events, bands = self._event_limits(self._signal(model, masses, narrow), threshold)
        with np.errstate(divide="ignore"):
            start = narrow * np.sqrt(events / total(narrow))
        start = np.where(np.isfinite(start), np.minimum(start, BOUNDS[1]), narrow)
        coupling = start
        scanned = scan(total, len(masses), BOUNDS)
        for _ in range(_ROUNDS):
            # Where nothing gives so many events any number does.
            wanted = np.where(np.isfinite(events), events, 1.0)
            every = np.concatenate((wanted[None, :], np.where(np.isfinite(bands), bands, 1.0)))
            excluded = by_root_finding(total, every, BOUNDS, scanned=scanned)
            found = excluded.lower[0]
            coupling = np.where(np.isfinite(found), found, coupling)
            again, bands = self._event_limits(self._signal(model, masses, coupling), threshold)
            same = np.all(~np.isfinite(events) | (np.abs(again / wanted - 1) < _SAME))
            events = again
            if same:
                break
        iterated = by_iteration(total, wanted, start)
        return CouplingLimits(
            mass=masses,
            coupling=found,
            upper=excluded.upper[0],
            bands=np.where(np.isfinite(bands), excluded.lower[1:], np.inf),
            events=events,
            signal=self._signal(model, masses, coupling),
            threshold_error=threshold,
            iterated=np.where(np.isfinite(found), iterated.coupling, np.inf),
            iterations=iterated.iterations,
            projection=self.projection,
        )

    def by_ratio(
        self, model: VectorModel, mass: ArrayLike, published: tuple[ArrayLike, ArrayLike]
    ) -> CouplingLimits:
        """Couplings with as many events as dark photons at their published limit.

        The ratio method of arXiv:2206.03101 (eq. 12-15): what does not depend on the model cancels,
        exposure, efficiency, statistics. Nothing is expected; all bands are infinite.

        Parameters
        ----------
        mass
            GeV, shape (masses,).
        published
            Masses, GeV, ascending, and limits on epsilon of invisible dark photons from strahlung
            alone; in between by power laws.

        Raises
        ------
        InferenceError
            For masses beyond the published ones.
        ModelError
            As `limits`.
        """
        masses = np.atleast_1d(np.asarray(mass, dtype=np.float64))
        known, epsilon = (np.asarray(column, dtype=np.float64) for column in published)
        if np.any((masses < known[0] * (1 - 1e-9)) | (masses > known[-1] * (1 + 1e-9))):
            msg = (
                f"The published curve is for {1e3 * known[0]:g} to {1e3 * known[-1]:g} MeV, masses "
                f"are {1e3 * masses.min():g} to {1e3 * masses.max():g} MeV; it is not extrapolated."
            )
            raise InferenceError(msg)
        mixing = np.exp(np.interp(np.log(masses), np.log(known), np.log(epsilon)))
        invisible = DarkPhoton(DarkSector(alpha=1.0))
        photons = [
            yields.events(
                invisible, masses, mixing, production="strahlung", exposure=self.exposure
            ).total
            for yields in self._yields
        ]
        events = np.concatenate(photons).sum(axis=0)

        def total(coupling: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.asarray(self._signal(model, masses, coupling).sum(axis=0))

        narrow = np.full(masses.shape, 10 * BOUNDS[0])
        with np.errstate(divide="ignore"):
            start = narrow * np.sqrt(events / total(narrow))
        start = np.where(np.isfinite(start), np.minimum(start, BOUNDS[1]), narrow)
        excluded = by_root_finding(total, events, BOUNDS)
        iterated = by_iteration(total, events, start)
        there = np.isfinite(excluded.lower)
        coupling = np.where(there, excluded.lower, start)
        signal = self._signal(model, masses, coupling)
        return CouplingLimits(
            mass=masses,
            coupling=excluded.lower,
            upper=excluded.upper,
            bands=np.full((5, len(masses)), np.inf),
            events=events,
            signal=signal,
            threshold_error=np.zeros(signal.shape),
            iterated=np.where(there, iterated.coupling, np.inf),
            iterations=iterated.iterations,
            projection=False,
        )
