"""Hit files as coffea NanoEvents: the schema class and the behaviors of its records.

`HitSchema` works wherever coffea takes a `schemaclass` (``NanoEventsFactory.from_root``,
``Runner``); ``HitSchema.mapped(mapping)`` does the same for files with foreign branch names.
"""

from __future__ import annotations

import copyreg
from typing import TYPE_CHECKING, Any, ClassVar

import awkward as ak
import numpy as np
from coffea.nanoevents import transforms
from coffea.nanoevents.methods import base
from coffea.nanoevents.schemas import BaseSchema
from coffea.nanoevents.schemas.base import listarray_form
from coffea.nanoevents.util import quote

from na64reco.events.schema import (
    COLLECTIONS,
    PROCESSES,
    PROJECTIONS,
    SCALARS,
    TRIGGER_BITS,
    Column,
)

if TYPE_CHECKING:
    from na64reco.events.mapping import Mapping, Source

__all__ = ["RECORD_NAMES", "HitSchema"]

RECORD_NAMES = {
    "Counter": "CounterHit",
    "ECAL": "EcalHit",
    "HCAL": "HcalHit",
    "VHCAL": "VhcalHit",
    "SRD": "SrdHit",
    "VETO": "VetoHit",
    "MM": "MicromegasHit",
    "GEM": "GemHit",
    "ST": "StrawHit",
    "BMS": "BmsHit",
}
"""Name of the record, hence the behavior, of each collection's hits."""

Form = dict[str, Any]

behavior: dict[Any, Any] = dict(base.behavior)


@ak.mixin_class(behavior)
class HitEvent(base.NanoEvents):  # type: ignore[misc]
    """An event of a hit file."""

    def has_trigger(self, name: str) -> Any:
        """Whether the event was taken by the trigger ``physics``, ``beam`` or ``random``."""
        return (self.trigger & TRIGGER_BITS[name]) != 0

    @property
    def is_simulated(self) -> bool:
        """Whether there is truth beside the hits."""
        return any(field.startswith("MC_") for field in self.fields)

    def from_process(self, name: str) -> Any:
        """Whether the event was simulated as this process (see `schema.PROCESSES`)."""
        return self.MC_process == PROCESSES.index(name)


@ak.mixin_class(behavior)
class PulseHit(base.NanoCollection):  # type: ignore[misc]
    """A pulse of a detector that is read out by flash ADCs."""

    def within(self, mean: float, width: float) -> Any:
        """Whether the pulse's time is within mean +- width, ns."""
        return abs(self.time - mean) <= width


@ak.mixin_class(behavior)
class CounterHit(PulseHit):
    """A pulse of a trigger or veto counter."""


@ak.mixin_class(behavior)
class EcalHit(PulseHit):
    """A pulse of an ECAL cell."""

    @property
    def is_preshower(self) -> Any:
        """Whether the cell is one of the preshower."""
        return self.section == 0


@ak.mixin_class(behavior)
class HcalHit(PulseHit):
    """A pulse of an HCAL cell."""


@ak.mixin_class(behavior)
class VhcalHit(PulseHit):
    """A pulse of a cell of the veto HCAL."""


@ak.mixin_class(behavior)
class SrdHit(PulseHit):
    """A pulse of a module of the synchrotron-radiation detector."""


@ak.mixin_class(behavior)
class VetoHit(PulseHit):
    """A pulse of a photomultiplier of the veto."""

    @property
    def bar(self) -> Any:
        """Bar that the photomultiplier reads: photomultipliers 2 b and 2 b + 1 read bar b."""
        return self.ix // 2


@ak.mixin_class(behavior)
class PlaneHit(base.NanoCollection):  # type: ignore[misc]
    """A hit in a tracking plane."""

    def measures(self, projection: str) -> Any:
        """Whether the hit is in a plane of the projection ``X``, ``Y``, ``U`` or ``V``."""
        return self.projection == PROJECTIONS.index(projection)


@ak.mixin_class(behavior)
class MicromegasHit(PlaneHit):
    """A strip of a Micromegas."""


@ak.mixin_class(behavior)
class GemHit(PlaneHit):
    """A strip of a GEM."""


@ak.mixin_class(behavior)
class StrawHit(PlaneHit):
    """A wire of a straw chamber."""


