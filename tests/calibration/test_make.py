"""calib/make.py still makes what is in calib/: after a change of the detector, run it again."""

from __future__ import annotations

import importlib.util
import math
from typing import TYPE_CHECKING

import pytest

from na64reco.calibration import file_formats, read_sdc
from na64reco.resources import shipped_folder
from na64reco.setup import load_setup

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

SHIPPED = shipped_folder("calib")
MEND = "calib/ is out of date: run `python calib/make.py`"


@pytest.fixture(scope="module")
def make() -> ModuleType:
    spec = importlib.util.spec_from_file_location("calib_make", SHIPPED / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def same(column: str, made: object, kept: object) -> bool:
    """Equal to the digits that other machines would round alike."""
    if isinstance(made, tuple) and isinstance(kept, tuple):
        pairs = zip(made, kept, strict=True)
        return len(made) == len(kept) and all(same(column, a, b) for a, b in pairs)
    if isinstance(made, float) and isinstance(kept, float):
        return math.isclose(made, kept, rel_tol=2e-5, abs_tol=0 if column == "scale" else 2e-3)
    return made == kept


@pytest.mark.parametrize("name", ["2016-electron", "2022-electron"])
def test_remakes_what_is_shipped(make: ModuleType, tmp_path: Path, name: str) -> None:
    make.main(["--setup", name, "--output", str(tmp_path)])
    formats = file_formats(load_setup(name))
    assert {p.name for p in (tmp_path / name).iterdir()} == set(formats)
    for file, fmt in formats.items():
        new, old = read_sdc(tmp_path / name / file, fmt), read_sdc(SHIPPED / name / file, fmt)
        assert len(new.blocks) == len(old.blocks), MEND
        for made, kept in zip(new.blocks, old.blocks, strict=True):
            assert (made.runs, made.columns) == (kept.runs, kept.columns), MEND
            assert made.metadata == kept.metadata, MEND
            assert len(made.rows) == len(kept.rows), MEND
            for one, other in zip(made.rows, kept.rows, strict=True):
                assert all(map(same, made.columns, one, other)), MEND


def test_twice_the_same_bytes(make: ModuleType, tmp_path: Path) -> None:
    for folder in ("one", "two"):
        make.main(["--setup", "2021-electron", "--output", str(tmp_path / folder)])
    for path in (tmp_path / "one" / "2021-electron").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / "2021-electron" / path.name).read_bytes()


def test_unknown_setup(make: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        make.main(["--setup", "2023-electron"])
    said = capsys.readouterr().err
    assert "There is no setup '2023-electron'. Did you mean" in said
