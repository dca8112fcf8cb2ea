"""Delivers one event to one webhook, and records every attempt."""

from __future__ import annotations

import hashlib
import hmac
import time

import muse
from muse.errors import RemoteFailure
from musehub.db.webhooks import (
    DELIVERED,
    FAILED,
    AttemptRow,
    DeliveryRow,
    WebhookRow,
    find_delivery,
    find_webhook,
    insert_attempt,
    set_delivery_state,
)
from musehub.jobs.sending import Answer, Refused, SendFailed, parse_networks, post
from musehub.jobs.work import Payload, Work

NAME = "delivery"


async def run(work: Work, payload: Payload) -> None:
    """POST the body, signed; anything but a 2xx answer is a failure to be tried again.

    An address that may not be reached is not tried again. A worker that dies between the answer and the
    record of it delivers twice, under the same delivery id.
    """
    database = work.parts.database
    async with database.read("find delivery") as conn:
        delivery = await find_delivery(conn, work.repository.id, int(payload["delivery_id"]))
        hook = await find_webhook(conn, work.repository.id, delivery.webhook_id) if delivery else None
    if delivery is None or hook is None or not hook.active or delivery.state == DELIVERED:
        return
    attempt, was_refused = await _attempt(work, hook, delivery)
    async with database.transaction("record attempt") as conn:
        await insert_attempt(conn, attempt)
        if attempt.error is None or was_refused:
            await set_delivery_state(conn, delivery.id, FAILED if was_refused else DELIVERED)
    if attempt.error is not None and not was_refused:
        raise RemoteFailure("remote-error", attempt.error)


async def _attempt(work: Work, hook: WebhookRow, delivery: DeliveryRow) -> tuple[AttemptRow, bool]:
    """Send it once; what came of it, and whether it was not sent because its address may not be reached."""
    settings = work.parts.settings
    started_at, started = work.parts.clock(), time.perf_counter()
    answer: Answer | None = None
    error: str | None = None
    was_refused = False
    try:
        answer = await post(
            hook.url,
            delivery.body.encode(),
            headers_of(hook, delivery, int(started_at.timestamp())),
            timeout_s=settings.webhook_timeout_s,
            allowed=parse_networks(settings.webhook_allowed_networks),
        )
        error = _find_fault(answer)
    except Refused as refusal:
        error, was_refused = str(refusal), True
    except SendFailed as failure:
        error = str(failure)
    attempt = AttemptRow(
        delivery.id,
        started_at,
        round(time.perf_counter() - started, 6),
        answer.status if answer else None,
        error,
        answer.beginning if answer else "",
    )
    return attempt, was_refused


def _find_fault(answer: Answer) -> str | None:
    if 200 <= answer.status < 300:
        return None
    redirected = "; redirects are not followed" if 300 <= answer.status < 400 else ""
    return f"the receiver answered {answer.status}{redirected}"


async def give_up(work: Work, payload: Payload) -> None:
    """The last attempt has failed."""
    async with work.parts.database.transaction("give delivery up") as conn:
        await set_delivery_state(conn, int(payload["delivery_id"]), FAILED)


def headers_of(hook: WebhookRow, delivery: DeliveryRow, timestamp: int) -> dict[str, str]:
    """What proves to the receiver that the hub sent this body at that time; see docs/jobs.md."""
    return {
        "Content-Type": "application/json",
        "User-Agent": f"musehub/{muse.__version__}",
        "X-Musehub-Event": delivery.event,
        "X-Musehub-Delivery": str(delivery.id),
        "X-Musehub-Timestamp": str(timestamp),
        "X-Musehub-Signature": f"sha256={sign(hook.secret, timestamp, delivery.body.encode())}",
    }


def sign(secret: str, timestamp: int, body: bytes) -> str:
    """HMAC-SHA-256 of the timestamp, a full stop and the body, in hex."""
    return hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
