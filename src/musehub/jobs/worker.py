"""Workers: take jobs from the outbox and run them.

Each job runs at least once. A worker that dies leaves leases that expire, and another takes the jobs over.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta

from muse.errors import MuseError
from musehub.db.outbox import JobRow, claim_jobs, extend_leases, find_next_due, give_back_jobs
from musehub.db.repositories import find_repository
from musehub.db.transaction import TransactionRecord
from musehub.jobs.attempt import Attempts, JobRecord, back_off_s
from musehub.jobs.catalog import KINDS
from musehub.jobs.quiet import Patience, Traffic
from musehub.jobs.schedule import run_schedule
from musehub.jobs.work import Kind, Parts, Work
from musehub.upkeep.lease import make_holder_name

logger = logging.getLogger("musehub.jobs")

CLAIMED_AT_ONCE = 200
DELIVERIES_AT_ONCE = 4
SCHEDULE_S = 600.0
SHORT_S = 0.05
"""So long a slot sleeps at least when a job is due soon, or when another worker took it first."""
POLLS_WHEN_WOKEN = 5
"""A slot that another one of this process wakes looks by itself only once in so many polls."""
_TELLS = frozenset({"finalise push", "enqueue deliveries", "retry job", "redeliver", "schedule jobs"})
"""Transactions of this process after which there may be something to do."""


class Worker:
    """Runs jobs in this process until `stop`: `slots` of analyses at a time, and all others beside them."""

    def __init__(
        self,
        parts: Parts,
        *,
        slots: int = 1,
        kinds: Mapping[str, Kind] = KINDS,
        name: str | None = None,
        traffic: Traffic | None = None,
    ) -> None:
        """`traffic` is what analyses wait for; None where this process serves nobody."""
        self._parts = parts
        self._slots = slots
        self._kinds = kinds
        self._traffic = traffic or Traffic()
        self.name = name or make_holder_name()
        self._attempts = Attempts(parts, kinds, self.name)
        self.observers: list[Callable[[JobRecord], None]] = self._attempts.observers
        self._stopping = asyncio.Event()
        self._news: list[asyncio.Event] = []
        self._running: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Work until `stop` is called."""
        after_push = [kind for kind in self._kinds.values() if kind.after_push]
        prompt = [kind.name for kind in after_push if kind.prompt]
        analyses = [kind.name for kind in after_push if not kind.prompt]
        alone = [name for name, kind in self._kinds.items() if not kind.after_push]
        loops = []
        if prompt:
            loops += [self._loop(prompt, prompt, is_lookout=True)]
        if analyses:
            loops += [
                self._loop(analyses, analyses, is_lookout=not number, patient=True)
                for number in range(self._slots)
            ]
        if alone:
            loops += [self._loop(alone, (), is_lookout=not number) for number in range(DELIVERIES_AT_ONCE)]
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

    async def _loop(
        self, kinds: Sequence[str], together: Sequence[str], *, is_lookout: bool, patient: bool = False
    ) -> None:
        """One slot. Of those for the same kinds one is the lookout: it looks often, and wakes the others."""
        news = asyncio.Event()
        self._news.append(news)
        failures = 0
        while not self._stopping.is_set():
            news.clear()
            try:
                # Asked by reading: on SQLite claiming, even in vain, would make all writers wait.
                wait_s = await self._time_to_next(kinds, patient)
                if not wait_s and not await self._turn(kinds, together, patient):
                    wait_s = SHORT_S  # another worker was faster
                if not is_lookout and wait_s:
                    wait_s = POLLS_WHEN_WOKEN * self._parts.settings.job_poll_s
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

    async def _time_to_next(self, kinds: Sequence[str], patient: bool) -> float:
        """How long to sleep, 0 if something is due: other processes cannot wake this one, so not for long."""
        poll_s = self._parts.settings.job_poll_s
        async with self._parts.database.read("find next job") as conn:
            due = await find_next_due(conn, kinds)
        if due is None:
            return poll_s
        left_s = (due - self._parts.clock()).total_seconds()
        if left_s > 0:
            return min(poll_s, max(SHORT_S, left_s))
        if not patient:
            return 0.0
        wait_s = self._traffic.find_wait_s(self._parts.settings.job_quiet_s)
        return max(0.0, min(wait_s, self._parts.settings.job_quiet_wait_s + left_s))

    async def _turn(self, kinds: Sequence[str], together: Sequence[str], patient: bool = False) -> int:
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
        settings = self._parts.settings
        longest_s = settings.job_quiet_wait_s if patient else 0.0
        patience = Patience(self._traffic, settings.job_quiet_s, longest_s, self._sleep)
        keeping = asyncio.create_task(self._keep(left))
        try:
            await self._run_claimed(jobs, left, patience)
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

    async def _run_claimed(self, jobs: Sequence[JobRow], left: set[int], patience: Patience) -> None:
        repository_id = jobs[0].repository_id
        async with self._parts.database.read("find repository") as conn:
            repository = await find_repository(conn, repository_id) if repository_id is not None else None
        if repository is None and not self._kinds[jobs[0].kind].of_hub:
            await self._attempts.finish(jobs, left, "dropped", 0.0, 0)
            return
        work = Work(self._parts, repository, patience.wait)
        order = {name: number for number, name in enumerate(self._kinds)}
        groups: dict[tuple[int, int], list[JobRow]] = {}
        for job in jobs:
            once = self._kinds[job.kind].once
            groups.setdefault((order[job.kind], 0 if once else job.id), []).append(job)
        for _key, group in sorted(groups.items()):
            if not self._kinds[group[-1].kind].prompt:
                await patience.wait()
            if self._stopping.is_set():
                await self._give_back(left)
                return
            await self._attempts.run(work, group, left)

    async def _give_back(self, left: set[int]) -> None:
        async with self._parts.database.transaction("give back jobs") as conn:
            await give_back_jobs(conn, sorted(left), self.name, self._parts.clock())

    async def _sleep(self, seconds: float) -> bool:
        """Whether the worker is asked to stop by then."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)
        return self._stopping.is_set()

    async def _schedule(self) -> None:
        while not self._stopping.is_set():
            try:
                await run_schedule(self._parts)
            except MuseError as error:
                logger.warning("the schedule was not looked at: %s", error)
            await self._sleep(SCHEDULE_S)
