"""Pictures of the shower's shape: the fitted profile, and cuts by energy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from na64reco.report.energy_calibration import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from na64reco.calibrate.profile import ProfileDetail
    from na64reco.calibrate.shape_cuts import ShapeCuts

__all__ = ["draw_cuts", "draw_profile"]

_DATA: Final = "#0072B2"  # of Okabe and Ito's palette
_FIT: Final = "#D55E00"
_MOST: Final = 3000
"""Events that the profile is compared with."""


def draw_cuts(found: ShapeCuts) -> dict[str, Figure]:
    """chi2 of the pairs by energy with the cuts, and the share that they keep."""
    figure, settings = new_figure(9.5, 4.2)
    with settings:
        left, right = figure.subplots(1, 2, width_ratios=(2, 1))
        left.plot(found.energy, found.chi2, ".", ms=2, color=_DATA, alpha=0.5)
        left.stairs(found.cuts, found.edges, baseline=None, color=_FIT, lw=1.5)
        middle = 0.5 * (found.edges[1:] + found.edges[:-1])
        left.errorbar(middle, found.cuts, found.errors, fmt="none", ecolor=_FIT)
        left.set_ylim(0, 2.5 * float(found.cuts.max()))
        left.set_xlabel("ecal.energy [GeV]")
        left.set_ylabel("ecal.chi2")
        left.set_title(f"cuts that keep {found.efficiency:.3g} in each bin")
        place = np.clip(np.searchsorted(found.edges, found.energy, "right") - 1, 0, len(middle) - 1)
        relative = found.chi2 / found.cuts[place]
        right.hist(np.minimum(relative, 2.99), np.linspace(0, 3, 61), histtype="step", color=_DATA)
        right.axvline(1.0, color=_FIT)
        right.set_xlabel("ecal.chi2 / cut")
        right.set_title(f"{np.mean(relative <= 1):.1%} kept")
        figure.suptitle(f"{found.setup.name}: {len(found.energy)} muon pairs")
    return {"shape_cuts": figure}


def draw_profile(found: ProfileDetail) -> dict[str, Figure]:
    """Shares of cells by distance from the impact point, over those expected; and chi2."""
    from na64reco.calorimeters import expected_shares, shower_chi2

    sample, profile, ecal = found.sample, found.fit.profile, found.ecal
    sample = sample.select(np.flatnonzero(np.isfinite(sample.x) & np.isfinite(sample.y)))
    sample = sample.select(np.arange(min(len(sample), _MOST)))
    chi2 = shower_chi2(sample.energies, sample.x, sample.y, profile, ecal, sample.threshold)
    with np.errstate(invalid="ignore"):
        clean = np.flatnonzero(chi2 < 4 * np.nanmedian(chi2))
    sample = sample.select(clean)
    total = sample.energies.sum(axis=(2, 3))
    expected = expected_shares(profile, ecal, sample.x, sample.y, total.sum(axis=1))
    distance = np.hypot(
        ecal.x_centres[None, :, None] - sample.x[:, None, None],
        ecal.y_centres[None, None, :] - sample.y[:, None, None],
    )
    edges = np.linspace(0, 3 * ecal.cell_x, 25)
    figure, settings = new_figure(13, 4.2)
    with settings:
        shares, ratio, right = figure.subplots(1, 3)
        for section, (name, style) in enumerate(zip(ecal.sections, ("o", "s"), strict=True)):
            own = total[:, section] > 0
            seen = sample.energies[own, section] / total[own, section, None, None]
            sums = [
                np.histogram(distance[own], edges, weights=values)[0]
                for values in (seen, seen**2, expected[own, section])
            ]
            number = np.maximum(np.histogram(distance[own], edges)[0], 1)
            mean, square, model = (values / number for values in sums)
            error = np.sqrt(np.maximum(square - mean**2, 0) / number)
            middle = 0.5 * (edges[1:] + edges[:-1])
            there = mean > 0
            shares.errorbar(
                middle[there],
                mean[there],
                error[there],
                fmt=style,
                ms=3,
                label=f"{name}, electrons",
            )
            shares.plot(middle[there], model[there], "-", lw=1, label=f"{name}, profile")
            near = there & (mean > 1e-3)
            off = (mean[near] / model[near] - 1, error[near] / model[near])
            ratio.errorbar(middle[near], *off, fmt=style, ms=3, label=name)
        shares.set_yscale("log")
        shares.set_ylabel("mean share of a cell")
        ratio.axhline(0, color="k", lw=0.7)
        ratio.set_ylabel("electrons / profile - 1")
        for ax in (shares, ratio):
            ax.set_xlabel("cell's middle from the impact point [mm]")
            ax.legend()
        right.hist(np.clip(chi2, 0, 9.99), np.linspace(0, 10, 101), histtype="step", color=_DATA)
        right.set_yscale("log")
        right.set_xlabel("ecal.chi2")
        right.set_title(f"{len(chi2)} electrons")
        figure.suptitle(f"Shower profile of {found.fit.used} electrons")
    return {"profile": figure}
