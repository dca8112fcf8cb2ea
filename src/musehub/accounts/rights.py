"""Looking again at what a request was allowed when it came, in the transaction that acts on it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from musehub.accounts.actor import Actor
from musehub.accounts.logins import wrong_password
from musehub.accounts.passwords import mark_of
from musehub.accounts.permissions import Action, RepositoryAccess, decide
from musehub.accounts.tokens import actor_of_token, unknown_token
from musehub.db.rights import find_rights


async def check_still_allowed(
    conn: AsyncConnection, actor: Actor, action: Action, repository_id: int, full_name: str, now: datetime
) -> None:
    """Raise what a new request with the same credentials would get; one statement.

    The caller has locked the repository. What holds now holds until the transaction ends: whoever takes it
    away waits for that, so that nothing lands after they were told that it is done.
    """
    assert actor.user_id is not None
    row = await find_rights(conn, actor.user_id, actor.token_id, repository_id)
    if actor.token_id is not None:
        if row is None:
            raise unknown_token()
        actor = actor_of_token(row, now)
    else:
        if row is None or row["user_disabled_at"] is not None:
            raise wrong_password()
        if mark_of(row["password_hash"]) != actor.password_mark:
            raise wrong_password()
        actor = actor._replace(is_admin=bool(row["user_is_admin"]))
    is_public = row["visibility"] == "public"
    access = RepositoryAccess(repository_id, row["owner_id"], is_public, row["role"], full_name)
    decide(actor, action, access).require()
