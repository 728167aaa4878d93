"""Calorimeters of a setup.

A calorimeter has a frame of its own: its origin is the centre of its front face, its axis has
the slope ``slope_x`` = dx/dz in the global frame. Cell (ix, iy) of a calorimeter with nx x ny
cells covers local x from (ix - nx/2) * cell_x to (ix + 1 - nx/2) * cell_x, and y likewise.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray  # noqa: TC002 - pydantic reads annotations at run time
from pydantic import Field, model_validator

from na64reco.setup.spectrometer import NonNegative, Part, Positive

__all__ = ["Calorimeter", "Sampling", "Section"]


class Sampling(Part):
    """The sandwich of a sampling calorimeter."""

    absorber: Literal["Pb", "Fe", "Cu"]
    """Metal of the plates."""
    absorber_thickness: Positive
    """Of the plate of each layer, mm."""
    scintillator_thickness: Positive
    """Of the tile of each layer, mm."""
    layers: Annotated[int, Field(gt=0)]
    """Number of pairs of plate and tile."""


class Section(Part):
    """A part of a calorimeter that is read out separately: ECAL section, HCAL module."""

    layers: Annotated[int, Field(gt=0)]
    """Number of its layers."""
    z: float | None = None
    """Front face where it is not simply behind the section before, mm."""
    x: float | None = None
    """Centre of the front face where it differs from the calorimeter's, mm."""
    y: float | None = None
    """Centre of the front face where it differs from the calorimeter's, mm."""
    slope_x: float | None = None
    """dx/dz of its axis where it differs from the calorimeter's."""


class Calorimeter(Part):
    """A calorimeter of nx x ny cells in one or more sections (see the module for its frame)."""

    z: float
    """Front face, mm."""
    x: float = 0.0
    """Centre of the front face, mm."""
    y: float = 0.0
    """Centre of the front face, mm."""
    slope_x: float = 0.0
    """dx/dz of its axis."""
    nx: Annotated[int, Field(gt=0)]
    """Cells along x."""
    ny: Annotated[int, Field(gt=0)]
    """Cells along y."""
    cell_x: Positive
    """Width of a cell, mm."""
    cell_y: Positive
    """Height of a cell, mm."""
    sampling: Sampling
    """What a layer consists of."""
    sections: dict[str, Section]
    """By name, in the order of their number in the hit file."""
    beam_cell: tuple[int, int] | None = None
    """(ix, iy) of the cell that the beam hits."""
    hole: tuple[tuple[int, int], ...] = ()
    """Cells that do not exist."""
    mip: Positive
    """Most probable energy (electromagnetic scale) of a minimum-ionising particle in the whole
    calorimeter (ECAL) or in one section (HCAL, VHCAL), GeV."""
    stochastic: NonNegative
    """Resolution a / sqrt(E / GeV): a."""
    constant: NonNegative
    """Constant term of the resolution."""
    radiation_lengths: NonNegative
    """Whole depth, radiation lengths."""
    interaction_lengths: NonNegative
    """Whole depth (ECAL) or depth of one section (HCAL and VHCAL), interaction lengths."""

    @model_validator(mode="after")
    def _check(self) -> Calorimeter:
        if self.beam_cell is not None:
            ix, iy = self.beam_cell
            if not (0 <= ix < self.nx and 0 <= iy < self.ny):
                msg = f"beam_cell {self.beam_cell} lies outside the {self.nx} x {self.ny} cells"
                raise ValueError(msg)
        layers = sum(s.layers for s in self.sections.values())
        per_section = {s.layers for s in self.sections.values()}
        if layers != self.sampling.layers and per_section != {self.sampling.layers}:
            msg = (
                f"the sections have {layers} layers in all, the sampling {self.sampling.layers}: "
                "they must agree in sum or each"
            )
            raise ValueError(msg)
        return self

    @property
    def shape(self) -> tuple[int, int, int]:
        """(sections, nx, ny) of the dense array."""
        return len(self.sections), self.nx, self.ny

    @property
    def layer_thickness(self) -> float:
        """mm of one absorber plate and one scintillator tile."""
        return self.sampling.absorber_thickness + self.sampling.scintillator_thickness

    @property
    def x_centres(self) -> NDArray[np.float64]:
        """Local x of the cell centres, shape (nx,), mm."""
        return (np.arange(self.nx, dtype=np.float64) + 0.5 - self.nx / 2) * self.cell_x

    @property
    def y_centres(self) -> NDArray[np.float64]:
        """Local y of the cell centres, shape (ny,), mm."""
        return (np.arange(self.ny, dtype=np.float64) + 0.5 - self.ny / 2) * self.cell_y
