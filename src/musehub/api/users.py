"""Users, as the administrators of the hub manage them."""

from __future__ import annotations

import msgspec
from litestar import Controller, get, patch, post
from litestar.params import FromPath, FromQuery, JSONBody

from muse.errors import AccessDenied
from musehub.accounts.actor import Actor
from musehub.accounts.users import User
from musehub.api.auth import require_account_access, require_user
from musehub.api.given import GivenAccounts, GivenActor, QueryInteger


class UserRequest(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    password: str | None = None
    display_name: str = ""
    email: str = ""
    kind: str = "human"
    is_admin: bool = False


class UserChange(msgspec.Struct, forbid_unknown_fields=True):
    """What is given is changed."""

    disabled: bool | None = None
    password: str | None = None


def require_site_admin(actor: Actor) -> None:
    """Raises AccessDenied unless the actor administers this hub."""
    require_account_access(actor)
    if not actor.is_admin:
        raise AccessDenied("permission-denied", "only an administrator of this hub may do that")


class UserController(Controller):
    path = "/api/v1/users"
    tags = ["users"]

    @get()
    async def list_users(
        self,
        actor: GivenActor,
        accounts: GivenAccounts,
        after: FromQuery[str] = "",
        limit: QueryInteger = 100,
    ) -> list[User]:
        """A page of users by name, for administrators."""
        require_site_admin(actor)
        return await accounts.users.list(after, max(1, min(limit, 1000)))

    @get("/{name:str}")
    async def get_user(self, name: FromPath[str], actor: GivenActor, accounts: GivenAccounts) -> User:
        """One user, for anyone who is logged in."""
        require_user(actor)
        return await accounts.users.get(name)

    @post()
    async def create_user(
        self, data: JSONBody[UserRequest], actor: GivenActor, accounts: GivenAccounts
    ) -> User:
        """Add a user, as an administrator."""
        require_site_admin(actor)
        return await accounts.users.create(
            data.name,
            password=data.password,
            display_name=data.display_name,
            email=data.email,
            kind=data.kind,
            is_admin=data.is_admin,
        )

    @patch("/{name:str}")
    async def change_user(
        self, name: FromPath[str], data: JSONBody[UserChange], actor: GivenActor, accounts: GivenAccounts
    ) -> User:
        """Disable or enable a user or set a password, as an administrator."""
        require_site_admin(actor)
        if data.password is not None:
            await accounts.users.set_password(name, data.password)
        if data.disabled is not None:
            await (accounts.users.disable(name) if data.disabled else accounts.users.enable(name))
        return await accounts.users.get(name)
