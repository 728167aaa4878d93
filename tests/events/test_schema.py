"""The schema against the table of the design."""

from __future__ import annotations

import pytest

from na64reco.events.schema import (
    COLLECTIONS,
    PROCESSES,
    SCALARS,
    TRIGGER_BITS,
    branch_column,
    schema_table,
)

# Written down from the format's description, independently of schema.py.
TYPES = {
    "run": "uint32", "spill": "uint32", "event": "uint64", "trigger": "uint32",
    "master_time": "float32",
    "Counter": "id uint8, amplitude float32, time float32",
    "ECAL": "section uint8, ix uint8, iy uint8, amplitude float32, time float32",
    "HCAL": "module uint8, ix uint8, iy uint8, amplitude float32, time float32",
    "VHCAL": "ix uint8, iy uint8, amplitude float32, time float32",
    "SRD": "ix uint8, amplitude float32, time float32",
    "VETO": "ix uint8, amplitude float32, time float32",
    "MM": "station uint8, projection uint8, strip uint16, charge float32, time float32",
    "GEM": "station uint8, projection uint8, strip uint16, charge float32, time float32",
    "ST": "station uint8, projection uint8, layer uint8, wire uint16, time float32",
    "BMS": "station uint8, channel uint16, time float32",
}  # fmt: skip


@pytest.mark.parametrize("name", TYPES)
def test_types(name):
    if name in SCALARS:
        assert SCALARS[name].type_name == TYPES[name]
        return
    fields = [f"{f} {c.type_name}" for f, c in COLLECTIONS[name].items() if f != "samples"]
    assert ", ".join(fields) == TYPES[name]


def test_waveforms_are_of_calorimeters_and_counters():
    with_samples = {name for name, fields in COLLECTIONS.items() if "samples" in fields}
    assert with_samples == {"Counter", "ECAL", "HCAL", "VHCAL", "SRD", "VETO"}
    assert COLLECTIONS["ECAL"]["samples"].type_name == "uint16[32]"


def test_every_quantity_with_a_dimension_has_a_unit():
    columns = dict(SCALARS)
    columns |= {f"{n}_{f}": c for n, fields in COLLECTIONS.items() for f, c in fields.items()}
    for name, column in columns.items():
        assert column.meaning
        counted = column.dtype.kind == "u" and "samples" not in name
        assert (column.unit == "") == (counted or name == "MC_weight"), name


def test_codes():
    assert TRIGGER_BITS == {"physics": 1, "beam": 2, "random": 4}
    assert PROCESSES[0] == "electron"
    assert PROCESSES[8] == "signal"


def test_lookup_by_branch_name():
    assert branch_column("MM_charge") is COLLECTIONS["MM"]["charge"]
    assert branch_column("MC_x") is SCALARS["MC_x"]
    assert branch_column("nECAL") is None
    assert branch_column("ECAL_colour") is None


def test_the_table_has_every_branch():
    lines = schema_table().splitlines()
    assert len(lines) == 2 + len(SCALARS) + sum(len(f) for f in COLLECTIONS.values())
    assert "| ST_time | float32 per hit | ns | drift time |" in lines


def test_the_schema_cannot_be_changed():
    with pytest.raises(TypeError):
        COLLECTIONS["ECAL"]["colour"] = SCALARS["run"]
