"""The outbox: jobs, recorded with the data that they follow from, until they are done or given up.

A job waits until `run_after`. Who claims it moves `run_after` ahead: that is the lease, and a worker that
dies needs nobody to notice it. A job leaves the queue with `done_at` and an `outcome`.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from musehub.db.bulk import insert_ignore
from musehub.db.instants import to_micros
from musehub.db.tables import outbox

DONE = "done"
DEAD = "dead"
DISCARDED = "discarded"


class JobRow(NamedTuple):
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


class QueueState(NamedTuple):
    """Jobs not done yet, those given up, and when the oldest of the former was made."""

    open: int
    dead: int
    oldest_at: datetime | None


_COLUMNS = tuple(outbox.c[name] for name in JobRow._fields)


async def enqueue(
    conn: AsyncConnection,
    kinds: Sequence[str],
    repository_id: int | None,
    payload: dict[str, Any],
    now: datetime,
) -> None:
    """Put one job of each kind into the outbox, to be run once this transaction has committed.

    One statement, whatever the number of kinds.
    """
    micros, text = to_micros(now), json.dumps(payload)
    await insert_ignore(
        conn,
        outbox,
        ("kind", "repository_id", "payload", "created_at", "run_after"),
        [(kind, repository_id, text, micros, micros) for kind in kinds],
    )


async def claim_jobs(
    conn: AsyncConnection,
    kinds: Collection[str],
    together: Collection[str],
    *,
    now: datetime,
    lease_s: float,
    worker: str,
    limit: int,
) -> list[JobRow]:
    """Lease what is due longest; `attempts` of the rows returned counts this one.

    If it is of a kind in `together` and new, the other new jobs of those kinds for the same repository come
    with it. A job that was tried before comes alone, so that one that kills its worker harms no other.
    """
    c = outbox.c
    due = c.done_at.is_(None) & (c.run_after <= now) & c.kind.in_(list(kinds))
    query = sa.select(c.id, c.kind, c.repository_id, c.attempts).where(due).order_by(c.run_after, c.id)
    first = (await conn.execute(query.limit(1).with_for_update(skip_locked=True))).first()
    if first is None:
        return []
    ids = [first.id]
    if first.kind in together and first.attempts == 0 and first.repository_id is not None:
        beside = (c.repository_id == first.repository_id) & c.kind.in_(list(together)) & (c.attempts == 0)
        query = sa.select(c.id).where(due, beside).order_by(c.id).limit(limit)
        ids = list((await conn.execute(query.with_for_update(skip_locked=True))).scalars())
    claimed = (
        outbox.update()
        .where(c.id.in_(ids))
        .values(run_after=now + timedelta(seconds=lease_s), attempts=c.attempts + 1, worker=worker)
        .returning(*_COLUMNS)
    )
    rows = [JobRow._make(row) for row in await conn.execute(claimed)]
    return sorted(rows, key=lambda row: row.id)


async def extend_leases(conn: AsyncConnection, ids: Sequence[int], worker: str, until: datetime) -> None:
    """Keep jobs that this worker still has."""
    c = outbox.c
    mine = c.id.in_(list(ids)) & (c.worker == worker) & c.done_at.is_(None)
    await conn.execute(outbox.update().where(mine).values(run_after=until))


async def finish_jobs(conn: AsyncConnection, ids: Sequence[int], outcome: str, now: datetime) -> int:
    """Take jobs out of the queue; those that left it already stay as they are."""
    c = outbox.c
    this = c.id.in_(list(ids)) & c.done_at.is_(None)
    result = await conn.execute(outbox.update().where(this).values(done_at=now, outcome=outcome, worker=None))
    return result.rowcount


async def postpone_job(
    conn: AsyncConnection, job_id: int, worker: str, error: str, run_after: datetime
) -> None:
    """Note why a job failed and when to try again, unless another worker has it by now."""
    c = outbox.c
    mine = (c.id == job_id) & (c.worker == worker) & c.done_at.is_(None)
    values = {"last_error": error, "run_after": run_after, "worker": None}
    await conn.execute(outbox.update().where(mine).values(**values))


async def bury_job(conn: AsyncConnection, job_id: int, worker: str, error: str, now: datetime) -> None:
    """Give a job up: it stays in the list of dead ones until somebody retries or discards it."""
    c = outbox.c
    mine = (c.id == job_id) & (c.worker == worker) & c.done_at.is_(None)
    values = {"last_error": error, "done_at": now, "outcome": DEAD, "worker": None}
    await conn.execute(outbox.update().where(mine).values(**values))


async def give_back_jobs(conn: AsyncConnection, ids: Sequence[int], worker: str, now: datetime) -> None:
    """Undo a claim, as if it had not been: the worker stops before it has begun with them."""
    c = outbox.c
    mine = c.id.in_(list(ids)) & (c.worker == worker) & c.done_at.is_(None)
    values = {"run_after": now, "attempts": c.attempts - 1, "worker": None}
    await conn.execute(outbox.update().where(mine).values(**values))


async def find_next_due(conn: AsyncConnection, kinds: Collection[str]) -> datetime | None:
    """When the next job of these kinds may run."""
    c = outbox.c
    query = sa.select(sa.func.min(c.run_after)).where(c.done_at.is_(None), c.kind.in_(list(kinds)))
    due: datetime | None = (await conn.execute(query)).scalar()
    return due


async def find_job(conn: AsyncConnection, job_id: int) -> JobRow | None:
    row = (await conn.execute(sa.select(*_COLUMNS).where(outbox.c.id == job_id))).first()
    return JobRow._make(row) if row is not None else None


async def list_jobs(conn: AsyncConnection, state: str, *, limit: int, before: int | None) -> list[JobRow]:
    """Newest first; `state` is open, dead, done, discarded or all; `before` is the id to go on from."""
    c = outbox.c
    query = sa.select(*_COLUMNS).order_by(c.id.desc()).limit(limit)
    if state == "open":
        query = query.where(c.done_at.is_(None))
    elif state != "all":
        query = query.where(c.outcome == state)
    if before is not None:
        query = query.where(c.id < before)
    return [JobRow._make(row) for row in await conn.execute(query)]


async def revive_job(conn: AsyncConnection, job_id: int, now: datetime) -> None:
    """Put a job back into the queue, with all its attempts before it."""
    values = {"done_at": None, "outcome": None, "worker": None, "attempts": 0, "run_after": now}
    await conn.execute(outbox.update().where(outbox.c.id == job_id).values(**values))


async def set_outcome(conn: AsyncConnection, job_id: int, outcome: str) -> None:
    """Say otherwise how a job that left the queue ended."""
    c = outbox.c
    this = (c.id == job_id) & c.done_at.is_not(None)
    await conn.execute(outbox.update().where(this).values(outcome=outcome))


async def has_open_job(conn: AsyncConnection, kind: str, repository_id: int) -> bool:
    c = outbox.c
    this = (c.kind == kind) & (c.repository_id == repository_id) & c.done_at.is_(None)
    return bool(await conn.scalar(sa.select(sa.exists().where(this))))


async def delete_done_jobs(conn: AsyncConnection, before: datetime) -> int:
    """Forget jobs that ended long ago; dead ones are kept."""
    c = outbox.c
    old = (c.done_at < before) & (c.outcome != DEAD)
    return (await conn.execute(outbox.delete().where(old))).rowcount


async def load_queue_state(conn: AsyncConnection) -> QueueState:
    c = outbox.c
    waiting = c.done_at.is_(None)
    query = sa.select(sa.func.count(), sa.func.min(c.created_at)).where(waiting)
    open_jobs, oldest = (await conn.execute(query)).one()
    dead = await conn.scalar(sa.select(sa.func.count()).where(c.outcome == DEAD, c.done_at.is_not(None)))
    return QueueState(open_jobs, dead or 0, oldest)
