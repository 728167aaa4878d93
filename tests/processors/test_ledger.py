from __future__ import annotations

import pytest

from na64reco.processors import FileOutcome, Ledger


def outcome(**changes):
    facts = {
        "dataset": "a",
        "path": "a.root",
        "status": "read",
        "reason": None,
        "entries": 10,
        "events_read": 10,
        "events_skipped": 0,
        "size": 1,
        "sha256": None,
        "simulated": False,
    }
    return FileOutcome(**{**facts, **changes})


def test_an_account_that_does_not_balance_is_refused():
    for wrong in ({"events_read": 9}, {"events_skipped": 1}, {"entries": None}):
        with pytest.raises(AssertionError, match=r"a\.root: .* events read"):
            Ledger((outcome(**wrong),))


def test_sums():
    skipped = {"status": "skipped", "reason": "?", "events_read": 0}
    whole = Ledger((outcome(), outcome(**skipped, events_skipped=10)))
    assert (whole.events_read, whole.events_skipped, whole.events_in_files) == (10, 10, 20)
    assert [f.reason for f in whole.skipped] == ["?"]
    unknown = Ledger((outcome(), outcome(**skipped, entries=None, events_skipped=None)))
    assert (unknown.events_read, unknown.events_skipped, unknown.events_in_files) == (
        10,
        None,
        None,
    )
