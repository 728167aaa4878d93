"""Expected signal of a search, by period."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from na64reco.darksector.dump import load_dump
from na64reco.darksector.yields import DumpYield
from na64reco.errors import InferenceError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray

    from na64reco.darksector.dump import Dump
    from na64reco.darksector.models import VectorModel
    from na64reco.darksector.yields import Production
    from na64reco.inference.search import Period, Search

__all__ = ["SearchYields", "SignalEvents"]

# Exact where yields are parabolas in the threshold; seven nodes give the same to 1e-3.
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(3)


@dataclass(frozen=True, eq=False)
class SignalEvents:
    """Events after all cuts."""

    mass: NDArray[np.float64]
    """GeV, shape (masses,)."""
    coupling: NDArray[np.float64]
    """Shape (masses,)."""
    strahlung: NDArray[np.float64]
    """Shape (periods, masses)."""
    resonant: NDArray[np.float64]

    @property
    def total(self) -> NDArray[np.float64]:
        """Shape (periods, masses)."""
        return self.strahlung + self.resonant


@dataclass(frozen=True)
class SearchYields:
    """Yields of all periods; what does not depend on the model is calculated once."""

    search: Search
    cache: Path | None = None
    """Folder of track lengths that are not shipped; by default the user's."""

    @cached_property
    def dump(self) -> Dump:
        """Track lengths in the target."""
        beam = self.search.beam
        return load_dump(self.search.target.stack(), beam.energy, beam.particle, cache=self.cache)

    @cached_property
    def _periods(self) -> tuple[DumpYield, ...]:
        return tuple(self._yield(period) for period in self.search.periods.values())

    @cached_property
    def _shifted(self) -> dict[str, tuple[DumpYield, ...]]:
        """Yields at each node of the threshold, by period."""
        return {
            name: tuple(
                self._yield(period, shift=period.threshold.error * node) if node else own
                for node in _NODES.tolist()
            )
            for (name, period), own in zip(self.search.periods.items(), self._periods, strict=True)
        }

    def _yield(self, period: Period, *, shift: float = 0.0) -> DumpYield:
        signal = self.search.signal
        acceptance = period.acceptance(threshold=period.threshold.value + shift)
        return DumpYield(
            self.dump, acceptance, inelastic=signal.inelastic, spectrum=signal.spectrum
        )

    def events(
        self,
        model: VectorModel,
        mass: ArrayLike,
        coupling: ArrayLike,
        *,
        production: Production = "all",
        exposure: float | None = None,
    ) -> SignalEvents:
        """Signal in the box.

        Parameters
        ----------
        model
            The boson.
        mass, coupling
            GeV, and the model's coupling; one-dimensional, broadcast.
        production
            Strahlung, annihilation or both.
        exposure
            Beam particles in all, instead of the search's; periods keep their shares.

        Raises
        ------
        InferenceError
            For an exposure that is not positive.
        ModelError
            As `DumpYield`.
        """
        masses, couplings = np.broadcast_arrays(
            np.atleast_1d(np.asarray(mass, dtype=np.float64)),
            np.atleast_1d(np.asarray(coupling, dtype=np.float64)),
        )
        scale = self._scale(exposure)
        strahlung, resonant = [], []
        for period, yields in zip(self.search.periods.values(), self._periods, strict=True):
            found = yields(model, masses, couplings, production=production)
            factor = scale * period.exposure.value * _by_mass(period, masses)
            strahlung.append(factor * found.strahlung)
            resonant.append(factor * found.resonant)
        return SignalEvents(masses, couplings, np.stack(strahlung), np.stack(resonant))

    def _scale(self, exposure: float | None) -> float:
        if exposure is None:
            return 1.0
        if not 0 < exposure < np.inf:
            msg = f"An exposure must be a positive number of beam particles, found {exposure!r}."
            raise InferenceError(msg)
        whole = sum(period.exposure.value for period in self.search.periods.values())
        return float(exposure / whole)

    def threshold_error(
        self,
        model: VectorModel,
        mass: ArrayLike,
        coupling: ArrayLike,
        *,
        production: Production = "all",
    ) -> NDArray[np.float64]:
        """Relative uncertainty of the yield from the threshold's (arXiv:2404.06982, section 5).

        The rms of yields over a Gaussian of thresholds, at fixed points instead of samples; shape
        (periods, masses).
        """
        masses, couplings = np.broadcast_arrays(
            np.atleast_1d(np.asarray(mass, dtype=np.float64)),
            np.atleast_1d(np.asarray(coupling, dtype=np.float64)),
        )
        weights = _WEIGHTS / _WEIGHTS.sum()
        found = []
        for name, period in self.search.periods.items():
            error = period.threshold.error
            if error == 0:
                found.append(np.zeros(masses.shape))
                continue
            totals = np.stack(
                [
                    yields(model, masses, couplings, production=production).total
                    for yields in self._shifted[name]
                ]
            )
            mean = weights @ totals
            spread = np.sqrt(np.maximum(weights @ (totals - mean) ** 2, 0.0))
            found.append(np.divide(spread, mean, out=np.zeros_like(mean), where=mean > 0))
        return np.stack(found)


def _by_mass(period: Period, mass: NDArray[np.float64]) -> NDArray[np.float64]:
    points = period.efficiency_points
    if points is None or points.against != "mass":
        return np.ones(mass.shape)
    return np.asarray(np.interp(mass, *np.transpose(points.points)))
