"""What repositories and users may hold and what they hold; the policy about signatures."""

from __future__ import annotations

from typing import NamedTuple

from muse.errors import NotFound, UsageError
from musehub.db.engine import Database
from musehub.db.repositories import RepositoryRow, find_owner_and_repository
from musehub.db.state import (
    SIGNATURES,
    load_owner_totals,
    set_repository_quota,
    set_signatures,
    set_user_quota,
)
from musehub.db.users import find_user
from musehub.repos.quotas import quota_of_repository, quota_of_user
from musehub.settings import Settings


class Room(NamedTuple):
    """Of a repository or of a user. Limits: 0 is none; `own_…` is None where the settings decide."""

    name: str
    used_bytes: int
    used_objects: int
    max_bytes: int
    max_objects: int
    own_max_bytes: int | None
    own_max_objects: int | None


async def get_repository_by_name(database: Database, full_name: str) -> RepositoryRow:
    """For operators, who may see everything; raises `repository-not-found`, `bad-arguments`."""
    owner, slash, name = full_name.partition("/")
    if not slash:
        raise UsageError("bad-arguments", f'"{full_name}" is not of the form OWNER/NAME')
    async with database.read("find repository") as conn:
        _owner_id, row = await find_owner_and_repository(conn, owner, name, None)
    if row is None:
        raise NotFound("repository-not-found", f'no repository "{full_name}"')
    return row


async def load_room(database: Database, settings: Settings, name: str) -> Room:
    """Of a repository (OWNER/NAME) or a user (NAME)."""
    if "/" in name:
        row = await get_repository_by_name(database, name)
        return Room(
            row.full_name,
            row.stored_bytes,
            row.stored_objects,
            *quota_of_repository(settings, row.quota_bytes, row.quota_objects),
            row.quota_bytes,
            row.quota_objects,
        )
    async with database.read("load room") as conn:
        user = await find_user(conn, name)
        if user is None:
            raise NotFound("user-not-found", f'no user "{name}"')
        used = await load_owner_totals(conn, user["id"])
    return Room(
        name,
        used.bytes,
        used.objects,
        *quota_of_user(settings, user["quota_bytes"], user["quota_objects"]),
        user["quota_bytes"],
        user["quota_objects"],
    )


async def set_room(
    database: Database, settings: Settings, name: str, max_bytes: int | None, max_objects: int | None
) -> Room:
    """Limit a repository (OWNER/NAME) or a user (NAME); 0 is no limit, None what the settings say."""
    for limit in (max_bytes, max_objects):
        if limit is not None and not 0 <= limit < 1 << 62:
            raise UsageError("bad-arguments", f"a limit cannot be {limit}")
    await load_room(database, settings, name)
    if "/" in name:
        row = await get_repository_by_name(database, name)
        async with database.transaction("set quota") as conn:
            await set_repository_quota(conn, row.id, max_bytes, max_objects)
    else:
        async with database.transaction("set quota") as conn:
            user = await find_user(conn, name)
            assert user is not None
            await set_user_quota(conn, user["id"], max_bytes, max_objects)
    return await load_room(database, settings, name)


async def set_signature_policy(database: Database, repository_id: int, policy: str) -> None:
    """Raises `bad-arguments` for what is no policy. What is recorded already is not looked at again."""
    if policy not in SIGNATURES:
        raise UsageError(
            "bad-arguments",
            f'"{policy}" is no policy about signatures',
            hint=f"one of {', '.join(SIGNATURES)}",
        )
    async with database.transaction("set signature policy") as conn:
        await set_signatures(conn, repository_id, policy)
