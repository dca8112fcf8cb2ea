"""Reads packs back from the store and hashes every object in them again."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from muse.errors import CorruptStore, InvalidData, NotFound
from muse.objects.ids import Kind, hash_bytes
from muse.packs.pack import verify_pack
from musehub.db.integrity import list_problems, save_problem
from musehub.db.packs import PackRow, list_packs
from musehub.jobs.work import Payload, Work
from musehub.storage.port import pack_key

NAME = "scrub"
MAX_PACKS = 4
MAX_BYTES = 64 << 20
"""So much of a repository is read each time; the next time goes on from there, round and round."""


async def run(work: Work, _payload: Payload) -> None:
    """Verify the next packs; what is wrong is recorded, what is right again is forgotten."""
    known = await work.find(NAME) or {}
    database, repository_id = work.parts.database, work.repository.id
    after = int(known.get("last_pack", 0))
    async with database.read("list packs") as conn:
        packs = await list_packs(conn, repository_id, after=after, limit=MAX_PACKS)
        if not packs:
            packs = await list_packs(conn, repository_id, limit=MAX_PACKS)
    size_bytes = objects = count = 0
    for pack in packs:
        if size_bytes and size_bytes + pack.size_bytes > MAX_BYTES:
            break
        await work.pause()
        problem = await _verify(work, pack)
        async with database.transaction("note integrity") as conn:
            await save_problem(conn, repository_id, pack.digest, problem, work.parts.clock())
        after = pack.id
        size_bytes += pack.size_bytes
        objects += pack.object_count
        count += 1
    async with database.read("list problems") as conn:
        problems = await list_problems(conn, repository_id)
    await work.save(
        NAME,
        {
            "last_pack": after,
            "packs": int(known.get("packs", 0)) + count,
            "objects": int(known.get("objects", 0)) + objects,
            "bytes": int(known.get("bytes", 0)) + size_bytes,
            "problems": len(problems),
        },
    )


async def _verify(work: Work, pack: PackRow) -> str | None:
    """What is wrong with a pack; raises what says nothing about it, such as a store that does not answer."""
    loop = asyncio.get_running_loop()

    def wait(load: Coroutine[Any, Any, bytes]) -> bytes:
        return asyncio.run_coroutine_threadsafe(load, loop).result()

    def check(view: memoryview) -> str | None:
        if len(view) != pack.size_bytes or hash_bytes(view) != pack.digest:
            return f"the pack has other bytes than its name says ({len(view)} of {pack.size_bytes} bytes)"
        found = verify_pack(
            view,
            lambda kind, object_id: wait(work.reader.load(Kind(kind), object_id)),
            work.parts.settings.object_max_bytes,
        )
        if len(found) != pack.object_count:
            return f"the pack holds {len(found)} objects, not {pack.object_count}"
        return None

    try:
        async with work.parts.store.open(pack_key(work.repository.id, pack.digest)) as view:
            return await asyncio.to_thread(check, view)
    except (InvalidData, CorruptStore, NotFound) as error:
        return error.message
