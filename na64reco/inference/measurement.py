"""A number with its uncertainty, and how it stands in the JSON files of an output folder."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

from na64reco.errors import InferenceError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["Measurement", "read_json"]


@dataclass(frozen=True)
class Measurement:
    """A value with a 68.27 % interval; in JSON an object of these five numbers."""

    value: float
    low: float
    """Lower end of the interval, statistical errors alone."""
    high: float
    """Upper end of the interval, statistical errors alone."""
    statistical: float
    """Half the interval's width, or a standard deviation."""
    systematic: float = 0.0
    """Standard deviation."""

    @property
    def error(self) -> float:
        """Both errors in quadrature."""
        return math.hypot(self.statistical, self.systematic)

    @classmethod
    def symmetric(cls, value: float, statistical: float, systematic: float = 0.0) -> Self:
        """With an interval of one standard deviation on either side."""
        return cls(value, value - statistical, value + statistical, statistical, systematic)

    def to_json(self) -> dict[str, float]:
        """Field by field."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        return cls(**{name: float(content[name]) for name in cls.__dataclass_fields__})


def read_json(path: Path, *, command: str) -> dict[str, Any]:
    """Content of a JSON file that a command wrote.

    Raises
    ------
    InferenceError
        If it is not there or cannot be read; the message names the command that writes it.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        msg = f"There is no {path}; `na64reco {command} {path.parent}` writes it."
        raise InferenceError(msg) from None
    except (OSError, ValueError) as error:
        msg = f"{path} cannot be read: {error}. `na64reco {command} {path.parent}` writes it anew."
        raise InferenceError(msg) from None
    if not isinstance(content, dict):
        msg = f"{path}: expected a JSON object, found {type(content).__name__}."
        raise InferenceError(msg)
    return content
