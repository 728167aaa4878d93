"""Foreign branch names: a YAML file that says how another program's file fits the schema.

.. code-block:: yaml

    tree: T                                  # default: Events
    scalars:
      run: runNumber                         # short for {branch: runNumber}
      trigger: {constant: 1}                 # the file has none: the same for every event
      master_time: {branch: t0_us, factor: 1000}          # value = factor * branch + offset
    collections:
      ECAL:
        section: {constant: 1}
        ix: ecal_col
        amplitude: {branch: ecal_e, factor: 50.0, offset: 0.0}
    counters:
      ECAL: n_ecal                           # optional; else counted from the branches

Schema branches that are not mentioned are read under their own names, where the file has them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator, model_validator

from na64reco.errors import MappingError, did_you_mean
from na64reco.events.schema import COLLECTIONS, SCALARS, TREE, Column
from na64reco.yaml_text import read_yaml

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["Mapping", "Source", "load_mapping"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Source(_Part):
    """Where a column comes from: a branch, rescaled, or a constant."""

    branch: str | None = None
    """Name in the file; of a field in an RNTuple's collection, `COLLECTION.field`."""
    factor: float = 1.0
    """Schema unit per unit of the file."""
    offset: float = 0.0
    """Added after multiplying, in the schema's unit."""
    constant: float | None = None
    """The value of every event or hit, for what the file does not have."""

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"branch": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _either(self) -> Source:
        if (self.branch is None) == (self.constant is None):
            msg = "give either 'branch' or 'constant'"
            raise ValueError(msg)
        if self.constant is not None and self.is_rescaled:
            msg = "a constant takes no 'factor' or 'offset'"
            raise ValueError(msg)
        if self.branch is not None and set(self.branch) & set(",!"):
            msg = f"branch names with ',' or '!' cannot be read, found {self.branch!r}"
            raise ValueError(msg)
        return self

    @property
    def is_rescaled(self) -> bool:
        """Whether values differ from those in the file."""
        return self.factor != 1.0 or self.offset != 0.0


class Mapping(_Part):
    """How a foreign file's branches fit the schema."""

    tree: str = TREE
    """Name of the TTree or RNTuple."""
    scalars: dict[str, Source] = {}
    """By name in the schema."""
    collections: dict[str, dict[str, Source]] = {}
    """By collection and field of the schema."""
    counters: dict[str, str] = {}
    """Counter branch by collection; else the hits are counted from the branches."""
    origin: str = ""
    """File that it was read from, for messages."""

    @field_validator("scalars")
    @classmethod
    def _known_scalars(cls, scalars: dict[str, Source]) -> dict[str, Source]:
        for name, source in scalars.items():
            if name not in SCALARS:
                msg = f"the schema has no scalar {name!r}. {did_you_mean(name, SCALARS)}"
                raise ValueError(msg)
            _check_constant(name, source, SCALARS[name])
        return scalars

    @model_validator(mode="after")
    def _known_collections(self) -> Mapping:
        for name, fields in self.collections.items():
            if name not in COLLECTIONS:
                msg = f"the schema has no collection {name!r}. {did_you_mean(name, COLLECTIONS)}"
                raise ValueError(msg)
            for field in fields:
                if field not in COLLECTIONS[name]:
                    msg = f"{name} has no field {field!r}. " + did_you_mean(
                        field, COLLECTIONS[name]
                    )
                    raise ValueError(msg)
                _check_constant(f"{name}.{field}", fields[field], COLLECTIONS[name][field])
            if all(source.branch is None for source in fields.values()):
                msg = f"{name}: at least one field must come from a branch, all are constants"
                raise ValueError(msg)
        for name in self.counters:
            if name not in self.collections:
                msg = f"counters: {name!r} is not among the collections of this mapping"
                raise ValueError(msg)
        return self

    def branches(self) -> Iterator[tuple[str, str]]:
        """Pairs of schema branch (`ECAL.time`: `collections.ECAL.time`) and branch in the file."""
        for name, source in self.scalars.items():
            if source.branch is not None:
                yield f"scalars.{name}", source.branch
        for collection, fields in self.collections.items():
            for field, source in fields.items():
                if source.branch is not None:
                    yield f"collections.{collection}.{field}", source.branch
        for collection, counter in self.counters.items():
            yield f"counters.{collection}", counter

    def missing(self, available: Iterable[str]) -> list[str]:
        """One line for each branch that a file with these branches lacks."""
        known = set(available)
        return [
            f"{key}: there is no branch {branch!r}. {did_you_mean(branch, known)}"
            for key, branch in self.branches()
            if branch not in known
        ]

    def check(self, available: Iterable[str], *, source: str) -> None:
        """See that a file has all branches of the mapping.

        Raises
        ------
        MappingError
            If it lacks some; the message names all of them and the nearest existing names.
        """
        missing = self.missing(available)
        if missing:
            msg = (
                f"{source}: the mapping {self.origin or '(in memory)'} does not fit this file:\n  "
                + "\n  ".join(missing)
                + "\nCorrect the names in the mapping, or give a 'constant' where the file has "
                "no such branch."
            )
            raise MappingError(msg)


def _check_constant(name: str, source: Source, column: Column) -> None:
    value = source.constant
    if value is None or column.dtype.kind != "u":
        return
    largest = np.iinfo(column.dtype).max
    if value != int(value) or not 0 <= value <= largest:
        msg = (
            f"{name} is {column.dtype.name}: a constant must be a whole number from 0 to "
            f"{largest}, found {value:g}"
        )
        raise ValueError(msg)


def load_mapping(path: str | Path) -> Mapping:
    """A mapping from its YAML file.

    Raises
    ------
    MappingError
        If there is no such file, or it is malformed; the message names file, line and key.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        msg = f"The mapping {path} cannot be read: {error.strerror or error}."
        raise MappingError(msg) from None
    try:
        content = read_yaml(text)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        msg = f"The mapping {path} is not valid YAML: {error}"
        raise MappingError(msg) from None
    if not isinstance(content, dict):
        msg = f"The mapping {path} must be a mapping of keys, found {type(content).__name__}."
        raise MappingError(msg)
    try:
        return Mapping.model_validate({**content, "origin": str(path)})
    except ValidationError as error:
        lines = []
        for problem in error.errors():
            keys = [str(part) for part in problem["loc"]]
            where = f"line {_line(node, keys)}, {'.'.join(keys) or '(whole file)'}"
            text = problem["msg"].removeprefix("Value error, ")
            if problem["type"] == "extra_forbidden" and keys:
                model: type[BaseModel] = Mapping if len(keys) == 1 else Source
                text = (
                    f"unknown key. {did_you_mean(keys[-1], set(model.model_fields) - {'origin'})}"
                )
            lines.append(f"  {where}: {text}")
        msg = f"The mapping {path} is malformed:\n" + "\n".join(lines)
        raise MappingError(msg) from None


def _line(node: Any, keys: Sequence[str]) -> int:
    """Line of the deepest of the nested keys that there is, from 1."""
    line: int = node.start_mark.line + 1
    for key in keys:
        if not isinstance(node, yaml.MappingNode):
            break
        for name, value in node.value:
            if name.value == key:
                line, node = name.start_mark.line + 1, value
                break
        else:
            break
    return line
