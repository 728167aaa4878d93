"""Execute notebooks and keep what they show: `make notebooks`, or this with their numbers.

A notebook is its own source. What is kept holds nothing of the machine or the hour: no times, no
versions, cells numbered from the top. Only a digest of the code that was executed is added, by
which the tests see that outputs and code belong together.
"""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nbformat
from jupyter_client import AsyncKernelManager
from nbclient import NotebookClient

FOLDER = Path(__file__).parent
DIGEST = "na64reco_executed"
"""Key of the digest in a notebook's metadata."""
LARGEST = 400_000
"""Bytes of a notebook that web pages still show at once."""
TIMEOUT = 300
"""Seconds for a cell."""


def notebooks() -> list[Path]:
    """All of them, in order."""
    return sorted(FOLDER.glob("[0-9]*.ipynb"))


def digest(notebook: Any) -> str:
    """Of all code, cell by cell."""
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    return hashlib.sha256("\0".join(code).encode()).hexdigest()[:16]


def execute(notebook: Any, folder: Path) -> Any:
    """Run all cells in a fresh kernel of this interpreter; `notebook` itself is changed.

    Parameters
    ----------
    folder
        The kernel's working directory: `notebooks/`, or a copy with `data_samples` beside it.

    Raises
    ------
    CellExecutionError
        For the first cell that fails.
    """
    os.environ.setdefault("JUPYTER_PLATFORM_DIRS", "1")
    with TemporaryDirectory(prefix="kernel") as sockets:
        # Sockets in a folder of our own: nobody else can read or write to the kernel.
        manager = AsyncKernelManager(
            kernel_name="python3", transport="ipc", ip=str(Path(sockets) / "socket")
        )
        client = NotebookClient(
            notebook,
            km=manager,
            timeout=TIMEOUT,
            record_timing=False,
            coalesce_streams=True,
            resources={"metadata": {"path": str(folder)}},
        )
        return client.execute(cleanup_kc=True)


def tidy(notebook: Any, stem: str) -> Any:
    """What is kept of an executed notebook; `notebook` itself is changed."""
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
            DIGEST: digest(notebook),
        }
    )
    for number, cell in enumerate(notebook.cells, 1):
        cell.id = f"{stem.partition('_')[0]}-{number:02d}"
        cell.metadata = nbformat.from_dict({})
        for output in cell.get("outputs", ()):
            # A picture needs no second output in words.
            if "image/png" in output.get("data", {}):
                output.data.pop("text/plain", None)
                output.metadata = nbformat.from_dict({})
    return notebook


def remake(path: Path) -> int:
    """Execute a notebook and write it back; its size in bytes."""
    notebook = nbformat.read(path, as_version=4)
    execute(notebook, FOLDER)
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            if output.get("name") == "stderr":
                msg = f"{path.name}: a cell writes to stderr: {output.text}"
                raise RuntimeError(msg)
    text = nbformat.writes(tidy(notebook, path.stem)) + "\n"
    if len(text.encode()) > LARGEST:
        msg = f"{path.name} takes {len(text.encode())} bytes, more than {LARGEST}: smaller figures"
        raise RuntimeError(msg)
    path.write_text(text, encoding="utf-8")
    return len(text.encode())


if __name__ == "__main__":
    wanted = sys.argv[1:]
    for path in notebooks():
        if not wanted or any(path.name.startswith(name) for name in wanted):
            size = remake(path)
            print(f"{path.name}: {size / 1000:.0f} kB")
