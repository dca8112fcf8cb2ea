"""What owners do with their repositories: change, share, delete."""

from __future__ import annotations

import contextlib
from typing import Any

from sqlalchemy.exc import IntegrityError

from muse.errors import Conflict, NotFound, UsageError
from muse.wire.refnames import HEADS
from musehub.accounts.actor import Actor
from musehub.accounts.permissions import Action
from musehub.db.engine import Database
from musehub.db.instants import Clock
from musehub.db.refs import find_refs
from musehub.db.removal import remove_repository, remove_rows
from musehub.db.repositories import (
    CollaboratorRow,
    RepositoryRow,
    find_owner_and_repository,
    list_collaborators,
    set_collaborator,
    update_repository,
)
from musehub.db.state import load_state
from musehub.db.users import find_user
from musehub.repos.access import get_repository
from musehub.repos.names import check_branch_name, check_description, parse_repository_name
from musehub.storage.port import Store

ROLES = ("read", "write")
_KEYS_AT_ONCE = 1_000


class RepositoryAdministration:
    """Every method raises NotFound("repository-not-found") and AccessDenied as `decide` says."""

    def __init__(self, database: Database, store: Store, clock: Clock) -> None:
        self._database = database
        self._store = store
        self._clock = clock

    async def change(
        self,
        actor: Actor,
        owner: str,
        name: str,
        *,
        new_name: str | None = None,
        description: str | None = None,
        visibility: str | None = None,
        default_branch: str | None = None,
    ) -> RepositoryRow:
        """Change what is given; raises `bad-name`, `bad-arguments`, `already-exists`, `unknown-branch`."""
        values: dict[str, Any] = {}
        if new_name is not None:
            values["name"] = parse_repository_name(new_name)
        if description is not None:
            values["description"] = check_description(description)
        if visibility is not None:
            values["visibility"] = check_visibility(visibility)
        if default_branch is not None:
            check_branch_name(default_branch)
        try:
            async with self._database.transaction("change repository") as conn:
                row = await get_repository(conn, actor, Action.ADMINISTER, owner, name)
                if default_branch is not None:
                    full_name = HEADS + default_branch
                    if full_name not in await find_refs(conn, row.id, [full_name]):
                        raise NotFound("unknown-branch", f'there is no branch "{default_branch}"')
                    values["default_branch"] = default_branch
                if values:
                    await update_repository(conn, row.id, values | {"updated_at": self._clock()})
                _owner, changed = await find_owner_and_repository(
                    conn, owner, new_name or name, actor.user_id
                )
        except IntegrityError:
            raise Conflict("already-exists", f'the repository "{owner}/{new_name}" exists already') from None
        assert changed is not None
        return changed

    async def delete(self, actor: Actor, owner: str, name: str) -> None:
        """Delete a repository for good: it is gone at once, its rows and packs a little later."""
        async with self._database.transaction("delete repository") as conn:
            row = await get_repository(conn, actor, Action.DELETE, owner, name)
            # A push that is about to end would add rows while these are removed.
            await load_state(conn, row.id, lock=True)
            await remove_repository(conn, row.id)
        # Whatever is left when this process dies now, the next clean-up of the hub finds.
        await remove_rows(self._database, row.id)
        keys: list[str] = []
        async with contextlib.aclosing(self._store.list(f"packs/{row.id}/")) as found:  # type: ignore[type-var]
            async for stored in found:
                keys.append(stored.key)
        for start in range(0, len(keys), _KEYS_AT_ONCE):
            await self._store.delete(keys[start : start + _KEYS_AT_ONCE])

    async def list_collaborators(self, actor: Actor, owner: str, name: str) -> list[CollaboratorRow]:
        """For those who administer the repository."""
        async with self._database.read("list collaborators") as conn:
            row = await get_repository(conn, actor, Action.ADMINISTER, owner, name)
            return await list_collaborators(conn, row.id)

    async def set_collaborator(
        self, actor: Actor, owner: str, name: str, user: str, role: str | None
    ) -> None:
        """Give a user a role, or take it away (None); raises `user-not-found`, `bad-arguments`."""
        if role is not None and role not in ROLES:
            raise UsageError("bad-arguments", f'there is no role "{role}"', hint=f"use {' or '.join(ROLES)}")
        async with self._database.transaction("set collaborator") as conn:
            row = await get_repository(conn, actor, Action.ADMINISTER, owner, name)
            found = await find_user(conn, user)
            if found is None:
                raise NotFound("user-not-found", f'there is no user "{user}"')
            if found["id"] == row.owner_id:
                raise UsageError("bad-arguments", f'"{user}" owns the repository already')
            await load_state(conn, row.id, lock=True)  # a push that is about to end has looked at the roles
            await set_collaborator(conn, row.id, found["id"], role)


def check_visibility(visibility: str) -> str:
    """Return it if it is one; raises `bad-arguments`."""
    if visibility not in ("public", "private"):
        raise UsageError("bad-arguments", f'visibility is "public" or "private", not "{visibility}"')
    return visibility
