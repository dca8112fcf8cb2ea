"""The queue as administrators see it."""

from __future__ import annotations

from collections.abc import Iterable

from muse.errors import Conflict, NotFound, UsageError
from musehub.db.engine import Database
from musehub.db.instants import Clock
from musehub.db.outbox import (
    DISCARDED,
    JobRow,
    QueueState,
    find_job,
    finish_jobs,
    list_jobs,
    load_queue_state,
    revive_job,
    set_outcome,
)
from musehub.db.repositories import load_full_names

STATES = ("open", "dead", "done", "discarded", "all")


class Queue:
    """All jobs of a hub."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def list(self, state: str = "open", *, limit: int = 100, before: int | None = None) -> list[JobRow]:
        """Newest first; raises UsageError for another state than those of `STATES`."""
        if state not in STATES:
            raise UsageError("bad-arguments", f'a job is never "{state}"', hint=f"one of {', '.join(STATES)}")
        async with self._database.read("list jobs") as conn:
            return await list_jobs(conn, state, limit=limit, before=before)

    async def load_repository_names(self, jobs: Iterable[JobRow]) -> dict[int, str]:
        """What the repositories of these jobs are called; those that were removed are left out."""
        ids = {job.repository_id for job in jobs if job.repository_id is not None}
        async with self._database.read("name repositories") as conn:
            return await load_full_names(conn, ids)

    async def load_state(self) -> QueueState:
        async with self._database.read("count jobs") as conn:
            return await load_queue_state(conn)

    async def retry(self, job_id: int) -> JobRow:
        """Run a job now that waits to be tried again, or that was given up; raises `job-not-found`."""
        async with self._database.transaction("retry job") as conn:
            job = await find_job(conn, job_id)
            if job is None:
                raise _not_found(job_id)
            if job.worker is not None and job.run_after > self._clock():
                raise Conflict("job-running", f"job {job_id} is running right now", hint="wait for its end")
            await revive_job(conn, job_id, self._clock())
            found = await find_job(conn, job_id)
        assert found is not None
        return found

    async def discard(self, job_id: int) -> JobRow:
        """Take a job off the queue or off the list of dead ones; it is not run again."""
        async with self._database.transaction("discard job") as conn:
            if await find_job(conn, job_id) is None:
                raise _not_found(job_id)
            await finish_jobs(conn, [job_id], DISCARDED, self._clock())
            await set_outcome(conn, job_id, DISCARDED)
            found = await find_job(conn, job_id)
        assert found is not None
        return found


def _not_found(job_id: int) -> NotFound:
    return NotFound("job-not-found", f"there is no job {job_id}", hint="jobs done long ago are forgotten")
