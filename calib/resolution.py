"""Resolution of strip clusters from tracks: `python calib/resolution.py RUN.root [SETUP]`.

Unbiased residuals of each plane (the track fitted without it) over their expected width: the core
width of this pull is 1 where the resolution in calib/ is right. Prints the
resolution that makes it so; repeat with that in make.py's STRIP_RESOLUTION until nothing changes.
"""

from __future__ import annotations

import sys

import numpy as np

from na64reco.calibration import load_conditions
from na64reco.events import open_events, read_hits, read_scalar
from na64reco.setup import load_setup
from na64reco.tracking.clusters import find_clusters
from na64reco.tracking.finding import find_candidates
from na64reco.tracking.fit import fit_tracks, residuals
from na64reco.tracking.layout import make_layout
from na64reco.tracking.planes import strip_planes
from na64reco.tracking.reconstruct import measurements

FIELDS = ("station", "projection", "strip", "charge", "time")


def main(path: str, name: str = "2022-electron") -> None:
    """Print the pull of each plane and the resolution that it asks for."""
    events, setup = open_events(path), load_setup(name)
    conditions = load_conditions(setup, int(read_scalar(events, "run")[0]))
    planes = strip_planes(setup, conditions)
    layout = make_layout(setup, planes, spectrometer=next(iter(setup.spectrometers)))
    clusters = find_clusters(
        read_hits(events, "MM", FIELDS), read_hits(events, "GEM", FIELDS), planes
    )
    candidates = find_candidates(clusters, layout)
    measured = measurements(candidates, clusters, planes, layout)
    fits = fit_tracks(measured, candidates.seed, planes, layout)
    residual, sigma = residuals(measured, fits, planes, layout)
    for column, plane in enumerate(layout.planes):
        pull = (residual / sigma)[:, column]
        pull = pull[np.isfinite(pull) & fits.ok]
        if not len(pull):
            continue
        width = 1.4826 * np.median(np.abs(pull - np.median(pull)))
        expected, used = np.nanmedian(sigma[:, column]), planes.resolution[plane]
        # Where all planes are off by the same factor, tracks are too: the pull is that factor.
        print(
            f"plane {plane:2d}: pull {width:.3f}, residual {width * expected:.4f} mm, "
            f"resolution {used:.4f} -> {used * width:.4f} mm"
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
