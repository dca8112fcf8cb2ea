"""A deletion of a repository is killed in the middle: clean-up finishes it."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal

import pytest
import sqlalchemy as sa
from tests.musehub.hub import History
from tests.musehub.upkeep.conftest import Upkeep

from musehub.accounts.actor import Actor
from musehub.app.opening import open_hub_store
from musehub.db import removal
from musehub.db.instants import utc_now
from musehub.db.opening import open_database
from musehub.db.tables import metadata
from musehub.db.transaction import TransactionRecord
from musehub.repos.administer import RepositoryAdministration
from musehub.settings import Settings


def delete_and_die(settings: Settings, name: str, after: str) -> None:
    """Delete ada's repository, in a process that is killed when it has ended a transaction of that name."""

    def die(record: TransactionRecord) -> None:
        if record.name == after:
            os.kill(os.getpid(), signal.SIGKILL)

    async def work() -> None:
        removal.ROWS_AT_ONCE = 2
        database = open_database(settings)
        database.observers.append(die)
        store = open_hub_store(settings, database)
        actor = Actor(user_id=0, name="operator", is_admin=True, scope="admin")
        await RepositoryAdministration(database, store, utc_now).delete(actor, "ada", name)

    asyncio.run(work())


def count_rows(upkeep: Upkeep, repository_id: int) -> dict[str, int]:
    """Of each table that has any of that repository."""

    async def count() -> dict[str, int]:
        found = {}
        async with upkeep.database.read("test") as conn:
            for table in metadata.sorted_tables:
                if "repository_id" in table.c:
                    query = sa.select(sa.func.count()).where(table.c.repository_id == repository_id)
                    found[table.name] = await conn.scalar(query) or 0
        return {name: rows for name, rows in found.items() if rows}

    found: dict[str, int] = upkeep.call(count())
    return found


@pytest.mark.parametrize("after", ["delete repository", "remove rows"])
def test_a_deletion_that_was_killed_is_finished_by_the_clean_up(upkeep: Upkeep, after: str) -> None:
    ada = upkeep.hub.user("ada")
    for name in ("kept", "gone"):
        history = History()
        first = history.commit_files({"a": os.urandom(100), "dir/b": b"2"})
        remote = ada.repository(name)
        remote.push_main(history, history.commit_files({"a": b"3"}, first))
    kept, gone = upkeep.repository("kept").id, upkeep.repository("gone").id
    upkeep.call(upkeep.hub.accounts.tokens.issue(upkeep.repository("gone").owner_id, repository_id=gone))
    rows_kept = count_rows(upkeep, kept)

    process = multiprocessing.get_context("spawn").Process(
        target=delete_and_die, args=(upkeep.settings, "gone", after)
    )
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert ada.repository("gone").refs().status == 404
    left = count_rows(upkeep, gone)
    assert {"records", "blobs", "commits", "outbox"} <= left.keys()
    assert len(upkeep.keys()) == 2

    assert upkeep.gc(dry_run=True).remains == 1
    assert count_rows(upkeep, gone) == left
    assert upkeep.gc(days_later=2).remains == 1
    assert count_rows(upkeep, gone) == {}
    assert count_rows(upkeep, kept) == rows_kept
    assert upkeep.keys() == set(upkeep.pack_keys("kept"))
    assert upkeep.gc(days_later=2).remains == 0
    assert upkeep.fsck() == []
