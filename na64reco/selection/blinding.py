"""Hiding the signal box, and the file that allows opening it.

With ``blind: REGION`` in a selection, every event of data in that region's box is hidden, by the
region's variables alone, whatever the cuts say of it: it enters no histogram at any stage (nor
its projections), no count, no skim. The region's own count reads None (null in JSON). An event
for which one of the region's variables is NaN may belong in the box for all we know, so NaN
counts as inside for this purpose: the event is hidden if its other variables fit.

To open the box, its definition is frozen first: `freeze_box` writes the region and all cuts with
their SHA-256 into a small file (to be committed, or sent to the collaboration), and unblinding
asks for that file. `check_frozen_box` refuses one whose content differs from the selection in use.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from na64reco.errors import OutputExistsError, SelectionError

if TYPE_CHECKING:
    from na64reco.selection.model import Selection

__all__ = ["FrozenBox", "allow_unblinding", "box_digest", "check_frozen_box", "freeze_box"]

_HEADER = """\
# The signal box as it was before anybody looked into it. Do not edit: the digest would not fit.
"""
_KEYS = ("selection", "setup", "region", "box", "periods", "cuts")


@dataclass(frozen=True)
class FrozenBox:
    """The permission to unblind one selection, made by `check_frozen_box`."""

    selection: str
    """Its name."""
    region: str
    """The region to be shown."""
    date: str
    """When it was frozen, ISO 8601, UTC."""
    sha256: str
    """Of the canonical definition of region and cuts."""
    file: str = ""
    """Path of the file that it was read from."""
    file_sha256: str = ""
    """Of that file's bytes."""
    choice: dict[str, Any] | None = None
    """How the box was chosen, if that was frozen with it."""


def _definition(selection: Selection) -> dict[str, Any]:
    """Everything that decides which events are in the box: the region, the periods, the cuts."""
    if selection.blind is None:
        msg = f"The selection {selection.name!r} blinds no region: there is no box to freeze."
        raise SelectionError(msg)
    # Without defaults: a later release with more kinds of cuts still knows the box.
    content = selection.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return {
        "selection": selection.name,
        "setup": selection.setup,
        "region": selection.blind,
        "box": content["regions"][selection.blind],
        "periods": content.get("periods", {}),
        "cuts": content["cuts"],
    }


