"""Where the time of a push went: every phase accounted for, on real pushes small and large."""

from __future__ import annotations

import os
from typing import Any

import pytest
from tests.musehub.hub import History, Remote, RunningHub, header_of, pack_of, push_body

from muse.objects.ids import Kind
from muse.wire.push import RefUpdate


def check(timeline: dict[str, Any], *expected: str) -> None:
    """The phases add up to the whole, and what has no name is little."""
    seconds = {phase["name"]: phase["s"] for phase in timeline["phases"]}
    assert sum(seconds.values()) == pytest.approx(timeline["total_s"], rel=0.05)
    assert seconds["other"] <= max(0.05 * timeline["total_s"], 0.02)
    assert set(expected) <= seconds.keys()
    assert timeline["longest_transaction_s"] > 0
    assert timeline["longest_transaction"]


@pytest.mark.parametrize("commits", [1, 300])
def test_a_push_in_one_stream(hub: RunningHub, commits: int) -> None:
    ada = hub.user("ada").repository("notes")
    history = History()
    head: bytes | None = None
    for number in range(commits):
        head = history.commit_files({f"d{number % 7}/f{number}": os.urandom(100)}, *([head] if head else []))
    assert head is not None
    timeline = ada.push_main(history, head)["timeline"]
    check(
        timeline,
        "authenticate",
        "wait for client",
        "check heads",
        "decode",
        "closure",
        "record",
        "store",
        "finalise",
    )
    assert timeline["uploads"] is None


def test_a_push_with_packs_has_a_timeline_of_its_uploads(hub: RunningHub) -> None:
    """What the hub does for packs overlaps with their upload: a sum of its own, not the stream's."""
    ada = hub.user("ada").repository("notes")
    history = History()
    head = history.commit_files({f"f{number}": os.urandom(20_000) for number in range(200)})
    push_id = os.urandom(16)
    taken = history.take()
    blobs = [(object_id, record) for kind, object_id, record in taken if kind is Kind.BLOB]
    for start in range(0, len(blobs), 50):
        pack = pack_of(blobs[start : start + 50])
        assert ada.upload(push_id, pack).status == 200
        ada.confirm(push_id, pack).result()
    header = header_of([RefUpdate("heads/main", None, head)], push_id=push_id)
    rest = [item for item in taken if item[0] is not Kind.BLOB]
    result = ada.stream(push_body(header, rest)).result()

    check(result["timeline"], "decode", "record", "finalise")
    uploads = result["timeline"]["uploads"]
    assert uploads["packs"] == 4
    assert uploads["objects"] == 200
    assert sum(phase["s"] for phase in uploads["phases"]) == pytest.approx(uploads["s"], rel=0.05)
    assert uploads["longest_transaction_s"] > 0
    kept = receipt_timeline(ada, push_id)
    assert kept == result["timeline"]


def test_a_push_that_is_refused_has_its_timeline_in_the_metrics(hub: RunningHub) -> None:
    ada = hub.user("ada").repository("notes")
    history = History()
    ada.push_main(history, history.commit_files({"a": b"1"}))
    other = History()
    header = header_of([RefUpdate("heads/main", b"x" * 32, other.commit_files({"b": b"2"}))])
    answer = ada.stream(push_body(header, other.take()))
    with pytest.raises(Exception, match="moved since"):
        answer.result()
    text = hub.nobody().request("GET", "/metrics").body.decode()
    assert 'musehub_push_seconds_count{outcome="refused"} 1' in text


def receipt_timeline(ada: Remote, push_id: bytes) -> Any:
    return ada.receipt(push_id).json()["timeline"]
