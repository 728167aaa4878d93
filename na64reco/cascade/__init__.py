"""Cascades in layers: a Monte Carlo of electrons, positrons, photons, and muons' radiation."""

from na64reco.cascade.shower import CascadeResult, simulate_cascade
from na64reco.cascade.stack import Layer, Stack

__all__ = ["CascadeResult", "Layer", "Stack", "simulate_cascade"]
