"""What jobs find out about a repository after real pushes."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.musehub.hub import History, Remote, RunningHub
from tests.musehub.jobs.conftest import Jobs

from muse.objects.commit import Agent, Commit, decode_commit, encode_commit
from muse.objects.ids import Kind
from musehub.jobs.catalog import AFTER_PUSH
from musehub.jobs.changes import count_changed_lines
from musehub.jobs.kinds.coupling import count_pairs
from musehub.jobs.kinds.scrub import MAX_PACKS
from musehub.jobs.language_table import OTHER, find_language, language_of_shebang

FIRST_COMMIT = datetime(2023, 11, 14, 22, 13, 21, tzinfo=UTC)
"""When the histories of tests begin."""


@pytest.fixture
def ada(hub: RunningHub, jobs: Jobs) -> Remote:
    """Ada's repository; the jobs run as if it were the day after its commits."""
    jobs.clock = lambda: FIRST_COMMIT + timedelta(days=1)
    return hub.user("ada").repository("notes")


def languages_of(found: dict[str, Any]) -> dict[str, tuple[int, int]]:
    return {item["name"]: (item["bytes"], item["files"]) for item in found["languages"]["languages"]}


def test_a_push_is_analysed_and_the_next_one_added(ada: Remote, jobs: Jobs) -> None:
    history = History()
    first = history.commit_files(
        {"a.py": b"one\ntwo\n", "src/b.py": b"x\n" * 10, "README.md": b"# Hi\n", "song.wav": b"\0" * 1000}
    )
    ada.push_main(history, first)
    assert jobs.run() == len(AFTER_PUSH)
    found = jobs.insights()
    assert languages_of(found) == {"Python": (28, 2), "Markdown": (5, 1), "Audio": (1000, 1)}
    assert found["largest"]["files"][0] == {"path": "song.wav", "bytes": 1000}
    assert found["contributors"]["contributors"][0]["commits"] == 1
    assert found["storage"]["objects"] == 7

    second = history.commit_files({"a.py": b"two\none\nthree\n", "src/b.py": None}, first)
    third = history.commit_files({"a.py": b"three\n", "README.md": b"# Ho\n"}, second)
    ada.push_main(history, third, first)
    jobs.run()
    found = jobs.insights()
    assert languages_of(found) == {"Python": (6, 1), "Markdown": (5, 1), "Audio": (1000, 1)}
    assert [item["path"] for item in found["largest"]["files"]] == ["song.wav", "a.py", "README.md"]
    assert found["contributors"]["contributors"][0]["commits"] == 3
    churn = {item["path"]: item for item in found["churn"]["paths"]}
    # Two lines at first; one more, two moved; two fewer.
    assert churn["a.py"] == {"path": "a.py", "changes": 3, "lines_added": 3, "lines_removed": 2}
    assert churn["src/b.py"] == {"path": "src/b.py", "changes": 2, "lines_added": 10, "lines_removed": 10}
    assert churn["song.wav"] == {"path": "song.wav", "changes": 1, "lines_added": 0, "lines_removed": 0}
    assert found["churn"]["commits"] == 3
    assert found["churn"]["removed"] == 1
    hotspots = {item["path"]: (item["changes"], item["bytes"]) for item in found["hotspots"]["files"]}
    assert hotspots == {"a.py": (3, 6), "README.md": (2, 5)}
    assert {"paths": ["README.md", "a.py"], "together": 2, "share": 0.667} in found["coupling"]["pairs"]


def test_what_is_added_equals_what_is_counted_anew(ada: Remote, jobs: Jobs) -> None:
    history = History()
    head = history.commit_files({"a.py": b"a\n", "b/c.rs": b"c\n" * 5, "b/d.rs": b"d\n"})
    ada.push_main(history, head)
    jobs.run()
    for number in range(3):
        old = head
        head = history.commit_files({f"n{number}.go": b"x" * number, "b/c.rs": b"c\n" * number}, head)
        if number == 2:
            head = history.commit_files({"a.py": None, "b": None}, head)
        ada.push_main(history, head, old)
        jobs.run()
    added = jobs.insights()

    jobs.execute("DELETE FROM insights")
    jobs.enqueue("languages", "largest", "contributors", "churn", "hotspots", "coupling", "storage", "dedupe")
    jobs.run()
    assert {kind: value for kind, value in added.items() if kind != "scrub"} == jobs.insights()


def test_running_every_job_again_changes_nothing(ada: Remote, jobs: Jobs) -> None:
    history = History()
    head = history.commit_files({"a.py": b"one\n", "b.py": b"two\n"})
    head = history.commit_files({"a.py": b"one\nmore\n", "b.py": b"2\n"}, head)
    ada.push_main(history, head)
    jobs.run()
    before, feed = jobs.insights(), jobs.rows("SELECT * FROM activity")
    jobs.execute("UPDATE outbox SET done_at = NULL, outcome = NULL, run_after = 0, attempts = 0")
    assert jobs.run() == len(AFTER_PUSH)
    after = jobs.insights()
    del before["scrub"], after["scrub"]
    assert before == after
    assert jobs.rows("SELECT * FROM activity") == feed


def test_a_walk_costs_statements_by_batches_not_by_commits(ada: Remote, jobs: Jobs) -> None:
    def statements(count: int, old: bytes | None) -> tuple[int, bytes]:
        history.take()
        head = old
        for number in range(count):
            head = history.commit_files(
                {f"d{number % 3}/f{number}": b"%d\n" % number}, *([head] if head else [])
            )
        assert head is not None
        ada.push_main(history, head, old)
        seen = []
        jobs.make_due()
        worker = jobs.worker()
        worker.observers.append(seen.append)
        jobs.hub.call(worker.run_due())
        return sum(record.statements for record in seen), head

    history = History()
    few, head = statements(5, None)
    many, _head = statements(80, head)
    assert many <= few + 10


