"""Pushes as pages show them, whatever became of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from musehub.db.pushes import DONE, FAILED, RECEIVING, PushRow
from musehub.web.addresses import RepositoryAddresses
from musehub.web.timelines import view_push, view_push_line

ADDRESSES = RepositoryAddresses("ada", "engine")
START = datetime(2026, 5, 17, 12, 0, tzinfo=UTC)
ERROR = {"code": "not-fast-forward", "message": 'the new "main" does not descend', "hint": "fetch first"}


def push_row(state: str, result: dict[str, Any] | None, timeline: dict[str, Any] | None = None) -> PushRow:
    end = START + timedelta(seconds=2) if state != RECEIVING else None
    return PushRow(b"p" * 16, "ada", state, START, end, result, timeline, 1, 2, 3, 4096, "agent")


def test_a_push_that_was_refused_says_why() -> None:
    push = view_push(push_row(FAILED, ERROR), ADDRESSES, {})
    assert push.error == ERROR
    assert push.outcome == "not-fast-forward"
    assert push.moves == []
    assert push.waterfall is None
    assert push.tiles[0].value == "2.00 s"


def test_a_push_whose_client_went_away_is_not_called_landed() -> None:
    line = view_push_line(push_row(RECEIVING, None), ADDRESSES)
    assert line.outcome == "not finished"
    assert line.total_s is None
    assert line.by_agent
    assert line.object_count == 6


def test_uploads_and_parts_have_a_waterfall_of_their_own() -> None:
    phases = [{"name": "decode", "s": 0.5}, {"name": "record", "s": 0.25}]
    sums = {"bytes": 5, "s": 0.75, "phases": phases, "longest_transaction_s": 0.2}
    timeline = {
        "uploads": {"packs": 2, "objects": 900} | sums,
        "parts": {"streams": 1, "commits": 3, "trees": 40} | sums,
    }
    beside = view_push(push_row(DONE, {"updates": []}, timeline), ADDRESSES, {}).beside
    assert [work.anchor for work in beside] == ["uploads", "parts"]
    assert all(work.waterfall is not None for work in beside)
    assert "2 packs with 900 objects" in beside[0].text
    assert "1 stream brought 3 commits and 40 trees" in beside[1].text
    none = {"uploads": None, "parts": None}
    assert view_push(push_row(DONE, {"updates": []}, none), ADDRESSES, {}).beside == []


def test_a_push_with_uploads_took_from_the_first_of_them_to_its_end() -> None:
    timeline = {"total_s": 0.25, "phases": [{"name": "decode", "s": 0.25}]}
    uploads = {"uploads": {"packs": 1, "objects": 9, "bytes": 5, "s": 1.5, "phases": []}}
    (alone, with_uploads) = (push_row(DONE, {"updates": []}, t) for t in (timeline, timeline | uploads))
    assert view_push_line(alone, ADDRESSES).total_s == 0.25
    assert view_push_line(with_uploads, ADDRESSES).total_s == 2.0
    assert view_push(alone, ADDRESSES, {}).tiles[0] == ("Took", "250 ms", "")
    assert view_push(with_uploads, ADDRESSES, {}).tiles[0] == (
        "Took",
        "2.00 s",
        "250 ms of it the last request",
    )


def test_moves_tell_creation_deletion_and_force_apart() -> None:
    one, two = "1" * 64, "2" * 64
    updates = [
        {"name": "heads/new", "old": None, "new": one, "kind": "commit", "force": False},
        {"name": "heads/gone", "old": one, "new": None, "kind": "commit", "force": False},
        {"name": "heads/bent", "old": one, "new": two, "kind": "commit", "force": True},
        {"name": "heads/same", "old": one, "new": one, "kind": "commit", "force": False},
        {"name": "tags/v1", "old": None, "new": two, "kind": "tag", "force": False},
    ]
    moves = view_push(push_row(DONE, {"updates": updates}), ADDRESSES, {}).moves
    assert [(move.name, move.text) for move in moves] == [
        ("new", "created"),
        ("gone", "deleted"),
        ("bent", "forced"),
        ("v1", "created"),
    ]
    assert moves[0].new is not None
    assert moves[0].new.address == ADDRESSES.commit(one)
    assert moves[3].new is not None
    assert moves[3].new.address == "", "an annotated tag has no page of its own"
