"""Where the shipped data folders are: beside the package in a checkout, inside it in a wheel."""

from __future__ import annotations

from pathlib import Path

__all__ = ["shipped_folder"]

_PACKAGE = Path(__file__).resolve().parent


def shipped_folder(name: str) -> Path:
    """Path of a shipped data folder, ``selections`` or ``calib``.

    Raises
    ------
    FileNotFoundError
        If neither the checkout nor the installed wheel has it.
    """
    candidates = (_PACKAGE / "shipped" / name, _PACKAGE.parent / name)
    for folder in candidates:
        if folder.is_dir():
            return folder
    msg = (
        f"The folder {name!r} that ships with na64reco was found neither at {candidates[0]} "
        f"nor at {candidates[1]}; reinstall the package."
    )
    raise FileNotFoundError(msg)
