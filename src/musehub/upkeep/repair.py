"""Puts right what a check found: derives again what can be derived, marks the rest as missing."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from muse.errors import MuseError
from muse.objects.commit import Commit, decode_commit
from muse.objects.ids import Kind
from musehub.db.checks import (
    insert_missing,
    list_commits_without_record,
    load_commit_rows,
    remove_broken_packs,
    remove_broken_records,
    set_totals,
)
from musehub.db.condemned import condemn_packs, lease_condemned
from musehub.db.engine import Database
from musehub.db.history import delete_commit_rows, find_generations, insert_commits
from musehub.db.objects import find_present_objects
from musehub.db.state import load_state, note_healed
from musehub.db.stored import sum_stored
from musehub.push.commits import derive_commit_rows
from musehub.repos.disposal import LEASE_S, delete_leased
from musehub.repos.objects import ObjectReader
from musehub.storage.port import Store
from musehub.upkeep.check import COMMIT_ROW_WRONG, Check

COMMITS_AT_ONCE = 500


async def repair(
    database: Database, store: Store, repository_id: int, check: Check, now: datetime
) -> tuple[int, int]:
    """Returns how many objects are marked as missing, and how many commits got new rows."""
    marked = await _mark(database, store, repository_id, check, now)
    if all(problem.what != COMMIT_ROW_WRONG for problem in check.problems):
        return marked, 0
    return marked, await _derive_commit_rows(database, store, repository_id, check)


async def _mark(database: Database, store: Store, repository_id: int, check: Check, now: datetime) -> int:
    """Take what is broken out of the database, then damaged packs out of the store."""
    nothing = not (check.broken_packs or check.broken_records or check.missing or check.wrong_totals)
    if nothing:
        return 0
    async with database.transaction("mark what is missing") as conn:
        if await load_state(conn, repository_id, lock=True) is None:
            return 0
        digests = [pack.digest for pack in check.broken_packs]
        marked = await remove_broken_packs(conn, repository_id, digests, now)
        await remove_broken_records(conn, repository_id, sorted(check.broken_records), now)
        await insert_missing(conn, repository_id, sorted(check.missing), now)
        await set_totals(conn, repository_id, (await sum_stored(conn, repository_id)).totals)
        left = await note_healed(conn, repository_id)
        await condemn_packs(conn, repository_id, digests, now)
        leased = await lease_condemned(conn, repository_id, digests, now, now + timedelta(seconds=LEASE_S))
    if leased:
        await delete_leased(database, store, repository_id, leased, LEASE_S)
    return max(marked, left)


async def _derive_commit_rows(database: Database, store: Store, repository_id: int, check: Check) -> int:
    """Compare every commit's rows once more, parents before children, and replace those that are wrong.

    All of them, because a wrong generation may have made its descendants look right.
    """
    reader = ObjectReader(database, store, repository_id)
    replaced = last = 0
    while page := await asyncio.to_thread(check.marks.list_commits, last, COMMITS_AT_ONCE):
        last = page[-1][0]
        decoded: dict[bytes, Commit] = {}
        for object_id in [object_id for _position, object_id in page]:
            if (Kind.COMMIT, object_id) in check.broken_records:
                continue
            try:
                decoded[object_id] = decode_commit(await reader.load(Kind.COMMIT, object_id))
            except MuseError as error:
                if error.retry:
                    raise
        replaced += await _replace_rows(database, repository_id, decoded)
    async with database.transaction("remove rows of no commit") as conn:
        if await load_state(conn, repository_id, lock=True) is None:
            return replaced
        stray = await list_commits_without_record(conn, repository_id)
        await delete_commit_rows(conn, repository_id, stray)
    return replaced + len(set(stray))


async def _replace_rows(database: Database, repository_id: int, decoded: dict[bytes, Commit]) -> int:
    """Replace what is wrong of these rows, under the repository's lock; returns of how many commits."""
    ids = sorted(decoded)
    parents = sorted({parent for commit in decoded.values() for parent in commit.parents})
    async with database.transaction("replace rows of commits") as conn:
        if await load_state(conn, repository_id, lock=True) is None:
            return 0
        there = await find_present_objects(conn, repository_id, Kind.COMMIT, ids)
        generations = await find_generations(conn, repository_id, parents)
        rows, edges = await load_commit_rows(conn, repository_id, ids)
        wrong = []
        new_rows = []
        new_edges = []
        for object_id, commit in decoded.items():
            if object_id not in there or any(parent not in generations for parent in commit.parents):
                continue
            generation, row, below = derive_commit_rows(repository_id, object_id, commit, generations)
            generations[object_id] = generation
            if rows.get(object_id) != row or edges.get(object_id, []) != below:
                wrong.append(object_id)
                new_rows.append(row)
                new_edges += below
        if wrong:
            await delete_commit_rows(conn, repository_id, wrong)
            await insert_commits(conn, new_rows, new_edges)
    return len(wrong)
