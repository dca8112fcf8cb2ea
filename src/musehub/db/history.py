"""Commits as the database knows them: ancestry by recursive queries, pages of history."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from musehub.db.bulk import ids_relation, insert_ignore
from musehub.db.tables import commit_parents, commits

COMMIT_COLUMNS = (
    "repository_id",
    "id",
    "tree_id",
    "generation",
    "author_name",
    "author_email",
    "authored_at",
    "committer_name",
    "committer_email",
    "committed_at",
    "author_kind",
    "agent_name",
    "agent_model",
    "agent_tool",
    "summary",
    "signer_key",
)
PARENT_COLUMNS = ("repository_id", "commit_id", "position", "parent_id", "parent_generation")


class CommitRow(NamedTuple):
    id: bytes
    tree_id: bytes
    generation: int
    author_name: str
    author_email: str
    authored_at: datetime
    committer_name: str
    committer_email: str
    committed_at: datetime
    author_kind: str
    agent_name: str | None
    agent_model: str | None
    agent_tool: str | None
    summary: str
    signer_key: bytes | None


class Edge(NamedTuple):
    """A commit and one of its parents; both parent fields are None for a root commit."""

    commit_id: bytes
    parent_id: bytes | None
    parent_generation: int | None


async def find_generations(
    conn: AsyncConnection, repository_id: int, ids: Sequence[bytes]
) -> dict[bytes, int]:
    """The generations of those of `ids` that are recorded."""
    if not ids:
        return {}
    wanted = ids_relation(conn, ids)
    query = (
        sa.select(commits.c.id, commits.c.generation)
        .join_from(wanted, commits, commits.c.id == wanted.c.id)
        .where(commits.c.repository_id == repository_id)
    )
    return {row[0]: row[1] for row in await conn.execute(query)}


async def find_trees(conn: AsyncConnection, repository_id: int, ids: Sequence[bytes]) -> dict[bytes, bytes]:
    """The root trees of those of the commits that are recorded."""
    if not ids:
        return {}
    wanted = ids_relation(conn, ids)
    query = (
        sa.select(commits.c.id, commits.c.tree_id)
        .join_from(wanted, commits, commits.c.id == wanted.c.id)
        .where(commits.c.repository_id == repository_id)
    )
    return {row[0]: row[1] for row in await conn.execute(query)}


async def load_edges(
    conn: AsyncConnection, repository_id: int, starts: Sequence[bytes], min_generation: int
) -> list[Edge]:
    """The parents of `starts` and of all their ancestors of at least that generation; one statement."""
    if not starts:
        return []
    p = commit_parents.c
    wanted = ids_relation(conn, starts)
    seen = sa.select(wanted.c.id).cte("seen", recursive=True)
    seen = seen.union(
        sa.select(p.parent_id)
        .join_from(seen, commit_parents, p.commit_id == seen.c.id)
        .where(p.repository_id == repository_id, p.parent_generation >= min_generation)
    )
    query = (
        sa.select(seen.c.id, p.parent_id, p.parent_generation)
        .select_from(seen)
        .outerjoin(commit_parents, (p.commit_id == seen.c.id) & (p.repository_id == repository_id))
        .order_by(seen.c.id, p.position)
    )
    return [Edge(*row) for row in await conn.execute(query)]


async def is_ancestor(conn: AsyncConnection, repository_id: int, old: bytes, new: bytes) -> bool:
    """Whether `new` is `old` or descends from it; walks only what is younger than `old`."""
    if old == new:
        return True
    p = commit_parents.c
    bound = (
        sa.select(commits.c.generation)
        .where(commits.c.repository_id == repository_id, commits.c.id == old)
        .scalar_subquery()
    )
    seen = sa.select(sa.literal(new, sa.LargeBinary).label("id")).cte("seen", recursive=True)
    seen = seen.union(
        sa.select(p.parent_id)
        .join_from(seen, commit_parents, p.commit_id == seen.c.id)
        .where(p.repository_id == repository_id, p.parent_generation >= bound)
    )
    return bool((await conn.execute(sa.select(sa.exists().where(seen.c.id == old)))).scalar())


async def insert_commits(
    conn: AsyncConnection, rows: Iterable[Sequence[Any]], parents: Iterable[Sequence[Any]]
) -> None:
    """Rows in the order of `COMMIT_COLUMNS` and `PARENT_COLUMNS`, instants as microseconds."""
    await insert_ignore(conn, commits, COMMIT_COLUMNS, sorted(rows, key=_second))
    await insert_ignore(conn, commit_parents, PARENT_COLUMNS, sorted(parents, key=_second_and_third))


async def delete_commit_rows(conn: AsyncConnection, repository_id: int, ids: Sequence[bytes]) -> None:
    """Take away what tables say about commits and their parents; records stay."""
    for table, column in ((commits, commits.c.id), (commit_parents, commit_parents.c.commit_id)):
        wanted = ids_relation(conn, ids)
        these = column.in_(sa.select(wanted.c.id))
        await conn.execute(table.delete().where(table.c.repository_id == repository_id, these))


def _second(row: Sequence[Any]) -> Any:
    return row[1]


def _second_and_third(row: Sequence[Any]) -> Any:
    return row[1], row[2]


_COMMIT = (
    commits.c.id,
    commits.c.tree_id,
    commits.c.generation,
    commits.c.author_name,
    commits.c.author_email,
    commits.c.authored_at,
    commits.c.committer_name,
    commits.c.committer_email,
    commits.c.committed_at,
    commits.c.author_kind,
    commits.c.agent_name,
    commits.c.agent_model,
    commits.c.agent_tool,
    commits.c.summary,
    commits.c.signer_key,
)


async def find_commits(
    conn: AsyncConnection, repository_id: int, ids: Sequence[bytes]
) -> dict[bytes, CommitRow]:
    """Those of the commits that are recorded."""
    if not ids:
        return {}
    wanted = ids_relation(conn, ids)
    query = (
        sa.select(*_COMMIT)
        .join_from(wanted, commits, commits.c.id == wanted.c.id)
        .where(commits.c.repository_id == repository_id)
    )
    return {row[0]: CommitRow._make(row) for row in await conn.execute(query)}


async def find_signers(
    conn: AsyncConnection, repository_id: int, ids: Sequence[bytes]
) -> dict[bytes, bytes | None]:
    """The keys that signed these commits, None for those that nobody signed."""
    if not ids:
        return {}
    wanted = ids_relation(conn, ids)
    query = (
        sa.select(commits.c.id, commits.c.signer_key)
        .join_from(wanted, commits, commits.c.id == wanted.c.id)
        .where(commits.c.repository_id == repository_id)
    )
    return {row[0]: row[1] for row in await conn.execute(query)}


async def find_by_prefix(
    conn: AsyncConnection, repository_id: int, low: bytes, high: bytes, limit: int
) -> list[bytes]:
    """Commits whose id lies between two bounds, both included."""
    query = (
        sa.select(commits.c.id)
        .where(commits.c.repository_id == repository_id, commits.c.id.between(low, high))
        .limit(limit)
    )
    return list((await conn.execute(query)).scalars())
