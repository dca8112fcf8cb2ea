"""Proving who one is: password or key, with a limit on failures that all processes share."""

from __future__ import annotations

import asyncio
import base64
import binascii
import math
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from weakref import WeakValueDictionary

import sqlalchemy as sa

from muse.errors import AccessDenied, LimitReached, MuseError
from musehub.accounts.actor import ANONYMOUS, Actor
from musehub.accounts.address import limit_subject
from musehub.accounts.keys import Keys
from musehub.accounts.passwords import mark_of, verify_password
from musehub.accounts.tokens import PREFIX, Tokens
from musehub.accounts.users import User, to_user
from musehub.db import attempts
from musehub.db import users as user_queries
from musehub.db.engine import Database
from musehub.db.instants import Clock
from musehub.settings import Settings

ATTEMPTS_AT_ONCE = 4
"""As many as hash passwords at once."""


class Logins:
    """From credentials to users."""

    def __init__(
        self, database: Database, settings: Settings, clock: Clock, tokens: Tokens, keys: Keys
    ) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock
        self._tokens = tokens
        self._keys = keys
        self.observers: list[Callable[[], None]] = []
        """Told of every login with wrong credentials."""
        self._slots = asyncio.Semaphore(ATTEMPTS_AT_ONCE)
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def load_actor(self, authorization: str | None, address: str) -> Actor:
        """Who sends a request with this Authorization header from `address`.

        `Bearer TOKEN`, or `Basic` with a name and a token or password. No header is nobody; a wrong
        one raises AccessDenied, never falls back to nobody.
        """
        if not authorization:
            return ANONYMOUS
        scheme, _, rest = authorization.partition(" ")
        if scheme.lower() == "bearer":
            return await self._tokens.load_actor(rest.strip())
        if scheme.lower() == "basic":
            name, secret = _parse_basic(rest.strip())
            if secret.startswith(PREFIX):
                actor = await self._tokens.load_actor(secret)
                if name and name != actor.name:
                    raise AccessDenied("bad-credentials", f'this token is not one of "{name}"')
                return actor
            row = await self._find_login(name, secret, address)
            return actor_of(to_user(row))._replace(password_mark=mark_of(row["password_hash"]))
        raise AccessDenied(
            "bad-credentials",
            f'credentials of the kind "{scheme}" are not understood',
            hint="use Bearer or Basic",
        )

    async def check_password(self, name: str, password: str, address: str) -> User:
        """The user called `name` if the password is theirs.

        Raises AccessDenied("bad-credentials"), the same for an unknown name, and
        LimitReached("too-many-attempts") before looking at the password.
        """
        return to_user(await self._find_login(name, password, address))

    async def _find_login(self, name: str, password: str, address: str) -> sa.RowMapping:
        name_from_here = f"from:{limit_subject(address)} {name[:100]}"
        name_anywhere = f"user:{name[:100]}"
        limits = {
            name_from_here: self._settings.login_max_failures_per_user,
            name_anywhere: self._settings.login_max_failures_per_user_anywhere,
        }
        async with self._attempt(limits, address, forget=[name_from_here, name_anywhere]):
            async with self._database.read("find login") as conn:
                row = await user_queries.find_user(conn, name)
            usable = row is not None and row["disabled_at"] is None
            stored = row["password_hash"] if row is not None and usable else None
            if not await verify_password(password, stored):
                raise wrong_password()
        assert row is not None
        return row

    async def check_key(self, public_key: str, challenge: str, signature: str, address: str) -> User:
        """The user who answered a challenge with their key; failures count against the address."""
        async with self._attempt({}, address, forget=[]):
            return await self._keys.verify_answer(public_key, challenge, signature)

    @asynccontextmanager
    async def _attempt(
        self, limits: Mapping[str, int], address: str, *, forget: Sequence[str]
    ) -> AsyncIterator[None]:
        """One attempt: it counts as failed from before the block on, unless that ends well.

        Counted only afterwards, many at once would all be looked at. `forget`: whose failures a success ends.
        """
        limits = {
            **limits,
            f"address:{limit_subject(address)}": self._settings.login_max_failures_per_address,
        }
        window = timedelta(seconds=self._settings.login_window_s)
        # Those who wait for their turn do not count against each other: they may all be right.
        async with self._turns.setdefault(next(iter(limits)), asyncio.Lock()):
            async with self._database.read("count failed logins") as conn:
                since = self._clock() - window
                self._check_limits(limits, await attempts.count_failures(conn, list(limits), since))
            async with self._slots:
                async with self._database.transaction("begin login") as conn:
                    await attempts.wait_for_others(conn)
                    now = self._clock()
                    found = await attempts.count_failures(conn, list(limits), now - window)
                    self._check_limits(limits, found)
                    own = await attempts.insert_failures(conn, list(limits), now, now - window)
                try:
                    yield
                except AccessDenied:
                    for observe in self.observers:
                        observe()
                    raise
                except MuseError:  # nothing was said about the credentials
                    await self._give_back(own, [])
                    raise
                await self._give_back(own, forget)

    def _check_limits(self, limits: Mapping[str, int], found: Mapping[str, tuple[int, datetime]]) -> None:
        for subject, (count, first) in found.items():
            if count >= limits[subject]:
                window = timedelta(seconds=self._settings.login_window_s)
                wait_s = max(1, math.ceil((first + window - self._clock()).total_seconds()))
                raise LimitReached(
                    "too-many-attempts",
                    "too many failed logins",
                    hint=f"wait {wait_s} s",
                    retry=True,
                    details={"retry_after_s": wait_s},
                )

    async def _give_back(self, own: Sequence[int], forget: Sequence[str]) -> None:
        async with self._database.transaction("forget failed logins") as conn:
            await attempts.forget_failures(conn, own, forget)


def actor_of(user: User) -> Actor:
    """The actor after a login: everything that the user may do."""
    return Actor(
        user_id=user.id,
        name=user.name,
        kind=user.kind,
        is_admin=user.is_admin,
        is_disabled=user.disabled_at is not None,
        scope="admin",
    )


def wrong_password() -> AccessDenied:
    return AccessDenied("bad-credentials", "name or password is wrong")


def _parse_basic(encoded: str) -> tuple[str, str]:
    try:
        name, separator, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        name = separator = secret = ""
    if not separator:
        raise AccessDenied("bad-credentials", "the Authorization header is malformed")
    return name, secret
