"""Write docs/columns.md from the schema: `python docs/make_columns.py`."""

from __future__ import annotations

from pathlib import Path

from na64reco.events.schema import schema_table
from na64reco.reconstruction import COLUMNS
from na64reco.selection import known_variables


def page() -> str:
    """The text of docs/columns.md."""
    derived = {n: v for n, v in known_variables().items() if n not in COLUMNS}
    lines = [
        "# Columns and their units",
        "",
        "Made by `python docs/make_columns.py` from the schema in the code; do not edit.",
        "",
        "## Hit files",
        "",
        "Scalars per event, and collections whose fields are `NAME_field`, in a TTree (with a",
        "counter `nNAME`) or an RNTuple called `Events`. The `MC_` branches are the truth of",
        "simulated files.",
        "",
        schema_table().rstrip(),
        "",
        "## Reconstructed events",
        "",
        "`GROUP.FIELD` in a selection is `reco.GROUP.FIELD` in Python and `GROUP_FIELD` in",
        "`selected.root`. Where there is no track, its columns are NaN.",
        "",
        "| column | type | unit | meaning |",
        "|---|---|---|---|",
        *(f"| {n} | {c.dtype} | {c.unit} | {c.meaning} |" for n, c in COLUMNS.items()),
        "",
        "## Derived variables",
        "",
        "Functions of columns that selections know by name (`na64reco/selection/variables.py`).",
        "",
        "| variable | unit | meaning |",
        "|---|---|---|",
        *(f"| {n} | {v.unit} | {v.meaning} |" for n, v in derived.items()),
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    (Path(__file__).parent / "columns.md").write_text(page(), encoding="utf-8")
