"""Webhooks of a repository: what is sent where, and how it went."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from litestar import Controller, delete, get, patch, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, JSONBody, SkipValidation

from musehub.api.given import (
    GivenActor,
    GivenClock,
    GivenDatabase,
    PathInteger,
    QueryInteger,
    QueryIntegerOrNone,
    page_size,
)
from musehub.db.webhooks import AttemptRow, DeliveryRow, WebhookRow
from musehub.jobs.subscriptions import Subscriptions

MAX_PAGE = 100


class NewWebhook(msgspec.Struct, forbid_unknown_fields=True):
    """Without a secret one is made; it is in this answer and nowhere else."""

    url: str
    secret: str | None = None
    events: list[str] = msgspec.field(default_factory=lambda: ["push"])
    active: bool = True


class WebhookChange(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """What is given is changed."""

    url: str | None = None
    secret: str | None = None
    events: list[str] | None = None
    active: bool | None = None


class WebhookAnswer(msgspec.Struct):
    id: int
    url: str
    events: list[str]
    active: bool
    created_at: datetime
    updated_at: datetime
    secret: str | None = None


class AttemptAnswer(msgspec.Struct):
    started_at: datetime
    duration_s: float
    status: int | None
    error: str | None
    response: str


class DeliveryAnswer(msgspec.Struct):
    id: int
    event: str
    state: str
    created_at: datetime
    body: str
    attempts: list[AttemptAnswer]


async def provide_subscriptions(
    owner: FromPath[str],
    name: FromPath[str],
    actor: GivenActor,
    database: GivenDatabase,
    clock: GivenClock,
) -> Subscriptions:
    return Subscriptions(database, clock, actor, owner, name)


GivenSubscriptions = SkipValidation[NamedDependency[Subscriptions]]


class WebhookController(Controller):
    path = "/api/v1/repositories/{owner:str}/{name:str}/webhooks"
    tags = ["webhooks"]
    dependencies = {"hooks": Provide(provide_subscriptions)}

    @get()
    async def list_webhooks(self, hooks: GivenSubscriptions) -> list[WebhookAnswer]:
        """All webhooks, without their secrets."""
        return [_webhook(row) for row in await hooks.list_all()]

    @post()
    async def add_webhook(self, data: JSONBody[NewWebhook], hooks: GivenSubscriptions) -> WebhookAnswer:
        """Send events to a URL; addresses that are not public are refused when a delivery is sent."""
        row = await hooks.add(data.url, data.secret, data.events, data.active)
        return _webhook(row, secret=row.secret)

    @patch("/{webhook_id:int}")
    async def change_webhook(
        self,
        webhook_id: PathInteger,
        data: JSONBody[WebhookChange],
        hooks: GivenSubscriptions,
    ) -> WebhookAnswer:
        """Change what is given; `active` false stops deliveries that wait, too."""
        values: dict[str, Any] = {
            key: value for key, value in msgspec.structs.asdict(data).items() if value is not None
        }
        return _webhook(await hooks.change(webhook_id, values))

    @delete("/{webhook_id:int}", status_code=204)
    async def remove_webhook(self, webhook_id: PathInteger, hooks: GivenSubscriptions) -> None:
        """Remove a webhook with all that was to be delivered to it."""
        await hooks.remove(webhook_id)

    @get("/{webhook_id:int}/deliveries")
    async def list_deliveries(
        self,
        webhook_id: PathInteger,
        hooks: GivenSubscriptions,
        limit: QueryInteger = 30,
        before: QueryIntegerOrNone = None,
    ) -> list[DeliveryAnswer]:
        """What was sent, newest first, with every attempt; `before` is the id to go on from."""
        found = await hooks.list_deliveries(webhook_id, limit=page_size(limit, MAX_PAGE), before=before)
        return [_delivery(row, attempts) for row, attempts in found]

    @post("/{webhook_id:int}/deliveries/{delivery_id:int}/redeliver", status_code=202)
    async def redeliver(
        self,
        webhook_id: PathInteger,
        delivery_id: PathInteger,
        hooks: GivenSubscriptions,
    ) -> None:
        """Send the same body once more."""
        await hooks.redeliver(webhook_id, delivery_id)


def _webhook(row: WebhookRow, secret: str | None = None) -> WebhookAnswer:
    return WebhookAnswer(row.id, row.url, row.events, row.active, row.created_at, row.updated_at, secret)


def _delivery(row: DeliveryRow, attempts: list[AttemptRow]) -> DeliveryAnswer:
    made = [AttemptAnswer(a.started_at, a.duration_s, a.status, a.error, a.response) for a in attempts]
    return DeliveryAnswer(row.id, row.event, row.state, row.created_at, row.body, made)
