"""Write docs/selection_reference.md from the models: `python docs/make_selection_reference.py`."""

from __future__ import annotations

from pathlib import Path

import yaml
from model_tables import Models, table

from na64reco.selection import known_variables, list_selections, load_selection
from na64reco.selection.model import (
    Axis,
    Bound,
    Box,
    ByColumn,
    ByPeriod,
    Cut,
    Histogram,
    Limit,
    Selection,
)

TITLES = {
    Selection: "The file",
    Cut: "A cut",
    ByPeriod: "A limit by run period",
    ByColumn: "A limit by another variable",
    Histogram: "A histogram",
    Axis: "An axis",
}
WORDS = (
    (Limit, "[limit](#a-limit)"),
    (Bound, "number or [limit by run period](#a-limit-by-run-period)"),
    (Box, "[box](#a-box)"),
)
VARIABLES = """
## Variables

What cuts, regions and histograms may name: the [reconstructed columns](columns.md) and what is
computed of them. A function with `@variable` in `na64reco/selection/variables.py` adds one.

"""
EXAMPLE = """\
title: my search
setup: 2022-electron
blind: signal
periods: {early: [6035, 6499], late: [6500, 6999]}

cuts:
  - {name: trigger, variable: trigger.physics}                    # a boolean must be true
  - {name: incoming track, variable: track.momentum, window: [90.0, 110.0]}
  - {name: track fit, variable: track.p_value, min: 0.01}
  - {name: not a muon, variable: hcal.smallest_module, window: [1.5, 4.0], not: true}
  - name: shower shape
    variable: ecal.chi2
    max: {by: ecal.energy, edges: [0, 20, 40, 80], values: [4.0, 3.2, 3.0], above: 4.0}
  - {name: VETO, variable: veto.energy, max: {by: period, values: {early: 0.0076, late: 0.0080}}}

regions:
  signal: {ecal.energy: [null, 50.0], hcal.energy: [null, 1.0]}
  sideband: {ecal.energy: [null, 50.0], hcal.energy: [1.0, null]}

histograms:
  ecal: {axes: [{variable: ecal.energy, bins: 120, range: [0, 120]}], at: [trigger, all]}
  momentum:
    axes: [{variable: track.momentum, edges: [50, 90, 100, 110, 150]}]
    at: [without incoming track]
  plane:
    axes:
      - {variable: ecal.energy, bins: 60, range: [0, 120], label: E_ECAL}
      - {variable: hcal.energy, bins: 60, range: [0, 120], label: E_HCAL}
"""
INTRO = """\
# Selections: every key

Made by `python docs/make_selection_reference.py` from the models in the code; do not edit.

A selection is a YAML file: cuts in the order of the cutflow, regions, histograms. It is given by
its path, or by name if it [ships with the package](#shipped-selections). Every mistake in it is
an error that names the line, the key and the nearest known name.

```yaml
@example@
```

## Intervals

A cut keeps its limits: `min: 1` keeps 1, `max: 5` keeps 5, `window: [90, 110]` keeps both. A region
is half-open, low <= value < high, as bins are: two regions that share an edge never share an event.
NaN passes no cut, a negated one neither, and lies in no region; for blinding it counts as inside.

## A limit

A number; or one for each run period, `{by: period, values: {early: 0.0076, late: 0.0080}}`; or, in
a cut, a table in another variable, `{by: ecal.energy, edges: [0, 20, 40], values: [4.0, 3.2]}`.

## A box

`{ecal.energy: [null, 50.0], hcal.energy: [null, 1.0]}`: of each variable the lower and the upper
side, a number or one for each run period; `null` is no limit on that side.

## One that is based on another

```yaml
based_on: electron-invisible-2022
cuts:
  - {name: incoming track, variable: track.momentum, window: [97.0, 103.0]}  # stands where it stood
  - {name: straw hits, remove: true}
  - {name: one hit time, variable: ecal.time, window: [-5.0, 5.0]}           # comes after the last
histograms:
  straw_hits: null                                                           # gone
  straw_planes: null
```

`based_on` names a file beside this one or a shipped selection. Mappings are merged key by key, and
`null` removes a key. Cuts are merged by name.

## Stages

A histogram is filled `at` one or several stages: `none` (before any cut), the name of a cut (events
that passed it and all before), `all` (after all), `without NAME` (after all but NAME).
"""


def page() -> str:
    """The text of docs/selection_reference.md."""
    models = Models(TITLES, WORDS)
    models.take_examples(Selection(name="my", **yaml.safe_load(EXAMPLE)))
    selections = [(name, load_selection(name)) for name in list_selections()]
    for _, one in selections:
        models.take_examples(one)
    lines = [INTRO.replace("@example@", EXAMPLE.rstrip()), *models.sections()]
    lines += ["## Shipped selections", "", "`na64reco selections` lists them.", ""]
    lines += table(
        ["name", "title", "setup", "cuts", "blind"],
        [
            (f"[{n}](../selections/{n}.yaml)", s.title, s.setup, str(len(s.cuts)), s.blind or "")
            for n, s in selections
        ],
    )
    lines += VARIABLES.splitlines()
    lines += table(
        ["variable", "type", "unit", "meaning"],
        [
            (f"`{n}`", str(known.dtype), known.unit, known.meaning)
            for n, known in known_variables().items()
        ],
    )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    path = Path(__file__).with_name("selection_reference.md")
    path.write_text(page(), encoding="utf-8")
