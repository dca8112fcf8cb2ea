"""Creating, finding and changing users."""

from __future__ import annotations

from datetime import datetime

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from muse.errors import Conflict, NotFound
from musehub.accounts.names import parse_user_name
from musehub.accounts.passwords import check_password_rules, hash_password
from musehub.db import tokens as token_queries
from musehub.db import users as queries
from musehub.db.engine import Database
from musehub.db.instants import Clock
from musehub.settings import Settings


class User(msgspec.Struct, frozen=True):
    """A user as others may see it."""

    id: int
    name: str
    display_name: str
    email: str
    kind: str
    is_admin: bool
    created_at: datetime
    disabled_at: datetime | None = None


class Users:
    """The users of this hub."""

    def __init__(self, database: Database, settings: Settings, clock: Clock) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock

    async def create(
        self,
        name: str,
        *,
        password: str | None = None,
        display_name: str = "",
        email: str = "",
        kind: str = "human",
        is_admin: bool = False,
    ) -> User:
        """Add a user; without a password it can log in with a key or a token only.

        Raises Conflict("already-exists"), UsageError("bad-name", "bad-arguments").
        """
        parse_user_name(name)
        password_hash = None
        if password is not None:
            check_password_rules(password, self._settings.password_min_length)
            password_hash = await hash_password(password)
        values = {
            "name": name,
            "display_name": display_name,
            "email": email,
            "kind": kind,
            "is_admin": is_admin,
            "created_at": self._clock(),
        }
        try:
            async with self._database.transaction("create user") as conn:
                user_id = await queries.insert_user(conn, password_hash=password_hash, **values)
        except IntegrityError:
            raise Conflict("already-exists", f'there is a user "{name}" already') from None
        return User(id=user_id, **values)  # type: ignore[arg-type]

    async def find(self, name: str) -> User | None:
        async with self._database.read("find user") as conn:
            row = await queries.find_user(conn, name)
        return None if row is None else to_user(row)

    async def get(self, name: str) -> User:
        """The user called `name`; raises NotFound("user-not-found")."""
        user = await self.find(name)
        if user is None:
            raise NotFound("user-not-found", f'no user "{name}"')
        return user

    async def list(self, after: str = "", limit: int = 100) -> list[User]:
        """A page of users in the order of their names."""
        async with self._database.read("list users") as conn:
            return [to_user(row) for row in await queries.list_users(conn, after, limit)]

    async def count(self) -> int:
        async with self._database.read("count users") as conn:
            return await queries.count_users(conn)

    async def set_password(self, name: str, password: str) -> None:
        """Replace the password; every token of the user is revoked with it."""
        check_password_rules(password, self._settings.password_min_length)
        user = await self.get(name)
        password_hash = await hash_password(password)
        async with self._database.transaction("set password") as conn:
            await token_queries.revoke_all_tokens(conn, user.id, self._clock())
            await queries.update_user(conn, user.id, password_hash=password_hash)

    async def disable(self, name: str) -> User:
        """Shut the user out: no login, no token works. What they made stays."""
        user = await self.get(name)
        async with self._database.transaction("disable user") as conn:
            await queries.disable_user(conn, user.id, self._clock())
        return await self.get(name)

    async def enable(self, name: str) -> User:
        """Let a disabled user in again."""
        user = await self.get(name)
        async with self._database.transaction("enable user") as conn:
            await queries.update_user(conn, user.id, disabled_at=None)
        return await self.get(name)


def to_user(row: sa.RowMapping) -> User:
    return User(**{field: row[field] for field in User.__struct_fields__})
