"""Setups from YAML: shipped ones by name, others by path.

A file may say ``based_on: OTHER``; its mappings are then merged into the other's, key by key, and
``null`` removes a key.
"""

from __future__ import annotations

import logging
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from na64reco.errors import SetupError, did_you_mean
from na64reco.setup.model import Setup
from na64reco.yaml_text import read_yaml

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

__all__ = ["list_setups", "load_setup"]

_LOG = logging.getLogger(__name__)
_DATA = Path(str(files("na64reco.setup"))) / "data"


def list_setups() -> tuple[str, ...]:
    """Names of the setups that ship with the package.

    >>> "2022-electron" in list_setups()
    True
    """
    return tuple(sorted(p.stem for p in _DATA.glob("*.yaml")))


@cache
def load_setup(name: str | Path) -> Setup:
    """A setup by the name of a shipped one or by the path of a YAML file.

    Raises
    ------
    SetupError
        If there is no such setup, or its file is malformed; the message names file and key.
    """
    path = _find(name)
    _LOG.info("Setup from %s", path)
    content = _read(path, seen=())
    content.setdefault("name", path.stem)
    try:
        return Setup.model_validate(content)
    except ValidationError as error:
        lines = [
            f"  {'.'.join(str(part) for part in problem['loc']) or '(whole file)'}: "
            f"{problem['msg']} (found {problem['input']!r:.80}){_hint(problem)}"
            for problem in error.errors()
        ]
        msg = f"The setup {path} is inconsistent:\n" + "\n".join(lines)
        raise SetupError(msg) from None


def _hint(problem: ErrorDetails) -> str:
    if problem["type"] != "extra_forbidden":
        return ""
    *where, key = problem["loc"]
    parts: set[type[BaseModel]] = {Setup}
    for name in where:
        fields = [part.model_fields[name] for part in parts if name in part.model_fields]
        # Else a name or number of one's own: of a counter, of a station in a list.
        parts = set().union(*(_parts_in(field.annotation) for field in fields)) or parts
    return f". {did_you_mean(str(key), {name for part in parts for name in part.model_fields})}"


def _parts_in(annotation: Any) -> set[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return {annotation}
    return set().union(*map(_parts_in, get_args(annotation)))


def _find(name: str | Path) -> Path:
    path = Path(name)
    if path.suffix in {".yaml", ".yml"}:
        if path.is_file():
            return path
        msg = f"There is no setup file {path}."
        raise SetupError(msg)
    if str(name) in list_setups():
        return _DATA / f"{name}.yaml"
    msg = (
        f"There is no setup {str(name)!r}. {did_you_mean(str(name), list_setups())} "
        "A path of a YAML file is taken as well."
    )
    raise SetupError(msg)


def _read(path: Path, *, seen: tuple[Path, ...]) -> dict[str, Any]:
    if path in seen:
        msg = f"{path}: `based_on` goes in a circle: {' -> '.join(p.stem for p in (*seen, path))}"
        raise SetupError(msg)
    try:
        content = read_yaml(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        msg = f"The setup {path} is not valid YAML: {error}"
        raise SetupError(msg) from None
    if not isinstance(content, dict):
        msg = f"The setup {path} must be a mapping, found {type(content).__name__}."
        raise SetupError(msg)
    for magnet in (content.get("magnets") or {}).values():
        if isinstance(magnet, dict) and isinstance(magnet.get("map"), str):
            # A field map stands beside the setup that names it, wherever that is used from.
            magnet["map"] = str(path.parent / magnet["map"])
    base = content.pop("based_on", None)
    if base is None:
        return content
    sibling = path.parent / f"{base}.yaml"
    parent = _read(sibling if sibling.is_file() else _find(base), seen=(*seen, path))
    parent.pop("name", None)
    return _merge(parent, content)


def _merge(base: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in change.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = _merge(merged[key], value)
        else:
            merged[key] = value
    return merged
