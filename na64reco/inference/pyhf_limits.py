"""Counting models in pyhf: as a workspace, and limits by its calculators."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from na64reco.errors import InferenceError
from na64reco.inference.counting_model import CountingModel
from na64reco.inference.poisson import crossing

__all__ = ["pyhf_limit", "workspace"]

_SMALL = 1e-12
"""Events: what stands for a background of zero in pyhf, whose logarithms want more."""


def workspace(model: CountingModel) -> dict[str, Any]:
    """The model as a pyhf workspace (HistFactory JSON), one bin per channel; `mu` is the strength.

    Raises
    ------
    InferenceError
        If nothing was observed yet: a workspace holds the counts.
    """
    if model.observed is None:
        msg = "The counts are blinded; a workspace needs them. Unblind, or give Asimov counts."
        raise InferenceError(msg)

    def normsys(name: str, kappa: float) -> dict[str, Any]:
        data = {"hi": float(np.exp(kappa)), "lo": float(np.exp(-kappa))}
        return {"name": name, "type": "normsys", "data": data}

    channels = []
    for i, name in enumerate(model.names):
        strength: dict[str, Any] = {"name": "mu", "type": "normfactor", "data": None}
        on_signal = [
            normsys(f"signal {source}", kappa)
            for source, kappa in zip(model.signal_errors, model.signal_modes[i], strict=True)
            if kappa > 0
        ]
        on_background = [
            normsys(f"background {mode}", kappa)
            for mode, kappa in enumerate(model.background_modes[i])
            if kappa != 0
        ]
        signal = {"name": "signal", "data": [float(model.signal[i])]}
        background = {"name": "background", "data": [max(float(model.background[i]), _SMALL)]}
        channels.append(
            {
                "name": name,
                "samples": [
                    signal | {"modifiers": [strength, *on_signal]},
                    background | {"modifiers": on_background},
                ],
            }
        )
    measurement = {"name": "limit", "config": {"poi": "mu", "parameters": []}}
    observations = [
        {"name": name, "data": [float(n)]}
        for name, n in zip(model.names, model.observed, strict=True)
    ]
    return {
        "channels": channels,
        "observations": observations,
        "measurements": [measurement],
        "version": "1.0.0",
    }


def pyhf_limit(model: CountingModel, cl: float, *, cls: bool, toys: int, seed: int) -> float:
    """Upper limit on the strength, one-sided profile likelihood or CLs.

    Parameters
    ----------
    toys, seed
        Number of pseudo-experiments; 0: the distribution for large counts.
    """
    import pyhf

    assert model.observed is not None
    # One event at unit strength: the fits see numbers of order one.
    unit = float(model.signal.sum())
    scaled = CountingModel(
        model.names,
        model.signal / unit,
        model.background,
        model.covariance,
        model.signal_errors,
        model.observed,
    )
    top = 10 + 4 * float(model.observed.sum()) + 10 * math.sqrt(float(model.background.sum()))
    # Its validation calls what jsonschema deprecates; the schema is checked in a test.
    hypothesis = pyhf.Model(
        {"channels": workspace(scaled)["channels"]},
        poi_name="mu",
        modifier_settings={"normsys": {"interpcode": "code1"}},
        validate=False,
    )
    data = [*map(float, model.observed), *hypothesis.config.auxdata]
    bounds = hypothesis.config.suggested_bounds()
    bounds[hypothesis.config.poi_index] = (0.0, 4 * top)
    options: dict[str, Any] = {"test_stat": "qtilde", "par_bounds": bounds}
    calculators = pyhf.infer.calculators
    if toys:
        options |= {"ntoys": toys, "track_progress": False}
        calculator = calculators.ToyCalculator(data, hypothesis, **options)
    else:
        calculator = calculators.AsymptoticCalculator(data, hypothesis, **options)

    def p(strength: float) -> float:
        if toys:
            # The same toys for every strength; pyhf draws them from the global generator.
            np.random.seed(seed)  # noqa: NPY002
        q = calculator.teststatistic(strength)
        both, _, ratio = calculator.pvalues(q, *calculator.distributions(strength))
        return float(ratio if cls else both)

    return crossing(p, 1 - cl, min(3.0, top), precision=1e-2 if toys else 1e-7) / unit
