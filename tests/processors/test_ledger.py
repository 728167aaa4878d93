from __future__ import annotations

import pytest

from na64reco.processors import ChunkOutcome, FileOutcome, Ledger, LedgerError

FAILED = (ChunkOutcome(0, 6, "skipped"), ChunkOutcome(6, 10, "failed", "?"))
SKIPPED = {"status": "skipped", "reason": "?", "events_read": 0}


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
        "xxh3": None,
        "sha256": None,
        "simulated": False,
        "chunks": (ChunkOutcome(0, 6, "ok"), ChunkOutcome(6, 10, "ok")),
    }
    return FileOutcome(**{**facts, **changes})


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"events_read": 9}, "9 events read and 0 skipped do not make the 10"),
        ({"events_skipped": 1}, "10 events read and 1 skipped do not make the 10"),
        ({"entries": None}, "do not make the None in the file"),
        ({"chunks": ()}, "its chunks do not cover its 10 events"),
        ({"chunks": (ChunkOutcome(0, 9, "ok"),)}, "do not cover"),
        ({"chunks": (ChunkOutcome(0, 6, "ok"), ChunkOutcome(7, 10, "ok"))}, "do not cover"),
        ({"chunks": FAILED}, "0 events in good chunks, 10 read"),
        ({**SKIPPED, "events_skipped": 10}, "skipped, but none of its chunks failed"),
        (
            {"chunks": (ChunkOutcome(0, 10, "ok", "why?"),)},
            "a chunk failed for no reason",
        ),
    ],
)
def test_an_account_that_does_not_balance_is_refused(wrong, text):
    with pytest.raises(LedgerError, match=rf"a\.root: .*{text}"):
        Ledger((outcome(**wrong),))


def test_sums():
    whole = Ledger((outcome(), outcome(**SKIPPED, events_skipped=10, chunks=FAILED)))
    assert (whole.events_read, whole.events_skipped, whole.events_in_files) == (10, 10, 20)
    assert [f.reason for f in whole.skipped] == ["?"]
    assert whole.to_json()["chunks"] == {"ok": 2, "skipped": 1, "failed": 1}
    assert whole.to_json()["files"][1]["chunks"][1] == [6, 10, "failed", "?"]
    unknown = outcome(**SKIPPED, entries=None, events_skipped=None, chunks=())
    unknown = Ledger((outcome(), unknown))
    assert (unknown.events_read, unknown.events_skipped, unknown.events_in_files) == (
        10,
        None,
        None,
    )


def test_the_results_must_hold_as_many_events_as_were_read():
    ledger = Ledger((outcome(), outcome(dataset="b")))
    ledger.check_results({"a": 10, "b": 10})
    for wrong in ({"a": 10, "b": 11}, {"a": 10}):
        with pytest.raises(LedgerError, match="results of dataset 'b' hold"):
            ledger.check_results(wrong)
