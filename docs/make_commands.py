"""Write docs/commands.md from the commands themselves: `python docs/make_commands.py`."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

import typer
from model_tables import table

from na64reco.cli import app
from na64reco.cli.exit_codes import EXIT_CODES

if TYPE_CHECKING:
    from collections.abc import Callable

INTRO = """\
# Commands

Made by `python docs/make_commands.py` from the commands in the code; do not edit.

`na64reco COMMAND --help` says the same on the screen. `na64reco --install-completion` makes the
shell complete commands and options. Results are on standard output, all else on standard error.
"""
COMMON = {"--quiet", "--verbose"}
"""Options of every command: told once."""


def _options(text: str) -> str:
    """Help in which options are code."""
    parts = re.split(r"(`[^`]*`)", text)  # what is code already stays
    return "".join(p if p[:1] == "`" else re.sub(r"--[a-z][a-z-]*", r"`\g<0>`", p) for p in parts)


def _text(words: str) -> str:
    """Help as Markdown: rich's markup out, what begins with a command as a block."""
    paragraphs = inspect.cleandoc(words).split("\n\n")
    lines: list[str] = []
    for paragraph in paragraphs:
        plain = re.sub(r"\[/?bold\]", "**", paragraph)
        if plain.startswith("na64reco "):
            # Commands that follow each other become one block.
            if lines and lines[-2:] == ["```", ""]:
                del lines[-2:]
            else:
                lines.append("```shell")
            lines += [" ".join(plain.split()), "```", ""]
        else:
            plain = plain.replace("**Example**", "Example:").replace("**Examples**", "Examples:")
            lines.append(_options(plain))
            lines.append("")
    return "\n".join(lines)


@dataclass(frozen=True)
class Parameter:
    """An argument or option, as the signature of its command declares it."""

    names: tuple[str, ...]
    """Of an option; `--yes/--no` is one name."""
    is_option: bool
    shown: str
    kind: str
    default: str
    meaning: str


def parameters(command: Callable[..., None]) -> list[Parameter]:
    """What a command takes, in its order."""
    hints = get_type_hints(command, include_extras=True)
    found = []
    for name, one in inspect.signature(command).parameters.items():
        annotation, info = get_args(hints[name])[:2]
        if info.hidden:
            continue
        is_option = isinstance(info, typer.models.OptionInfo)
        # In an annotation the first name stands where the default would.
        first = (info.default,) if isinstance(info.default, str) else ()
        names = (*first, *(info.param_decls or ()))
        if is_option and not names:
            plain = f"--{name.replace('_', '-')}"
            names = (f"{plain}/--no-{plain[2:]}" if annotation is bool else plain,)
        repeated = is_option and "list" in str(annotation)
        kind = _kind(annotation, info) + (", repeatable" if repeated else "")
        default = _default(one.default, names, is_flag=annotation is bool)
        shown = info.metavar or name.upper()
        found.append(Parameter(names, is_option, shown, kind, default, _options(info.help or "")))
    return found


def _kind(annotation: Any, info: Any) -> str:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " or ".join(f"`{choice}`" for choice in inner)
    if inner:  # optional, or a list
        return _kind(inner[0], info)
    name = {bool: "", str: "text", int: "integer", float: "number", Path: "path"}[annotation]
    bounds = ((">=", info.min), ("<=", info.max))
    limits = [f"{sign} {bound:g}" for sign, bound in bounds if bound is not None]
    return f"{name} ({', '.join(limits)})" if limits else name


def _default(value: Any, names: tuple[str, ...], *, is_flag: bool) -> str:
    if value is inspect.Parameter.empty:
        return "required"
    if is_flag and "/" in names[0]:
        yes, no = names[0].split("/")
        return f"`{yes if value else no}`"
    return "" if value in (None, "", False) else f"`{value}`"


def _section(name: str, command: Callable[..., None], *, common: bool = False) -> list[str]:
    found = parameters(command)
    arguments = [p for p in found if not p.is_option]
    usage = " ".join([name, *(p.shown for p in arguments), "[OPTIONS]"])
    lines = ["```text", usage, "```", "", _text(command.__doc__ or "")]
    if arguments:
        rows = [(f"`{p.shown}`", p.default, p.meaning) for p in arguments]
        lines += [*table(["argument", "default", "meaning"], rows), ""]
    rows = [
        (", ".join(f"`{n}`" for n in p.names), p.kind, p.default, p.meaning)
        for p in found
        if p.is_option and (common or not COMMON & set(p.names))
    ]
    return [*lines, *(table(["option", "value", "default", "meaning"], rows) if rows else []), ""]


def page() -> str:
    """The text of docs/commands.md."""
    assert app.registered_callback is not None
    root = app.registered_callback.callback
    lines = [INTRO, "## Options of all commands", "", *_section("na64reco", root, common=True)]
    for command in app.registered_commands:
        lines += [f"## {command.name}", ""]
        lines += _section(f"na64reco {command.name}", command.callback)
    lines += ["## Exit codes", ""]
    lines += table(["code", "meaning"], [(str(int(c)), text) for c, text in EXIT_CODES.items()])
    text = "\n".join(line.rstrip() for line in "\n".join(lines).splitlines()) + "\n"
    return re.sub(r"\n{3,}", "\n\n", text)


if __name__ == "__main__":
    Path(__file__).with_name("commands.md").write_text(page(), encoding="utf-8")
