"""A slow database gets short transactions, a quick one few."""

from __future__ import annotations

from tests.musehub.hub import History, RunningHub

from musehub.db.transaction import TransactionRecord
from musehub.push.pace import FIRST_ROWS, MAX_ROWS, MIN_ROWS, QUICK_S, SLOW_S, Pace


def test_rows_are_halved_when_slow_and_doubled_when_quick() -> None:
    pace = Pace()
    pace.note(FIRST_ROWS, 2 * SLOW_S)
    assert pace.rows == FIRST_ROWS // 2
    for _ in range(5):
        pace.note(pace.rows, 2 * SLOW_S)
    assert pace.rows == MIN_ROWS
    for _ in range(5):
        pace.note(pace.rows, QUICK_S / 2)
    assert pace.rows == MAX_ROWS
    pace.note(pace.rows, (QUICK_S + SLOW_S) / 2)
    assert pace.rows == MAX_ROWS


def test_a_few_quick_rows_say_nothing() -> None:
    pace = Pace()
    pace.note(3, QUICK_S / 2)
    assert pace.rows == FIRST_ROWS


def test_no_transaction_has_more_rows_than_the_pace_allows(hub: RunningHub) -> None:
    ada = hub.user("ada").repository("notes")
    history = History()
    tip: bytes | None = None
    for number in range(1_100):
        tip = history.commit_files({"f": b"%d" % number}, *([tip] if tip else []))
    assert tip is not None
    records: list[TransactionRecord] = []
    hub.database.observers.append(records.append)
    ada.push_main(history, tip)
    hub.database.observers.remove(records.append)
    batches = [record for record in records if record.name == "record batch"]
    # 2,200 rows beside the blobs: at first 1,000, then at most twice and at least half as many.
    assert 2 <= len(batches) <= 6
