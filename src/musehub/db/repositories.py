"""Repositories and their collaborators: rows and queries."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from musehub.db.tables import collaborators, repositories, users

ID_BITS = 48


class RepositoryRow(NamedTuple):
    """A repository with its owner's name and the role of the user who asks, None for a stranger."""

    id: int
    owner_id: int
    owner: str
    name: str
    description: str
    visibility: str
    default_branch: str
    created_at: datetime
    updated_at: datetime
    pushed_at: datetime | None
    role: str | None
    signatures: str = "none"
    is_incomplete: bool = False
    gc_epoch: int = 0
    stored_bytes: int = 0
    stored_objects: int = 0
    quota_bytes: int | None = None
    quota_objects: int | None = None
    owner_quota_bytes: int | None = None
    owner_quota_objects: int | None = None

    @property
    def full_name(self) -> str:
        return f"{self.owner}/{self.name}"


class CollaboratorRow(NamedTuple):
    user: str
    role: str


def _columns(user_id: int | None) -> tuple[Any, ...]:
    role = (
        sa.select(collaborators.c.role)
        .where(collaborators.c.repository_id == repositories.c.id, collaborators.c.user_id == user_id)
        .scalar_subquery()
    )
    c = repositories.c
    return (
        c.id,
        users.c.id.label("owner_id"),
        users.c.name.label("owner"),
        c.name,
        c.description,
        c.visibility,
        c.default_branch,
        c.created_at,
        c.updated_at,
        c.pushed_at,
        role.label("role"),
        c.signatures,
        c.is_incomplete,
        c.gc_epoch,
        c.stored_bytes,
        c.stored_objects,
        c.quota_bytes,
        c.quota_objects,
        users.c.quota_bytes.label("owner_quota_bytes"),
        users.c.quota_objects.label("owner_quota_objects"),
    )


async def find_owner_and_repository(
    conn: AsyncConnection, owner: str, name: str, user_id: int | None
) -> tuple[int | None, RepositoryRow | None]:
    """The owner's id, None if there is no such user, and the repository, in one statement."""
    query = (
        sa.select(*_columns(user_id))
        .select_from(
            users.outerjoin(
                repositories, (repositories.c.owner_id == users.c.id) & (repositories.c.name == name)
            )
        )
        .where(users.c.name == owner)
    )
    row = (await conn.execute(query)).first()
    if row is None:
        return None, None
    return row.owner_id, RepositoryRow(*row) if row.id is not None else None


async def find_repository(conn: AsyncConnection, repository_id: int) -> RepositoryRow | None:
    """A repository by its id, as a stranger sees it."""
    query = sa.select(*_columns(None)).join_from(repositories, users, users.c.id == repositories.c.owner_id)
    row = (await conn.execute(query.where(repositories.c.id == repository_id))).first()
    return RepositoryRow(*row) if row is not None else None


async def load_full_names(conn: AsyncConnection, repository_ids: Collection[int]) -> dict[int, str]:
    """`OWNER/NAME` of each of a page of repositories; those that do not exist are left out."""
    query = (
        sa.select(repositories.c.id, users.c.name + "/" + repositories.c.name)
        .join(users, users.c.id == repositories.c.owner_id)
        .where(repositories.c.id.in_(repository_ids))
    )
    return {row[0]: row[1] for row in await conn.execute(query)}


async def list_repositories(
    conn: AsyncConnection,
    user_id: int | None,
    *,
    owner: str | None,
    everything: bool,
    limit: int,
    offset: int,
    search: str = "",
    only_id: int | None = None,
) -> list[RepositoryRow]:
    """Those that the user may see, their own first, then those pushed last.

    `everything` includes what they may not; `only_id` leaves, of what is not public, that one only;
    `search` is part of the name, of the owner's name, or of both with a slash between.
    """
    query = sa.select(*_columns(user_id)).join_from(
        repositories, users, users.c.id == repositories.c.owner_id
    )
    if owner is not None:
        query = query.where(users.c.name == owner)
    if not everything:
        mine = sa.exists().where(
            collaborators.c.repository_id == repositories.c.id, collaborators.c.user_id == user_id
        )
        theirs = (repositories.c.owner_id == user_id) | mine
        if only_id is not None:
            theirs &= repositories.c.id == only_id
        query = query.where((repositories.c.visibility == "public") | theirs)
    if search:
        full_name = users.c.name + "/" + repositories.c.name
        query = query.where(sa.func.lower(full_name).contains(search.lower(), autoescape=True))
    own_first = sa.case((repositories.c.owner_id == user_id, 0), else_=1)
    newest = sa.func.coalesce(repositories.c.pushed_at, repositories.c.created_at)
    query = query.order_by(own_first, newest.desc(), repositories.c.id.desc()).limit(limit).offset(offset)
    return [RepositoryRow(*row) for row in await conn.execute(query)]


async def insert_repository(
    conn: AsyncConnection,
    owner_id: int,
    name: str,
    *,
    visibility: str,
    description: str,
    default_branch: str,
    now: datetime,
) -> int:
    """Returns the new id; an IntegrityError says that the name is taken.

    The id is random: one that was used before would give what is left of a deleted repository to another.
    """
    result = await conn.execute(
        repositories.insert().values(
            id=1 + secrets.randbits(ID_BITS),
            owner_id=owner_id,
            name=name,
            visibility=visibility,
            description=description,
            default_branch=default_branch,
            created_at=now,
            updated_at=now,
        )
    )
    key = result.inserted_primary_key
    assert key is not None
    return int(key[0])


async def update_repository(conn: AsyncConnection, repository_id: int, values: dict[str, Any]) -> None:
    await conn.execute(repositories.update().where(repositories.c.id == repository_id).values(**values))


async def list_collaborators(conn: AsyncConnection, repository_id: int) -> list[CollaboratorRow]:
    query = (
        sa.select(users.c.name, collaborators.c.role)
        .join_from(collaborators, users, users.c.id == collaborators.c.user_id)
        .where(collaborators.c.repository_id == repository_id)
        .order_by(users.c.name)
    )
    return [CollaboratorRow(*row) for row in await conn.execute(query)]


async def set_collaborator(conn: AsyncConnection, repository_id: int, user_id: int, role: str | None) -> None:
    """Give a user a role, or take it away (None)."""
    this = (collaborators.c.repository_id == repository_id) & (collaborators.c.user_id == user_id)
    await conn.execute(collaborators.delete().where(this))
    if role is not None:
        await conn.execute(
            collaborators.insert().values(repository_id=repository_id, user_id=user_id, role=role)
        )
