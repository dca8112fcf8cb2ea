"""How much repositories and users may hold, and which signatures a repository demands."""

from __future__ import annotations

import msgspec
from litestar import Controller, get, put
from litestar.params import FromPath, JSONBody

from musehub.accounts.permissions import Action
from musehub.api.auth import require_user
from musehub.api.given import GivenActor, GivenDatabase, GivenSettings
from musehub.api.users import require_site_admin
from musehub.repos.access import get_repository
from musehub.upkeep.room import Room, load_room, set_room, set_signature_policy


class RoomAnswer(msgspec.Struct):
    """Limits: 0 is none; those of its own are null where the settings of the hub decide."""

    name: str
    used_bytes: int
    used_objects: int
    max_bytes: int
    max_objects: int
    own_max_bytes: int | None
    own_max_objects: int | None


class RoomChange(msgspec.Struct, forbid_unknown_fields=True):
    """0 is no limit, null as the settings say."""

    max_bytes: int | None
    max_objects: int | None


class SignaturePolicy(msgspec.Struct, forbid_unknown_fields=True):
    """none, signed or known."""

    policy: str


class UpkeepController(Controller):
    path = "/api/v1"
    tags = ["upkeep"]

    @get("/repositories/{owner:str}/{name:str}/quota")
    async def show_repository_quota(
        self,
        owner: FromPath[str],
        name: FromPath[str],
        actor: GivenActor,
        database: GivenDatabase,
        settings: GivenSettings,
    ) -> RoomAnswer:
        """What a repository holds and may hold, for those who may write to it."""
        async with database.read("show quota") as conn:
            row = await get_repository(conn, actor, Action.WRITE, owner, name)
        return _answer(await load_room(database, settings, row.full_name))

    @put("/repositories/{owner:str}/{name:str}/quota")
    async def set_repository_quota(
        self,
        owner: FromPath[str],
        name: FromPath[str],
        data: JSONBody[RoomChange],
        actor: GivenActor,
        database: GivenDatabase,
        settings: GivenSettings,
    ) -> RoomAnswer:
        """Limit a repository, as an administrator of the hub."""
        require_site_admin(actor)
        return _answer(
            await set_room(database, settings, f"{owner}/{name}", data.max_bytes, data.max_objects)
        )

    @get("/users/{name:str}/quota")
    async def show_user_quota(
        self, name: FromPath[str], actor: GivenActor, database: GivenDatabase, settings: GivenSettings
    ) -> RoomAnswer:
        """What all repositories of a user hold and may hold, for that user and administrators."""
        require_user(actor)
        if actor.name != name:
            require_site_admin(actor)
        return _answer(await load_room(database, settings, name))

    @put("/users/{name:str}/quota")
    async def set_user_quota(
        self,
        name: FromPath[str],
        data: JSONBody[RoomChange],
        actor: GivenActor,
        database: GivenDatabase,
        settings: GivenSettings,
    ) -> RoomAnswer:
        """Limit all repositories of a user together, as an administrator of the hub."""
        require_site_admin(actor)
        return _answer(await set_room(database, settings, name, data.max_bytes, data.max_objects))

    @get("/repositories/{owner:str}/{name:str}/signatures")
    async def show_signatures(
        self, owner: FromPath[str], name: FromPath[str], actor: GivenActor, database: GivenDatabase
    ) -> SignaturePolicy:
        """Which signatures the repository demands."""
        async with database.read("show signature policy") as conn:
            row = await get_repository(conn, actor, Action.READ, owner, name)
        return SignaturePolicy(row.signatures)

    @put("/repositories/{owner:str}/{name:str}/signatures")
    async def set_signatures(
        self,
        owner: FromPath[str],
        name: FromPath[str],
        data: JSONBody[SignaturePolicy],
        actor: GivenActor,
        database: GivenDatabase,
    ) -> SignaturePolicy:
        """Demand signatures from now on, as somebody who administers the repository."""
        async with database.read("find repository") as conn:
            row = await get_repository(conn, actor, Action.ADMINISTER, owner, name)
        await set_signature_policy(database, row.id, data.policy)
        return SignaturePolicy(data.policy)


def _answer(room: Room) -> RoomAnswer:
    return RoomAnswer(*room)
