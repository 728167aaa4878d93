"""Models of dark particles: how they are made."""

from __future__ import annotations

from na64reco.darksector.strahlung import dsigma_dx, x_limits

__all__ = ["dsigma_dx", "x_limits"]
