"""The endpoints of push; see docs/formats/wire.md."""

from __future__ import annotations

from typing import Any

from litestar.types import Receive, Scope, Send

from muse.errors import MuseError, NotFound
from muse.wire.messages import MAX_MISSING_IDS, PUSH_ID_BYTES
from muse.wire.parsing import parse_confirm_request, parse_missing, parse_part_request, parse_presign_request
from musehub.accounts.actor import Actor
from musehub.accounts.request import load_request_actor
from musehub.accounts.service import Accounts
from musehub.push.parts import presign_part
from musehub.push.receipts import get_receipt
from musehub.push.receive import receive_push
from musehub.push.service import PushService
from musehub.push.stream import FrameReader
from musehub.push.timeline import AUTHENTICATE, Timeline
from musehub.push.uploads import confirm_pack, find_missing, presign_pack
from musehub.wire_http.answer import FrameAnswer
from musehub.wire_http.exchange import Exchange
from musehub.wire_http.route import RawRoute

Parts = dict[str, str]


class PushEndpoints:
    def __init__(self, accounts: Accounts, service: PushService) -> None:
        self._accounts = accounts
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
        frames = FrameReader(
            exchange.read_chunk,
            max_frame_bytes=self._settings.frame_max_bytes,
            idle_timeout_s=self._settings.push_idle_timeout_s,
        )

        async def work() -> Any:
            return await receive_push(self._service, actor, parts["owner"], parts["name"], frames, timeline)

        await FrameAnswer(exchange, self._settings.heartbeat_s).run(work, lambda: timeline.progress)

    async def presign(self, scope: Scope, receive: Receive, send: Send, parts: Parts) -> None:
        exchange = Exchange(scope, receive, send)
        actor = await self._actor(exchange)
        request = parse_presign_request(await exchange.read_json(self._settings.request_max_bytes))
        answer = await presign_pack(self._service, actor, parts["owner"], parts["name"], request)
        await exchange.answer_json(answer.to_json())

    async def part(self, scope: Scope, receive: Receive, send: Send, parts: Parts) -> None:
        exchange = Exchange(scope, receive, send)
        actor = await self._actor(exchange)
        request = parse_part_request(await exchange.read_json(self._settings.request_max_bytes))
        signed = await presign_part(self._service, actor, parts["owner"], parts["name"], request)
        await exchange.answer_json(signed.to_json())

    async def confirm(self, scope: Scope, receive: Receive, send: Send, parts: Parts) -> None:
        timeline = Timeline()
        exchange = Exchange(scope, receive, send)
        actor = await self._actor(exchange)
        request = parse_confirm_request(await exchange.read_json(self._settings.request_max_bytes))

        async def work() -> Any:
            result = await confirm_pack(
                self._service, actor, parts["owner"], parts["name"], request, timeline
            )
            return result.to_json()

        await FrameAnswer(exchange, self._settings.heartbeat_s).run(work, lambda: timeline.progress)

    async def missing(self, scope: Scope, receive: Receive, send: Send, parts: Parts) -> None:
        exchange = Exchange(scope, receive, send)
        actor = await self._actor(exchange)
        kind, ids = parse_missing(await exchange.read_body(1 + 32 * MAX_MISSING_IDS))
        found = await find_missing(self._service, actor, parts["owner"], parts["name"], kind, ids)
        await exchange.answer(b"".join(found), "application/octet-stream")

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

    async def _actor(self, exchange: Exchange) -> Actor:
        """Who asks; a request that is refused here is read to its end first."""
        try:
            return await load_request_actor(exchange.scope, self._accounts, self._settings)
        except MuseError:
            await exchange.drain()
            raise
