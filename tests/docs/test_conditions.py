"""docs/conditions.md: its example reads as it says, its errors are those that come."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from na64reco.calibration import file_formats, load_conditions, read_sdc
from na64reco.errors import ConditionsError
from na64reco.setup import load_setup

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "conditions.md").read_text(encoding="utf-8")
SETUP = load_setup("2022-electron")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The shipped folder under the page's name."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(ROOT / "calib" / "2022-electron", "my_calib"))


def append(path, text):
    path.write_text(path.read_text(encoding="utf-8") + text, encoding="utf-8")


def test_the_form(tmp_path):
    (block,) = re.findall(r"^    # a comment.*?(?=^- Before)", PAGE, flags=re.MULTILINE | re.DOTALL)
    path = tmp_path / "ecal.txt"
    path.write_text("\n".join(line[4:] for line in block.splitlines()), encoding="utf-8")
    file = read_sdc(path, file_formats(SETUP)["ecal.txt"])
    early, late = file.resolve(6100), file.resolve(6150)
    assert early.rows["prs", 0, 0]["scale"] == pytest.approx(0.5 * 0.0102)
    assert early.rows["main", 0, 0] == pytest.approx(
        late.rows["main", 0, 0] | {"time": 0.3}, rel=1e-12
    )
    assert late.rows["main", 0, 0]["time"] == 0.4
    assert late.rows["main", 0, 0]["scale"] == pytest.approx(80 / 2500)
    assert (early.factors["ECAL"], late.factors["ECAL.prs"]) == (1.01, 1.002)


def test_a_factor_of_ones_own(folder):
    (text,) = re.findall(r"printf '(.*)' >> my_calib/ecal.txt", PAGE)
    before = load_conditions(SETUP, 6101, folder=folder)
    append(folder / "ecal.txt", text.replace("\\n", "\n"))
    after = load_conditions(SETUP, 6101, folder=folder)
    np.testing.assert_allclose(after.ecal.scale, 1.01 * before.ecal.scale, rtol=1e-12)
    np.testing.assert_array_equal(after.hcal.scale, before.hcal.scale)
    assert after.digest != before.digest
    np.testing.assert_array_equal(
        load_conditions(SETUP, 6201, folder=folder).ecal.scale,
        load_conditions(SETUP, 6201).ecal.scale,
    )


def test_what_is_said(folder):
    said = re.findall(r"^- `((?:No conditions|my_calib).*?)`$", PAGE, flags=re.MULTILINE)
    assert len(said) == 6

    def message(setup, run, where):
        with pytest.raises(ConditionsError) as caught:
            load_conditions(setup, run, folder=where)
        return str(caught.value)

    Path("gem3.yaml").write_text(
        "based_on: 2022-electron\ntitle: one more GEM\nstations: {GEM3: {technology: gem, "
        "number: 3, z: -3400.0, angles: {X: 0.0, Y: 90.0}, spacing: 4.0, channels: 256, "
        "pitch: 0.4, thickness_x0: 0.004}}\n",
        encoding="utf-8",
    )
    gem3 = load_setup(Path("gem3.yaml").resolve())
    found = [
        message(gem3, 6100, None),
        message(SETUP, 7100, folder),
        message(gem3, 6100, folder),
    ]
    for path in folder.glob("*.txt"):
        path.write_text(re.sub(r"^setup=.*\n", "", path.read_text(), flags=re.MULTILINE))
    found.append(message(gem3, 6100, folder))
    # After comments and rows as shipped; the page quotes the number of the line.
    append(folder / "gem.txt", "GEM9 X 27.5 3.57 7.34 0.07 -\n")
    found.append(message(SETUP, 6100, folder))
    shutil.copy(ROOT / "calib" / "2022-electron" / "gem.txt", folder)
    append(folder / "ecal.txt", "runs=6100-6200\nfaktor.ECAL=1.01\n")
    found.append(message(SETUP, 6100, folder))
    for ours, theirs in zip(said, found, strict=True):
        for part in re.split(r" ?\.\.\.\?? ?|/calib/|\d+(?=: )", ours):
            assert part.strip(" .") in theirs, (ours, theirs)
