"""Where straight tracks meet the calorimeters' own frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.setup.model import Calorimeter

__all__ = ["Frame", "Line", "section_frame"]


@dataclass(frozen=True)
class Line:
    """Straight tracks; every array has the shape (rows,)."""

    x: NDArray[np.float64]
    """mm at `z`."""
    y: NDArray[np.float64]
    tx: NDArray[np.float64]
    ty: NDArray[np.float64]
    z: NDArray[np.float64] | float
    """mm."""


@dataclass(frozen=True)
class Frame:
    """A face in the plane through (x, y, z) across an axis of the slope `slope_x` = dx/dz."""

    x: float
    y: float
    z: float
    slope_x: float
    half_x: float
    """mm."""
    half_y: float

    def local(self, line: Line) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """x and y in the face where the tracks cross its plane, mm."""
        norm = np.hypot(1.0, self.slope_x)
        cosine, sine = 1 / norm, self.slope_x / norm
        dx, dz = line.x - self.x, line.z - self.z
        path = -(dx * sine + dz * cosine) / (line.tx * sine + cosine)
        local_x = (dx + path * line.tx) * cosine - (dz + path) * sine
        return local_x, line.y - self.y + path * line.ty

    def inside(self, line: Line) -> NDArray[np.bool_]:
        """Whether the tracks hit the face."""
        x, y = self.local(line)
        return (np.abs(x) < self.half_x) & (np.abs(y) < self.half_y)


def section_frame(part: Calorimeter, section: str | None = None) -> Frame:
    """Frame of a calorimeter, or of one section (module) that stands elsewhere."""
    own = part.sections[section] if section else None

    def pick(value: float | None, default: float) -> float:
        return default if value is None else value

    return Frame(
        x=pick(own.x if own else None, part.x),
        y=pick(own.y if own else None, part.y),
        z=pick(own.z if own else None, part.z),
        slope_x=pick(own.slope_x if own else None, part.slope_x),
        half_x=part.nx * part.cell_x / 2,
        half_y=part.ny * part.cell_y / 2,
    )
