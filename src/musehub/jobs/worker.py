"""Workers: take jobs from the outbox, run them, note how it went.

Each job runs at least once. A worker that dies leaves leases that expire, and another takes the jobs over.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import secrets
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import NamedTuple

from muse.errors import MuseError
from musehub.db.outbox import (
    DONE,
    JobRow,
    bury_job,
    claim_jobs,
    extend_leases,
    find_next_due,
    finish_jobs,
    give_back_jobs,
    postpone_job,
)
from musehub.db.repositories import find_repository
from musehub.db.transaction import TransactionRecord, metered
from musehub.jobs.catalog import KINDS
from musehub.jobs.schedule import run_schedule
from musehub.jobs.work import Kind, Parts, Work

logger = logging.getLogger("musehub.jobs")

CLAIMED_AT_ONCE = 200
DELIVERIES_AT_ONCE = 4
FIRST_BACK_OFF_S = 5.0
LONGEST_BACK_OFF_S = 3600.0
GIVE_UP_AFTER = timedelta(days=1)
"""For so long jobs are tried again that fail only because something does not answer."""
SCHEDULE_S = 600.0
SHORT_S = 0.05
SELDOM = 5
_TELLS = frozenset({"finalise push", "enqueue deliveries", "retry job", "redeliver", "schedule jobs"})
"""Transactions of this process after which there may be something to do."""


class JobRecord(NamedTuple):
    """One run of a job, as logs and metrics see it; `jobs` counts those that it did for."""

    kind: str
    outcome: str
    jobs: int
    job_id: int
    repository_id: int | None
    attempt: int
    seconds: float
    statements: int
    error: str | None


OUTCOMES = {
    "done": "it did what it should",
    "failed": "it will be tried again",
    "dead": "it failed for the last time and waits for an administrator",
    "dropped": "its repository or its kind does not exist any more",
}


class Worker:
    """Runs jobs in this process until `stop`: `slots` of analyses at a time, and deliveries beside them."""

    def __init__(
        self, parts: Parts, *, slots: int = 1, kinds: Mapping[str, Kind] = KINDS, name: str | None = None
    ) -> None:
        self._parts = parts
        self._slots = slots
        self._kinds = kinds
        self.name = name or f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}"
        self.observers: list[Callable[[JobRecord], None]] = []
        self._stopping = asyncio.Event()
        self._news: list[asyncio.Event] = []
        self._running: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Work until `stop` is called."""
        together = [name for name, kind in self._kinds.items() if kind.after_push]
        alone = [name for name, kind in self._kinds.items() if not kind.after_push]
        loops = [self._loop(together, together, looks=not number) for number in range(self._slots)]
        if alone:
            loops += [self._loop(alone, (), looks=not number) for number in range(DELIVERIES_AT_ONCE)]
        self._parts.database.observers.append(self._notice)
        try:
            tasks = [asyncio.create_task(loop) for loop in [*loops, self._schedule()]]
            self._running.update(tasks)
            await asyncio.gather(*tasks)
        finally:
            self._parts.database.observers.remove(self._notice)

    async def stop(self, grace_s: float = 10.0) -> None:
        """Begin nothing new, let what runs end within `grace_s`, cancel the rest: it is done again later."""
        self._stopping.set()
        self._tell()
        if self._running:
            _done, left = await asyncio.wait(self._running, timeout=grace_s)
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    async def run_due(self) -> int:
        """Run all that is due now, and return how many jobs that were; for tests and maintenance."""
        together = [name for name, kind in self._kinds.items() if kind.after_push]
        count = 0
        while not self._stopping.is_set():
            done = await self._turn(list(self._kinds), together)
            if not done:
                return count
            count += done
        return count

    def _notice(self, record: TransactionRecord) -> None:
        if record.committed and record.name in _TELLS:
            self._tell()

    def _tell(self) -> None:
        for news in self._news:
            news.set()

    async def _loop(self, kinds: Sequence[str], together: Sequence[str], *, looks: bool) -> None:
        """One slot. One of those for the same kinds looks often, and wakes the others."""
        news = asyncio.Event()
        self._news.append(news)
        failures = 0
        while not self._stopping.is_set():
            news.clear()
            try:
                # Asked by reading: on SQLite claiming, even in vain, would make all writers wait.
                wait_s = await self._time_to_next(kinds)
                if not wait_s and not await self._turn(kinds, together):
                    wait_s = SHORT_S  # another worker was faster
                if not looks and wait_s:
                    wait_s = SELDOM * self._parts.settings.job_poll_s
                failures = 0
            except MuseError as error:  # the database is away or busy: leases see to it that nothing is lost
                failures += 1
                wait_s = back_off_s(failures, first_s=self._parts.settings.job_poll_s, longest_s=60.0)
                logger.warning("no jobs can be taken at the moment: %s", error)
            except Exception:
                failures += 1
                wait_s = back_off_s(failures, first_s=self._parts.settings.job_poll_s, longest_s=60.0)
                logger.exception("the worker failed outside of a job")
            if wait_s and not self._stopping.is_set():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(news.wait(), wait_s)

    async def _time_to_next(self, kinds: Sequence[str]) -> float:
        """How long to sleep, 0 if something is due: other processes cannot wake this one, so not for long."""
        poll_s = self._parts.settings.job_poll_s
        async with self._parts.database.read("find next job") as conn:
            due = await find_next_due(conn, kinds)
        if due is None:
            return poll_s
        left_s = (due - self._parts.clock()).total_seconds()
        return 0.0 if left_s <= 0 else min(poll_s, max(SHORT_S, left_s))

    async def _turn(self, kinds: Sequence[str], together: Sequence[str]) -> int:
        async with self._parts.database.transaction("claim jobs") as conn:
            jobs = await claim_jobs(
                conn,
                kinds,
                together,
                now=self._parts.clock(),
                lease_s=self._parts.settings.job_lease_s,
                worker=self.name,
                limit=CLAIMED_AT_ONCE,
            )
        if not jobs:
            return 0
        self._tell()  # there may be more
        left = {job.id for job in jobs}
        keeping = asyncio.create_task(self._keep(left))
        try:
            await self._run_claimed(jobs, left)
        except asyncio.CancelledError:
            await self._give_back(left)
            raise
        finally:
            keeping.cancel()
            await asyncio.wait([keeping])
        return len(jobs)

    async def _keep(self, left: set[int]) -> None:
        """Extend the leases of what is not done yet, for as long as this process lives."""
        lease_s = self._parts.settings.job_lease_s
        while True:
            await asyncio.sleep(lease_s / 3)
            with contextlib.suppress(MuseError):
                async with self._parts.database.transaction("extend leases") as conn:
                    until = self._parts.clock() + timedelta(seconds=lease_s)
                    await extend_leases(conn, sorted(left), self.name, until)

    async def _run_claimed(self, jobs: Sequence[JobRow], left: set[int]) -> None:
        repository_id = jobs[0].repository_id
        async with self._parts.database.read("find repository") as conn:
            repository = await find_repository(conn, repository_id) if repository_id is not None else None
        if repository is None and not self._kinds[jobs[0].kind].of_hub:
            await self._finish(jobs, left, "dropped", 0.0, 0)
            return
        work = Work(self._parts, repository)
        order = {name: number for number, name in enumerate(self._kinds)}
        groups: dict[tuple[int, int], list[JobRow]] = {}
        for job in jobs:
            once = self._kinds[job.kind].once
            groups.setdefault((order[job.kind], 0 if once else job.id), []).append(job)
        for _key, group in sorted(groups.items()):
            if self._stopping.is_set():
                await self._give_back(left)
                return
            await self._run_one(work, group, left)

    async def _give_back(self, left: set[int]) -> None:
        async with self._parts.database.transaction("give back jobs") as conn:
            await give_back_jobs(conn, sorted(left), self.name, self._parts.clock())

    async def _run_one(self, work: Work, group: Sequence[JobRow], left: set[int]) -> None:
        """Run the newest of the group for all of them."""
        job = group[-1]
        kind = self._kinds[job.kind]
        limit_s = None if kind.of_hub else self._parts.settings.job_timeout_s
        started = time.perf_counter()
        with metered() as meter:
            try:
                async with asyncio.timeout(limit_s):
                    await kind.run(work, job.payload)
            except Exception as error:
                seconds = time.perf_counter() - started
                await self._note_failure(work, kind, group, error, seconds, meter.statements)
                left.difference_update(one.id for one in group)
                return
        await self._finish(group, left, "done", time.perf_counter() - started, meter.statements)

    async def _finish(
        self, jobs: Sequence[JobRow], left: set[int], outcome: str, seconds: float, statements: int
    ) -> None:
        ids = [job.id for job in jobs]
        async with self._parts.database.transaction("finish jobs") as conn:
            await finish_jobs(conn, ids, DONE, self._parts.clock())
        left.difference_update(ids)
        self._report(jobs, outcome, seconds, statements, None)

    async def _note_failure(
        self,
        work: Work,
        kind: Kind,
        jobs: Sequence[JobRow],
        error: Exception,
        seconds: float,
        statements: int,
    ) -> None:
        if isinstance(error, MuseError):
            text = f"{error.code}: {error.message}"
        elif isinstance(error, TimeoutError):
            text = f"it took longer than {self._parts.settings.job_timeout_s:g} s"
        else:
            text = f"{type(error).__name__}: {error}"
            logger.error("job %s of kind %s failed", jobs[-1].id, kind.name, exc_info=error)
        text = text[:1000].replace("\0", "\ufffd")
        now = self._parts.clock()
        dead = [job for job in jobs if self._is_last(job, error)]
        async with self._parts.database.transaction("note failed job") as conn:
            for job in jobs:
                if job in dead:
                    await bury_job(conn, job.id, self.name, text, now)
                else:
                    again = now + timedelta(seconds=back_off_s(job.attempts))
                    await postpone_job(conn, job.id, self.name, text, again)
        if dead and kind.give_up is not None:
            await kind.give_up(work, dead[-1].payload)
        for outcome, some in (("dead", dead), ("failed", [job for job in jobs if job not in dead])):
            if some:
                self._report(some, outcome, seconds, statements, text)

    def _is_last(self, job: JobRow, error: Exception) -> bool:
        if job.attempts < self._parts.settings.job_max_attempts:
            return False
        waits = isinstance(error, MuseError) and error.retry
        return not waits or self._parts.clock() - job.created_at > GIVE_UP_AFTER

    def _report(
        self, jobs: Sequence[JobRow], outcome: str, seconds: float, statements: int, error: str | None
    ) -> None:
        job = jobs[-1]
        record = JobRecord(
            job.kind,
            outcome,
            len(jobs),
            job.id,
            job.repository_id,
            job.attempts,
            seconds,
            statements,
            error,
        )
        for observe in self.observers:
            observe(record)

    async def _schedule(self) -> None:
        while not self._stopping.is_set():
            try:
                await run_schedule(self._parts)
            except MuseError as error:
                logger.warning("the schedule was not looked at: %s", error)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), SCHEDULE_S)


def back_off_s(
    attempt: int, first_s: float = FIRST_BACK_OFF_S, longest_s: float = LONGEST_BACK_OFF_S
) -> float:
    """How long to wait after that many attempts: doubling, and spread so that not all come back at once."""
    longest = min(longest_s, first_s * 2.0 ** min(attempt - 1, 30))
    return longest * random.uniform(0.5, 1.0)
