"""A selection whose files kill processes, for workers that find this folder on their path."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from zlib import crc32

from na64reco.processors import SelectionProcessor, job, kept


class Killer(SelectionProcessor):
    """Kills its process for one file always, and for some chunks the first time."""

    marks: Path
    share: int
    """One chunk in so many."""

    def reduce(self, events, *, source, entry, dataset="events"):
        name = f"{Path(source).name}-{entry}"
        mark = self.marks / name
        chosen = crc32(name.encode()) % self.share == 0 and not mark.exists()
        if chosen:
            mark.touch()
        if chosen or name.startswith("killer.root"):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().reduce(events, source=source, entry=entry, dataset=dataset)


def install(marks, share):
    """Have `run` use it."""

    def make(*arguments, **options):
        processor = Killer(*arguments, **options)
        processor.marks, processor.share = Path(marks), share  # the workers get them with it
        return processor

    job.SelectionProcessor = make


def main(selection, fileset, out, marks, last):
    """A driver that is killed after some events."""
    install(marks, 6)
    kept.code_digest = lambda: "the same code, even if somebody edits it meanwhile"

    def progress(done, total):
        if 0 <= int(last) <= done:
            os.kill(os.getpid(), signal.SIGKILL)

    job.run(
        selection,
        fileset,
        out,
        executor="futures",
        workers=2,
        chunk_size=25,
        skip_bad_files=True,
        resume=True,
        progress=progress,
    )
