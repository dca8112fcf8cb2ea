"""Logging in, and managing one's own tokens, keys and password."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
from litestar import Controller, Request, delete, get, post
from litestar.params import JSONBody
from litestar.types import ControllerRouterHandler

from muse.errors import AccessDenied, UsageError
from musehub.accounts.actor import Actor
from musehub.accounts.keys import Challenge, Key
from musehub.accounts.request import load_request_actor, read_client_address
from musehub.accounts.tokens import Token
from musehub.accounts.users import User
from musehub.api.given import BodyInteger, GivenAccounts, GivenActor, GivenSettings, PathInteger

AnyRequest = Request[Any, Any, Any]

MAX_TTL_DAYS = 36_500


class ChallengeRequest(msgspec.Struct, forbid_unknown_fields=True):
    public_key: str


class LoginRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Either `user` and `password`, or `public_key`, `challenge` and `signature`."""

    user: str | None = None
    password: str | None = None
    public_key: str | None = None
    challenge: str | None = None
    signature: str | None = None
    label: str = ""
    scope: str = "admin"
    ttl_days: float | None = None


class LoginAnswer(msgspec.Struct):
    user: User
    token: Token


class WhoAmI(msgspec.Struct):
    user: User
    scope: str
    repository_id: int | None
    token_id: int | None


class TokenRequest(msgspec.Struct, forbid_unknown_fields=True):
    label: str = ""
    scope: str = "write"
    ttl_days: float | None = None
    repository_id: BodyInteger | None = None


class KeyRequest(msgspec.Struct, forbid_unknown_fields=True):
    public_key: str
    label: str = ""


class PasswordRequest(msgspec.Struct, forbid_unknown_fields=True):
    old_password: str
    new_password: str


async def provide_actor(request: AnyRequest, accounts: GivenAccounts, settings: GivenSettings) -> Actor:
    """The dependency `actor` of every handler."""
    return await load_request_actor(request.scope, accounts, settings)


def require_user(actor: Actor) -> int:
    """The id of a logged-in actor; raises AccessDenied("not-logged-in")."""
    if actor.user_id is None:
        raise AccessDenied("not-logged-in", "log in first", hint="run `muse auth login`, or send a token")
    return actor.user_id


def require_account_access(actor: Actor) -> int:
    """The id of an actor who may change their own account: the scope `admin`, for all repositories."""
    user_id = require_user(actor)
    if not actor.has_scope("admin") or actor.repository_id is not None:
        raise AccessDenied(
            "wrong-scope",
            "this token may not change the account",
            hint='use a token with the scope "admin", or log in again',
        )
    return user_id


class AuthController(Controller):
    path = "/api/v1/auth"
    tags = ["auth"]

    @post("/challenge", status_code=200)
    async def challenge(self, data: JSONBody[ChallengeRequest], accounts: GivenAccounts) -> Challenge:
        """A challenge to be signed with a key."""
        return await accounts.keys.make_challenge(data.public_key)

    @post("/token")
    async def log_in(
        self,
        request: AnyRequest,
        data: JSONBody[LoginRequest],
        accounts: GivenAccounts,
        settings: GivenSettings,
    ) -> LoginAnswer:
        """A token, for a password or for an answered challenge."""
        address = read_client_address(request.scope, settings)
        if data.user is not None and data.password is not None:
            user = await accounts.logins.check_password(data.user, data.password, address)
        elif data.public_key and data.challenge and data.signature:
            user = await accounts.logins.check_key(data.public_key, data.challenge, data.signature, address)
        else:
            raise UsageError(
                "bad-arguments",
                "a login takes user and password, or public_key, challenge and signature",
            )
        token = await accounts.tokens.issue(
            user.id,
            label=data.label,
            scope=data.scope,
            ttl=_ttl(data.ttl_days) or timedelta(days=settings.login_token_ttl_days),
        )
        return LoginAnswer(user, token)

    @delete("/token", status_code=204)
    async def log_out(self, actor: GivenActor, accounts: GivenAccounts) -> None:
        """Revoke the token that this request carries."""
        user_id = require_user(actor)
        if actor.token_id is None:
            raise UsageError("bad-arguments", "this request carries no token")
        await accounts.tokens.revoke(user_id, actor.token_id)

    @get("/whoami")
    async def whoami(self, actor: GivenActor, accounts: GivenAccounts) -> WhoAmI:
        """The user whom the credentials stand for."""
        require_user(actor)
        user = await accounts.users.get(actor.name)
        return WhoAmI(user, actor.scope, actor.repository_id, actor.token_id)

    @post("/password", status_code=204)
    async def change_password(
        self,
        request: AnyRequest,
        data: JSONBody[PasswordRequest],
        actor: GivenActor,
        accounts: GivenAccounts,
        settings: GivenSettings,
    ) -> None:
        """Change one's own password; every token of the user ends with it."""
        require_account_access(actor)
        address = read_client_address(request.scope, settings)
        await accounts.logins.check_password(actor.name, data.old_password, address)
        await accounts.users.set_password(actor.name, data.new_password)


class TokenController(Controller):
    path = "/api/v1/tokens"
    tags = ["auth"]

    @get()
    async def list_tokens(self, actor: GivenActor, accounts: GivenAccounts) -> list[Token]:
        """One's own tokens, newest first, without their secrets."""
        return await accounts.tokens.list(require_account_access(actor))

    @post()
    async def create_token(
        self, data: JSONBody[TokenRequest], actor: GivenActor, accounts: GivenAccounts
    ) -> Token:
        """A new token; its secret is in this answer and nowhere else."""
        user_id = require_account_access(actor)
        return await accounts.tokens.issue(
            user_id,
            label=data.label,
            scope=data.scope,
            ttl=_ttl(data.ttl_days),
            repository_id=data.repository_id,
        )

    @delete("/{token_id:int}", status_code=204)
    async def revoke_token(self, token_id: PathInteger, actor: GivenActor, accounts: GivenAccounts) -> None:
        """End a token now."""
        await accounts.tokens.revoke(require_account_access(actor), token_id)


class KeyController(Controller):
    path = "/api/v1/keys"
    tags = ["auth"]

    @get()
    async def list_keys(self, actor: GivenActor, accounts: GivenAccounts) -> list[Key]:
        """One's own public keys."""
        return await accounts.keys.list(require_user(actor))

    @post()
    async def add_key(self, data: JSONBody[KeyRequest], actor: GivenActor, accounts: GivenAccounts) -> Key:
        """Add a public key, to log in and to sign with."""
        return await accounts.keys.add(require_account_access(actor), data.public_key, data.label)

    @delete("/{key_id:int}", status_code=204)
    async def revoke_key(self, key_id: PathInteger, actor: GivenActor, accounts: GivenAccounts) -> None:
        """End a key now; it cannot be added again."""
        await accounts.keys.revoke(require_account_access(actor), key_id)


def auth_controllers() -> list[ControllerRouterHandler]:
    """What this module adds to the application."""
    return [AuthController, TokenController, KeyController]


def _ttl(days: float | None) -> timedelta | None:
    if days is None:
        return None
    if not 0 < days <= MAX_TTL_DAYS:
        raise UsageError("bad-arguments", f"a token lasts up to {MAX_TTL_DAYS:,} days")
    return timedelta(days=days)
