"""`na64reco run` as a function: a selection and files in, an output folder out."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from na64reco.errors import FileFormatError
from na64reco.events import load_mapping, open_events
from na64reco.processors import outputs
from na64reco.processors.chunks import no_file_left_open
from na64reco.processors.collect import Collector, DatasetReport, skim_columns
from na64reco.processors.execute import probe_files, process_files
from na64reco.processors.fileset import DEFAULT_DATASET, resolve_inputs
from na64reco.processors.kept import KeptChunks, job_digest
from na64reco.processors.pools import MEMORY, TIMEOUT, ExecutorName, open_pool
from na64reco.processors.processor import SelectionProcessor
from na64reco.processors.record import run_record
from na64reco.processors.skim import SkimWriter
from na64reco.processors.spool import Spool
from na64reco.selection import Selection, check_frozen_box, load_selection

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from na64reco.processors.ledger import Ledger

__all__ = ["RunReport", "needed_branches", "run"]

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, repr=False)
class RunReport:
    """What `run` did."""

    out: Path
    """The output folder."""
    selection: Selection
    datasets: tuple[DatasetReport, ...]
    ledger: Ledger
    seconds: float
    """Wall-clock time."""

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files written."""
        return tuple(sorted(self.out.iterdir()))

    def __repr__(self) -> str:
        """One line: all histograms would fill pages of a notebook."""
        datasets = ", ".join(
            f"{d.name}: {d.cutflow.selected} of {d.events} events" for d in self.datasets
        )
        return f"<RunReport {str(self.out)!r}, {self.selection.name}; {datasets}>"


