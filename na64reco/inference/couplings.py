"""From a limit on the number of signal events to limits on a coupling.

The number of events is a prefactor g^2 times something that depends on g through the particle's
width and branching ratios: S(g) = g^2 F(g). Two independent ways to S(g) = N:

- `by_iteration`, as the papers do: g -> sqrt(N / F(g)) until nothing changes (arXiv:2404.06982,
  section 6). From the second step on with the exponent by which S grew in the step before instead
  of 2: where S ~ g^4 the papers' step goes to and fro for ever;
- `by_root_finding`: all crossings on a grid in log g, then bisection. S can fall again at large g
  (a decay in flight becomes likely, or visible): then there is an upper edge of what is excluded.

All masses at once: `events` takes couplings of the shape (masses,) and gives as many numbers.
"""

# ruff: noqa: PLR0917 - one search in several steps
from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from na64reco.errors import InferenceError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["Excluded", "Iterated", "by_iteration", "by_root_finding", "scan"]

_STEPS_PER_DECADE = 4
_PRECISION = 1e-6
_MOST = 60
_EXPONENTS = (1.0, 6.0)
"""Of g, between which a step's is kept."""


@dataclass(frozen=True, eq=False)
class Iterated:
    """Couplings found by iteration."""

    coupling: NDArray[np.float64]
    """Shape (masses,)."""
    iterations: NDArray[np.int64]
    """Steps that changed the coupling by more than the precision, shape (masses,)."""
    converged: NDArray[np.bool_]
    """Shape (masses,)."""


@dataclass(frozen=True, eq=False)
class Excluded:
    """Range of couplings for which more events are expected than the limit."""

    lower: NDArray[np.float64]
    """The upper limit on the coupling, as papers call it; inf: nothing is excluded."""
    upper: NDArray[np.float64]
    """Where the yield has turned over; inf: not within the bounds."""


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
    """Solve S(g) = limit by g -> g (limit / S(g))^(1/p), p being 2 and then the last exponent.

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
    exponent = np.full(len(coupling), 2.0)
    last, step = np.zeros(len(coupling)), np.zeros(len(coupling))
    for _ in range(most):
        found = events(coupling)
        none = ~(found > 0)
        going = ~(converged | none)
        if not going.any():
            break
        log = np.log(np.where(none, limit, found))
        moved = np.abs(step) > precision
        grown = (log - last) / np.where(moved, step, 1.0)
        exponent = np.where(moved, np.clip(grown, *_EXPONENTS), exponent)
        step = np.where(going, (np.log(limit) - log) / exponent, 0.0)
        last = log
        coupling = coupling * np.exp(step)
        now = np.abs(step) < precision
        iterations[going & ~now] += 1
        converged |= going & now
    # Without any signal there is no limit.
    coupling[none] = np.inf
    return Iterated(coupling, iterations, converged)


def by_root_finding(
    events: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    limits: NDArray[np.float64],
    bounds: tuple[float, float],
    *,
    precision: float = _PRECISION,
    scanned: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None,
) -> Excluded:
    """Smallest g with S(g) > limit, and the next one at which S has fallen below it again.

    Parameters
    ----------
    events
        As in `by_iteration`.
    limits
        Events, shape (..., masses): several limits share the search for brackets.
    bounds
        Couplings between which to look.
    precision
        Relative, of the number of events.
    scanned
        What `scan` found for these bounds, if it was done before.

    Returns
    -------
    Excluded
        Arrays of the shape of `limits`.

    Raises
    ------
    InferenceError
        For bounds that are not positive and ascending, or if at the lower bound more events are
        expected than the limit already: the bound is too high.
    """
    _check(limits, bounds[0])
    if not bounds[0] < bounds[1]:
        msg = f"Bounds of a coupling must ascend, found {bounds}."
        raise InferenceError(msg)
    grid, table = scan(events, limits.shape[-1], bounds) if scanned is None else scanned
    # Expected limits are often the same as the observed one.
    rows, place = np.unique(np.atleast_2d(limits), axis=0, return_inverse=True)
    found = [_edges(events, limit, grid, table, precision) for limit in rows]
    found = [found[i] for i in place.ravel()]
    lower, upper = (np.stack(edges).reshape(limits.shape) for edges in zip(*found, strict=True))
    return Excluded(lower, upper)


def scan(
    events: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    masses: int,
    bounds: tuple[float, float],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Couplings, shape (couplings,), and S at each, shape (couplings, masses)."""
    decades = np.log10(bounds[1] / bounds[0])
    grid = np.geomspace(*bounds, int(np.ceil(_STEPS_PER_DECADE * decades)) + 1)
    return grid, np.stack([events(np.full(masses, g)) for g in grid])


def _edges(
    events: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    limit: NDArray[np.float64],
    grid: NDArray[np.float64],
    table: NDArray[np.float64],
    precision: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    above = table > limit
    if above[0].any():
        msg = (
            f"At the lower bound of the coupling, {grid[0]:g}, more events are expected than the "
            f"limit allows for {int(above[0].sum())} of {len(limit)} masses. Lower the bound."
        )
        raise InferenceError(msg)
    first = np.argmax(above, axis=0)
    later = ~above & (np.arange(len(grid))[:, None] > first) & (first > 0)
    turned = np.argmax(later, axis=0)
    return (
        _cross(events, limit, grid, table, first, precision),
        _cross(events, limit, grid, table, turned, precision),
    )


def _cross(
    events: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    limit: NDArray[np.float64],
    grid: NDArray[np.float64],
    table: NDArray[np.float64],
    index: NDArray[np.int64],
    precision: float,
) -> NDArray[np.float64]:
    """Crossing between grid points index - 1 and index; inf for the index 0.

    Regula falsi of ln S against ln g, which is nearly a line, with the end that stays halved
    (M. Dowell, P. Jarratt, BIT 11 (1971) 168).
    """
    there = index > 0
    if not there.any():
        return np.full(limit.shape, np.inf)
    at = np.arange(len(limit))
    low, high = np.log(grid[np.where(there, index - 1, 0)]), np.log(grid[index])
    tiny = 1e-300
    f_low = np.log(np.maximum(table[np.where(there, index - 1, 0), at], tiny) / limit)
    f_high = np.log(np.maximum(table[index, at], tiny) / limit)
    best = 0.5 * (low + high)
    for _ in range(_MOST):
        slope = f_high - f_low
        middle = np.where(
            slope != 0, low - f_low * (high - low) / np.where(slope == 0, 1, slope), best
        )
        best = np.clip(middle, np.minimum(low, high), np.maximum(low, high))
        f = np.log(np.maximum(events(np.exp(best)), tiny) / limit)
        if np.max(np.abs(f), where=there, initial=0.0) < precision:
            break
        on_low = (f > 0) == (f_low > 0)
        f_high = np.where(on_low, 0.5 * f_high, f)
        f_low = np.where(on_low, f, 0.5 * f_low)
        high = np.where(on_low, high, best)
        low = np.where(on_low, best, low)
    return np.where(there, np.exp(best), np.inf)
