"""The clean-up that nobody asks for, on both databases."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import pytest
from tests.musehub.hub import History, RunningHub
from tests.musehub.jobs.conftest import Jobs

from musehub.db.instants import utc_now
from musehub.jobs.attempt import JobRecord
from musehub.jobs.schedule import run_schedule


class Clean:
    """A hub whose clock a test sets; all but the clean-up is done."""

    def __init__(self, jobs: Jobs) -> None:
        self.jobs = jobs
        self.later = timedelta()
        jobs.clock = self.now

    def now(self) -> datetime:
        return utc_now() + self.later

    def schedule(self, **settings: object) -> None:
        self.jobs.hub.call(run_schedule(self.jobs.parts(**settings)))

    def open(self) -> int:
        return len(self.jobs.rows("SELECT id FROM outbox WHERE kind = 'gc' AND done_at IS NULL"))

    def count(self, table: str) -> int:
        return int(self.jobs.rows(f"SELECT COUNT(*) FROM {table}")[0][0])

    def run(self) -> list[JobRecord]:
        seen: list[JobRecord] = []
        worker = self.jobs.worker()
        worker.observers.append(seen.append)
        self.jobs.hub.call(worker.run_due())
        return seen


@pytest.fixture
def clean(hub: RunningHub, jobs: Jobs) -> Clean:
    """A branch that was forced back, so that three objects are reached by nothing."""
    ada = hub.user("ada").repository("notes")
    history = History()
    first = history.commit_files({"a": b"1"})
    ada.push_main(history, first)
    second = history.commit_files({"a": b"2"}, first)
    ada.push_main(history, second, first)
    jobs.execute("DELETE FROM outbox")
    jobs.execute(f"UPDATE refs SET target = {literal(first, hub)}")
    jobs.execute("UPDATE repositories SET write_count = write_count + 1")
    return Clean(jobs)


def literal(data: bytes, hub: RunningHub) -> str:
    return f"'\\x{data.hex()}'::bytea" if hub.database.is_postgresql else f"x'{data.hex()}'"


def test_what_nothing_reaches_goes_without_anybody_asking(clean: Clean) -> None:
    clean.schedule()
    assert clean.open() == 0, "a hub that is younger than the interval has nothing old enough"

    clean.later = timedelta(days=2)
    clean.schedule()
    clean.schedule()
    assert clean.open() == 1
    assert (clean.count("blobs"), clean.count("commits")) == (2, 2)
    assert [(seen.kind, seen.outcome) for seen in clean.run() if seen.repository_id is None] == [
        ("gc", "done")
    ]
    assert (clean.count("blobs"), clean.count("commits")) == (1, 1)
    clean.schedule()
    assert clean.open() == 0, "the next is due a day later"
    clean.later += timedelta(hours=25)
    clean.schedule()
    assert clean.open() == 1


def test_many_hubs_make_one_job(clean: Clean) -> None:
    clean.later = timedelta(days=2)

    async def look_at_once() -> None:
        await asyncio.gather(*(run_schedule(clean.jobs.parts()) for _ in range(5)))

    clean.jobs.hub.call(look_at_once())
    assert clean.open() == 1


def test_the_interval_is_a_setting_and_may_outlast_the_memory_of_jobs(clean: Clean) -> None:
    clean.later = timedelta(days=31)
    clean.schedule(gc_every_hours=0.0)
    assert clean.open() == 0
    clean.schedule(gc_every_hours=720.0)
    assert clean.open() == 1
    clean.run()
    clean.later += timedelta(days=20)
    clean.schedule(gc_every_hours=720.0)
    assert clean.open() == 0, "the job of three weeks ago is not forgotten after a week"
