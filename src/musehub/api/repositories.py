"""Repositories: what their owners do with them, and who may see them."""

from __future__ import annotations

from datetime import datetime

import msgspec
from litestar import Controller, delete, get, patch, post, put
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, FromQuery, JSONBody, SkipValidation

from musehub.api.auth import require_user
from musehub.api.given import (
    GivenActor,
    GivenClock,
    GivenDatabase,
    GivenStore,
    QueryInteger,
    page_size,
)
from musehub.db.repositories import RepositoryRow
from musehub.repos.access import create_repository
from musehub.repos.administer import RepositoryAdministration, check_visibility
from musehub.repos.browse import list_visible, open_browser


async def provide_administration(
    database: GivenDatabase, store: GivenStore, clock: GivenClock
) -> RepositoryAdministration:
    return RepositoryAdministration(database, store, clock)


GivenAdministration = SkipValidation[NamedDependency[RepositoryAdministration]]


class RepositoryAnswer(msgspec.Struct):
    owner: str
    name: str
    full_name: str
    description: str
    visibility: str
    default_branch: str
    created_at: datetime
    updated_at: datetime
    pushed_at: datetime | None


class NewRepository(msgspec.Struct, forbid_unknown_fields=True):
    """`owner` is the actor unless a site administrator says otherwise."""

    name: str
    owner: str | None = None
    description: str = ""
    visibility: str = "private"
    default_branch: str = "main"


class RepositoryChange(msgspec.Struct, forbid_unknown_fields=True):
    """What is given is changed."""

    name: str | None = None
    description: str | None = None
    visibility: str | None = None
    default_branch: str | None = None


class RoleRequest(msgspec.Struct, forbid_unknown_fields=True):
    role: str


class CollaboratorAnswer(msgspec.Struct):
    user: str
    role: str


class RepositoryController(Controller):
    path = "/api/v1/repositories"
    tags = ["repositories"]
    dependencies = {"administration": Provide(provide_administration)}

    @get()
    async def list_repositories(
        self,
        actor: GivenActor,
        database: GivenDatabase,
        owner: FromQuery[str | None] = None,
        search: FromQuery[str] = "",
        limit: QueryInteger = 50,
        offset: QueryInteger = 0,
    ) -> list[RepositoryAnswer]:
        """Those that the actor may see, their own first, then those pushed last."""
        rows = await list_visible(
            database, actor, owner=owner, search=search, limit=page_size(limit), offset=max(0, offset)
        )
        return [_repository(row) for row in rows]

    @post()
    async def create(
        self, data: JSONBody[NewRepository], actor: GivenActor, database: GivenDatabase, clock: GivenClock
    ) -> RepositoryAnswer:
        """Create an empty repository. A push to one's own name creates it, too."""
        require_user(actor)
        row = await create_repository(
            database,
            actor,
            data.owner or actor.name,
            data.name,
            visibility=check_visibility(data.visibility),
            description=data.description,
            default_branch=data.default_branch,
            now=clock(),
        )
        return _repository(row)

    @get("/{owner:str}/{name:str}")
    async def get_one(
        self,
        owner: FromPath[str],
        name: FromPath[str],
        actor: GivenActor,
        database: GivenDatabase,
        store: GivenStore,
    ) -> RepositoryAnswer:
        """One repository."""
        return _repository((await open_browser(database, store, actor, owner, name)).repository)

    @patch("/{owner:str}/{name:str}")
    async def change(
        self,
        owner: FromPath[str],
        name: FromPath[str],
        data: JSONBody[RepositoryChange],
        actor: GivenActor,
        administration: GivenAdministration,
    ) -> RepositoryAnswer:
        """Rename, describe, publish or hide it, or choose its default branch."""
        row = await administration.change(
            actor,
            owner,
            name,
            new_name=data.name,
            description=data.description,
            visibility=data.visibility,
            default_branch=data.default_branch,
        )
        return _repository(row)

    @delete("/{owner:str}/{name:str}", status_code=204)
    async def remove(
        self,
        owner: FromPath[str],
        name: FromPath[str],
        actor: GivenActor,
        administration: GivenAdministration,
    ) -> None:
        """Delete it and everything in it, for good."""
        await administration.delete(actor, owner, name)

    @get("/{owner:str}/{name:str}/collaborators")
    async def list_collaborators(
        self,
        owner: FromPath[str],
        name: FromPath[str],
        actor: GivenActor,
        administration: GivenAdministration,
    ) -> list[CollaboratorAnswer]:
        """Who else may read or write, for the owner."""
        rows = await administration.list_collaborators(actor, owner, name)
        return [CollaboratorAnswer(row.user, row.role) for row in rows]

    @put("/{owner:str}/{name:str}/collaborators/{user:str}", status_code=204)
    async def set_collaborator(
        self,
        owner: FromPath[str],
        name: FromPath[str],
        user: FromPath[str],
        data: JSONBody[RoleRequest],
        actor: GivenActor,
        administration: GivenAdministration,
    ) -> None:
        """Let somebody read (`read`) or also push (`write`)."""
        await administration.set_collaborator(actor, owner, name, user, data.role)

    @delete("/{owner:str}/{name:str}/collaborators/{user:str}", status_code=204)
    async def remove_collaborator(
        self,
        owner: FromPath[str],
        name: FromPath[str],
        user: FromPath[str],
        actor: GivenActor,
        administration: GivenAdministration,
    ) -> None:
        """Take somebody's role away."""
        await administration.set_collaborator(actor, owner, name, user, None)


def _repository(row: RepositoryRow) -> RepositoryAnswer:
    return RepositoryAnswer(
        row.owner,
        row.name,
        row.full_name,
        row.description,
        row.visibility,
        row.default_branch,
        row.created_at,
        row.updated_at,
        row.pushed_at,
    )
