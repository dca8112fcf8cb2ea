"""One run of a job, and what is noted of it: done, tried again later, or given up."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import NamedTuple

from muse.errors import MuseError
from musehub.db.outbox import DONE, JobRow, bury_job, finish_jobs, postpone_job
from musehub.db.transaction import metered
from musehub.jobs.work import Kind, Parts, Work

logger = logging.getLogger("musehub.jobs")

FIRST_BACK_OFF_S = 5.0
LONGEST_BACK_OFF_S = 3600.0
GIVE_UP_AFTER = timedelta(days=1)
"""For so long jobs are tried again that fail only because something does not answer."""


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


class Attempts:
    """Runs jobs that the worker of that name has claimed; `observers` are told of every run."""

    def __init__(self, parts: Parts, kinds: Mapping[str, Kind], worker: str) -> None:
        self._parts = parts
        self._kinds = kinds
        self._worker = worker
        self.observers: list[Callable[[JobRecord], None]] = []

    async def run(self, work: Work, group: Sequence[JobRow], left: set[int]) -> None:
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
        await self.finish(group, left, "done", time.perf_counter() - started, meter.statements)

    async def finish(
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
                    await bury_job(conn, job.id, self._worker, text, now)
                else:
                    again = now + timedelta(seconds=back_off_s(job.attempts))
                    await postpone_job(conn, job.id, self._worker, text, again)
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


def back_off_s(
    attempt: int, first_s: float = FIRST_BACK_OFF_S, longest_s: float = LONGEST_BACK_OFF_S
) -> float:
    """How long to wait after that many attempts: doubling, and spread so that not all come back at once."""
    longest = min(longest_s, first_s * 2.0 ** min(attempt - 1, 30))
    return longest * random.uniform(0.5, 1.0)
