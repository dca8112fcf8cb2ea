"""Webhooks of a repository, as those who administer it set them up."""

from __future__ import annotations

import secrets
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from muse.errors import LimitReached, NotFound, UsageError
from musehub.accounts.actor import Actor
from musehub.accounts.permissions import Action
from musehub.db.engine import Database
from musehub.db.instants import Clock
from musehub.db.outbox import enqueue
from musehub.db.webhooks import (
    WAITING,
    AttemptRow,
    DeliveryRow,
    WebhookRow,
    delete_webhook,
    find_delivery,
    find_webhook,
    insert_webhook,
    list_deliveries,
    list_webhooks,
    set_delivery_state,
    update_webhook,
)
from musehub.jobs.kinds import deliver, notify
from musehub.jobs.sending import parse_target
from musehub.repos.access import get_repository

EVENTS = (notify.EVENT,)
MAX_WEBHOOKS = 20
MIN_SECRET = 16


class Subscriptions:
    """The webhooks of one repository, for one actor.

    Every method raises what `get_repository` raises, and NotFound("webhook-not-found").
    """

    def __init__(self, database: Database, clock: Clock, actor: Actor, owner: str, name: str) -> None:
        self._database = database
        self._clock = clock
        self._actor = actor
        self._owner = owner
        self._name = name

    async def list_all(self) -> list[WebhookRow]:
        async with self._database.read("list webhooks") as conn:
            return await list_webhooks(conn, await self._open(conn))

    async def add(self, url: str, secret: str | None, events: list[str], active: bool) -> WebhookRow:
        """Makes a secret where none is given; raises UsageError, LimitReached."""
        values = _checked({"url": url, "secret": secret or secrets.token_urlsafe(32), "events": events})
        async with self._database.transaction("add webhook") as conn:
            repository_id = await self._open(conn)
            if len(await list_webhooks(conn, repository_id)) >= MAX_WEBHOOKS:
                raise LimitReached("too-large", f"a repository has no more than {MAX_WEBHOOKS} webhooks")
            values["active"] = active
            webhook_id = await insert_webhook(conn, repository_id, values, self._clock())
            return await self._get(conn, repository_id, webhook_id)

    async def change(self, webhook_id: int, values: dict[str, Any]) -> WebhookRow:
        """Set what is given: url, secret, events, active."""
        checked = _checked(values)
        async with self._database.transaction("change webhook") as conn:
            repository_id = await self._open(conn)
            await self._get(conn, repository_id, webhook_id)
            await update_webhook(conn, webhook_id, {**checked, "updated_at": self._clock()})
            return await self._get(conn, repository_id, webhook_id)

    async def remove(self, webhook_id: int) -> None:
        async with self._database.transaction("remove webhook") as conn:
            await self._get(conn, await self._open(conn), webhook_id)
            await delete_webhook(conn, webhook_id)

    async def list_deliveries(
        self, webhook_id: int, *, limit: int, before: int | None
    ) -> list[tuple[DeliveryRow, list[AttemptRow]]]:
        """Newest first, each with its attempts."""
        async with self._database.read("list deliveries") as conn:
            await self._get(conn, await self._open(conn), webhook_id)
            return await list_deliveries(conn, webhook_id, limit=limit, before=before)

    async def redeliver(self, webhook_id: int, delivery_id: int) -> None:
        """Deliver the same body once more, under the same delivery id and a new timestamp."""
        now = self._clock()
        async with self._database.transaction("redeliver") as conn:
            repository_id = await self._open(conn)
            await self._get(conn, repository_id, webhook_id)
            delivery = await find_delivery(conn, repository_id, delivery_id)
            if delivery is None or delivery.webhook_id != webhook_id:
                raise _not_found("delivery", delivery_id)
            await set_delivery_state(conn, delivery_id, WAITING)
            await enqueue(conn, [deliver.NAME], repository_id, {"delivery_id": delivery_id}, now)

    async def _open(self, conn: AsyncConnection) -> int:
        return (await get_repository(conn, self._actor, Action.ADMINISTER, self._owner, self._name)).id

    async def _get(self, conn: AsyncConnection, repository_id: int, webhook_id: int) -> WebhookRow:
        found = await find_webhook(conn, repository_id, webhook_id)
        if found is None:
            raise _not_found("webhook", webhook_id)
        return found


def _checked(values: dict[str, Any]) -> dict[str, Any]:
    if "url" in values:
        parse_target(values["url"])
    if "secret" in values and len(values["secret"]) < MIN_SECRET:
        raise UsageError("bad-arguments", f"the secret of a webhook has {MIN_SECRET} characters at least")
    if "events" in values:
        unknown = sorted(set(values["events"]).difference(EVENTS))
        if unknown or not values["events"]:
            raise UsageError(
                "bad-arguments",
                f'there is no event "{unknown[0]}"' if unknown else "a webhook wants one event at least",
                hint=f"events are: {', '.join(EVENTS)}",
            )
    return dict(values)


def _not_found(what: str, number: int) -> NotFound:
    return NotFound("webhook-not-found", f"this repository has no {what} {number}")
