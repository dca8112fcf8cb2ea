"""Workers: claiming, leases, failures, the list of dead jobs. The queue is asked on both databases."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.musehub.conftest import TickingClock
from tests.musehub.hub import History, RunningHub
from tests.musehub.jobs.conftest import Jobs

from muse.errors import RemoteFailure
from musehub.db.outbox import claim_jobs, enqueue, list_jobs
from musehub.db.transaction import TransactionRecord, metered
from musehub.jobs.attempt import FIRST_BACK_OFF_S, GIVE_UP_AFTER, JobRecord, back_off_s
from musehub.jobs.schedule import run_schedule
from musehub.jobs.work import Kind, Payload, Work


class Recorded:
    """Kinds of jobs that note their runs, and fail as often as they are told to."""

    def __init__(self) -> None:
        self.runs: list[str] = []
        self.errors: dict[str, list[BaseException]] = {}
        self.given_up: list[str] = []

    def kind(self, name: str, **options: Any) -> Kind:
        async def run(_work: Work, _payload: Payload) -> None:
            self.runs.append(name)
            if self.errors.get(name):
                raise self.errors[name].pop(0)

        async def give_up(_work: Work, _payload: Payload) -> None:
            self.given_up.append(name)

        return Kind(name, run, "", give_up=give_up, **options)


@pytest.fixture
def recorded() -> Recorded:
    return Recorded()


@pytest.fixture
def ready(hub: RunningHub, jobs: Jobs, clock: TickingClock) -> Jobs:
    """A repository without jobs, and a clock that stands still."""
    ada = hub.user("ada").repository("notes")
    history = History()
    ada.push_main(history, history.commit_files({"a": b"1"}))
    jobs.execute("DELETE FROM outbox")
    jobs.clock = clock
    return jobs


def states(jobs: Jobs) -> list[tuple[str, str | None, int]]:
    async def load() -> list[tuple[str, str | None, int]]:
        async with jobs.hub.database.read("test") as conn:
            rows = await list_jobs(conn, "all", limit=100, before=None)
        return [(row.kind, row.outcome, row.attempts) for row in reversed(rows)]

    return jobs.hub.call(load())


@pytest.mark.parametrize("count", [1, 18])
async def test_enqueueing_is_one_statement_for_any_number_of_kinds(ready: Jobs, count: int) -> None:
    async def put() -> int:
        with metered() as meter:
            async with ready.hub.database.transaction("test") as conn:
                kinds = [f"kind-{number}" for number in range(count)]
                await enqueue(conn, kinds, 1, {"push_id": "00"}, ready.clock())
        return meter.statements

    assert ready.hub.call(put()) == 1
    assert len(states(ready)) == count


def test_jobs_of_a_repository_run_together_and_equal_ones_once(ready: Jobs, recorded: Recorded) -> None:
    kinds = {"a": recorded.kind("a"), "each": recorded.kind("each", once=False), "b": recorded.kind("b")}
    for _ in range(3):
        ready.enqueue("b", "each", "a")
    seen: list[JobRecord] = []
    worker = ready.worker(kinds)
    worker.observers.append(seen.append)
    assert ready.hub.call(worker.run_due()) == 9
    assert recorded.runs == ["a", "each", "each", "each", "b"]
    assert (seen[0].kind, seen[0].outcome, seen[0].jobs) == ("a", "done", 3)
    assert {outcome for _kind, outcome, _attempts in states(ready)} == {"done"}


def test_a_failing_job_is_tried_again_later_and_harms_no_other(
    ready: Jobs, recorded: Recorded, clock: TickingClock
) -> None:
    kinds = {"bad": recorded.kind("bad"), "good": recorded.kind("good")}
    recorded.errors["bad"] = [ValueError("no"), ValueError("still no")]
    ready.enqueue("bad", "good")
    worker = ready.worker(kinds)
    ready.hub.call(worker.run_due())
    assert states(ready) == [("bad", None, 1), ("good", "done", 1)]
    assert ready.hub.call(worker.run_due()) == 0
    clock.advance(seconds=FIRST_BACK_OFF_S)
    ready.hub.call(worker.run_due())
    clock.advance(seconds=2 * FIRST_BACK_OFF_S)
    ready.hub.call(worker.run_due())
    assert states(ready)[0] == ("bad", "done", 3)
    assert recorded.runs == ["bad", "good", "bad", "bad"]


def test_a_poisoned_job_ends_on_the_list_of_dead_ones(
    ready: Jobs, recorded: Recorded, clock: TickingClock
) -> None:
    recorded.errors["bad"] = [ValueError("poison")] * 10
    ready.enqueue("bad")
    worker = ready.worker({"bad": recorded.kind("bad")}, job_max_attempts=3)
    for _ in range(5):
        ready.hub.call(worker.run_due())
        clock.advance(hours=1)
    assert recorded.runs == ["bad"] * 3
    assert recorded.given_up == ["bad"]
    assert states(ready) == [("bad", "dead", 3)]

    admin = ready.hub.user("root")
    assert admin.request("GET", "/api/v1/jobs?show=dead").status == 403
    ready.execute("UPDATE users SET is_admin = TRUE WHERE name = 'root'")
    ready.execute("UPDATE tokens SET scope = 'admin'")
    listed = admin.request("GET", "/api/v1/jobs?show=dead").json()
    assert [(job["kind"], job["last_error"]) for job in listed] == [("bad", "ValueError: poison")]
    number = listed[0]["id"]
    recorded.errors["bad"] = []
    assert admin.request("POST", f"/api/v1/jobs/{number}/retry").status == 200
    # The hub, whose clock is that of the machine, said when.
    ready.execute("UPDATE outbox SET run_after = 0 WHERE done_at IS NULL")
    ready.hub.call(worker.run_due())
    assert states(ready) == [("bad", "done", 1)]
    assert admin.request("POST", "/api/v1/jobs/999999/retry").status == 404


def test_what_only_does_not_answer_is_tried_for_a_day(
    ready: Jobs, recorded: Recorded, clock: TickingClock
) -> None:
    recorded.errors["away"] = [RemoteFailure("store-unavailable", "away", retry=True) for _ in range(100)]
    ready.enqueue("away")
    worker = ready.worker({"away": recorded.kind("away")}, job_max_attempts=2)
    for _ in range(4):
        ready.hub.call(worker.run_due())
        clock.advance(hours=1)
    assert states(ready) == [("away", None, 4)]
    clock.advance(seconds=GIVE_UP_AFTER.total_seconds())
    ready.hub.call(worker.run_due())
    assert states(ready) == [("away", "dead", 5)]


def test_a_killed_workers_job_is_taken_over_when_its_lease_is_over(
    ready: Jobs, recorded: Recorded, clock: TickingClock
) -> None:
    ready.enqueue("a", "b")
    kinds = {"a": recorded.kind("a"), "b": recorded.kind("b")}

    async def claim_and_die() -> None:
        async with ready.hub.database.transaction("test") as conn:
            await claim_jobs(conn, ["a", "b"], ["a", "b"], now=clock(), lease_s=60, worker="dead", limit=10)

    ready.hub.call(claim_and_die())
    worker = ready.worker(kinds)
    assert ready.hub.call(worker.run_due()) == 0
    clock.advance(seconds=61)
    assert ready.hub.call(worker.run_due()) == 2
    assert states(ready) == [("a", "done", 2), ("b", "done", 2)]


def test_a_real_worker_killed_in_the_middle_leaves_its_job_to_the_next(
    ready: Jobs, recorded: Recorded, clock: TickingClock
) -> None:
    """The process is gone without a word; nobody but the clock says so."""
    ready.enqueue("hang")
    settings = ready.hub.settings
    program = _HANGING.format(url=settings.database_url, data=str(settings.data_dir), now=clock().isoformat())
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"running\n"
    process.kill()
    process.wait()
    process.stdout.close()
    worker = ready.worker({"hang": recorded.kind("hang")})
    assert ready.hub.call(worker.run_due()) == 0
    clock.advance(seconds=120)
    assert ready.hub.call(worker.run_due()) == 1
    assert states(ready) == [("hang", "done", 2)]


_HANGING = """
import asyncio, datetime
from musehub.settings import load_settings
from musehub.db.opening import open_database
from musehub.jobs.work import Kind, Parts
from musehub.jobs.worker import Worker