@ak.mixin_class(behavior)
class BmsHit(base.NanoCollection):  # type: ignore[misc]
    """A channel of a beam momentum station."""


def _linear(stack: list[Any]) -> None:
    """Transform of coffea's form keys: ``array, factor, offset, dtype`` -> rescaled array."""
    dtype, offset, factor = stack.pop(), float(stack.pop()), float(stack.pop())
    values = transforms.ensure_array(stack.pop())
    stack.append((values * factor + offset).astype(dtype))


def _constant(stack: list[Any]) -> None:
    """Transform of coffea's form keys: ``array, value, dtype`` -> as many times value."""
    dtype, value = stack.pop(), float(stack.pop())
    length = len(transforms.to_layout(stack.pop()))
    stack.append(np.full(length, value).astype(dtype))


# coffea finds the transforms that a form key names in this module and offers no other way.
transforms.na64reco_linear = _linear
transforms.na64reco_constant = _constant


class HitSchema(BaseSchema):  # type: ignore[misc]
    """The hit file as nested events: `events.ECAL.amplitude`, `events.master_time`.

    Of a TTree, the branches `NAME_field` with the counter `nNAME` are put together; an RNTuple
    has its collections already. Each field is a buffer of its own: what nobody asks for is not
    read. Branches that the schema does not know are kept under their names.
    """

    __dask_capable__: ClassVar[bool] = False

    def __init__(self, base_form: Form, *_: Any, **__: Any) -> None:
        super().__init__(base_form)
        found = dict(zip(self._form["fields"], self._form["contents"], strict=True))
        self._set(_collect(found))

    def _set(self, events: dict[str, Form]) -> None:
        for name, form in events.items():
            if form["class"] == "NumpyArray":
                _describe(form, SCALARS.get(name))
        self._form["fields"] = list(events)
        self._form["contents"] = list(events.values())
        self._form["parameters"]["__record__"] = "HitEvent"

    @classmethod
    def behavior(cls) -> dict[Any, Any]:
        """Behaviors of events and hits."""
        return behavior

    @classmethod
    def mapped(cls, mapping: Mapping | None) -> type[HitSchema]:
        """Schema class for a file with foreign branch names; this one if there is no mapping."""
        if mapping is None:
            return HitSchema
        schema: type[HitSchema] = _mapped(mapping)
        return schema


class _Mapped(type):
    """Type of the schema classes that carry a mapping."""

    mapping: Mapping


class _MappedHitSchema(HitSchema, metaclass=_Mapped):
    mapping: ClassVar[Mapping]

    def __init__(self, base_form: Form, *_: Any, **__: Any) -> None:
        BaseSchema.__init__(self, base_form)
        mapping = self.mapping
        found = dict(zip(base_form["fields"], base_form["contents"], strict=True))
        foreign = _leaves(found)
        events = _of_schema(_collect(found))
        anchor = next((f for f in foreign.values() if f["class"] == "NumpyArray"), None)
        for name, source in mapping.scalars.items():
            form = anchor if source.branch is None else foreign.get(source.branch)
            # Missing and jagged ones are left out here; `check_branches` reports them.
            if form is not None and form["class"] == "NumpyArray":
                events[name] = _rescaled(form, source, SCALARS[name])
        for name, fields in mapping.collections.items():
            forms = {
                field: foreign[source.branch]
                for field, source in fields.items()
                if source.branch in foreign
                and foreign[source.branch]["class"].startswith("ListOffset")
            }
            if not forms:
                continue
            first = min(forms.values(), key=_width)
            for field, source in fields.items():
                if source.branch is None:
                    forms[field] = first
            contents = {
                field: _rescaled(form["content"], fields[field], COLLECTIONS[name][field])
                for field, form in forms.items()
            }
            counter = mapping.counters.get(name)
            events[name] = _zip(name, contents, first, foreign.get(counter) if counter else None)
        self._set(events)


def _mapped(mapping: Mapping) -> Any:
    return _Mapped("MappedHitSchema", (_MappedHitSchema,), {"mapping": mapping})


def _reduce(schema: Any) -> Any:
    # Only the classes made by `_mapped` cannot be found by name.
    return (_mapped, (schema.mapping,)) if "mapping" in vars(schema) else schema.__qualname__


