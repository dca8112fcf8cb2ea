"""What jobs work out of: commits and what they changed, and who made them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from musehub.db.bulk import ids_relation, insert_ignore
from musehub.db.tables import (
    commit_figures,
    commit_parents,
    commits,
    contributors,
    file_changes,
)

FIGURE_COLUMNS = ("repository_id", "commit_id", "committed_at", "files")
CHANGE_COLUMNS = (
    "repository_id",
    "commit_id",
    "path",
    "committed_at",
    "change",
    "added",
    "removed",
    "size_bytes",
)


class NewCommit(NamedTuple):
    """A commit that was not analysed yet, with its parents in order."""

    id: bytes
    tree_id: bytes
    generation: int
    committed_at: datetime
    authored_at: datetime
    author_name: str
    author_email: str
    author_kind: str
    agent_name: str | None
    parents: tuple[bytes, ...]


class Contributor(NamedTuple):
    """Sums of one author, or of one agent; `identity` is the key of the row."""

    identity: bytes
    name: str
    email: str
    kind: str
    agent: str
    commits: int
    first_at: datetime
    last_at: datetime


class PathFigures(NamedTuple):
    """How often a path changed in a span, and by how many lines where they were counted."""

    path: str
    changes: int
    added: int
    removed: int


async def list_new_commits(
    conn: AsyncConnection, repository_id: int, heads: Sequence[bytes], limit: int
) -> list[NewCommit]:
    """Ancestors of `heads` without figures, parents before children, the first `limit` of them."""
    if not heads:
        return []
    p, f = commit_parents.c, commit_figures.c
    wanted = ids_relation(conn, heads)

    def unknown(column: Any) -> Any:
        return ~sa.exists().where(f.repository_id == repository_id, f.commit_id == column)

    seen = sa.select(wanted.c.id).where(unknown(wanted.c.id)).cte("seen", recursive=True)
    seen = seen.union(
        sa.select(p.parent_id)
        .join_from(seen, commit_parents, p.commit_id == seen.c.id)
        .where(p.repository_id == repository_id, unknown(p.parent_id))
    )
    c = commits.c
    query = (
        sa.select(
            c.id,
            c.tree_id,
            c.generation,
            c.committed_at,
            c.authored_at,
            c.author_name,
            c.author_email,
            c.author_kind,
            c.agent_name,
        )
        .join_from(seen, commits, c.id == seen.c.id)
        .where(c.repository_id == repository_id)
        .order_by(c.generation, c.id)
        .limit(limit)
    )
    rows = list(await conn.execute(query))
    if not rows:
        return []
    chosen = ids_relation(conn, [row.id for row in rows])
    links = (
        sa.select(p.commit_id, p.parent_id)
        .join_from(chosen, commit_parents, p.commit_id == chosen.c.id)
        .where(p.repository_id == repository_id)
        .order_by(p.commit_id, p.position)
    )
    parents: dict[bytes, list[bytes]] = {}
    for commit_id, parent_id in await conn.execute(links):
        parents.setdefault(commit_id, []).append(parent_id)
    return [NewCommit(*row, tuple(parents.get(row.id, ()))) for row in rows]


async def insert_figures(conn: AsyncConnection, rows: Sequence[Sequence[Any]]) -> int:
    """Rows in the order of `FIGURE_COLUMNS`; returns how many were new."""
    return await insert_ignore(conn, commit_figures, FIGURE_COLUMNS, rows)


async def insert_changes(conn: AsyncConnection, rows: Sequence[Sequence[Any]]) -> None:
    """Rows in the order of `CHANGE_COLUMNS`."""
    await insert_ignore(conn, file_changes, CHANGE_COLUMNS, rows)


async def delete_changes_before(conn: AsyncConnection, repository_id: int, before: datetime) -> None:
    c = file_changes.c
    await conn.execute(file_changes.delete().where(c.repository_id == repository_id, c.committed_at < before))


async def sum_changes(
    conn: AsyncConnection, repository_id: int, since: datetime, limit: int
) -> list[PathFigures]:
    """The paths that changed most since then: by lines, then by number of changes."""
    c = file_changes.c
    added = sa.func.coalesce(sa.func.sum(c.added), 0)
    removed = sa.func.coalesce(sa.func.sum(c.removed), 0)
    changes = sa.func.count()
    query = (
        sa.select(c.path, changes, sa.cast(added, sa.BigInteger), sa.cast(removed, sa.BigInteger))
        .where(c.repository_id == repository_id, c.committed_at >= since)
        .group_by(c.path)
        .order_by((added + removed).desc(), changes.desc(), c.path)
        .limit(limit)
    )
    return [PathFigures(*row) for row in await conn.execute(query)]


async def sum_all_changes(conn: AsyncConnection, repository_id: int, since: datetime) -> dict[str, int]:
    """Totals over all paths since then."""
    c = file_changes.c
    query = sa.select(
        sa.func.count(sa.distinct(c.commit_id)),
        sa.func.count(sa.distinct(c.path)),
        sa.func.coalesce(sa.func.sum(c.added), 0),
        sa.func.coalesce(sa.func.sum(c.removed), 0),
        sa.func.count().filter(c.change == "added"),
        sa.func.count().filter(c.change == "changed"),
        sa.func.count().filter(c.change == "removed"),
    ).where(c.repository_id == repository_id, c.committed_at >= since)
    row = (await conn.execute(query)).one()
    names = ("commits", "paths_changed", "lines_added", "lines_removed", "added", "changed", "removed")
    return dict(zip(names, map(int, row), strict=True))


async def list_hotspots(
    conn: AsyncConnection, repository_id: int, since: datetime, limit: int
) -> list[tuple[str, int, int]]:
    """(path, changes, size now) of files that changed more than once, by changes since then times size."""
    c = file_changes.c
    newest = sa.func.row_number().over(partition_by=c.path, order_by=(c.committed_at.desc(), c.commit_id))
    changes = sa.func.count().over(partition_by=c.path)
    ranked = (
        sa.select(c.path, c.change, c.size_bytes, changes.label("changes"), newest.label("age"))
        .where(c.repository_id == repository_id, c.committed_at >= since)
        .subquery("ranked")
    )
    r = ranked.c
    query = (
        sa.select(r.path, r.changes, r.size_bytes)
        .where(r.age == 1, r.change != "removed", r.changes > 1)
        .order_by((r.changes * r.size_bytes).desc(), r.path)
        .limit(limit)
    )
    return [(row[0], row[1], row[2]) for row in await conn.execute(query)]


async def list_changed_together(
    conn: AsyncConnection, repository_id: int, since: datetime, max_files: int, limit: int
) -> list[tuple[bytes, str]]:
    """(commit, path) of the newest changes in commits of two to `max_files` files, newest commit first."""
    c, f = file_changes.c, commit_figures.c
    query = (
        sa.select(c.commit_id, c.path)
        .join_from(
            file_changes,
            commit_figures,
            (f.repository_id == c.repository_id) & (f.commit_id == c.commit_id),
        )
        .where(c.repository_id == repository_id, c.committed_at >= since, f.files.between(2, max_files))
        .order_by(c.committed_at.desc(), c.commit_id, c.path)
        .limit(limit)
    )
    return [(row[0], row[1]) for row in await conn.execute(query)]


async def add_contributions(conn: AsyncConnection, repository_id: int, rows: Iterable[Contributor]) -> None:
    """Add to the sums; the caller sees to it that no commit is added twice."""
    values = [{"repository_id": repository_id, **row._asdict()} for row in rows]
    if not values:
        return
    insert: Any = postgresql.insert if conn.dialect.name == "postgresql" else sqlite.insert
    statement = insert(contributors)
    c, new = contributors.c, statement.excluded
    earlier = sa.case((new.first_at < c.first_at, new.first_at), else_=c.first_at)
    later = sa.case((new.last_at > c.last_at, new.last_at), else_=c.last_at)
    statement = statement.on_conflict_do_update(
        index_elements=[c.repository_id, c.identity],
        set_={"commits": c.commits + new.commits, "first_at": earlier, "last_at": later},
    )
    # In one order everywhere: two workers that touch the same rows must not wait for each other in a ring.
    await conn.execute(statement, sorted(values, key=lambda value: value["identity"]))


async def list_contributors(
    conn: AsyncConnection, repository_id: int, limit: int
) -> tuple[list[Contributor], int]:
    """Those with the most commits, and how many there are."""
    c = contributors.c
    query = (
        sa.select(*(c[name] for name in Contributor._fields))
        .where(c.repository_id == repository_id)
        .order_by(c.commits.desc(), c.identity)
        .limit(limit)
    )
    found = [Contributor._make(row) for row in await conn.execute(query)]
    count = await conn.scalar(sa.select(sa.func.count()).where(c.repository_id == repository_id))
    return found, int(count or 0)