def run(
    selection: Selection | str | Path,
    inputs: str | Path | Sequence[str | Path] | Mapping[str, Any],
    out: str | Path,
    *,
    dataset: str = DEFAULT_DATASET,
    executor: ExecutorName = "iterative",
    workers: int | None = None,
    scheduler: str | None = None,
    chunk_size: int = 50_000,
    memory: int | None = MEMORY,
    timeout: float | None = TIMEOUT,
    skip_bad_files: bool = False,
    resume: bool = False,
    overwrite: bool = False,
    mapping: str | Path | None = None,
    calib: str | Path | None = None,
    nearest_conditions: bool = False,
    sequential: bool = False,
    unblind: str | Path | None = None,
    columns: Sequence[str] | str = (),
    format: Literal["ttree", "rntuple"] = "ttree",  # noqa: A002 - the name of the option
    progress: Callable[[int, int], None] | None = None,
    extra: Callable[[Path, RunReport], None] | None = None,
) -> RunReport:
    """Reconstruct and select the events of files, and write the results to a folder.

    Parameters
    ----------
    selection
        A selection, or the name or path of one.
    inputs
        Files, folders, globs, ``NAME=FILE`` or fileset YAMLs, see `resolve_inputs`.
    out
        The output folder; it appears when everything is in it.
    dataset
        The dataset of files that are given without a name.
    executor, workers, scheduler, memory, timeout
        See `open_pool`.
    chunk_size
        Events that are in memory at a time.
    skip_bad_files
        Leave out files that are broken, and record them, instead of stopping at the first.
    resume
        Take finished chunks from an earlier run into `out` that did not come to its end. The
        result is the same as without them: they count only where file, selection, conditions and
        code are the same.
    overwrite
        Replace `out` if it is the output of an earlier run.
    mapping
        YAML of foreign branch names.
    calib
        Folder of the conditions; default: the shipped ones.
    nearest_conditions
        Where no conditions cover a run, take the nearest valid ones.
    sequential
        Apply the cuts one after the other, see `SelectionProcessor`.
    unblind
        Path of the frozen box of this selection.
    columns
        Further columns of selected events, ``"all"`` for every one.
    format
        Container of selected.root.
    progress
        Called with the numbers of events done and of all events.
    extra
        Called with the folder (before it is renamed) and the report, to add files such as
        pictures to it.

    Raises
    ------
    Na64recoError
        For anything wrong with what was given; no output is written then, but chunks that were
        finished are kept beside `out`.
    """
    started = time.perf_counter()
    out = Path(out)
    outputs.check_output(out, overwrite=overwrite)
    if chunk_size < 1:
        msg = f"The chunk size must be at least 1 event, found {chunk_size}."
        raise FileFormatError(msg)
    if not isinstance(selection, Selection):
        selection = load_selection(selection)
    box = None if unblind is None else check_frozen_box(selection, unblind)
    processor = SelectionProcessor(
        selection,
        calib=None if calib is None else Path(calib),
        nearest=nearest_conditions,
        unblind=box,
        columns=columns,
        sequential=sequential,
    )
    fileset = resolve_inputs(inputs, dataset=dataset)
    names = None if mapping is None else load_mapping(mapping)
    kept = KeptChunks(
        outputs.chunk_folder(out), job_digest(processor, names), selection, use=resume
    )
    with outputs.output_folder(out, overwrite=overwrite) as folder:
        place = open_pool(
            executor, workers=workers, scheduler=scheduler, memory=memory, timeout=timeout
        )
        with no_file_left_open(), place as pool:
            facts = probe_files(fileset.files, pool, mapping=names, skip_bad_files=skip_bad_files)
            skimmed = skim_columns(processor, facts)
            writer = SkimWriter(folder / outputs.SELECTED, skimmed, fileset.datasets, format=format)
            with writer:
                collector = Collector(processor, writer)
                ledger = process_files(
                    fileset.files,
                    facts,
                    processor,
                    pool,
                    accept=collector.accept,
                    spool=Spool(folder / ".spool"),
                    kept=kept,
                    mapping=names,
                    chunk_size=chunk_size,
                    skip_bad_files=skip_bad_files,
                    progress=progress,
                )
        for number, digest in sorted(collector.conditions):
            _LOG.info("Run %d was reconstructed with the conditions %.12s", number, digest)
        _refuse_nothing(ledger)
        ledger.check_results(collector.events)
        datasets = tuple(collector.report(name, ledger) for name in fileset.datasets)
        outputs.write_cutflow(folder / outputs.CUTFLOW, {d.name: d.cutflow for d in datasets})
        outputs.write_counts(folder / outputs.COUNTS, {d.name: d.counts for d in datasets})
        outputs.write_histograms(
            folder / outputs.HISTOGRAMS, {d.name: d.histograms for d in datasets}
        )
        report = RunReport(out, selection, datasets, ledger, time.perf_counter() - started)
        outputs.write_ledger(folder / outputs.LEDGER, ledger)
        options = {
            "executor": executor,
            "workers": workers,
            "resumed_chunks": kept.found,
            "chunk_size": chunk_size,
            "skip_bad_files": skip_bad_files,
            "mapping": None if names is None else names.model_dump(mode="json"),
            "nearest_conditions": nearest_conditions,
            "sequential": sequential,
        }
        outputs.write_json(
            folder / outputs.RUN, run_record(report, processor, options, collector.conditions)
        )
        if extra is not None:
            extra(folder, report)
    outputs.forget_chunks(out)
    return report


def _refuse_nothing(ledger: Ledger) -> None:
    if len(ledger.skipped) < len(ledger.files):
        return
    lines = "\n".join(f"  {file.reason}" for file in ledger.skipped)
    msg = f"Not one input file could be used:\n{lines}"
    raise FileFormatError(msg)


def needed_branches(
    selection: Selection | str | Path, path: str | Path, *, mapping: str | Path | None = None
) -> list[str]:
    """Branches of a file that `run` reads, found by watching it read one event."""
    log: list[Any] = []
    names = None if mapping is None else load_mapping(mapping)
    events = open_events(path, mapping=names, entry_stop=1, access_log=log)
    SelectionProcessor(selection).reduce(events, source=str(path), entry=0)
    return list(dict.fromkeys(str(access.branch) for access in log))
