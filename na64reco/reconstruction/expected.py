"""Which cell of each HCAL module a track enters, for minimum-ionising particles to be looked for.

The last track counts: that of the setup's last spectrometer, behind the target in the muon mode
(arXiv:2401.01708, cut iii: the track's extrapolation to the HCAL's face lies in the cell with the
minimum-ionising particle). Behind the last magnet tracks are straight lines.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from na64reco.errors import SetupError
from na64reco.tracking.extrapolate import faces
from na64reco.tracking.layout import calorimeter_behind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from na64reco.setup import Setup

__all__ = ["EXPECTED_COLUMNS", "expected_cells", "last_spectrometer"]

EXPECTED_COLUMNS: Final = (
    "hcal.expected_ix",
    "hcal.expected_iy",
    *(f"hcal.expected{i}" for i in range(4)),
    *(f"hcal.expected_mips{i}" for i in range(4)),
)
"""Columns that need the last track."""


def last_spectrometer(setup: Setup) -> str:
    """Name of the spectrometer whose tracks go on to the HCAL."""
    return list(setup.spectrometers)[-1]


def expected_cells(track: Mapping[str, NDArray[Any]], setup: Setup) -> NDArray[np.int64]:
    """Cell of each HCAL module that the tracks of the last spectrometer enter.

    Parameters
    ----------
    track
        Columns `track.x_ecal`, `.y_ecal`, `.slope_x_out`, `.slope_y_out` of
        `na64reco.tracking.reconstruct_tracks` with this spectrometer, NaN where there is no track.

    Returns
    -------
    (ix, iy), shape (events, modules, 2); -1 where there is no track, or it passes the module by

    Raises
    ------
    SetupError
        If there is a magnet between the place where tracks are given and the HCAL.
    """
    spectrometer = setup.spectrometers[last_spectrometer(setup)]
    last_plane = max(setup.stations[s].z for s in spectrometer.downstream)
    start = calorimeter_behind(setup, last_plane)
    hcal, known = setup.hcal, faces(setup)
    modules = [known[f"hcal.{name}"] for name in hcal.sections]
    between = [n for n, m in setup.magnets.items() if start.z < m.end and m.start < modules[-1].z]
    if between:
        msg = (
            f"setup {setup.name}: the magnet {', '.join(between)} stands between z = {start.z} mm, "
            f"where tracks of {last_spectrometer(setup)} are given, and the HCAL; which of its "
            "cells they enter is known for straight lines only. List a spectrometer with this "
            "magnet last"
        )
        raise SetupError(msg)
    # From the frame of the calorimeter to a point and a direction in the global one.
    cosine = 1 / math.hypot(1, start.slope_x)
    along = track["track.x_ecal"].astype(np.float64) * cosine
    x, y = start.x + along, start.y + track["track.y_ecal"].astype(np.float64)
    z = start.z - along * start.slope_x
    tx, ty = (1e-3 * track[f"track.slope_{a}_out"].astype(np.float64) for a in "xy")
    cells = np.full((len(x), len(modules), 2), -1, dtype=np.int64)
    for module, face in enumerate(modules):
        # The face is perpendicular to (t, 0, 1): (x - x0) t + z - z0 = 0 on the track.
        t = face.slope_x
        step = -((x - face.x) * t + z - face.z) / (1 + tx * t)
        local_x = (x + step * tx - face.x) * math.hypot(1, t)
        local_y = y + step * ty - face.y
        ix = np.floor(local_x / hcal.cell_x + hcal.nx / 2)
        iy = np.floor(local_y / hcal.cell_y + hcal.ny / 2)
        inside = (ix >= 0) & (ix < hcal.nx) & (iy >= 0) & (iy < hcal.ny)  # False for NaN
        cells[inside, module, 0], cells[inside, module, 1] = ix[inside], iy[inside]
    return cells