def test_agents_and_people_are_told_apart(ada: Remote, jobs: Jobs) -> None:
    history = History()
    tree = history.snapshot({"a": b"1"})
    first = history.commit(tree)
    person = decode_commit(history.objects[Kind.COMMIT, first]).author
    agent = Agent("composer", "a model", "a tool")
    commit = Commit(tree, (first,), person, person, "by itself", agent)
    ada.push_main(history, history.put(Kind.COMMIT, encode_commit(commit)))
    jobs.run()
    people = jobs.insights()["contributors"]["contributors"]
    assert {(person["kind"], person["agent"]) for person in people} == {("human", ""), ("agent", "composer")}


def test_the_scrub_finds_a_damaged_pack_and_forgets_it_when_it_is_well(ada: Remote, jobs: Jobs) -> None:
    history = History()
    head = history.commit_files({"a": os.urandom(2000)})
    ada.push_main(history, head)
    jobs.run()
    assert jobs.insights()["scrub"]["problems"] == 0

    pack = next(
        path for path in (jobs.hub.settings.data_dir / "store" / "packs").rglob("*") if path.is_file()
    )
    sound = pack.read_bytes()
    replace(pack, sound[:100] + bytes([sound[100] ^ 1]) + sound[101:])
    jobs.enqueue("scrub")
    jobs.run()
    assert jobs.insights()["scrub"]["problems"] == 1
    listed = ada.user.request("GET", "/api/v1/repositories/ada/notes/integrity").json()
    assert [problem["pack"] for problem in listed] == [pack.name]
    assert jobs.hub.user("bob").request("GET", "/api/v1/repositories/ada/notes/integrity").status == 404

    pack.unlink()
    jobs.enqueue("scrub")
    jobs.run()
    assert jobs.insights()["scrub"]["problems"] == 1

    pack.write_bytes(sound)
    jobs.enqueue("scrub")
    jobs.run()
    assert jobs.insights()["scrub"]["problems"] == 0


def replace(path: Path, content: bytes) -> None:
    path.unlink()
    path.write_bytes(content)


def test_the_scrub_goes_round(ada: Remote, jobs: Jobs) -> None:
    history = History()
    head: bytes | None = None
    for number in range(MAX_PACKS + 2):
        old = head
        head = history.commit_files({"a": os.urandom(50), str(number): b"x"}, *([old] if old else []))
        ada.push_main(history, head, old)
    for _ in range(3):
        jobs.enqueue("scrub")
        jobs.run()
    assert jobs.insights()["scrub"]["packs"] == MAX_PACKS + 2 + MAX_PACKS


def test_the_api_shows_insights_and_activity_to_who_may_read(ada: Remote, jobs: Jobs) -> None:
    history = History()
    head = history.commit_files({"a.py": b"one\n"}, message="Begin")
    ada.push_main(history, head)
    empty = ada.user.request("GET", "/api/v1/repositories/ada/notes/insights").json()
    assert empty["languages"] is None
    jobs.run()
    found = ada.user.request("GET", "/api/v1/repositories/ada/notes/insights").json()
    assert found["languages"] == [{"name": "Python", "bytes": 4, "files": 1}]
    assert found["churn"]["paths_changed"] == 1
    assert set(found["computed_at"]) >= {"languages", "churn", "storage"}
    activity = ada.user.request("GET", "/api/v1/repositories/ada/notes/activity").json()
    assert [(item["kind"], item["user"]) for item in activity] == [("push", "ada")]
    assert activity[0]["value"]["refs"][0]["summary"] == "Begin"
    for path in ("insights", "activity"):
        assert jobs.hub.nobody().request("GET", f"/api/v1/repositories/ada/notes/{path}").status == 404


@pytest.mark.parametrize(
    ("path", "language"),
    [
        ("src/a.PY", "Python"),
        ("Makefile", "Makefile"),
        ("a.tar.gz", OTHER),
        ("bin/run", None),
        (".hidden", None),
        (".bashrc", "Shell"),
        ("song.mid", "Audio"),
    ],
)
def test_language_by_name(path: str, language: str | None) -> None:
    assert find_language(path) == language


@pytest.mark.parametrize(
    ("content", "language"),
    [
        (b"#!/usr/bin/env python3\n", "Python"),
        (b"#!/usr/bin/env -S node --flag\n", "JavaScript"),
        (b"#!/bin/sh -e\n", "Shell"),
        (b"#!\n", OTHER),
        (b"\x7fELF", OTHER),
    ],
)
def test_language_by_first_line(content: bytes, language: str) -> None:
    assert language_of_shebang(content) == language


def test_lines_are_counted_as_sets_with_repetitions() -> None:
    assert count_changed_lines(b"", b"a\nb\n") == (2, 0)
    assert count_changed_lines(b"a\na\nb\n", b"b\na\nc\n") == (1, 1)
    assert count_changed_lines(b"a\0b", b"a\n") == (None, None)


def test_pairs_that_changed_together() -> None:
    rows = [(b"1", "a"), (b"1", "b"), (b"2", "a"), (b"2", "b"), (b"2", "c"), (b"3", "a"), (b"3", "d")]
    assert count_pairs(rows) == [{"paths": ["a", "b"], "together": 2, "share": 0.667}]
