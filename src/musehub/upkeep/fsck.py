"""Checks that database, store and hashes say the same, and repairs what they do not."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from musehub.db.engine import Database
from musehub.db.instants import Clock
from musehub.db.sweep import list_repository_ids
from musehub.storage.port import Store
from musehub.upkeep.check import Check, Problem
from musehub.upkeep.repair import repair as repair_repository


class Checked(NamedTuple):
    """A checked repository. `orphans` are keys that no row names: uploads under way, or for the clean-up."""

    repository: str
    problems: list[Problem]
    records: int
    blobs: int
    packs: int
    orphans: int
    marked: int
    derived: int
    """Commits whose rows were made anew."""


async def check_hub(
    database: Database,
    store: Store,
    clock: Clock,
    *,
    deep: bool = False,
    repair: bool = False,
    only: int | None = None,
) -> list[Checked]:
    """Check all repositories, or one; safe while pushes run. See `check_repository`."""
    async with database.read("list repositories") as conn:
        listed = [item for item in await list_repository_ids(conn) if only is None or item[0] == only]
    return [
        await check_repository(database, store, clock, repository_id, name, deep=deep, repair=repair)
        for repository_id, name in listed
    ]


async def check_repository(
    database: Database,
    store: Store,
    clock: Clock,
    repository_id: int,
    name: str,
    *,
    deep: bool = False,
    repair: bool = False,
) -> Checked:
    """Compare what the database says with itself and with the store.

    `deep` reads every pack and every blob. `repair` writes rows anew that follow from a record, and takes out
    of the database what cannot be read, so that the hub does not claim to have it: the next push is asked for
    it.
    """
    check = Check(database, store, repository_id)
    marked = derived = 0
    try:
        await check.run(deep=deep)
        if repair:
            marked, derived = await repair_repository(database, store, repository_id, check, clock())
    finally:
        await asyncio.to_thread(check.marks.close)
    return Checked(
        name,
        check.problems,
        check.records,
        check.blobs,
        len(check.packs),
        check.orphans,
        marked,
        derived,
    )
