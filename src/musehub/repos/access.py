"""Finds a repository for an actor, and creates one where they may."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from muse.errors import Conflict
from musehub.accounts.actor import Actor
from musehub.accounts.permissions import Action, RepositoryAccess, decide
from musehub.db.engine import Database
from musehub.db.repositories import RepositoryRow, find_owner_and_repository, insert_repository
from musehub.repos.names import check_branch_name, check_description, parse_repository_name


def access_of(row: RepositoryRow) -> RepositoryAccess:
    return RepositoryAccess(row.id, row.owner_id, row.visibility == "public", row.role, row.full_name)


async def get_repository(
    conn: AsyncConnection, actor: Actor, action: Action, owner: str, name: str
) -> RepositoryRow:
    """The repository, if the actor may do that with it.

    Raises NotFound("repository-not-found"), the same for what is not there and what may not be seen, and
    AccessDenied.
    """
    _owner_id, row = await find_owner_and_repository(conn, owner, name, actor.user_id)
    decide(actor, action, access_of(row) if row else None, f"{owner}/{name}").require()
    assert row is not None
    return row


def check_may_create(actor: Actor, owner_id: int | None, owner: str, name: str) -> int:
    """The owner's id, if the actor may create a repository there; raises as `get_repository`, `bad-name`."""
    place = RepositoryAccess(None, owner_id, False) if owner_id is not None else None
    decide(actor, Action.CREATE, place, f"{owner}/{name}").require()
    assert owner_id is not None
    parse_repository_name(name)
    return owner_id


async def create_repository(
    database: Database,
    actor: Actor,
    owner: str,
    name: str,
    *,
    visibility: str = "private",
    description: str = "",
    default_branch: str = "main",
    now: datetime,
) -> RepositoryRow:
    """Create a repository; raises Conflict("already-exists") and what `check_may_create` raises.

    Also `bad-arguments` for the description and `bad-name` for the branch.
    """
    check_description(description)
    check_branch_name(default_branch)
    try:
        async with database.transaction("create repository") as conn:
            owner_id, row = await find_owner_and_repository(conn, owner, name, actor.user_id)
            owner_id = check_may_create(actor, owner_id, owner, name)
            if row is not None:
                raise _exists(owner, name)
            await insert_repository(
                conn,
                owner_id,
                name,
                visibility=visibility,
                description=description,
                default_branch=default_branch,
                now=now,
            )
            _owner_id, row = await find_owner_and_repository(conn, owner, name, actor.user_id)
    except IntegrityError:
        raise _exists(owner, name) from None
    assert row is not None
    return row


def _exists(owner: str, name: str) -> Conflict:
    return Conflict("already-exists", f'the repository "{owner}/{name}" exists already')
