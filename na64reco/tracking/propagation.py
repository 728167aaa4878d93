"""Tracks from one z to another: straight lines, and circles inside the dipoles.

Through maps and linear edges: see `runge_kutta`, which `propagate` uses for a `Field`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from na64reco.tracking.field import Field, cross_dipole
from na64reco.tracking.runge_kutta import transport

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.tracking.field import Dipoles

__all__ = ["propagate", "propagate_state"]


@njit(cache=True, nogil=True, error_model="numpy")
def propagate_state(  # type: ignore[no-untyped-def]
    state, here, there, dipoles, scratch
):
    """Move a state (5,) from z = ``here`` to ``there`` (mm) in place; ``scratch`` is (5, 5).

    Either direction, from inside a magnet too. False where the particle turns back.
    """
    magnets = len(dipoles.field)
    forward = there >= here
    for k in range(magnets):
        m = k if forward else magnets - 1 - k
        lo, hi = dipoles.start[m], dipoles.end[m]
        enter = max(here, lo) if forward else min(here, hi)
        leave = min(there, hi) if forward else max(there, lo)
        length = leave - enter
        if (forward and length <= 0) or (not forward and length >= 0):
            continue
        state[0] += state[2] * (enter - here)
        state[1] += state[3] * (enter - here)
        if not cross_dipole(state, length, dipoles.field[m], dipoles.loss[m], scratch):
            return False
        here = leave
    state[0] += state[2] * (there - here)
    state[1] += state[3] * (there - here)
    return True


def propagate(
    states: NDArray[np.float64], here: float, there: float, dipoles: Dipoles | Field
) -> NDArray[np.float64]:
    """States (tracks, 5) at z = ``here`` moved to z = ``there``, mm; NaN where one turns back.

    In a `Field` also where one leaves a map; its derivatives come from `runge_kutta.transport`.
    """
    if isinstance(dipoles, Field):
        return transport(states, here, there, dipoles).states
    moved = np.array(states, np.float64, order="C", ndmin=2)
    _propagate_all(moved, float(here), float(there), dipoles)
    return moved


@njit(cache=True, nogil=True, error_model="numpy")
def _propagate_all(states, here, there, dipoles):  # type: ignore[no-untyped-def]
    scratch = np.empty((5, 5))
    for i in range(len(states)):
        if not propagate_state(states[i], here, there, dipoles, scratch):
            states[i, :] = np.nan
