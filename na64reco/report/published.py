"""Limits that others published, to be drawn beside those of a search."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from na64reco.report.limits import Overlay

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DARK_PHOTON_2019", "published_curves"]

DARK_PHOTON_2019: Final = Overlay(
    "PRL 123, 121801 (2019), 2.84e11",
    np.array([1.0, 1.238, 1.919, 3.442, 6.66, 13.36, 27.41, 57.19, 119.9, 247.7, 500.0, 1006.0])
    * 1e-3,
    np.array(
        [
            7.544e-6,
            7.841e-6,
            9.638e-6,
            1.413e-5,
            2.348e-5,
            4.262e-5,
            8.395e-5,
            1.812e-4,
            4.328e-4,
            1.146e-3,
            3.357e-3,
            1.098e-2,
        ]
    ),
    points=True,
)
"""Invisible dark photons from strahlung, 90 % CL: Fig. 3 there, read off to 2 %."""

_CURVES: Final[Mapping[str, tuple[Overlay, ...]]] = {"dark-photon": (DARK_PHOTON_2019,)}


def published_curves(model: str) -> tuple[Overlay, ...]:
    """What is known here of a model, by its name; nothing for most."""
    return _CURVES.get(model, ())
