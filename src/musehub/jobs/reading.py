"""What jobs found out, for whoever may read the repository."""

from __future__ import annotations

from musehub.accounts.actor import Actor
from musehub.accounts.permissions import Action
from musehub.db.activity import ActivityRow, list_activity
from musehub.db.engine import Database
from musehub.db.insights import Insight, list_insights
from musehub.db.integrity import ProblemRow, list_problems
from musehub.repos.access import get_repository


async def load_insights(database: Database, actor: Actor, owner: str, name: str) -> dict[str, Insight]:
    """All by kind; raises `repository-not-found`."""
    async with database.read("list insights") as conn:
        repository = await get_repository(conn, actor, Action.READ, owner, name)
        return await list_insights(conn, repository.id)


async def load_activity(
    database: Database, actor: Actor, owner: str, name: str, *, limit: int, before: int | None
) -> list[ActivityRow]:
    """Newest first; raises `repository-not-found`."""
    async with database.read("list activity") as conn:
        repository = await get_repository(conn, actor, Action.READ, owner, name)
        return await list_activity(conn, repository.id, limit=limit, before=before)


async def load_problems(database: Database, actor: Actor, owner: str, name: str) -> list[ProblemRow]:
    """Packs that the integrity scrub found damaged; raises `repository-not-found`, AccessDenied."""
    async with database.read("list problems") as conn:
        repository = await get_repository(conn, actor, Action.WRITE, owner, name)
        return await list_problems(conn, repository.id)
