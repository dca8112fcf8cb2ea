"""The lists of repositories: of the whole hub, and of one owner."""

from __future__ import annotations

from typing import Any, NamedTuple

from litestar import Response, get
from litestar.params import FromPath

from muse.errors import NotFound
from musehub.accounts.users import User
from musehub.db.engine import Database
from musehub.db.repositories import RepositoryRow
from musehub.repos.browse import list_visible
from musehub.web.addresses import owner_address
from musehub.web.given import GivenAccounts, GivenDatabase, GivenVisit
from musehub.web.page import AnyRequest, Visit, page_response
from musehub.web.paging import page_links, page_number
from musehub.web.views import RepositoryView, view_repository

PAGE_SIZE = 50


class Group(NamedTuple):
    name: str
    repositories: list[RepositoryView]


@get("/")
async def show_home(request: AnyRequest, visit: GivenVisit, database: GivenDatabase) -> Response[bytes]:
    """Every repository the visitor may see, their own first."""
    rows, context = await _load(request, database, visit, None)
    own = [view_repository(row) for row in rows if row.owner_id == visit.actor.user_id]
    others = [view_repository(row) for row in rows if row.owner_id != visit.actor.user_id]
    named = [("Yours", own), ("Others", others)] if own else [("", others)]
    groups = [Group(name, repositories) for name, repositories in named if repositories]
    return await _page(visit, context, groups=groups, title="Repositories", owner=None, show_owner=True)


@get("/{owner:str}")
async def show_owner(
    request: AnyRequest,
    owner: FromPath[str],
    visit: GivenVisit,
    database: GivenDatabase,
    accounts: GivenAccounts,
) -> Response[bytes]:
    """What one user or agent owns, as far as the visitor may see it.

    Nobody learns here whether a name is taken by a user without anything public.
    """
    user = await accounts.users.get(owner)
    rows, context = await _load(request, database, visit, user)
    if not rows and visit.actor.is_anonymous and not context["query"]:
        raise NotFound("user-not-found", f'no user "{owner}"')
    groups = [Group("", [view_repository(row) for row in rows])] if rows else []
    return await _page(visit, context, groups=groups, title=user.name, owner=user, show_owner=False)


async def _load(
    request: AnyRequest, database: Database, visit: Visit, owner: User | None
) -> tuple[list[RepositoryRow], dict[str, Any]]:
    """One page of the list, and what the template needs to go to the others."""
    query = request.query_params.get("q", "").strip()[:200]
    number = page_number(request)
    rows = await list_visible(
        database,
        visit.actor,
        owner=owner.name if owner is not None else None,
        search=query,
        limit=PAGE_SIZE + 1,
        offset=(number - 1) * PAGE_SIZE,
    )
    address = owner_address(owner.name) if owner is not None else "/"
    links = page_links(address, number, len(rows) > PAGE_SIZE, {"q": query} if query else {})
    return rows[:PAGE_SIZE], {"query": query, "search_address": address, **links}


async def _page(visit: Visit, context: dict[str, Any], **more: Any) -> Response[bytes]:
    return await page_response(visit, "home.html", {**context, **more})
