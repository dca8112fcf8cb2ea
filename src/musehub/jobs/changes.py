"""The walk over new commits that contributors, churn, hotspots and coupling stand on.

Each commit is compared with its first parent once in its life, parents first. What is found is recorded in
short transactions with a row that says so: a walk which dies is taken up where it ended, and two walks at the
same time record nothing twice.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from muse.history.treediff import Change
from muse.objects.ids import Kind
from muse.objects.tree import EXECUTABLE, FILE, Entry
from musehub.db.figures import (
    Contributor,
    NewCommit,
    add_contributions,
    insert_changes,
    insert_figures,
    list_new_commits,
)
from musehub.db.history import find_trees
from musehub.db.instants import to_micros
from musehub.db.refs import list_targets
from musehub.jobs.work import Work
from musehub.repos.differences import diff_many_trees
from musehub.repos.objects import ObjectReader

LINES_SPAN = timedelta(days=30)
"""Lines are counted in commits as young as churn looks back."""
PATHS_SPAN = timedelta(days=365)
"""Commits older than this are counted for their authors, not compared."""
MAX_FILES = 1_000
"""A commit that changes more than this is an import or a clean-up and says nothing about its files."""
MAX_DIRECTORIES = 5_000
"""The same holds for a commit that changes more directories; what a tree says of its size may be forged."""
MAX_LINES_BYTES = 256 << 10
"""Lines of larger files are not counted."""
MAX_PATH = 600
"""Longer paths do not fit the database's index and are left out."""
_LISTED_AT_ONCE = 10_000
_COMPARED_AT_ONCE = 100
_BATCH_BYTES = 4 << 20
_BINARY_BYTES = 8_000
_MAX_INTEGER = (1 << 63) - 1
"""A forged tree may claim more than a database holds."""

Lines = tuple[int | None, int | None]
"""Added and removed; None where the files are no texts."""
Pair = tuple[bytes | None, bytes | None]
"""A blob before and after; None where the file was not there."""


class _Raced(Exception):
    """Another worker has recorded some of these commits in the meantime."""


async def analyse_new_commits(work: Work) -> int:
    """Record what the commits changed that no walk has seen yet; returns how many there were.

    Jobs that run together share one walk.
    """
    return await work.share("changes", lambda: _analyse(work))


async def _analyse(work: Work) -> int:
    repository_id = work.repository.id
    async with work.parts.database.read("list refs") as conn:
        heads = await list_targets(conn, repository_id, Kind.COMMIT)
    analysed = 0
    while True:
        async with work.parts.database.read("list new commits") as conn:
            commits = await list_new_commits(conn, repository_id, heads, _LISTED_AT_ONCE)
        if not commits:
            return analysed
        for start in range(0, len(commits), _COMPARED_AT_ONCE):
            part = commits[start : start + _COMPARED_AT_ONCE]
            try:
                await _record(work, part)
            except _Raced:
                break
            analysed += len(part)


async def _record(work: Work, commits: Sequence[NewCommit]) -> None:
    repository_id = work.repository.id
    changed = await _compare(work, commits)
    lines = await _count_lines(work, commits, changed)
    figures = []
    rows = []
    for commit in commits:
        changes = changed.get(commit.id)
        at = to_micros(commit.committed_at)
        figures.append((repository_id, commit.id, at, None if changes is None else len(changes)))
        for change in changes or ():
            if len(change.path) > MAX_PATH:
                continue
            kind = "added" if change.old is None else "removed" if change.new is None else "changed"
            size_bytes = min(change.new.size_bytes, _MAX_INTEGER) if change.new is not None else 0
            counted = lines.get((_id(change.old), _id(change.new)), (None, None))
            rows.append((repository_id, commit.id, change.path, at, kind, *counted, size_bytes))
    figures.sort()
    async with work.parts.database.transaction("record figures") as conn:
        if await insert_figures(conn, figures) < len(figures):
            raise _Raced
        await insert_changes(conn, rows)
        await add_contributions(conn, repository_id, _sum_authors(commits))


