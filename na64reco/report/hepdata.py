"""A folder that can be submitted to HEPData: submission.yaml and a file for each table.

The format is that of https://hepdata-submission.readthedocs.io, written as plain YAML: the usual
library for it changes how YAML is read in the whole process, and writes into the working folder.
The tests validate the folder with HEPData's own validator.

Nothing is made up: title, abstract and record identifiers are the user's, or are not there.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from na64reco.errors import InferenceError, did_you_mean
from na64reco.processors.outputs import output_folder
from na64reco.report.hepdata_tables import (
    Table,
    cutflow_table,
    limit_table,
    plane_tables,
    region_table,
)
from na64reco.report.page_input import read_run_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["SUBMISSION", "About", "Submission", "is_limit", "write_submission"]

SUBMISSION: Final = "submission.yaml"
_LONGEST: Final = 64
"""Letters that HEPData allows in the name of a table."""
_LIMIT: Final = {"points", "model", "search", "strength", "cl", "method", "production"}
_DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


@dataclass(frozen=True)
class About:
    """What holds for the whole submission; all of it is the user's to say."""

    abstract: str | None = None
    collaboration: str | None = None
    inspire: int | None = None
    """Number of the INSPIRE record."""
    arxiv: str | None = None
    """Identifier, such as 2404.06982."""

    @property
    def missing(self) -> tuple[str, ...]:
        """What HEPData will ask for, by the option that gives it."""
        wanted = {"--abstract": self.abstract, "--inspire": self.inspire}
        return tuple(name for name, value in wanted.items() if value is None)

    def to_do(self) -> str:
        """A comment that says so, empty if nothing is missing."""
        return f"# Not given yet: {', '.join(self.missing)}\n" if self.missing else ""

    def content(self) -> dict[str, Any]:
        """The first document of submission.yaml."""
        found: dict[str, Any] = {}
        lines = [f"{self.collaboration} Collaboration."] if self.collaboration else []
        lines += [self.abstract] if self.abstract else []
        if lines:
            found["comment"] = " ".join(lines)
        if self.inspire is not None:
            found["record_ids"] = [{"type": "inspire", "id": self.inspire}]
        if self.arxiv is not None:
            where = f"https://arxiv.org/abs/{self.arxiv}"
            found["additional_resources"] = [
                {"location": where, "description": f"Preprint arXiv:{self.arxiv}"}
            ]
        return found


@dataclass(frozen=True)
class Submission:
    """A folder that was written."""

    path: Path
    tables: tuple[str, ...]
    """Their names."""
    files: tuple[Path, ...] = field(default=())


def is_limit(content: Any) -> bool:
    """Whether JSON is that of `na64reco limit --json`."""
    return isinstance(content, dict) and set(content) >= _LIMIT


def write_submission(
    sources: Sequence[Path | str],
    folder: Path | str,
    *,
    about: About | None = None,
    dataset: str | None = None,
    overwrite: bool = False,
) -> Submission:
    """Write limits, cutflows, regions and the plane of the signal box for HEPData.

    Events in a blinded region are in no table, and bins of the plane that touch it say so.

    Parameters
    ----------
    sources
        Output folders of `na64reco run`, with the limits that were written there; files of
        `na64reco limit --json`.
    folder
        Complete, or not there at all.
    dataset
        Only this dataset of the output folders.

    Raises
    ------
    InferenceError
        If a source is neither of these, or has no such dataset.
    OutputExistsError
        If the folder is there and is not to be overwritten, or is no submission.
    """
    about = About() if about is None else about
    folder = Path(folder)
    tables = list(_named(_tables([Path(s) for s in sources], dataset)))
    if not tables:
        msg = f"There is nothing to submit in {', '.join(map(str, sources))}."
        raise InferenceError(msg)
    with output_folder(folder, overwrite=overwrite, mark=SUBMISSION) as partial:
        documents: list[dict[str, Any]] = [about.content()] if about.content() else []
        for name, file, table in tables:
            _dump(partial / file, [table.content()])
            documents.append(
                {
                    "name": name,
                    "description": table.description.strip(),
                    "keywords": [{"name": k, "values": list(v)} for k, v in table.keywords.items()],
                    "data_file": file,
                }
            )
        _dump(partial / SUBMISSION, documents, comment=about.to_do())
    names = tuple(name for name, _, _ in tables)
    files = (SUBMISSION, *(file for _, file, _ in tables))
    return Submission(folder, names, tuple(folder / file for file in files))


def _dump(path: Path, documents: Sequence[Mapping[str, Any]], *, comment: str = "") -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write(comment)
        yaml.dump_all(
            documents,
            file,
            Dumper=_DUMPER,
            sort_keys=False,
            explicit_start=True,
            default_flow_style=None,
            allow_unicode=True,
            width=100,
        )


def _tables(sources: Sequence[Path], dataset: str | None) -> Iterator[Table]:
    found = False
    folders = [read_run_folder(source) if source.is_dir() else None for source in sources]
    for source, folder in zip(sources, folders, strict=True):
        if folder is None:
            yield limit_table(_limit(source))
        else:
            yield from (limit_table(found) for found in folder.limits.values() if is_limit(found))
    runs = [folder for folder in folders if folder is not None]
    for folder in runs:
        for one in folder.datasets:
            if dataset in {None, one.name}:
                found = True
                yield cutflow_table(folder.selection, one)
                if one.cutflow.regions:
                    yield region_table(folder.selection, one)
                yield from plane_tables(folder.selection, one)
    if dataset is not None and not found:
        known = [d.name for run in runs for d in run.datasets]
        msg = f"There is no dataset {dataset!r}. {did_you_mean(dataset, known)}"
        raise InferenceError(msg)


def _limit(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        msg = f"{path} cannot be read as JSON: {error}"
        raise InferenceError(msg) from None
    if not is_limit(content):
        msg = (
            f"{path} is not what `na64reco limit --json` prints. Give that, or an output folder of "
            "`na64reco run`."
        )
        raise InferenceError(msg)
    return dict(content)


def _named(tables: Iterator[Table]) -> Iterator[tuple[str, str, Table]]:
    """Name and file of each table, no two the same."""
    names: set[str] = set()
    files: set[str] = set()
    for table in tables:
        name = _unused(table.name[: _LONGEST - 5], " ({})", names)
        yield name, f"{_unused(table.file, '_{}', files)}.yaml", table


def _unused(name: str, suffix: str, used: set[str]) -> str:
    """The name, or the first with a number behind it that was not there yet."""
    found, number = name, 1
    while found in used:
        number += 1
        found = name + suffix.format(number)
    used.add(found)
    return found
