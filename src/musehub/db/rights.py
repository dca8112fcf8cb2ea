"""Everything that decides what somebody may do with a repository, in one row."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from musehub.db.tables import collaborators, repositories, tokens, users

USER = (
    users.c.name.label("user_name"),
    users.c.kind.label("user_kind"),
    users.c.is_admin.label("user_is_admin"),
    users.c.disabled_at.label("user_disabled_at"),
)


async def find_rights(
    conn: AsyncConnection, user_id: int, token_id: int | None, repository_id: int
) -> sa.RowMapping | None:
    """The user (`user_…`), the token if there is one, and `owner_id`, `visibility`, `role` of the repository.

    Nobody changes user or token before this transaction ends; the caller has locked the repository.
    """
    role = sa.select(collaborators.c.role).where(
        collaborators.c.repository_id == repository_id, collaborators.c.user_id == user_id
    )
    place = (repositories.c.owner_id, repositories.c.visibility, role.scalar_subquery().label("role"))
    found = users.join(repositories, repositories.c.id == repository_id)
    if token_id is None:
        query = sa.select(*USER, users.c.password_hash, *place).select_from(found)
        locked: tuple[sa.Table, ...] = (users,)
    else:
        found = found.join(tokens, (tokens.c.user_id == users.c.id) & (tokens.c.id == token_id))
        query = sa.select(tokens, *USER, *place).select_from(found)
        locked = (tokens, users)  # whoever changes both does so in this order
    query = query.where(users.c.id == user_id).with_for_update(read=True, of=locked)
    return (await conn.execute(query)).mappings().first()
