"""The queue of jobs, for administrators."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from litestar import Controller, delete, get, post
from litestar.params import FromQuery

from musehub.api.given import (
    GivenActor,
    GivenClock,
    GivenDatabase,
    PathInteger,
    QueryInteger,
    QueryIntegerOrNone,
    page_size,
)
from musehub.api.users import require_site_admin
from musehub.db.outbox import JobRow
from musehub.jobs.admin import Queue

MAX_PAGE = 1_000


class JobAnswer(msgspec.Struct):
    """`outcome` is null while a job waits or runs; `worker` has it right now, or had it when it died."""

    id: int
    kind: str
    repository_id: int | None
    payload: dict[str, Any]
    created_at: datetime
    run_after: datetime
    attempts: int
    last_error: str | None
    done_at: datetime | None
    outcome: str | None
    worker: str | None


class JobController(Controller):
    path = "/api/v1/jobs"
    tags = ["jobs"]

    @get()
    async def list_jobs(
        self,
        actor: GivenActor,
        database: GivenDatabase,
        clock: GivenClock,
        show: FromQuery[str] = "open",
        limit: QueryInteger = 100,
        before: QueryIntegerOrNone = None,
    ) -> list[JobAnswer]:
        """Newest first: `open`, `dead`, `done`, `discarded` or `all`; `before` is the id to go on from."""
        require_site_admin(actor)
        rows = await Queue(database, clock).list(show, limit=page_size(limit, MAX_PAGE), before=before)
        return [job_answer(row) for row in rows]

    @post("/{job_id:int}/retry", status_code=200)
    async def retry_job(
        self, job_id: PathInteger, actor: GivenActor, database: GivenDatabase, clock: GivenClock
    ) -> JobAnswer:
        """Run a job again now, with all its attempts before it."""
        require_site_admin(actor)
        return job_answer(await Queue(database, clock).retry(job_id))

    @delete("/{job_id:int}", status_code=200)
    async def discard_job(
        self, job_id: PathInteger, actor: GivenActor, database: GivenDatabase, clock: GivenClock
    ) -> JobAnswer:
        """Take a job off the queue, or off the list of dead ones."""
        require_site_admin(actor)
        return job_answer(await Queue(database, clock).discard(job_id))


def job_answer(row: JobRow) -> JobAnswer:
    return JobAnswer(**row._asdict())