def _digest(definition: dict[str, Any]) -> str:
    text = json.dumps(definition, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def box_digest(selection: Selection) -> str:
    """SHA-256 of the canonical JSON of the blinded region, the periods and all cuts.

    Raises
    ------
    SelectionError
        If the selection blinds nothing.
    """
    return _digest(_definition(selection))


def freeze_box(
    selection: Selection,
    path: Path | str,
    *,
    choice: dict[str, Any] | None = None,
    overwrite: bool = False,
) -> FrozenBox:
    """Write the definition of the blinded region, with date and digest, to a YAML file.

    Parameters
    ----------
    choice
        How the box was chosen, plain values, to be written with it under a digest of its own.

    Raises
    ------
    OutputExistsError
        If the file exists and is not to be overwritten.
    SelectionError
        If the selection blinds nothing.
    """
    path = Path(path)
    definition = _definition(selection)
    if path.exists() and not overwrite:
        msg = (
            f"The frozen box {path} exists; a box is frozen once. Choose another name, or "
            "overwrite it on purpose."
        )
        raise OutputExistsError(msg)
    date = datetime.now(UTC).isoformat(timespec="seconds")
    content = {**definition, "date": date, "sha256": _digest(definition)}
    if choice is not None:
        content |= {"choice": choice, "choice_sha256": _digest({"choice": choice, "date": date})}
    text = yaml.safe_dump(content, sort_keys=False, default_flow_style=None, width=100)
    part = path.with_name(path.name + ".part")
    part.write_text(_HEADER + text, encoding="utf-8")
    part.replace(path)
    return check_frozen_box(selection, path)


def check_frozen_box(selection: Selection, path: Path | str) -> FrozenBox:
    """Read a frozen box and make sure that it is the box of this selection.

    Raises
    ------
    SelectionError
        If the file cannot be read, was edited, or differs from the selection; the message names
        what differs.
    """
    path = Path(path)
    content = _read(path)
    definition = _definition(selection)
    frozen = {key: content[key] for key in _KEYS}
    try:
        digest = _digest(frozen)
    except (TypeError, ValueError):
        digest = ""
    if digest != content["sha256"] or not _choice_is_whole(content):
        msg = (
            f"The frozen box {path} was changed after it was frozen: its digest is not that of its "
            "content. Take the original file."
        )
        raise SelectionError(msg)
    if frozen != definition:
        lines = "\n".join(f"  {line}" for line in _differences(frozen, definition))
        msg = (
            f"The frozen box {path} is not that of the selection {selection.name!r}:\n{lines}\n"
            "Use the selection as it was when the box was frozen, or freeze a new box before "
            "looking at the data."
        )
        raise SelectionError(msg)
    return FrozenBox(
        selection=selection.name,
        region=definition["region"],
        date=str(content["date"]),
        sha256=digest,
        file=str(path),
        file_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        choice=content.get("choice"),
    )


def _choice_is_whole(content: dict[str, Any]) -> bool:
    if "choice" not in content:
        return True
    try:
        digest = _digest({"choice": content["choice"], "date": content["date"]})
    except (TypeError, ValueError):
        return False
    return bool(digest == content["choice_sha256"])


def _read(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        msg = f"The frozen box {path} cannot be read: {error}"
        raise SelectionError(msg) from None
    expected = (*_KEYS, "date", "sha256")
    allowed = (set(expected), {*expected, "choice", "choice_sha256"})
    if not isinstance(content, dict) or set(content) not in allowed:
        found = sorted(map(str, content)) if isinstance(content, dict) else type(content).__name__
        msg = (
            f"{path} is not a frozen box: expected the keys {', '.join(expected)}, found {found}. "
            "`freeze_box` makes one."
        )
        raise SelectionError(msg)
    return content


def _differences(frozen: dict[str, Any], here: dict[str, Any]) -> list[str]:
    lines = [
        f"{key}: frozen {frozen[key]!r}, here {here[key]!r}"
        for key in _KEYS
        if key != "cuts" and frozen[key] != here[key]
    ]
    old = {cut["name"]: cut for cut in frozen["cuts"]}
    new = {cut["name"]: cut for cut in here["cuts"]}
    for name in [*old, *(n for n in new if n not in old)]:
        if name not in new:
            lines.append(f"cut {name!r}: frozen, but not here")
        elif name not in old:
            lines.append(f"cut {name!r}: here, but not frozen")
        elif old[name] != new[name]:
            lines.append(f"cut {name!r}: frozen {old[name]!r}, here {new[name]!r}")
    if not lines:
        lines.append(f"order of cuts: frozen {list(old)}, here {list(new)}")
    return lines


def allow_unblinding(selection: Selection, unblind: FrozenBox | bool | None) -> bool:
    """Whether the blinded region may be shown.

    Raises
    ------
    SelectionError
        If it was asked for without the frozen box of this very selection.
    """
    if unblind is None or unblind is False or selection.blind is None:
        return False
    if not isinstance(unblind, FrozenBox):
        msg = (
            f"Unblinding the region {selection.blind!r} of {selection.name!r} needs its frozen "
            "box: pass what check_frozen_box(selection, path) returns."
        )
        raise SelectionError(msg)
    if unblind.sha256 != box_digest(selection):
        msg = (
            f"The frozen box of {unblind.selection!r} ({unblind.date}) is not that of the "
            f"selection {selection.name!r} as it is now; check_frozen_box tells what differs."
        )
        raise SelectionError(msg)
    return True
