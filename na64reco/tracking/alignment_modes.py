"""Movements of the planes that tracks cannot see, by name, and the solution with them held.

If every track can follow a common movement of the planes by a change of its own parameters, its
residuals do not change. With u_i the position in plane i and p the track's parameters, shifts
du_i/dp_k are such a movement for each of the five parameters: telescope shifted in x or y, sheared
(shift linear in z), and, where a bent track's momentum is free, shifted as a change of the field
would. Rotations du_i/dp_k of the planes that measure x, times y, are another one, so far as y stays
the same along a track; likewise those that measure y, so far as x does. How well each is seen in
fact (the spread of slopes and momenta helps) is what the tracks' matrix says.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Mode", "Solution", "known_modes", "solve"]

_SAME: Final = 0.8
"""Share of a known mode (squared) that lies in a space, for the mode to name a direction of it."""
_NEW: Final = 3e-3
"""Length of what a known mode (of length 1) must add to those before."""
_NAMELESS: Final = "without a name"
_SHOWN: Final = 4
"""Planes that describe a mode without a name."""

_WAYS: Final = (
    ("x", 0, "shift of the telescope in x", "rotation of the x planes"),
    ("x", 2, "shear in x: shift linear in z", "twist of the x planes: rotation linear in z"),
    (
        "x",
        4,
        "momentum scale: shift in x as by another field",
        "rotation of the x planes as by a field that depends on y",
    ),
    ("y", 1, "shift of the telescope in y", "rotation of the y planes"),
    ("y", 3, "shear in y: shift linear in z", "twist of the y planes: rotation linear in z"),
)


@dataclass(frozen=True)
class Mode:
    """A common movement of all planes that the tracks do not see, or not well enough."""

    name: str
    shift: NDArray[np.float64]
    """Of each plane for one unit of the mode, shape (planes,), mm."""
    rotation: NDArray[np.float64]
    """The same, mrad. The plane that moves most moves by its required precision."""
    held: bool
    """Kept as it was: what is known beforehand is better than what the tracks say."""
    shift_error: float
    """Of the plane that this mode shifts most, one standard deviation by the tracks alone, mm."""
    rotation_error: float
    """Of the plane that it rotates most, mrad."""


@dataclass(frozen=True)
class Solution:
    """Corrections of shift (mm) and rotation (mrad), interleaved by plane."""

    correction: NDArray[np.float64]
    """Shape (2 planes,)."""
    covariance: NDArray[np.float64]
    """Shape (2 planes, 2 planes); held modes count as known."""
    modes: tuple[Mode, ...]
    """The held ones first."""


def known_modes(
    slopes: NDArray[np.float64], cos: NDArray[np.float64], sin: NDArray[np.float64]
) -> list[tuple[str, NDArray[np.float64]]]:
    """Candidates with a name, each as (2 planes,) of any size.

    Parameters
    ----------
    slopes
        Shape (planes, 5), see `na64reco.tracking.alignment_normal.derivatives`.
    cos, sin
        Directions of the planes, shape (planes,).
    """
    n = len(slopes)
    modes = []
    turns = []
    for view, k, shift_name, rotation_name in _WAYS:
        shift = np.zeros(2 * n)
        shift[0::2] = slopes[:, k]
        modes.append((shift_name, shift))
        # (x - x0) sin - (y - y0) cos is what a rotation does; hence only one factor can be had.
        axis = cos if view == "x" else sin
        mine = np.abs(axis) > math.sqrt(0.5)
        turn = np.zeros(2 * n)
        turn[1::2][mine] = slopes[mine, k] / axis[mine]
        turns.append((rotation_name, turn))
    whole = np.zeros(2 * n)
    whole[1::2] = 1.0
    return [*modes, *turns, ("rotation of the telescope about z", whole)]


def solve(
    matrix: NDArray[np.float64],
    vector: NDArray[np.float64],
    so_far: NDArray[np.float64],
    known: list[tuple[str, NDArray[np.float64]]],
    names: list[str],
    *,
    required: tuple[float, float],
    hold: tuple[float, float],
) -> Solution:
    """Corrections from the normal equations, what tracks do not see being held.

    Eigenvectors of the matrix (in units of the required precision) by which, at one standard
    deviation, a plane would move by more than ``hold`` are constrained by Lagrange multipliers
    to add nothing to where the planes stood at the start, ``so_far`` back from here.

    Parameters
    ----------
    known, names
        Modes with a name, and the planes' names.
    required, hold
        Shift (mm) and rotation (mrad): wanted precision, and limit for what is held.
    """
    size = len(vector)
    n = size // 2
    scale = np.tile(np.asarray(required, np.float64), n)
    limit = np.tile(np.asarray(hold, np.float64), n) / scale
    scaled = matrix * scale[:, None] * scale[None, :]
    values, vectors = np.linalg.eigh(scaled)
    # Rounding leaves eigenvalues that are not quite zero, or negative.
    floor = 1e-15 * max(float(values[-1]), 1e-300)
    errors = 1 / np.sqrt(np.maximum(values, floor))
    held = (np.abs(vectors) * errors / limit[:, None]).max(axis=0) > 1
    weak = ~held & ((np.abs(vectors) * errors).max(axis=0) > 1)
    constraints = vectors[:, held]
    h = constraints.shape[1]
    system = np.zeros((size + h, size + h))
    system[:size, :size] = scaled
    # Multipliers may have any unit: this one keeps the system well conditioned.
    unit = max(float(values[-1]), 1e-300)
    system[:size, size:] = constraints * unit
    system[size:, :size] = constraints.T * unit
    right = np.concatenate((vector * scale, -unit * constraints.T @ (so_far / scale)))
    inverse = np.linalg.inv(system)
    # Rounding makes variances of what is held a little less than 0.
    covariance = inverse[:size, :size]
    np.fill_diagonal(covariance, np.maximum(np.diag(covariance), 0.0))
    candidates = [(name, _unit(mode / scale)) for name, mode in _without_hits(matrix, names)]
    candidates += [(name, _unit(mode / scale)) for name, mode in known if mode.any()]
    modes: list[Mode] = []
    taken = np.zeros((size, 0))
    for is_held, space in ((True, constraints), (False, vectors[:, weak])):
        named = _named(space, candidates, taken, names)
        if not is_held:  # few tracks: every plane by itself is no news
            named = [(n, d) for n, d in named if not n.startswith(_NAMELESS)]
        used = {name for name, _ in named}
        candidates = [(name, mode) for name, mode in candidates if name not in used]
        modes += [
            _mode(name, direction, scaled, covariance, scale, is_held=is_held)
            for name, direction in named
        ]
        taken = np.column_stack((taken, *(direction for _, direction in named)))
    return Solution(
        correction=(inverse @ right)[:size] * scale,
        covariance=covariance * scale[:, None] * scale[None, :],
        modes=tuple(modes),
    )


def _without_hits(
    matrix: NDArray[np.float64], names: list[str]
) -> list[tuple[str, NDArray[np.float64]]]:
    """Both movements of every plane that no track has a hit in."""
    size = len(matrix)
    return [
        (f"{('shift', 'rotation')[i % 2]} of {names[i // 2]}, which has no hits", np.eye(size)[i])
        for i in range(size)
        if matrix[i // 2 * 2, i // 2 * 2] == 0.0
    ]


def _unit(v: NDArray[np.float64]) -> NDArray[np.float64]:
    length: float = float(np.linalg.norm(v))
    return v / length if length else v


def _named(
    space: NDArray[np.float64],
    candidates: list[tuple[str, NDArray[np.float64]]],
    taken: NDArray[np.float64],
    names: list[str],
) -> list[tuple[str, NDArray[np.float64]]]:
    """Orthonormal directions that span ``space`` (parameters, k), with names.

    ``taken`` (parameters, m): directions, orthogonal to the space, that have a name already.
    """
    found: list[tuple[str, NDArray[np.float64]]] = []
    for name, candidate in candidates:
        if len(found) == space.shape[1]:
            break
        # Candidates are not orthogonal: what counts is what one adds to those before.
        new = candidate - taken @ (taken.T @ candidate)
        length = float(np.linalg.norm(new))
        direction = space @ (space.T @ new)
        if length < _NEW or direction @ direction < _SAME * length**2:
            continue
        direction = _unit(direction - taken @ (taken.T @ direction))
        found.append((name, direction))
        taken = np.column_stack((taken, direction))
    rest, values, _ = np.linalg.svd(space - taken @ (taken.T @ space), full_matrices=False)
    for direction in rest[:, values > 0.5].T:
        largest = np.argsort(-np.abs(direction))[:_SHOWN]
        parts = [
            f"{direction[i]:+.2f} {('shift', 'rotation')[i % 2]} {names[i // 2]}"
            for i in largest
            if abs(direction[i]) > 0.1
        ]
        found.append((f"{_NAMELESS}: {', '.join(parts)}", direction))
    return found


def _mode(
    name: str,
    direction: NDArray[np.float64],
    scaled: NDArray[np.float64],
    covariance: NDArray[np.float64],
    scale: NDArray[np.float64],
    *,
    is_held: bool,
) -> Mode:
    if is_held:
        seen = float(direction @ scaled @ direction)
        error = 1 / math.sqrt(seen) if seen > 1e-12 else math.inf
    else:
        error = math.sqrt(float(direction @ covariance @ direction))
    movement = direction * scale / np.abs(direction).max()
    moves = np.abs(direction * scale)
    # A mode that only shifts rotates nothing, whatever correlations make of it.
    moves[np.abs(direction) < _NEW * np.abs(direction).max()] = 0.0
    shift, rotation = float(moves[0::2].max()), float(moves[1::2].max())
    return Mode(
        name=name,
        shift=movement[0::2],
        rotation=movement[1::2],
        held=is_held,
        shift_error=shift * error if shift else 0.0,
        rotation_error=rotation * error if rotation else 0.0,
    )