async def _compare(work: Work, commits: Sequence[NewCommit]) -> dict[bytes, list[Change]]:
    """The changes of each commit that is young enough, no merge and not too large."""
    since = work.parts.clock() - PATHS_SPAN
    chosen = [c for c in commits if c.committed_at >= since and len(c.parents) <= 1]
    async with work.parts.database.read("find trees") as conn:
        trees = await find_trees(
            conn, work.repository.id, list({parent for c in chosen for parent in c.parents})
        )
    pairs: list[tuple[bytes | None, bytes | None]] = []
    compared = []
    for commit in chosen:
        pairs.append((trees[commit.parents[0]] if commit.parents else None, commit.tree_id))
        compared.append(commit.id)
    found = await diff_many_trees(work.reader, pairs, MAX_FILES, MAX_DIRECTORIES)
    return {
        commit_id: changes for commit_id, (changes, more) in zip(compared, found, strict=True) if not more
    }


async def _count_lines(
    work: Work, commits: Sequence[NewCommit], changed: dict[bytes, list[Change]]
) -> dict[Pair, Lines]:
    since = work.parts.clock() - LINES_SPAN
    sizes: dict[Pair, int] = {}
    for commit in commits:
        if commit.committed_at < since:
            continue
        for change in changed.get(commit.id, ()):
            sides = [entry for entry in (change.old, change.new) if entry is not None]
            if all(map(_may_be_text, sides)):
                sizes[_id(change.old), _id(change.new)] = sum(entry.size_bytes for entry in sides)
    counted: dict[Pair, Lines] = {}
    batch: list[Pair] = []
    batch_bytes = 0
    for pair, size_bytes in sizes.items():
        batch.append(pair)
        batch_bytes += size_bytes
        if batch_bytes >= _BATCH_BYTES:
            counted |= await _count_batch(work.reader, batch)
            batch, batch_bytes = [], 0
    if batch:
        counted |= await _count_batch(work.reader, batch)
    return counted


async def _count_batch(reader: ObjectReader, pairs: Sequence[Pair]) -> dict[Pair, Lines]:
    ids = {object_id for pair in pairs for object_id in pair if object_id is not None}
    contents = await reader.load_many(Kind.BLOB, sorted(ids))

    def count() -> dict[Pair, Lines]:
        return {
            (old, new): count_changed_lines(contents[old] if old else b"", contents[new] if new else b"")
            for old, new in pairs
        }

    return await asyncio.to_thread(count)


def count_changed_lines(old: bytes, new: bytes) -> Lines:
    """Lines of `new` that `old` lacks and the other way round; a line that moved counts as neither.

    Unlike the lines of a difference for people this takes no longer than reading. (None, None) for what is
    not text.
    """
    if b"\0" in old[:_BINARY_BYTES] or b"\0" in new[:_BINARY_BYTES]:
        return None, None
    before, after = Counter(old.splitlines()), Counter(new.splitlines())
    return (after - before).total(), (before - after).total()


def _may_be_text(entry: Entry) -> bool:
    return entry.kind in (FILE, EXECUTABLE) and entry.size_bytes <= MAX_LINES_BYTES


def _id(entry: Entry | None) -> bytes | None:
    return entry.id if entry is not None else None


def _sum_authors(commits: Iterable[NewCommit]) -> list[Contributor]:
    sums: dict[bytes, Contributor] = {}
    for commit in commits:
        agent = commit.agent_name or ""
        identity: list[Any] = [commit.author_email.lower() or commit.author_name, commit.author_kind, agent]
        key = hashlib.sha256(json.dumps(identity).encode()).digest()
        known = sums.get(key)
        at = commit.authored_at
        if known is None:
            name, email, kind = commit.author_name, commit.author_email, commit.author_kind
            sums[key] = Contributor(key, name, email, kind, agent, 1, at, at)
        else:
            sums[key] = known._replace(
                commits=known.commits + 1, first_at=min(known.first_at, at), last_at=max(known.last_at, at)
            )
    return list(sums.values())
