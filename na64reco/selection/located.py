"""YAML that remembers where every value stood, so that an error can name file, line and key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import yaml

from na64reco.errors import SelectionError
from na64reco.yaml_text import refuse_deep

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Node", "Place", "find", "plain", "read_located"]

# libyaml, where PyYAML was built with it, is several times faster; nodes and lines are the same.
_LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MAX_NODES = 100_000
_MAX_DEPTH = 30


@dataclass(frozen=True)
class Place:
    """Where something stands in a file."""

    file: Path
    line: int
    """From 1."""


@dataclass(frozen=True)
class Node:
    """A value and the place of its key (in a list: of itself)."""

    value: Content
    place: Place


Content: TypeAlias = dict[Any, Node] | list[Node] | str | int | float | bool | None


class _Builder:
    """Turns the composed YAML nodes of one file into `Node`; aliases are copied, with a bound."""

    def __init__(self, path: Path, loader: yaml.SafeLoader) -> None:
        self.path = path
        self.loader = loader
        self.count = 0

    def error(self, node: yaml.Node, text: str) -> SelectionError:
        return SelectionError(f"{self.path}, line {node.start_mark.line + 1}: {text}")

    def build(self, node: yaml.Node, place: Place, depth: int = 0) -> Node:
        self.count += 1
        if self.count > _MAX_NODES or depth > _MAX_DEPTH:
            raise self.error(node, "too many or too deeply nested values for a selection")
        if isinstance(node, yaml.MappingNode):
            self.require_tag(node, "tag:yaml.org,2002:map")
            return Node(self.mapping(node, depth), place)
        if isinstance(node, yaml.SequenceNode):
            self.require_tag(node, "tag:yaml.org,2002:seq")
            items = [self.build(item, self.place(item), depth + 1) for item in node.value]
            return Node(items, place)
        return Node(self.scalar(node), place)

    def place(self, node: yaml.Node) -> Place:
        return Place(self.path, node.start_mark.line + 1)

    def require_tag(self, node: yaml.Node, tag: str) -> None:
        if node.tag != tag:
            text = f"the tag {node.tag!r} is not allowed: a selection is plain data"
            raise self.error(node, text)

    def scalar(self, node: yaml.Node) -> Any:
        try:
            return self.loader.construct_object(node)
        except (yaml.YAMLError, ValueError) as error:
            text = getattr(error, "problem", None) or str(error)
            raise self.error(node, f"a value that is not plain data: {text}") from None

    def mapping(self, node: yaml.MappingNode, depth: int) -> dict[Any, Node]:
        result: dict[Any, Node] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise self.error(key_node, "a key must be a plain name")
            key = key_node.value if key_node.tag.endswith(":merge") else self.scalar(key_node)
            if key in result:
                first = result[key].place.line
                text = f"the key {key!r} is given a second time (first in line {first}); keep one"
                raise self.error(key_node, text)
            result[key] = self.build(value_node, self.place(key_node), depth + 1)
        return result


def read_located(path: Path) -> Node:
    """The content of a YAML file, every value with its place.

    Only plain data (mappings, lists, strings, numbers, booleans, null) is accepted.

    Raises
    ------
    SelectionError
        If the file cannot be read, is not valid YAML, holds a key twice, or anything but plain
        data; the message names file and line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"The selection {path} cannot be read: {error}"
        raise SelectionError(msg) from None
    try:
        refuse_deep(text)
        loader = _LOADER(text)
        try:
            root = loader.get_single_node()
            if root is None:
                msg = f"The selection {path} is empty."
                raise SelectionError(msg)
            return _Builder(path, loader).build(root, Place(path, root.start_mark.line + 1))
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None) or str(error)
        msg = f"{path}{where}: not valid YAML: {problem}"
        raise SelectionError(msg) from None


def plain(node: Node) -> Any:
    """The value without its places."""
    if isinstance(node.value, dict):
        return {key: plain(item) for key, item in node.value.items()}
    if isinstance(node.value, list):
        return [plain(item) for item in node.value]
    return node.value


def find(node: Node, keys: tuple[str | int, ...]) -> tuple[Place, str]:
    """Place and readable name of what the keys lead to.

    Keys that lead nowhere (names of alternatives in a schema, keys that are missing) are skipped,
    so the place is that of the innermost value that exists.
    """
    name = ""
    for key in keys:
        if isinstance(node.value, dict) and key in node.value:
            name += f".{key}" if name else str(key)
            node = node.value[key]
        elif isinstance(node.value, list) and isinstance(key, int) and key < len(node.value):
            node = node.value[key]
            label: Any = key
            if isinstance(node.value, dict) and "name" in node.value:
                label = node.value["name"].value
            name += f"[{label}]"
    return node.place, name or "(whole file)"
