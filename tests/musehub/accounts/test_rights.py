"""What was allowed when a request came is looked at again where it acts, on both databases."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.musehub.conftest import TickingClock

from muse.errors import AccessDenied, LimitReached, NotFound
from musehub.accounts.actor import Actor
from musehub.accounts.permissions import Action
from musehub.accounts.rights import check_still_allowed
from musehub.accounts.service import Accounts
from musehub.db.engine import Database
from musehub.db.repositories import insert_repository
from musehub.db.tables import tokens
from musehub.db.tokens import revoke_token


class Scene:
    """A private repository of ada."""

    def __init__(self, database: Database, accounts: Accounts, clock: TickingClock) -> None:
        self.database = database
        self.accounts = accounts
        self.clock = clock

    async def begin(self) -> None:
        self.ada = await self.accounts.users.create("ada")
        async with self.database.transaction("test") as conn:
            self.repository_id = await insert_repository(
                conn,
                self.ada.id,
                "notes",
                visibility="private",
                description="",
                default_branch="main",
                now=self.clock(),
            )

    async def actor(self, scope: str = "write", repository_id: int | None = None) -> Actor:
        ttl = timedelta(hours=1)
        token = await self.accounts.tokens.issue(
            self.ada.id, scope=scope, ttl=ttl, repository_id=repository_id
        )
        assert token.secret is not None
        return await self.accounts.tokens.load_actor(token.secret)

    async def check(self, actor: Actor) -> None:
        async with self.database.transaction("check") as conn:
            await check_still_allowed(
                conn, actor, Action.WRITE, self.repository_id, "ada/notes", self.clock()
            )


@pytest.fixture
async def scene(database: Database, accounts: Accounts, clock: TickingClock) -> Scene:
    made = Scene(database, accounts, clock)
    await made.begin()
    return made


async def test_a_token_allows_what_it_did(scene: Scene) -> None:
    await scene.check(await scene.actor())
    await scene.check(await scene.actor(repository_id=scene.repository_id))
    with pytest.raises(AccessDenied, match="write"):
        await scene.check(await scene.actor("read"))
    with pytest.raises(NotFound):
        await scene.check(await scene.actor(repository_id=scene.repository_id + 1))


async def test_a_token_that_has_expired_and_is_forgotten(scene: Scene) -> None:
    actor = await scene.actor()
    scene.clock.advance(hours=1)
    with pytest.raises(AccessDenied) as caught:
        await scene.check(actor)
    assert caught.value.code == "token-expired"
    async with scene.database.transaction("as a clean-up does, later") as conn:
        await conn.execute(tokens.delete())
    with pytest.raises(AccessDenied) as caught:
        await scene.check(actor)
    assert caught.value.code == "bad-credentials"


@pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)
async def test_who_takes_it_away_waits_until_what_was_let_in_has_ended(scene: Scene) -> None:
    """On SQLite, writers wait for each other anyway."""
    actor = await scene.actor()

    async def revoke() -> bool:
        assert actor.token_id is not None
        async with scene.database.transaction("revoke") as conn:
            await conn.exec_driver_sql("SET LOCAL lock_timeout = '20ms'")
            return await revoke_token(conn, scene.ada.id, actor.token_id, scene.clock())

    async with scene.database.transaction("act") as conn:
        await check_still_allowed(conn, actor, Action.WRITE, scene.repository_id, "ada/notes", scene.clock())
        await scene.check(await scene.actor())  # others act at the same time
        with pytest.raises(LimitReached):
            await revoke()
    assert await revoke()
