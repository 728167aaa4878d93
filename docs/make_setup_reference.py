"""Write docs/setup_reference.md from the models: `python docs/make_setup_reference.py`."""

from __future__ import annotations

from pathlib import Path

from model_tables import Models, table

from na64reco.setup import list_setups, load_setup
from na64reco.setup.calorimeter import Calorimeter, Sampling, Section
from na64reco.setup.model import (
    Beam,
    Counter,
    Digitizer,
    Halo,
    Passive,
    Setup,
    Srd,
    Trigger,
    Veto,
)
from na64reco.setup.spectrometer import Magnet, Spectrometer, Station

TITLES = {
    Setup: "The file",
    Beam: "The beam",
    Halo: "The halo",
    Trigger: "The trigger",
    Counter: "A counter",
    Magnet: "A magnet",
    Station: "A tracking station",
    Spectrometer: "A spectrometer",
    Passive: "Passive material",
    Srd: "The SRD",
    Calorimeter: "A calorimeter",
    Section: "A section of a calorimeter",
    Sampling: "A sampling sandwich",
    Veto: "The VETO",
    Digitizer: "The digitizer",
}
INTRO = """\
# Setups: every key

Made by `python docs/make_setup_reference.py` from the models in the code; do not edit.

A setup says where every detector of a run period stands. It is a YAML file, given by its path, or
by name if it ships with the package (`na64reco setups`). Lengths are in mm, z along the beam before
the magnets, x horizontal, y vertical, z = 0 the centre between the spectrometer magnets. A key that
is not listed here is an error.

`based_on: NAME` takes another setup, shipped or beside the file, and changes what is written,
mapping by mapping; `null` removes a key:

```yaml
based_on: 2022-electron
title: the same with a stronger field and no SRD
magnets:
  MBPL1: {field: 1.9}
  MBPL2: {field: 1.9}
srd: null
```
"""


def page() -> str:
    """The text of docs/setup_reference.md."""
    models = Models(TITLES)
    # The main setup first: of its values are most of the examples.
    for name in sorted(list_setups(), key=lambda name: (name != "2022-electron", name)):
        models.take_examples(load_setup(name))
    lines = [INTRO, *models.sections()]
    lines += ["## Shipped setups", ""]
    rows = []
    for name in list_setups():
        setup = load_setup(name)
        first, last = setup.runs
        beam = f"{setup.beam.particle}, {setup.beam.momentum:g} GeV/c"
        link = f"[{name}](../na64reco/setup/data/{name}.yaml)"
        rows.append((link, setup.title, beam, f"{first} to {last}"))
    return "\n".join([*lines, *table(["name", "title", "beam", "runs"], rows)]) + "\n"


if __name__ == "__main__":
    path = Path(__file__).with_name("setup_reference.md")
    path.write_text(page(), encoding="utf-8")
