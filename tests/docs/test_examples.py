"""Commands and Python of the documentation: they parse, name what exists, and the quick ones run."""

from __future__ import annotations

import ast
import importlib
import re
import shlex
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import typer

from .markdown import ROOT, blocks, indented, name_of, pages, text_of

RUN = ["docs/api/index.md", "docs/darksector.md", "docs/tracking_quality.md"]
"""Pages whose Python takes a second or two. Other tests run that of README, recasting, limits."""
FOLDERS = ("data_samples", "selections", "calib", "docs", "benchmarks", "notebooks", "na64reco")


def shell_lines(page: Path) -> list[str]:
    """What one would type, comments and prompts removed, continued lines joined."""
    text = text_of(page)
    shell = [
        content for language, content in blocks(text) if language in {"", "shell", "bash", "sh"}
    ]
    joined = "\n".join([*shell, indented(text)]).replace("\\\n", " ")
    lines = (line.strip().removeprefix("$ ") for line in joined.splitlines())
    return [line for line in lines if re.match(r"(na64reco|make|python) ", line)]


def inline_commands(page: Path) -> list[str]:
    """Commands that are named within a sentence."""
    text = text_of(page)
    return list(re.findall(r"`(na64reco [^`\n]+)`", text))


def words_of(line: str) -> list[str]:
    """The words of one command, without what is redirected, piped, or put into the background."""
    line = re.sub(r"\$\([^)]*\)|\$\{?\w+\}?", "X", line)
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    lexer.commenters = "#"
    words = list(lexer)
    ends = [i for i, word in enumerate(words) if set(word) <= set("|&;<>()")]
    return words[: min(ends, default=len(words))]


@pytest.fixture(scope="module")
def root() -> Any:
    """The commands."""
    from na64reco.cli import app

    return typer.main.get_command(app)


def known_names() -> dict[str, tuple[str, ...]]:
    """What may be named where a command takes a name or a path."""
    from na64reco.darksector.generic import model_names
    from na64reco.inference.search import search_names
    from na64reco.selection import list_selections
    from na64reco.setup import list_setups

    return {
        "selection": list_selections(),
        "setup": list_setups(),
        "search": search_names(),
        "searches": search_names(),
        "model": tuple(model_names()),
    }


def check_command(root: Any, words: list[str]) -> str | None:
    """What is wrong with a call of na64reco, as its own parser sees it."""
    if len(words) < 2 or words[1].startswith("-"):
        return None
    name = words[1]
    if name not in root.commands:
        return f"there is no command {name}"
    try:
        context = root.commands[name].make_context(name, list(words[2:]))
    except SystemExit:  # --help
        return None
    except Exception as error:
        # Whatever the parser of options objects to; its classes differ between typer's releases.
        where = getattr(getattr(error, "param", None), "name", "")
        return f"{where} {getattr(error, 'message', '')} {error!r}"
    known = known_names()
    for key, value in context.params.items():
        for one in value if isinstance(value, (list, tuple)) else (value,):
            if key not in known or one is None or "/" in str(one) or str(one).isupper():
                continue
            if Path(str(one)).suffix in {".yaml", ".json"} or one in known[key]:
                continue
            if key.startswith("search"):  # an output folder has a counting.json
                continue
            return f"{key} {one!r} is not known"
    return None


def written(words: list[str]) -> list[str]:
    """What a command writes."""
    return [word for before, word in pairwise(words) if before in {"-o", "--out", "--output"}]


def missing_files(words: list[str], made: set[str]) -> list[str]:
    """Files of the project that a command reads and that neither are there nor were made before."""
    named = [word.partition("=")[2] or word for word in words[1:]]
    inside = [word for word in named if word.split("/")[0] in FOLDERS and "/" in word]
    return [word for word in inside if word not in made and not list(ROOT.glob(word.rstrip("/")))]


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_commands_parse_and_name_what_exists(page, root):
    wrong, made = [], set()
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    for line in shell_lines(page):
        words = words_of(line)
        if words[0] == "make":
            wrong += [f"{line}: no target {w}" for w in words[1:2] if w not in targets]
        elif words[0] == "python" and words[1] == "-m" and words[2].startswith("benchmarks"):
            path = ROOT / words[2].replace(".", "/")
            if not (path.is_dir() or path.with_suffix(".py").exists()):
                wrong.append(f"{line}: no such module")
        elif words[0] == "na64reco" and (problem := check_command(root, words)):
            wrong.append(f"{line}: {problem}")
        made |= set(written(words))
        wrong += [f"{line}: {name} is not there" for name in missing_files(words, made)]
    assert not wrong


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_commands_in_sentences_exist(page, root):
    """They may be cut short, so only the command and the names of options are looked at."""
    wrong = []
    for line in inline_commands(page):
        name = line.split()[1]
        if name.startswith("-") or name.isupper():
            continue
        if name not in root.commands:
            wrong.append(f"{line}: no such command")
            continue
        options = {o for p in root.commands[name].params for o in (*p.opts, *p.secondary_opts)}
        named = re.findall(r"(?<!\S)--?[a-z][\w-]*", line)
        unknown = [option for option in named if option not in options | {"--help", "-h"}]
        wrong += [f"{line}: no option {option}" for option in unknown]
    assert not wrong


def python_blocks(page: Path) -> list[str]:
    """The Python of a page."""
    return [content for language, content in blocks(text_of(page)) if language == "python"]


@pytest.mark.parametrize("page", [p for p in pages() if python_blocks(p)], ids=name_of)
def test_python_compiles_and_imports_what_exists(page):
    for block in python_blocks(page):
        for node in ast.walk(ast.parse(block, str(page))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("na64reco"):
                module = importlib.import_module(node.module or "")
                for one in node.names:
                    assert hasattr(module, one.name), f"{node.module} has no {one.name}"


@pytest.mark.parametrize("name", RUN)
def test_quick_python_runs(name, tmp_path, monkeypatch):
    (tmp_path / "data_samples").symlink_to(ROOT / "data_samples")
    (tmp_path / "run.root").symlink_to(ROOT / "data_samples" / "calibration.root")
    monkeypatch.chdir(tmp_path)
    code = python_blocks(ROOT / name)
    assert code
    exec(compile("\n".join(code), name, "exec"), {})


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("na64reco rnu electron-invisible-2022 a.root -o out", "no command rnu"),
        ("na64reco run electron-invisible-2022 a.root -o out --executer dask", "--executer"),
        ("na64reco run electron-invisibel-2022 a.root -o out", "selection 'electron-invisibel"),
        ("na64reco run electron-invisible-2022 a.root", "out "),
        ("na64reco simulate 2022-electron electron -n many -o run.root", "events Input should"),
    ],
)
def test_what_is_wrong_is_seen(root, line, problem):
    assert problem in (check_command(root, words_of(line)) or "")


def test_files_that_are_not_there_are_seen():
    words = words_of("na64reco run a.yaml data=data_samples/phisics.root selections/*.yaml > log")
    assert missing_files(words, set()) == ["data_samples/phisics.root"]
