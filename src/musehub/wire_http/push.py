"""The endpoints of push; see docs/formats/wire.md."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from litestar.types import Receive, Scope, Send

from muse.errors import NotFound
from muse.wire.push import PUSH_ID_BYTES
from muse.wire.uploads import parse_confirm_request, parse_part_request, parse_presign_request
from musehub.accounts.actor import Actor
from musehub.accounts.request import load_request_actor
from musehub.accounts.service import Accounts
from musehub.push.heads import check_may_push
from musehub.push.parts import presign_part
from musehub.push.receipts import get_receipt
from musehub.push.receive import receive_push
from musehub.push.service import PushService
from musehub.push.stream import FrameReader
from musehub.push.timeline import AUTHENTICATE, Timeline
from musehub.push.uploads import confirm_pack, find_missing, presign_pack
from musehub.wire_http.answer import FrameAnswer
from musehub.wire_http.bodies import UNCHECKED_BYTES, Bodies
from musehub.wire_http.exchange import Exchange
from musehub.wire_http.route import RawRoute

Parts = dict[str, str]
T = TypeVar("T")


class PushEndpoints:
    def __init__(self, accounts: Accounts, service: PushService, bodies: Bodies) -> None:
        self._accounts = accounts
        self._bodies = bodies
        self._service = service
        self._settings = service.settings

    def routes(self) -> list[RawRoute]:
        return [
            RawRoute("POST", "/{owner}/{name}/push/stream", self.stream),
            RawRoute("POST", "/{owner}/{name}/push/presign", self.presign),
            RawRoute("POST", "/{owner}/{name}/push/part", self.part),
            RawRoute("POST", "/{owner}/{name}/push/confirm", self.confirm),
            RawRoute("POST", "/{owner}/{name}/push/missing", self.missing),
            RawRoute("GET", "/{owner}/{name}/push/{push_id}", self.receipt),
        ]

    async def stream(self, scope: Scope, receive: Receive, send: Send, parts: Parts) -> None:
        timeline = Timeline()
        exchange = Exchange(scope, receive, send)
        with timeline.phase(AUTHENTICATE):
            actor = await self._actor(exchange)

        async def work() -> Any:
            with timeline.phase(AUTHENTICATE):
                await self._check_may_push(exchange, actor, parts)
            with self._bodies.room(actor) as room:
                frames = FrameReader(
                    exchange.read_chunk,
                    max_frame_bytes=self._settings.frame_max_bytes,
                    max_json_bytes=self._settings.header_max_bytes,
                    idle_timeout_s=self._settings.push_idle_timeout_s,
                    hold=room.hold,
                )
                return await receive_push(
                    self._service, actor, parts["owner"], parts["name"], frames, timeline
                )

        await FrameAnswer(exchange, self._settings.heartbeat_s).run(work, lambda: timeline.progress)

    async def presign(self, scope: Scope, receive: Receive, send: Send, parts: Parts) -> None:
        exchange = Exchange(scope, receive, send)
        actor = await self._actor(exchange)
        request = await self._read(exchange, actor, parse_presign_request)
        answer = await presign_pack(self._service, actor, parts["owner"], parts["name"], request)
        await exchange.answer_json(answer.to_json())

    async def part(self, scope: Scope, receive: Receive, send: Send, parts: Parts) -> None:
        exchange = Exchange(scope, receive, send)
        actor = await self._actor(exchange)
        request = await self._read(exchange, actor, parse_part_request)
        signed = await presign_part(self._service, actor, parts["owner"], parts["name"], request)
        await exchange.answer_json(signed.to_json())

    async def confirm(self, scope: Scope, receive: Receive, send: Send, parts: Parts) -> None:
        timeline = Timeline()
        exchange = Exchange(scope, receive, send)
        actor = await self._actor(exchange)
        await exchange.admit(self._check_may_push(exchange, actor, parts))
        request = await self._read(exchange, actor, parse_confirm_request, self._settings.request_max_bytes)

        async def work() -> Any:
            result = await confirm_pack(
                self._service, actor, parts["owner"], parts["name"], request, timeline
            )
            return result.to_json()

        await FrameAnswer(exchange, self._settings.heartbeat_s).run(work, lambda: timeline.progress)

    async def missing(self, scope: Scope, receive: Receive, send: Send, parts: Parts) -> None:
        exchange = Exchange(scope, receive, send)
        actor = await self._actor(exchange)
        found = await exchange.admit(self._find_missing(exchange, actor, parts))
        await exchange.answer(found, "application/octet-stream")

    async def receipt(self, scope: Scope, receive: Receive, send: Send, parts: Parts) -> None:
        exchange = Exchange(scope, receive, send)
        actor = await self._actor(exchange)
        try:
            push_id = bytes.fromhex(parts["push_id"])
        except ValueError:
            push_id = b""
        if len(push_id) != PUSH_ID_BYTES:
            raise NotFound("receipt-not-found", "not the id of a push")
        answer = await get_receipt(self._service, actor, parts["owner"], parts["name"], push_id)
        await exchange.answer_json(answer)

    async def _find_missing(self, exchange: Exchange, actor: Actor, parts: Parts) -> bytes:
        owner, name = parts["owner"], parts["name"]
        await self._check_may_push(exchange, actor, parts)
        with self._bodies.room(actor) as room:
            kind, ids = await self._bodies.read_missing(exchange, room)
            return b"".join(await find_missing(self._service, actor, owner, name, kind, ids))

    async def _read(
        self,
        exchange: Exchange,
        actor: Actor,
        parse: Callable[[Any], T],
        max_bytes: int = UNCHECKED_BYTES,
    ) -> T:
        return await exchange.admit(self._bodies.read_json(exchange, actor, max_bytes, parse))

    async def _check_may_push(self, exchange: Exchange, actor: Actor, parts: Parts) -> None:
        """Before a long request is read; a short one is refused once it says what it wants."""
        size_bytes = exchange.announced_bytes
        if size_bytes is None or size_bytes > UNCHECKED_BYTES:
            await check_may_push(self._service.database, actor, parts["owner"], parts["name"])

    async def _actor(self, exchange: Exchange) -> Actor:
        """Who asks; a request that is refused here is read to its end first."""
        return await exchange.admit(load_request_actor(exchange.scope, self._accounts, self._settings))
