"""Remake data_samples/: `python data_samples/make.py` (or `make samples`).

Runs the very commands that README.md lists, and writes the file with foreign branch names, which
no command of na64reco makes.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import awkward as ak
import uproot

HERE = Path(__file__).resolve().parent

FOREIGN = {
    "eventNumber": "event",
    "runNumber": "run",
    "spillNumber": "spill",
    "trigWord": "trigger",
    "t0": "master_time",
}
FOREIGN_HITS = {
    "ecal": ("ECAL", {"sec": "section", "i": "ix", "j": "iy", "adc": "amplitude", "t": "time"}),
    "hcal": ("HCAL", {"mod": "module", "i": "ix", "j": "iy", "adc": "amplitude", "t": "time"}),
    "srd": ("SRD", {"i": "ix", "adc": "amplitude", "t": "time"}),
    "veto": ("VETO", {"i": "ix", "adc": "amplitude", "t": "time"}),
    "sc": ("Counter", {"id": "id", "adc": "amplitude", "t": "time"}),
    "mm": (
        "MM",
        {"st": "station", "proj": "projection", "ch": "strip", "q": "charge", "t": "time"},
    ),
    "gem": (
        "GEM",
        {"st": "station", "proj": "projection", "ch": "strip", "q": "charge", "t": "time"},
    ),
    "straw": (
        "ST",
        {"st": "station", "proj": "projection", "lay": "layer", "ch": "wire", "t": "time"},
    ),
}


def commands() -> list[str]:
    """The commands that README.md lists."""
    text = (HERE / "README.md").read_text(encoding="utf-8")
    return re.findall(r"^ +(na64reco (?:simulate|catalogue) .*)$", text, flags=re.MULTILINE)


def write_foreign(source: Path, target: Path, events: int) -> None:
    """The first events of a hit file as another program might have written them.

    The tree is `tree`, branches have other names, times are in microseconds.
    """
    with uproot.open(source) as file:
        array = file["Events"].arrays(entry_stop=events)
    branches = {name: array[known] for name, known in FOREIGN.items()}
    branches["t0"] = branches["t0"] / 1000
    for name, (collection, fields) in FOREIGN_HITS.items():
        content = {new: array[f"{collection}_{old}"] for new, old in fields.items()}
        content["t"] = ak.values_astype(content["t"] / 1000, "float32")
        branches[name] = ak.zip(content)
    with uproot.recreate(target, compression=uproot.ZSTD(5)) as file:
        file.mktree("tree", {name: values.type.content for name, values in branches.items()})
        file["tree"].extend(branches)


def main() -> None:
    """Remake all samples."""
    program = Path(sys.executable).with_name("na64reco")
    for command in commands():
        print(command, flush=True)
        words = shlex.split(command)
        subprocess.run([program, *words[1:], "--overwrite"], check=True, cwd=HERE.parent)
    write_foreign(HERE / "physics.root", HERE / "foreign.root", 500)


if __name__ == "__main__":
    main()
