"""From hits of the trackers to tracks and momenta."""

from __future__ import annotations

from na64reco.tracking.reconstruct import reconstruct_tracks, unfolded_hits

__all__ = ["reconstruct_tracks", "unfolded_hits"]
