"""Selections from YAML: shipped ones by name, others by path; every mistake gets its line.

A file may say ``based_on: OTHER`` (a file beside it, or the name of a shipped selection). Its
mappings are then merged into the other's, key by key, and ``null`` removes a key. Cuts are merged
by name: one of a known name replaces that one where it stands, ``{name: NAME, remove: true}``
removes it, others come after the last.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from na64reco.errors import SelectionError, SetupError, did_you_mean
from na64reco.resources import shipped_folder
from na64reco.selection.located import Node, find, plain, read_located
from na64reco.selection.model import (
    Axis,
    ByColumn,
    ByPeriod,
    Cut,
    Histogram,
    Problem,
    Selection,
)
from na64reco.selection.variables import known_variables
from na64reco.setup import load_setup

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import BaseModel
    from pydantic_core import ErrorDetails

    from na64reco.selection.variables import Description

__all__ = ["list_selections", "load_selection"]

_LOG = logging.getLogger(__name__)


def list_selections() -> tuple[str, ...]:
    """Names of the selections that ship with the package."""
    return tuple(sorted(path.stem for path in shipped_folder("selections").glob("*.yaml")))


def load_selection(name: str | Path) -> Selection:
    """A selection by the name of a shipped one or by the path of a YAML file.

    Raises
    ------
    SelectionError
        If there is no such selection, or for everything that is wrong with it; each problem comes
        with file, line, key and how to mend it.
    """
    path = _find(name)
    _LOG.info("Selection from %s", path)
    root = _read(path, seen=())
    content = plain(root)
    content.setdefault("name", path.stem)
    try:
        selection = Selection.model_validate(content)
    except ValidationError as error:
        raise _error(path, root, _problems(error)) from None
    if problems := [*_check_setup(selection), *_check_variables(selection)]:
        raise _error(path, root, problems)
    return selection


def _find(name: str | Path) -> Path:
    path = Path(name)
    if path.suffix in {".yaml", ".yml"}:
        if path.is_file():
            return path
        msg = f"There is no selection file {path}."
        raise SelectionError(msg)
    shipped = shipped_folder("selections") / f"{name}.yaml"
    if str(name) in list_selections():
        return shipped
    msg = (
        f"There is no selection {str(name)!r}. {did_you_mean(str(name), list_selections())} "
        "A path of a YAML file is taken as well."
    )
    raise SelectionError(msg)


def _read(path: Path, *, seen: tuple[Path, ...]) -> Node:
    resolved = path.resolve()
    if resolved in seen:
        circle = " -> ".join(p.stem for p in (*seen, resolved))
        msg = f"{path}: `based_on` goes in a circle: {circle}"
        raise SelectionError(msg)
    node = read_located(path)
    if not isinstance(node.value, dict):
        msg = f"The selection {path} must be a mapping, found {type(node.value).__name__}."
        raise SelectionError(msg)
    content = dict(node.value)
    base = content.pop("based_on", None)
    if base is None:
        return replace(node, value=content)
    where = f"{path}, line {base.place.line}, based_on"
    if not isinstance(base.value, str):
        msg = f"{where}: expected the name of a selection, found {plain(base)!r}"
        raise SelectionError(msg)
    beside = path.parent / base.value
    candidates = (beside, beside.with_name(beside.name + ".yaml"))
    found = next((p for p in candidates if p.suffix in {".yaml", ".yml"} and p.is_file()), None)
    try:
        parent = _read(found or _find(base.value), seen=(*seen, resolved))
    except SelectionError as error:
        msg = f"{where}: {error}"
        raise SelectionError(msg) from None
    merged = _merge({k: v for k, v in _mapping(parent).items() if k != "name"}, content)
    return replace(node, value=merged)


def _mapping(node: Node) -> dict[Any, Node]:
    return node.value if isinstance(node.value, dict) else {}


def _merge(base: dict[Any, Node], change: dict[Any, Node], *, top: bool = True) -> dict[Any, Node]:
    merged = dict(base)
    for key, node in change.items():
        old = merged.get(key)
        if node.value is None:
            merged.pop(key, None)
        elif old is None:
            merged[key] = node
        elif isinstance(node.value, dict) and isinstance(old.value, dict):
            merged[key] = replace(node, value=_merge(old.value, node.value, top=False))
        elif top and key == "cuts" and isinstance(node.value, list) and isinstance(old.value, list):
            merged[key] = replace(node, value=_merge_cuts(old.value, node.value))
        else:
            merged[key] = node
    return merged


def _merge_cuts(base: list[Node], change: list[Node]) -> list[Node]:
    def name_of(node: Node) -> Any:
        name = _mapping(node).get("name")
        return None if name is None else plain(name)

    merged = list(base)
    own: set[Any] = set()
    for node in change:
        name = name_of(node)
        names = [name_of(cut) for cut in merged]
        position = names.index(name) if name is not None and name in names else -1
        if "remove" in _mapping(node):
            if position < 0 or plain(node) != {"name": name, "remove": True}:
                msg = (
                    f"{node.place.file}, line {node.place.line}, cuts[{name}]: a removal reads "
                    f"{{name: NAME, remove: true}} with the name of a cut of the selection that "
                    f"this one is based on. {did_you_mean(str(name), map(str, names))}"
                )
                raise SelectionError(msg)
            del merged[position]
        elif position < 0 or name in own:  # the second of a name in one file is found later
            merged.append(node)
            own.add(name)
        else:
            merged[position] = node
            own.add(name)
    return merged


def _error(path: Path, root: Node, problems: list[Problem]) -> SelectionError:
    lines = []
    for keys, text in problems:
        place, key = find(root, keys)
        lines.append(f"  {place.file}, line {place.line}, {key}: {text}")
    count = "a problem" if len(lines) == 1 else f"{len(lines)} problems"
    return SelectionError(f"The selection {path} has {count}:\n" + "\n".join(lines))


_MODELS: dict[str | int, type[BaseModel]] = {
    "cuts": Cut,
    "histograms": Histogram,
    "axes": Axis,
    "by period": ByPeriod,
    "by column": ByColumn,
}


def _known_keys(location: tuple[str | int, ...]) -> list[str]:
    model: type[BaseModel] = Selection
    for part in location[:-1]:
        model = _MODELS.get(part, model)
    keys = [field.alias or name for name, field in model.model_fields.items()]
    return [*keys, "based_on"] if model is Selection else keys


def _problems(error: ValidationError) -> list[Problem]:
    found: list[Problem] = []
    for detail in error.errors():
        if detail["type"] == "selection":
            found += detail["ctx"]["problems"]
        else:
            found.append((detail["loc"], _explain(detail)))
    return found


def _explain(detail: ErrorDetails) -> str:
    location, kind = detail["loc"], detail["type"]
    last = location[-1] if location else ""
    value = detail["input"]
    if kind == "extra_forbidden":
        return f"unknown key {last!r}. {did_you_mean(str(last), _known_keys(location))}"
    if (kind == "missing" and isinstance(last, int)) or kind in {"tuple_type", "too_long"}:
        return f"expected a list, as [low, high] for two limits (found {value!r})"
    if kind == "missing":
        return f"the key {last!r} is missing"
    if kind == "value_error":
        return detail["msg"].removeprefix("Value error, ")
    hint = ""
    if isinstance(value, str) and _is_number(value):
        hint = f"; YAML takes {value} as text, write it as {float(value)!r}"
    if "by period" in location and not isinstance(value, dict):
        hint = "; a limit per period is {by: period, values: {NAME: NUMBER}}"
    if kind == "finite_number":
        hint = "; for no limit use min or max in a cut, null in a region"
    return f"{detail['msg']} (found {value!r:.80}){hint}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _check_setup(selection: Selection) -> Iterator[Problem]:
    try:
        first, last = load_setup(selection.setup).runs
    except SetupError as error:
        yield ("setup",), str(error)
        return
    if not selection.periods:
        return
    start = first
    for begin, end in sorted(selection.periods.values()):
        if begin > start:
            break
        start = max(start, end + 1)
    if start <= last:
        end = min((b - 1 for b, _ in selection.periods.values() if b > start), default=last)
        text = (
            f"the runs {start} to {min(end, last)} of the setup {selection.setup} ({first} to "
            f"{last}) lie in no period; extend one or add one"
        )
        yield ("periods",), text


def _check_variables(selection: Selection) -> Iterator[Problem]:
    known = known_variables()

    def check(where: tuple[str | int, ...], name: str) -> Iterator[Problem]:
        if name not in known:
            yield where, f"there is no variable {name!r}. {did_you_mean(name, known)}"

    for i, cut in enumerate(selection.cuts):
        yield from check(("cuts", i, "variable"), cut.variable)
        yield from _check_boolean(i, cut, known)
        for where, limit in cut.limits:
            if isinstance(limit, ByColumn):
                yield from check(("cuts", i, *where, "by"), limit.by)
    for name, box in selection.regions.items():
        for variable in box:
            yield from check(("regions", name, variable), variable)
    for name, histogram in selection.histograms.items():
        for i, axis in enumerate(histogram.axes):
            yield from check(("histograms", name, "axes", i, "variable"), axis.variable)


def _check_boolean(i: int, cut: Cut, known: dict[str, Description]) -> Iterator[Problem]:
    description = known.get(cut.variable)
    if description is not None and cut.is_boolean and description.dtype.kind != "b":
        text = (
            f"{cut.variable} is a number ({description.unit or 'no unit'}), so the cut needs one "
            "of window, min, max, equal"
        )
        yield ("cuts", i), text
