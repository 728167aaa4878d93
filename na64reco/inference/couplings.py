"""From a limit on the number of signal events to limits on a coupling.

The number of events is a prefactor g^2 times something that depends on g through the particle's
width and branching ratios: S(g) = g^2 F(g). Two independent ways to S(g) = N:

- `by_iteration`, as the papers do: g -> sqrt(N / F(g)) until nothing changes (arXiv:2404.06982,
  section 5);
- `by_root_finding`: all crossings on a grid in log g, then bisection. S can fall again at large g
  (a decay in flight becomes likely, or visible): then there is an upper edge of what is excluded.

All masses at once: `events` takes couplings of the shape (masses,) and gives as many numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from na64reco.errors import InferenceError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["Excluded", "Iterated", "by_iteration", "by_root_finding"]

_STEPS_PER_DECADE = 8
_PRECISION = 1e-6


@dataclass(frozen=True, eq=False)
class Iterated:
    """Couplings found by iteration."""

    coupling: NDArray[np.float64]
    """Shape (masses,)."""
    iterations: NDArray[np.int64]
    """Evaluations until the coupling changed by less than the precision, shape (masses,)."""
    converged: NDArray[np.bool_]
    """Shape (masses,)."""


@dataclass(frozen=True, eq=False)
class Excluded:
    """Range of couplings for which more events are expected than the limit."""

    lower: NDArray[np.float64]
    """The upper limit on the coupling, as papers call it; inf: nothing is excluded. (masses,)."""
    upper: NDArray[np.float64]
    """Where the yield has turned over; inf: not within the bounds. (masses,)."""


def _check(limit: NDArray[np.float64], start: NDArray[np.float64] | float) -> None:
    if np.any(~(np.asarray(limit) > 0)) or np.any(~(np.asarray(start) > 0)):
        msg = (
            "The limit on the number of events and the couplings to start from must be positive, "
            f"found {np.min(limit)!r} and {np.min(start)!r}."
        )
        raise InferenceError(msg)


def by_iteration(
    events: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    limit: NDArray[np.float64],
    start: NDArray[np.float64],
    *,
    precision: float = 1e-4,
    most: int = 50,
) -> Iterated:
    """Solve S(g) = limit by g -> g sqrt(limit / S(g)).

    Parameters
    ----------
    events
        S(g).
    limit
        Events, shape (masses,).
    start
        First couplings, shape (masses,).
    precision
        Relative change of the coupling at which to stop.

    Raises
    ------
    InferenceError
        For limits or couplings that are not positive.
    """
    _check(limit, start)
    coupling = np.array(start, dtype=np.float64)
    iterations = np.zeros(len(coupling), dtype=np.int64)
    converged = np.zeros(len(coupling), dtype=np.bool_)
    for _ in range(most):
        found = events(coupling)
        none = ~(found > 0)
        going = ~(converged | none)
        if not going.any():
            break
        change = np.sqrt(limit / np.where(none, limit, found))
        iterations[going] += 1
        coupling = np.where(going, coupling * change, coupling)
        converged |= going & (np.abs(change - 1) < precision)
    # Without any signal there is no limit.
    coupling[none] = np.inf
    return Iterated(coupling, iterations, converged)


def by_root_finding(
    events: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    limit: NDArray[np.float64],
    bounds: tuple[float, float],
    *,
    precision: float = _PRECISION,
) -> Excluded:
    """Smallest g with S(g) > limit, and the next one at which S has fallen below it again.

    Parameters
    ----------
    events, limit
        As in `by_iteration`.
    bounds
        Couplings between which to look.
    precision
        Relative.

    Raises
    ------
    InferenceError
        For bounds that are not positive and ascending, or if at the lower bound more events are
        expected than the limit already: the bound is too high.
    """
    _check(limit, bounds[0])
    if not bounds[0] < bounds[1]:
        msg = f"Bounds of a coupling must ascend, found {bounds}."
        raise InferenceError(msg)
    decades = np.log10(bounds[1] / bounds[0])
    grid = np.geomspace(*bounds, int(np.ceil(_STEPS_PER_DECADE * decades)) + 1)
    masses = len(limit)
    above = np.stack([events(np.full(masses, g)) > limit for g in grid])
    if above[0].any():
        msg = (
            f"At the lower bound of the coupling, {bounds[0]:g}, more events are expected than the "
            f"limit allows for {int(above[0].sum())} of {masses} masses. Lower the bound."
        )
        raise InferenceError(msg)
    first = np.where(above.any(axis=0), np.argmax(above, axis=0), 0)
    later = ~above & (np.arange(len(grid))[:, None] > first)
    turned = np.where((first > 0) & later.any(axis=0), np.argmax(later, axis=0), 0)

    def cross(index: NDArray[np.int64]) -> NDArray[np.float64]:
        there = index > 0
        low = np.log(grid[np.where(there, index - 1, 0)])
        high = np.log(grid[index])
        rising = above[index, np.arange(masses)]
        while np.max(high - low, where=there, initial=0.0) > precision:
            middle = 0.5 * (low + high)
            beyond = (events(np.exp(middle)) > limit) == rising
            low, high = np.where(beyond, low, middle), np.where(beyond, middle, high)
        return np.where(there, np.exp(0.5 * (low + high)), np.inf)

    return Excluded(cross(first), cross(turned))
