"""Electromagnetic cascades: a Monte Carlo of electrons, positrons and photons in layers."""

from na64reco.cascade.shower import CascadeResult, simulate_cascade
from na64reco.cascade.stack import Layer, Stack

__all__ = ["CascadeResult", "Layer", "Stack", "simulate_cascade"]
