"""YAML of unknown origin: only plain data, quickly, whatever the text is."""

from __future__ import annotations

import json
from typing import Any

import yaml

__all__ = ["read_yaml", "refuse_deep"]

_FAST: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DEPTH = 100


def read_yaml(text: str) -> Any:
    """Mappings, lists, strings and numbers of a YAML text; JSON is YAML too, and much faster.

    Raises
    ------
    yaml.YAMLError
        If it is none, or nested absurdly deep.
    """
    if text.startswith("{"):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            pass  # YAML may begin with a brace as well
    try:
        # libyaml is ten times faster, but builds by a recursion without end: too deep is a crash.
        refuse_deep(text)
        return yaml.load(text, Loader=_FAST)  # a safe loader
    except ValueError as error:  # numbers of thousands of digits, 30th of February
        raise yaml.YAMLError(str(error)) from None


def refuse_deep(text: str) -> None:
    """Raise ``yaml.YAMLError`` where a text is nested absurdly deep, or is no YAML."""
    depth = 0
    for event in yaml.parse(text, Loader=_FAST):
        kind = type(event)
        if kind is yaml.ScalarEvent:
            continue
        if kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
            depth += 1
            if depth > _DEPTH:
                msg = f"it is nested more than {_DEPTH} levels deep"
                raise yaml.YAMLError(msg)
        elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
            depth -= 1
