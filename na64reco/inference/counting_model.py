"""The likelihood of a counting experiment: one count per channel, with nuisance parameters.

    n_i ~ Poisson(mu s_i prod_k exp(kappa_ik z_k) + b_i exp((A y)_i)),    z_k, y_j ~ Normal(0, 1)

A channel is a run period or a trigger configuration. All uncertainties are log-normal with the
given value as median: of a relative size r, kappa = sqrt(ln(1 + r^2)); a source k of uncertainty of
the signal acts on all its channels at once, a source with one channel on that alone. The
background's covariance C is that of A A^T = ln(1 + C_ij / (b_i b_j)).

Probabilities of counts are averages over the nuisance parameters (R. Cousins, V. Highland, NIM A
320 (1992) 331), taken at fixed quasi-random points, so that they have no noise and are the same
each time. `pyhf_limits` writes the same model for pyhf.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from na64reco.errors import InferenceError
from na64reco.inference.poisson import pmf

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["CountingModel"]

_POINTS = 1024
_UNDERFLOW = 600.0
"""exp(-mean) is no number beyond."""


def _up_to(largest: int, mean: NDArray[np.float64]) -> NDArray[np.float64]:
    """Poisson probabilities of 0 to `largest`, each from the one before; shape (means, counts)."""
    if mean.max() > _UNDERFLOW:
        return pmf(np.arange(largest + 1), mean[:, None])
    factors = np.empty((len(mean), largest + 1))
    factors[:, 0] = np.exp(-mean)
    factors[:, 1:] = mean[:, None] / np.arange(1, largest + 1)
    return np.asarray(np.cumprod(factors, axis=1))


def _joint(tables: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Products of all columns of one with all of the next, shape (means, products)."""
    found = tables[0]
    for table in tables[1:]:
        found = (found[:, :, None] * table[:, None, :]).reshape(len(found), -1)
    return found


@dataclass(frozen=True, eq=False)
class CountingModel:
    """Counts, signal and background of all channels, with their uncertainties.

    Raises
    ------
    InferenceError
        For arrays of different lengths, negative or infinite numbers, a covariance that is none, or
        an uncertainty of a background of zero.
    """

    names: tuple[str, ...]
    """Of the channels."""
    signal: NDArray[np.float64]
    """Events at unit strength, shape (channels,)."""
    background: NDArray[np.float64]
    """Events, shape (channels,)."""
    covariance: NDArray[np.float64] | None = None
    """Of the backgrounds, events^2, shape (channels, channels); None: known exactly."""
    signal_errors: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    """Relative uncertainty of the signal by source, shape (channels,) each."""
    observed: NDArray[np.int64] | None = None
    """Counts, shape (channels,); None while blinded."""

    def __post_init__(self) -> None:
        channels = len(self.names)
        if channels == 0:
            msg = "A counting model needs at least one channel."
            raise InferenceError(msg)
        arrays: dict[str, Any] = {
            "signal": self.signal,
            "background": self.background,
            **self.signal_errors,
        }
        if self.observed is not None:
            arrays["observed"] = self.observed
        for name, values in arrays.items():
            self._check(name, values, (channels,))
            if np.any(np.asarray(values) < 0):
                msg = f"{name} of the channels {', '.join(self.names)} must be >= 0, found {values}"
                raise InferenceError(msg)
        if self.covariance is not None:
            self._check("covariance", self.covariance, (channels, channels))
            empty = (self.background == 0) & (np.diag(self.covariance) > 0)
            if empty.any():
                msg = (
                    f"The background of {self.names[int(np.argmax(empty))]!r} is 0 with an "
                    "uncertainty. Give the expected number, however small, or no uncertainty."
                )
                raise InferenceError(msg)
            lowest = np.linalg.eigvalsh(self.covariance)[0]
            if lowest < -1e-9 * np.trace(self.covariance):
                msg = f"The covariance of the backgrounds has the negative eigenvalue {lowest:g}."
                raise InferenceError(msg)

    def _check(self, name: str, values: Any, shape: tuple[int, ...]) -> None:
        if np.shape(values) != shape or not np.all(np.isfinite(values)):
            msg = (
                f"{name} must be finite numbers of the shape {shape}, for the channels "
                f"{', '.join(self.names)}; found {np.asarray(values).tolist()}"
            )
            raise InferenceError(msg)

    @cached_property
    def background_modes(self) -> NDArray[np.float64]:
        """A: effect of each nuisance parameter on the logarithms, shape (channels, modes)."""
        b = self.background
        if self.covariance is None or not np.any(self.covariance):
            return np.zeros((len(b), 0))
        product = np.outer(b, b)
        # A strong anticorrelation of wide log-normals does not exist; the nearest that does.
        ratio = np.divide(self.covariance, product, out=np.zeros_like(product), where=product > 0)
        values, vectors = np.linalg.eigh(np.log1p(np.maximum(ratio, -0.99)))
        keep = values > 1e-12 * values[-1]
        modes: NDArray[np.float64] = vectors[:, keep] * np.sqrt(values[keep])
        return modes

    @cached_property
    def signal_modes(self) -> NDArray[np.float64]:
        """kappa, shape (channels, sources)."""
        if not self.signal_errors:
            return np.zeros((len(self.names), 0))
        relative = np.stack([np.asarray(e) for e in self.signal_errors.values()], axis=1)
        return np.sqrt(np.log1p(relative**2))

    @cached_property
    def _points(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Factor of the signal, and background, at the points, shapes (points, channels)."""
        from scipy.special import ndtri
        from scipy.stats import qmc

        sources, modes = self.signal_modes.shape[1], self.background_modes.shape[1]
        if sources + modes == 0:
            return np.ones((1, len(self.names))), self.background[None, :]
        sobol = qmc.Sobol(sources + modes, rng=np.random.default_rng(64))
        z = ndtri(sobol.random(_POINTS))
        factor = np.exp(z[:, :sources] @ self.signal_modes.T)
        return factor, self.background * np.exp(z[:, sources:] @ self.background_modes.T)

    def probabilities(self, strength: float, largest: NDArray[np.int64]) -> NDArray[np.float64]:
        """Of all counts up to `largest`.

        Returns
        -------
        array
            Shape (largest[0] + 1, largest[1] + 1, ...).
        """
        factor, background = self._points
        mean = strength * self.signal * factor + background
        tables = [_up_to(int(last), mean[:, i]) for i, last in enumerate(largest)]
        # Half of the channels against the other half: the sum over points is one product.
        half = (len(tables) + 1) // 2
        left = _joint(tables[:half])
        right = _joint(tables[half:]) if len(tables) > 1 else np.ones((len(mean), 1))
        found: NDArray[np.float64] = (left.T @ right / len(mean)).reshape(largest + 1)
        return found

    def likelihood(self, strengths: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probability of the observed counts at each strength, shape of `strengths`."""
        assert self.observed is not None
        factor, background = self._points
        found = np.empty(len(strengths))
        for i, strength in enumerate(strengths):
            mean = strength * self.signal * factor + background
            found[i] = pmf(self.observed, mean).prod(axis=1).mean()
        return found

    def with_observed(self, observed: Any) -> CountingModel:
        """The same with other counts."""
        return CountingModel(
            self.names,
            self.signal,
            self.background,
            self.covariance,
            self.signal_errors,
            np.asarray(observed, dtype=np.int64),
        )
