"""Webhooks of repositories, what is to be delivered to them, and every attempt at it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from musehub.db.bulk import insert_ignore
from musehub.db.instants import to_micros
from musehub.db.tables import webhook_attempts, webhook_deliveries, webhooks

WAITING = "waiting"
DELIVERED = "delivered"
FAILED = "failed"


class WebhookRow(NamedTuple):
    id: int
    repository_id: int
    url: str
    secret: str
    events: list[str]
    active: bool
    created_at: datetime
    updated_at: datetime


class DeliveryRow(NamedTuple):
    id: int
    webhook_id: int
    repository_id: int
    event: str
    subject: bytes
    body: str
    state: str
    created_at: datetime


class AttemptRow(NamedTuple):
    delivery_id: int
    started_at: datetime
    duration_s: float
    status: int | None
    error: str | None
    response: str


_WEBHOOK = tuple(webhooks.c[name] for name in WebhookRow._fields)
_DELIVERY = tuple(webhook_deliveries.c[name] for name in DeliveryRow._fields)


async def list_webhooks(conn: AsyncConnection, repository_id: int) -> list[WebhookRow]:
    query = sa.select(*_WEBHOOK).where(webhooks.c.repository_id == repository_id).order_by(webhooks.c.id)
    return [WebhookRow._make(row) for row in await conn.execute(query)]


async def find_webhook(conn: AsyncConnection, repository_id: int, webhook_id: int) -> WebhookRow | None:
    c = webhooks.c
    query = sa.select(*_WEBHOOK).where(c.repository_id == repository_id, c.id == webhook_id)
    row = (await conn.execute(query)).first()
    return WebhookRow._make(row) if row is not None else None


async def insert_webhook(
    conn: AsyncConnection, repository_id: int, values: dict[str, Any], now: datetime
) -> int:
    values = {"repository_id": repository_id, "created_at": now, "updated_at": now, **values}
    result = await conn.execute(webhooks.insert().values(**values))
    key = result.inserted_primary_key
    assert key is not None
    return int(key[0])


async def update_webhook(conn: AsyncConnection, webhook_id: int, values: dict[str, Any]) -> None:
    await conn.execute(webhooks.update().where(webhooks.c.id == webhook_id).values(**values))


async def delete_webhook(conn: AsyncConnection, webhook_id: int) -> None:
    """With all that was to be delivered to it."""
    d = webhook_deliveries.c
    sent = sa.select(d.id).where(d.webhook_id == webhook_id)
    await conn.execute(webhook_attempts.delete().where(webhook_attempts.c.delivery_id.in_(sent)))
    await conn.execute(webhook_deliveries.delete().where(d.webhook_id == webhook_id))
    await conn.execute(webhooks.delete().where(webhooks.c.id == webhook_id))


async def insert_delivery(
    conn: AsyncConnection, webhook: WebhookRow, event: str, subject: bytes, body: str, now: datetime
) -> int | None:
    """The new delivery's id; None if this event has one for this webhook already."""
    new = await insert_ignore(
        conn,
        webhook_deliveries,
        ("webhook_id", "repository_id", "event", "subject", "body", "state", "created_at"),
        [(webhook.id, webhook.repository_id, event, subject, body, WAITING, to_micros(now))],
    )
    if not new:
        return None
    d = webhook_deliveries.c
    query = sa.select(d.id).where(d.webhook_id == webhook.id, d.event == event, d.subject == subject)
    return int((await conn.execute(query)).scalar_one())


async def find_delivery(conn: AsyncConnection, repository_id: int, delivery_id: int) -> DeliveryRow | None:
    d = webhook_deliveries.c
    query = sa.select(*_DELIVERY).where(d.repository_id == repository_id, d.id == delivery_id)
    row = (await conn.execute(query)).first()
    return DeliveryRow._make(row) if row is not None else None


async def list_deliveries(
    conn: AsyncConnection, webhook_id: int, *, limit: int, before: int | None
) -> list[tuple[DeliveryRow, list[AttemptRow]]]:
    """Newest first, each with its attempts, oldest first."""
    d, a = webhook_deliveries.c, webhook_attempts.c
    query = sa.select(*_DELIVERY).where(d.webhook_id == webhook_id).order_by(d.id.desc()).limit(limit)
    if before is not None:
        query = query.where(d.id < before)
    rows = [DeliveryRow._make(row) for row in await conn.execute(query)]
    made: dict[int, list[AttemptRow]] = {}
    columns = [a[name] for name in AttemptRow._fields]
    attempts = sa.select(*columns).where(a.delivery_id.in_([row.id for row in rows])).order_by(a.id)
    for found in await conn.execute(attempts):
        made.setdefault(found.delivery_id, []).append(AttemptRow._make(found))
    return [(row, made.get(row.id, [])) for row in rows]


async def set_delivery_state(conn: AsyncConnection, delivery_id: int, state: str) -> None:
    d = webhook_deliveries.c
    await conn.execute(webhook_deliveries.update().where(d.id == delivery_id).values(state=state))


async def insert_attempt(conn: AsyncConnection, attempt: AttemptRow) -> None:
    await conn.execute(webhook_attempts.insert().values(**attempt._asdict()))


async def delete_old_deliveries(conn: AsyncConnection, before: datetime) -> None:
    """Forget deliveries, and attempts at them, that were made before then and do not wait."""
    d = webhook_deliveries.c
    old = sa.select(d.id).where(d.created_at < before, d.state != WAITING)
    await conn.execute(webhook_attempts.delete().where(webhook_attempts.c.delivery_id.in_(old)))
    await conn.execute(webhook_deliveries.delete().where(d.created_at < before, d.state != WAITING))