# coffea wants a class, and sends it to other processes: there it is made anew.
copyreg.pickle(_Mapped, _reduce)


def _of_schema(events: dict[str, Form]) -> dict[str, Form]:
    """Only what has a name and a shape of the schema."""
    return {
        name: form
        for name, form in events.items()
        if (name in SCALARS and form["class"] == "NumpyArray")
        or (name in COLLECTIONS and _is_nested(form))
    }


def _collect(found: dict[str, Form]) -> dict[str, Form]:
    """Collections of a TTree or an RNTuple, and what is no collection as it is."""
    events: dict[str, Form] = {}
    members: dict[str, dict[str, Form]] = {}
    for name, form in found.items():
        collection, _, field = name.partition("_")
        if field and form["class"].startswith("ListOffset") and f"n{collection}" in found:
            members.setdefault(collection, {})[field] = form
        elif _is_nested(form):
            fields = _leaves({name: form})
            members[name] = {leaf.partition(".")[2]: content for leaf, content in fields.items()}
        else:
            events[name] = form
    for name, fields in members.items():
        counter = events.pop(f"n{name}", None)
        contents = {field: form["content"] for field, form in fields.items()}
        events[name] = _zip(name, contents, min(fields.values(), key=_width), counter)
    return events


def _is_nested(form: Form) -> bool:
    return bool(
        form["class"].startswith("ListOffset") and form["content"]["class"] == "RecordArray"
    )


def _leaves(found: dict[str, Form]) -> dict[str, Form]:
    """All branches, the fields of an RNTuple's collections as branches `NAME.field`.

    Read through the collection, as coffea does, each field would read all of them.
    """
    leaves: dict[str, Form] = {}
    for name, form in found.items():
        if not _is_nested(form):
            leaves[name] = form
            continue
        record = form["content"]
        for field, content in zip(record["fields"], record["contents"], strict=True):
            key = f"{name}.{field},!load"
            leaves[f"{name}.{field}"] = {
                "class": form["class"],
                "offsets": form["offsets"],
                "content": _with_key(content, f"{key},!content"),
                "form_key": quote(key),
            }
    return leaves


def _with_key(form: Form, key: str) -> Form:
    if form["class"] == "RegularArray":
        return {**form, "content": _with_key(form["content"], f"{key},!content")}
    return {**form, "form_key": quote(key)}


def _width(form: Form) -> int:
    """Bytes per hit: the offsets are taken from the branch that is read fastest."""
    content = form["content"]
    if content["class"] == "NumpyArray" and not content.get("inner_shape"):
        return int(np.dtype(content["primitive"]).itemsize)
    return 1000


def _zip(name: str, contents: dict[str, Form], first: Form, counter: Form | None) -> Form:
    columns = COLLECTIONS.get(name, {})
    for field, content in contents.items():
        _describe(content, columns.get(field))
    record = {
        "class": "RecordArray",
        "fields": list(contents),
        "contents": list(contents.values()),
        "form_key": quote(f"!invalid,{name}"),
        "parameters": {
            "__record__": RECORD_NAMES.get(name, "NanoCollection"),
            "collection_name": name,
        },
    }
    if counter is not None and counter["class"] == "NumpyArray":
        return dict(listarray_form(record, transforms.counts2offsets_form(counter)))
    return {
        "class": first["class"],
        "offsets": first["offsets"],
        "content": record,
        "form_key": first["form_key"],
    }


def _describe(form: Form, column: Column | None) -> None:
    if column is not None:
        form.setdefault("parameters", {})
        form["parameters"] |= {"__doc__": column.meaning, "unit": column.unit}


def _rescaled(form: Form, source: Source, column: Column) -> Form:
    """Form of a foreign branch as the schema's column."""
    if form["class"] != "NumpyArray":
        return dict(form)
    dtype = column.dtype.name
    key = form["form_key"]
    if source.branch is None:
        steps = f",{source.constant!r},{dtype},!na64reco_constant"
    elif source.is_rescaled:
        steps = f",{source.factor!r},{source.offset!r},{dtype},!na64reco_linear"
    else:
        return {**form, "parameters": dict(form.get("parameters", {}))}
    return {
        "class": "NumpyArray",
        "primitive": dtype,
        "inner_shape": [],
        "parameters": {},
        "form_key": key + quote(steps),
    }
