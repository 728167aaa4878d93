"""Tables of the keys of a YAML file, from the pydantic models that read it.

What a key means stands once, in the docstring below it in the model; a key without one is an error
here. A unit is the last word of the first sentence ("Front face, mm."). Examples are taken from
the files that ship.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
import types
import typing
from dataclasses import dataclass, field
from typing import Any, Literal

import yaml
from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

if typing.TYPE_CHECKING:
    from collections.abc import Sequence

UNITS = (
    "mm", "mrad", "m", "ns", "s", "GeV", "GeV/c", "MeV", "T", "degrees", "events", "ADC",
    "radiation lengths", "interaction lengths", "X0",
)  # fmt: skip
_PLAIN = {float: "number", int: "integer", str: "text", bool: "`true` or `false`", Any: "any"}
_SIGNS = ((Gt, "gt", ">"), (Ge, "ge", ">="), (Lt, "lt", "<"), (Le, "le", "<="))
_LONGEST = 80
"""Characters of an example that still fit in a table."""


@dataclass
class Models:
    """Models of one page, with the titles of their sections and examples of their keys."""

    titles: dict[type[BaseModel], str]
    words: tuple[tuple[Any, str], ...] = ()
    """Types that have a name of their own."""
    examples: dict[tuple[type[BaseModel], str], str] = field(default_factory=dict)

    def take_examples(self, whole: BaseModel) -> None:
        """Of each key the first value in a file that is short enough."""
        content = whole.model_dump(mode="json", exclude_unset=True, by_alias=True)
        self._collect(type(whole), content)

    def _collect(self, model: type[BaseModel], content: dict[str, Any]) -> None:
        for name, info in model.model_fields.items():
            key = info.alias or name
            if key not in content:
                continue
            if (text := _example(content[key], info.annotation)) is not None:
                self.examples.setdefault((model, key), f"`{text}`")
            self._descend(info.annotation, content[key])

    def _descend(self, annotation: Any, content: Any) -> None:
        origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            if not isinstance(content, dict):
                return
            keys = {info.alias or name for name, info in annotation.model_fields.items()}
            if set(content) <= keys:
                self._collect(annotation, content)
        elif origin is dict and isinstance(content, dict):
            for value in content.values():
                self._descend(inner[1], value)
        elif origin is tuple and isinstance(content, list):
            kinds = [inner[0]] * len(content) if inner[-1] is Ellipsis else inner
            for kind, value in zip(kinds, content, strict=False):
                self._descend(kind, value)
        else:
            for kind in inner if origin is not Literal else ():
                self._descend(kind, content)

    def sections(self, level: int = 2) -> list[str]:
        """A heading, what the model is, and a table of its keys, for each model."""
        lines: list[str] = []
        for model, title in self.titles.items():
            about = inspect.cleandoc(model.__doc__ or "").replace("``", "`")
            lines += ["#" * level + " " + title, "", about, "", *self.table(model), ""]
        return lines

    def table(self, model: type[BaseModel]) -> list[str]:
        """The keys of one model."""
        meanings = attribute_docstrings(model)
        rows = []
        for name, info in model.model_fields.items():
            key = info.alias or name
            if not meanings.get(name):
                msg = f"{model.__module__}.{model.__name__}.{name} has no docstring below it."
                raise ValueError(msg)
            default, meaning = _default(info, meanings[name])
            unit, meaning = split_unit(meaning)
            kind = self.kind(info.annotation, info.metadata)
            if not info.is_required():
                kind = kind.removesuffix(" or `null`")
            rows.append(
                (f"`{key}`", kind, default, unit, meaning, self.examples.get((model, key), ""))
            )
        header = ["key", "type", "default", "unit", "meaning", "example"]
        if not any(row[3] for row in rows):
            header.remove("unit")
            rows = [(*row[:3], *row[4:]) for row in rows]
        return table(header, rows)

    def kind(self, annotation: Any, metadata: Sequence[Any] = ()) -> str:
        """A type in words, with the limits of its values."""
        origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
        for known, text in self.words:
            if annotation == known:
                return text
        if origin is typing.Annotated:
            return self.kind(inner[0], (*metadata, *inner[1:]))
        limits = _limits(metadata)
        if annotation is str and limits == " (at least 1)":
            limits = ", not empty"
        if annotation in _PLAIN:
            return _PLAIN[annotation] + limits
        if annotation is type(None):
            return "`null`"
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            title = self.titles[annotation]
            return f"[{re.sub('^(An?|The|Its) ', '', title).lower()}](#{slug(title)})"
        if origin is Literal:
            return " or ".join(f"`{value}`" for value in inner)
        if origin in {typing.Union, types.UnionType}:
            return " or ".join(dict.fromkeys(self.kind(part) for part in inner))
        if origin is dict:
            return f"mapping of {self._names(inner[0])} to {self.kind(inner[1])}"
        if origin is tuple and inner[-1] is Ellipsis:
            return f"list of {self.kind(inner[0])}{limits}"
        if origin is tuple:
            return f"[{', '.join(self.kind(part) for part in inner)}]"
        msg = f"no words for the type {annotation!r}"
        raise TypeError(msg)

    def _names(self, annotation: Any) -> str:
        return "name" if annotation is str else self.kind(annotation)


def _limits(metadata: Sequence[Any]) -> str:
    found = []
    for item in metadata:
        if isinstance(item, FieldInfo):
            return _limits(item.metadata)
        found += [f"{sign} {getattr(item, at):g}" for k, at, sign in _SIGNS if type(item) is k]
        if isinstance(item, MinLen):
            found.append(f"at least {item.min_length}")
        if isinstance(item, MaxLen):
            found.append(f"at most {item.max_length}")
    return f" ({', '.join(found)})" if found else ""


def _default(info: FieldInfo, meaning: str) -> tuple[str, str]:
    """The default, and the meaning without what it says of it."""
    said = re.search(r"[;.]? *\b[Dd]efault: ([^.]+)\.", meaning)
    if said is not None:
        return said.group(1), (meaning[: said.start()] + "." + meaning[said.end() :]).lstrip(". ")
    if info.is_required():
        return "required", meaning
    value = info.get_default(call_default_factory=True)
    if value is None or value is PydanticUndefined or value in ({}, (), ""):
        return "none", meaning
    if isinstance(value, BaseModel):
        return "its defaults", meaning
    return f"`{_flow(list(value) if isinstance(value, tuple) else value)}`", meaning


def _example(value: Any, annotation: Any) -> str | None:
    """A value on one line, or of several the first; None if that is too long, too."""
    if value in (None, {}, []):
        return None
    parts = [value]
    if typing.get_origin(annotation) is dict and isinstance(value, dict):
        parts.append(dict(list(value.items())[:1]))
    elif isinstance(value, list) and Ellipsis in typing.get_args(annotation):
        parts.append(value[:1])
    return next((t for part in parts if part and len(t := _flow(part)) <= _LONGEST), None)


def _flow(value: Any) -> str:
    """YAML on one line."""
    text = yaml.safe_dump(value, default_flow_style=True, width=10_000, sort_keys=False)
    text = text.removesuffix("...\n").strip()
    return re.sub(r"\b\d{7,}\.0\b", lambda found: f"{float(found[0]):.1e}", text)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table."""
    lines = [f"| {' | '.join(header)} |", "|" + "---|" * len(header)]
    for row in rows:
        cells = (cell.replace("|", "\\|") for cell in row)
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def slug(title: str) -> str:
    """The anchor that GitHub and MyST give to a heading.

    >>> slug("A limit, by run period")
    'a-limit-by-run-period'
    """
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def split_unit(meaning: str) -> tuple[str, str]:
    """The unit, and the meaning without it.

    >>> split_unit("Front face, mm. Later sections follow.")
    ('mm', 'Front face. Later sections follow.')
    """
    first, dot, rest = meaning.partition(". ")
    start, comma, last = first.rstrip(".").rpartition(", ")
    if comma and last in UNITS:
        return last, f"{start}.{' ' + rest if dot else ''}"
    return "", meaning


def attribute_docstrings(model: type) -> dict[str, str]:
    """The strings below the fields of a class, on one line each."""
    found: dict[str, str] = {}
    for base in reversed(model.__mro__):
        if not base.__module__.startswith("na64reco."):
            continue
        body = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0]
        assert isinstance(body, ast.ClassDef)
        for statement, after in zip(body.body, body.body[1:], strict=False):
            if (
                isinstance(statement, ast.AnnAssign)
                and isinstance(statement.target, ast.Name)
                and isinstance(after, ast.Expr)
                and isinstance(after.value, ast.Constant)
                and isinstance(after.value.value, str)
            ):
                text = " ".join(after.value.value.split()).replace("``", "`")
                found[statement.target.id] = text
    return found
