"""counting.json: everything that limits need of one run period, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from na64reco.errors import InferenceError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from na64reco.inference.background import Component

__all__ = [
    "COUNTING",
    "Background",
    "BackgroundComponent",
    "Counting",
    "Number",
    "SignalCurve",
    "background_of",
    "joint_covariance",
    "read_counting",
    "write_counting",
]

COUNTING = "counting.json"
"""Name of the file; with several periods in a folder, counting-PERIOD.json."""

Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Number(_Part):
    """A value with its errors (standard deviations)."""

    value: Positive
    statistical: Positive
    systematic: Positive = 0.0
    source: str = ""

    @property
    def error(self) -> float:
        """Both in quadrature."""
        return float(np.hypot(self.statistical, self.systematic))


class BackgroundComponent(_Part):
    """One background, events in the box."""

    name: str
    value: Positive | None
    """None where only the upper limit is known."""
    statistical: Positive | None
    systematic: Positive | None
    upper: Positive
    """Upper limit, 90 %, one-sided."""
    expected: Positive
    """What enters the total: the value, or upper / 2.303 where there is only a limit."""
    source: str
    correlated: bool
    """The systematic error is one and the same in all periods."""
    log_statistical: Positive
    """Standard deviations of the logarithm: components are log-normal with ``expected`` as
    median."""
    log_systematic: Positive

    @model_validator(mode="after")
    def _check(self) -> BackgroundComponent:
        if (self.value is None) != (self.statistical is None):
            msg = f"{self.name}: a value needs an error, and a limit has neither"
            raise ValueError(msg)
        return self


class Background(_Part):
    """All of it."""

    components: tuple[BackgroundComponent, ...]
    covariance: tuple[tuple[Finite, ...], ...]
    """Of the components, events^2, in their order: of log-normals with these medians, expected^2
    (exp(sigma^2) - 1), so that ln(1 + covariance / expected^2) gives sigma^2 back."""
    value: Positive
    """Sum of what is expected."""
    error: Positive
    """Its standard deviation, root of the covariance's sum."""

    @model_validator(mode="after")
    def _check(self) -> Background:
        matrix = np.array(self.covariance, dtype=np.float64).reshape(-1, len(self.components) or 1)
        if matrix.shape[0] != len(self.components):
            msg = f"the covariance has {matrix.shape[0]} rows for {len(self.components)} components"
            raise ValueError(msg)
        if not np.allclose(matrix, matrix.T):
            msg = "the covariance of the background is not symmetric"
            raise ValueError(msg)
        return self


class SignalCurve(_Part):
    """eta(E): share of signal events, of those that pass all else, that fall into the box."""

    missing_energy: tuple[Finite, ...]
    """GeV."""
    efficiency: tuple[Positive, ...]
    error: tuple[Positive, ...]
    source: str

    @model_validator(mode="after")
    def _check(self) -> SignalCurve:
        if not len(self.missing_energy) == len(self.efficiency) == len(self.error):
            msg = "missing_energy, efficiency and error must be of one length"
            raise ValueError(msg)
        return self


class Counting(_Part):
    """One run period."""

    format: Literal[1] = 1
    """Version of this layout."""
    period: str
    setup: str
    selection: str
    selection_sha256: str
    frozen_box: str | None = None
    """SHA-256 of the frozen box that was used to unblind."""
    observed: Annotated[int, Field(ge=0)] | None
    """Events in the box; null while it is blinded."""
    threshold: Number
    """E_thr, GeV: E_ECAL below it is in the box."""
    hcal_threshold: Positive
    """GeV."""
    beam_energy: Positive
    """GeV."""
    background: Background
    kappa: Number | None
    """Efficiency of all cuts but the threshold; null until it is measured."""
    exposure: Number | None
    """Electrons on target; null until it is known."""
    signal_efficiency: SignalCurve
    notes: tuple[str, ...] = ()

    @property
    def blinded(self) -> bool:
        """Whether the number of events in the box is hidden."""
        return self.observed is None

    def missing(self) -> tuple[str, ...]:
        """What limits still lack."""
        return tuple(name for name in ("kappa", "exposure") if getattr(self, name) is None)


def background_of(components: Sequence[Component]) -> Background:
    """Components with their covariance; they do not share statistics or systematics."""
    parts = tuple(
        BackgroundComponent(
            name=c.name,
            value=c.value,
            statistical=c.statistical,
            systematic=c.systematic,
            upper=c.upper,
            expected=c.expected,
            source=c.source,
            correlated=c.correlated,
            log_statistical=c.log_statistical,
            log_systematic=c.log_systematic,
        )
        for c in components
    )
    variance = [_variance(p) for p in parts]
    covariance = np.diag(variance) if parts else np.zeros((0, 0))
    return Background(
        components=parts,
        covariance=tuple(tuple(map(float, row)) for row in covariance),
        value=float(sum(p.expected for p in parts)),
        error=float(np.sqrt(sum(variance))),
    )


def _variance(part: BackgroundComponent) -> float:
    sigma2 = part.log_statistical**2 + part.log_systematic**2
    return float(part.expected**2 * np.expm1(sigma2))


def joint_covariance(periods: Sequence[Counting]) -> NDArray[np.float64]:
    """Covariance of the total backgrounds of several periods, events^2, shape (periods, periods).

    Statistics are independent; a systematic error that is marked as correlated moves components of
    the same name in all periods together.
    """
    total = np.diag([p.background.error**2 for p in periods])
    for i, one in enumerate(periods):
        for j, two in enumerate(periods):
            if i == j:
                continue
            for a in one.background.components:
                for b in two.background.components:
                    if a.name == b.name and a.correlated and b.correlated:
                        common = np.expm1(a.log_systematic * b.log_systematic)
                        total[i, j] += a.expected * b.expected * common
    return total


def write_counting(content: Counting, folder: Path | str, *, several: bool = False) -> Path:
    """Write counting.json, or counting-PERIOD.json where a folder holds several periods."""
    name = f"counting-{content.period}.json" if several else COUNTING
    path = Path(folder) / name
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(content.model_dump(mode="json"), indent=2, allow_nan=False) + "\n")
    part.replace(path)
    return path


def read_counting(path: Path | str) -> tuple[Counting, ...]:
    """All periods of an output folder, or the one of a file.

    Raises
    ------
    InferenceError
        If there is none, or a file is not what `na64reco background` writes; the message names
        the key.
    """
    path = Path(path)
    files = sorted(path.glob("counting*.json")) if path.is_dir() else [path]
    if not files:
        msg = f"{path} has no {COUNTING}; `na64reco background {path}` writes it."
        raise InferenceError(msg)
    return tuple(_read(file) for file in files)


def _read(path: Path) -> Counting:
    try:
        return Counting.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror}. `na64reco background` writes it."
        raise InferenceError(msg) from None
    except ValidationError as error:
        lines = "\n".join(
            f"  {'.'.join(map(str, e['loc'])) or '(whole file)'}: {e['msg']}"
            for e in error.errors()
        )
        msg = (
            f"{path} is not what `na64reco background` of this release writes:\n{lines}\n"
            "Make it anew."
        )
        raise InferenceError(msg) from None
