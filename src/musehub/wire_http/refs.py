"""`GET refs`: what a client wants to know before it fetches or pushes."""

from __future__ import annotations

from litestar.types import Receive, Scope, Send

from muse.wire.refs import RefsAnswer
from musehub.accounts.permissions import Action, decide
from musehub.accounts.request import load_request_actor
from musehub.accounts.service import Accounts
from musehub.db.engine import Database
from musehub.db.refs import list_refs
from musehub.db.repositories import find_owner_and_repository
from musehub.push.heads import absent_repository
from musehub.repos.access import access_of
from musehub.repos.limits import limits_of
from musehub.settings import Settings
from musehub.wire_http.exchange import Exchange
from musehub.wire_http.route import RawRoute


class RefsEndpoint:
    def __init__(self, accounts: Accounts, database: Database, settings: Settings) -> None:
        self._accounts = accounts
        self._database = database
        self._settings = settings
        self._limits = limits_of(settings)

    def routes(self) -> list[RawRoute]:
        return [RawRoute("GET", "/{owner}/{name}/refs", self.get)]

    async def get(self, scope: Scope, receive: Receive, send: Send, parts: dict[str, str]) -> None:
        exchange = Exchange(scope, receive, send)
        actor = await load_request_actor(exchange.scope, self._accounts, self._settings)
        owner, name = parts["owner"], parts["name"]
        async with self._database.read("list refs") as conn:
            owner_id, row = await find_owner_and_repository(conn, owner, name, actor.user_id)
            if row is None:
                raise absent_repository(actor, owner_id, owner, name, self._limits)
            decide(actor, Action.READ, access_of(row), f"{owner}/{name}").require()
            refs = await list_refs(conn, row.id)
        answer = RefsAnswer(
            repository=row.full_name,
            default_branch=row.default_branch,
            refs=refs,
            limits=self._limits,
            visibility=row.visibility,
            may_write=decide(actor, Action.WRITE, access_of(row)).allowed,
        )
        await exchange.answer_json(answer.to_json())
