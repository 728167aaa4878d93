"""Hit files as coffea NanoEvents: the schema class.

`HitSchema` works wherever coffea takes a `schemaclass` (``NanoEventsFactory.from_root``,
``Runner``); ``HitSchema.mapped(mapping)`` does the same for files with foreign branch names.
"""

from __future__ import annotations

import copyreg
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from coffea.nanoevents import transforms
from coffea.nanoevents.schemas import BaseSchema
from coffea.nanoevents.schemas.base import listarray_form
from coffea.nanoevents.util import quote, unquote

from na64reco.errors import DataError
from na64reco.events.behaviors import RECORD_NAMES, behavior
from na64reco.events.mapping import Source
from na64reco.events.schema import COLLECTIONS, SCALARS, Column, branch_name

if TYPE_CHECKING:
    from na64reco.events.mapping import Mapping

__all__ = ["HitSchema"]

Form = dict[str, Any]


def _linear(stack: list[Any]) -> None:
    """Transform of coffea's form keys: ``array, factor, offset, dtype`` -> rescaled array."""
    dtype, offset, factor = np.dtype(stack.pop()), float(stack.pop()), float(stack.pop())
    values = transforms.ensure_array(stack.pop()) * factor + offset
    if dtype.kind == "u" and values.size:
        values = np.rint(values)
        low, high = values.min(), values.max()
        if not (low >= 0 and high <= np.iinfo(dtype).max):
            msg = (
                f"after 'factor' and 'offset' of the mapping the values go from {low:g} to "
                f"{high:g}, which does not fit into {dtype.name} (0 to {np.iinfo(dtype).max}). "
                "Correct the mapping."
            )
            raise DataError(msg)
    stack.append(values.astype(dtype))


def _constant(stack: list[Any]) -> None:
    """Transform of coffea's form keys: ``array, value, dtype`` -> as many times value."""
    dtype, value = stack.pop(), float(stack.pop())
    length = len(transforms.to_layout(stack.pop()))
    stack.append(np.full(length, value).astype(dtype))


def _aligned(stack: list[Any]) -> None:
    """Transform of coffea's form keys: ``array, its name, offsets, their name`` -> array.

    Foreign branches need not share a counter; put together they must have equally many hits.
    """
    other, offsets = stack.pop(), transforms.ensure_array(stack.pop())
    name, array = stack.pop(), stack.pop()
    counts = np.diff(transforms.ensure_array(transforms.to_layout(array).offsets))
    expected = np.diff(offsets)
    if not np.array_equal(counts, expected):
        entry = int(np.argmax(counts != expected))
        msg = (
            f"branches {name!r} and {other!r} differ in their number of hits, but are mapped to "
            f"the same collection: {counts[entry]} and {expected[entry]} in entry {entry} of what "
            "was read. Correct the mapping."
        )
        raise DataError(msg)
    stack.append(array)


# coffea finds the transforms that a form key names in this module and offers no other way.
transforms.na64reco_linear = _linear
transforms.na64reco_constant = _constant
transforms.na64reco_aligned = _aligned


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
        for name, mentioned in mapping.collections.items():
            fields = _own_names(name, foreign) | mentioned
            forms = {
                field: foreign[source.branch]
                for field, source in fields.items()
                if source.branch in foreign
                and foreign[source.branch]["class"].startswith("ListOffset")
            }
            if not forms:
                continue
            lead = min(forms, key=lambda field: _width(forms[field]))
            first = forms[lead]
            counter = mapping.counters.get(name)
            count = foreign.get(counter) if counter else None
            reference = fields[lead].branch if count is None else counter
            contents = {}
            for field, source in fields.items():
                if source.branch is None:
                    contents[field] = _rescaled(first["content"], source, COLLECTIONS[name][field])
                elif field in forms:
                    steps = "!offsets" if count is None else "!counts2offsets"
                    aligned = f"{source.branch},{reference},!load,{steps},{reference}"
                    checked = forms[field]["content"]
                    if source.branch != reference:
                        checked = _after_load(checked, f"{aligned},!na64reco_aligned")
                    contents[field] = _rescaled(checked, source, COLLECTIONS[name][field])
            events[name] = _zip(name, contents, first, count)
        self._set(events)


def _own_names(collection: str, foreign: dict[str, Form]) -> dict[str, Source]:
    """Fields of a collection that the file has under the schema's own names."""
    return {
        field: Source(branch=branch)
        for field in COLLECTIONS[collection]
        for branch in (branch_name(collection, field), f"{collection}.{field}")
        if branch in foreign
    }


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


def _after_load(form: Form, steps: str) -> Form:
    """The same form, its key with further steps between loading and taking the content."""
    if form["class"] == "RegularArray":
        return {**form, "content": _after_load(form["content"], steps)}
    branch, content = unquote(form["form_key"]).split(",!load", 1)
    return {**form, "form_key": quote(f"{branch},!load,{steps}{content}")}


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