async def hang(work, payload):
    print("running", flush=True)
    await asyncio.Event().wait()

async def main():
    settings = load_settings({{"database_url": "{url}", "data_dir": "{data}"}}, environ={{}})
    parts = Parts(open_database(settings), None, settings, lambda: datetime.datetime.fromisoformat("{now}"))
    await Worker(parts, kinds={{"hang": Kind("hang", hang, "")}}).run_due()

asyncio.run(main())
"""


def test_many_workers_share_the_jobs_and_none_runs_twice(ready: Jobs, recorded: Recorded) -> None:
    kinds = {"a": recorded.kind("a", once=False)}
    for _ in range(30):
        ready.enqueue("a")
    ready.execute("UPDATE outbox SET attempts = 1")  # so that each is claimed alone

    async def work() -> list[int]:
        return await asyncio.gather(*(ready.worker(kinds).run_due() for _ in range(4)))

    assert sum(ready.hub.call(work())) == 30
    assert len(recorded.runs) == 30


def test_a_worker_sleeps_until_something_happens_and_stops_at_once(ready: Jobs, recorded: Recorded) -> None:
    kinds = {"a": recorded.kind("a")}
    worker = ready.worker(kinds, job_poll_s=600.0)
    statements: list[str] = []
    idle = asyncio.Event()

    def note(record: TransactionRecord) -> None:
        statements.append(record.name)
        if record.name == "find next job":
            idle.set()

    ready.hub.database.observers.append(note)

    async def scene() -> None:
        running = asyncio.create_task(worker.run())
        await idle.wait()
        done = asyncio.Event()
        worker.observers.append(lambda _record: done.set())
        async with ready.hub.database.transaction("finalise push") as conn:
            found = await conn.exec_driver_sql("SELECT id FROM repositories")
            await enqueue(conn, ["a"], found.scalar_one(), {}, ready.clock())
        await done.wait()
        await worker.stop()
        await running

    ready.hub.call(scene())
    assert recorded.runs == ["a"]
    assert statements.count("claim jobs") <= 4


def test_a_stopping_worker_gives_back_what_it_has_not_begun(ready: Jobs) -> None:
    started = asyncio.Event()
    runs: list[str] = []

    async def slow(_work: Work, _payload: Payload) -> None:
        runs.append("slow")
        started.set()
        await asyncio.Event().wait()

    async def other(_work: Work, _payload: Payload) -> None:
        runs.append("other")

    ready.enqueue("slow", "other")
    worker = ready.worker({"slow": Kind("slow", slow, ""), "other": Kind("other", other, "")})

    async def scene() -> None:
        running = asyncio.ensure_future(worker.run())
        await started.wait()
        await worker.stop(0.0)
        await asyncio.wait([running])

    ready.hub.call(scene())
    assert runs == ["slow"]
    assert states(ready) == [("slow", None, 0), ("other", None, 0)]
    rows = ready.rows("SELECT worker FROM outbox")
    assert rows == [(None,), (None,)]


def test_jobs_of_a_deleted_repository_vanish(ready: Jobs, recorded: Recorded) -> None:
    async def put() -> None:
        async with ready.hub.database.transaction("test") as conn:
            await enqueue(conn, ["a"], 987654321, {}, ready.clock())

    ready.hub.call(put())
    assert ready.hub.call(ready.worker({"a": recorded.kind("a")}).run_due()) == 1
    assert recorded.runs == []


def test_no_job_holds_a_connection_while_it_reads_the_store(ready: Jobs) -> None:
    """Every kind, with a store that looks at the pool at each call."""
    ready.clock = lambda: datetime(2023, 11, 15, tzinfo=UTC)
    held: list[int] = []
    ready.store.observers.append(lambda _call: held.append(ready.hub.database.checked_out))
    ready.enqueue("languages", "largest", "contributors", "churn", "hotspots", "coupling", "scrub", "dedupe")
    ready.run()
    assert held
    assert set(held) == {0}


def test_back_off_doubles_up_to_an_hour_and_is_spread() -> None:
    for attempt, longest in ((1, 5), (2, 10), (5, 80), (50, 3600)):
        waits = {back_off_s(attempt) for _ in range(50)}
        assert longest / 2 <= min(waits) <= max(waits) <= longest
        assert len(waits) > 1


def test_the_schedule_refreshes_what_ages_and_forgets_what_is_over(ready: Jobs, clock: TickingClock) -> None:
    ready.enqueue("churn", "languages")
    ready.run()
    clock.advance(days=2)
    ready.hub.call(run_schedule(ready.parts()))
    ready.hub.call(run_schedule(ready.parts()))
    assert [state for state in states(ready) if state[1] is None] == [("churn", None, 0)]
    clock.now += timedelta(days=30)
    ready.hub.call(run_schedule(ready.parts()))
    assert [kind for kind, outcome, _ in states(ready) if outcome is not None] == []
