"""Analyses give way to pushes and fetches, but not for ever; what somebody waits for is not held up."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest
from tests.musehub.hub import History, RunningHub
from tests.musehub.jobs.conftest import Jobs

from musehub.jobs.attempt import JobRecord
from musehub.jobs.quiet import Patience, Traffic
from musehub.jobs.work import Kind, Payload, Work
from musehub.jobs.worker import Worker


class Clock:
    """Seconds that pass when somebody sleeps; `events` happen when their time has come."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.events: list[tuple[float, Callable[[], object]]] = []

    def __call__(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> bool:
        self.now_s += seconds
        while self.events and self.events[0][0] <= self.now_s:
            self.events.pop(0)[1]()
        return False


async def test_it_is_quiet_some_time_after_the_last_request_ended() -> None:
    clock = Clock()
    traffic = Traffic(clock)
    assert traffic.find_wait_s(5.0) == 0.0
    with traffic.request():
        with traffic.request():
            assert traffic.find_wait_s(5.0) == 5.0
        clock.now_s += 100.0
        assert traffic.find_wait_s(5.0) == 5.0
    assert traffic.find_wait_s(5.0) == 5.0
    assert traffic.find_wait_s(0.0) == 0.0
    clock.now_s += 3.0
    assert traffic.find_wait_s(5.0) == 2.0
    clock.now_s += 2.0
    assert traffic.find_wait_s(5.0) == 0.0


async def test_a_job_waits_until_it_is_quiet() -> None:
    clock = Clock()
    traffic = Traffic(clock)
    request = traffic.request()
    request.__enter__()
    clock.events.append((1011.0, lambda: request.__exit__(None, None, None)))
    await Patience(traffic, 5.0, 60.0, clock.sleep).wait()
    assert 1016.0 <= clock.now_s <= 1020.0


async def test_on_a_hub_that_is_never_quiet_a_job_waits_only_so_long_in_all() -> None:
    clock = Clock()
    traffic = Traffic(clock)
    patience = Patience(traffic, 5.0, 60.0, clock.sleep)
    with traffic.request():
        await patience.wait()
        assert clock.now_s == 1060.0
        await patience.wait()
        assert clock.now_s == 1060.0


async def test_a_worker_that_stops_waits_no_longer() -> None:
    traffic = Traffic(Clock())
    asked: list[float] = []

    async def stop(seconds: float) -> bool:
        asked.append(seconds)
        return True

    patience = Patience(traffic, 5.0, 60.0, stop)
    with traffic.request():
        await patience.wait()
        await patience.wait()
    assert asked == [5.0]


@pytest.fixture
def ready(hub: RunningHub, jobs: Jobs) -> Jobs:
    ada = hub.user("ada").repository("notes")
    history = History()
    ada.push_main(history, history.commit_files({"a": b"1"}))
    jobs.execute("DELETE FROM outbox")
    return jobs


def kinds_of(read: bool = False) -> dict[str, Kind]:
    async def run(work: Work, _payload: Payload) -> None:
        if read:
            await work.pause()

    return {
        "at-once": Kind("at-once", run, "", prompt=True),
        "analysis": Kind("analysis", run, ""),
        "delivery": Kind("delivery", run, "", after_push=False),
    }


def test_analyses_wait_and_what_is_prompt_and_deliveries_do_not(ready: Jobs) -> None:
    clock = Clock()

    async def scene() -> list[str]:
        traffic = Traffic(clock)
        parts = ready.parts(job_quiet_s=0.01, job_quiet_wait_s=3600.0, job_poll_s=0.01)
        worker = Worker(parts, kinds=kinds_of(), traffic=traffic)
        done: asyncio.Queue[JobRecord] = asyncio.Queue()
        worker.observers.append(done.put_nowait)
        request = traffic.request()
        request.__enter__()
        running = asyncio.create_task(worker.run())
        seen = [(await done.get()).kind, (await done.get()).kind]
        assert done.empty()
        request.__exit__(None, None, None)  # the clock stands: not quiet for long enough yet
        clock.now_s += 1.0
        seen.append((await done.get()).kind)
        await worker.stop()
        await running
        return seen

    ready.enqueue("analysis", "at-once", "delivery")
    seen = ready.hub.call(scene())
    assert (set(seen[:2]), seen[2]) == ({"at-once", "delivery"}, "analysis")


def test_what_has_waited_long_enough_runs_although_it_is_not_quiet(ready: Jobs) -> None:
    async def scene() -> str:
        traffic = Traffic(Clock())
        parts = ready.parts(job_quiet_s=0.01, job_quiet_wait_s=0.0, job_poll_s=0.01)
        worker = Worker(parts, kinds=kinds_of(read=True), traffic=traffic)
        done: asyncio.Queue[JobRecord] = asyncio.Queue()
        worker.observers.append(done.put_nowait)
        with traffic.request():
            running = asyncio.create_task(worker.run())
            kind = (await done.get()).kind
            await worker.stop()
            await running
        return kind

    ready.enqueue("analysis")
    assert ready.hub.call(scene()) == "analysis"


def test_a_hub_counts_its_pushes(start_hub: Callable[..., RunningHub]) -> None:
    """The push itself keeps its analyses waiting; a day of quiet does not pass in this test."""
    hub = start_hub(workers=1, job_quiet_s=86_400.0, job_quiet_wait_s=86_400.0)
    told = threading.Event()
    hub.database.observers.append(lambda record: told.set() if record.name == "finish jobs" else None)
    history = History()
    hub.user("ada").repository("notes").push_main(history, history.commit_files({"a": b"1"}))
    assert told.wait(30)
    done = Jobs(hub).rows("SELECT DISTINCT kind FROM outbox WHERE attempts > 0")
    assert {kind for (kind,) in done} <= {"activity", "webhooks"}
