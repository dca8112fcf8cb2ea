"""The endpoints of fetch; see docs/formats/wire.md."""

from __future__ import annotations

import time
from typing import Any

from litestar.types import Receive, Scope, Send

from muse.errors import MuseError
from muse.objects.ids import ID_BYTES
from muse.wire.fetch import parse_fetch_request
from muse.wire.fields import Fields
from musehub.accounts.request import load_request_actor
from musehub.accounts.service import Accounts
from musehub.fetch.service import FetchAnswer, FetchEvent, FetchService
from musehub.push.stream import ClientGone
from musehub.wire_http.answer import FrameAnswer
from musehub.wire_http.bodies import UNCHECKED_BYTES, Bodies
from musehub.wire_http.exchange import Exchange
from musehub.wire_http.route import RawRoute

MAX_REQUEST_BYTES = 2 << 20
"""20,000 ids and names."""
MAX_PACKS = 1_000


class FetchEndpoints:
    def __init__(self, accounts: Accounts, service: FetchService, bodies: Bodies) -> None:
        self._accounts = accounts
        self._bodies = bodies
        self._service = service
        self._settings = service.settings

    def routes(self) -> list[RawRoute]:
        return [
            RawRoute("POST", "/{owner}/{name}/fetch", self.fetch),
            RawRoute("POST", "/{owner}/{name}/fetch/presign", self.presign),
        ]

    async def fetch(self, scope: Scope, receive: Receive, send: Send, parts: dict[str, str]) -> None:
        exchange = Exchange(scope, receive, send)
        started = time.perf_counter()
        actor = await exchange.admit(load_request_actor(exchange.scope, self._accounts, self._settings))
        repository = await exchange.admit(self._service.open(actor, parts["owner"], parts["name"]))
        request = await exchange.admit(
            self._bodies.read_json(exchange, actor, MAX_REQUEST_BYTES, parse_fetch_request)
        )
        work = FetchAnswer(self._service, repository, request)
        answer = FrameAnswer(exchange, self._settings.heartbeat_s)
        outcome, code = "cancelled", None
        try:
            await work.begin(answer.send)
            async with answer.heartbeat(lambda: work.progress):
                await work.run(answer.send)
            await answer.send_end(work.counts)
            outcome = "ok"
        except ClientGone:
            return
        except Exception as error:
            outcome, code = "failed", error.code if isinstance(error, MuseError) else "internal"
            if not answer.started:
                raise
            await answer.fail(error)
            return
        finally:
            seconds = time.perf_counter() - started
            event = FetchEvent(repository, actor, outcome, code, work.counts, seconds)
            for observe in self._service.observers:
                observe(event)
        await answer.finish()

    async def presign(self, scope: Scope, receive: Receive, send: Send, parts: dict[str, str]) -> None:
        exchange = Exchange(scope, receive, send)
        actor = await exchange.admit(load_request_actor(exchange.scope, self._accounts, self._settings))
        digests = await exchange.admit(
            self._bodies.read_json(exchange, actor, UNCHECKED_BYTES, _parse_digests)
        )
        packs = await self._service.presign_again(actor, parts["owner"], parts["name"], digests)
        await exchange.answer_json({"packs": [pack.to_json() for pack in packs]})


def _parse_digests(data: Any) -> list[bytes]:
    fields = Fields("the request", data)
    return [fields.from_hex("digests", digest, ID_BYTES) for digest in fields.items("digests", MAX_PACKS)]
