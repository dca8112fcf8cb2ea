"""Whether the hub can do its work right now, part by part."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable
from functools import cache

from muse.errors import MuseError
from muse.objects.ids import hash_bytes
from musehub.db.engine import Database
from musehub.db.revision import find_revision, newest_revision
from musehub.storage.port import Store

logger = logging.getLogger("musehub")

PART_TIMEOUT_S = 5.0
REMEMBER_S = 1.0
"""Anybody may ask: the parts are asked no more often than this."""
_PROBE = b"the store of this hub can be written\n"

Parts = dict[str, str]
"""`ok`, or what is wrong, for each of `database`, `migrations` and `store`."""


class Readiness:
    """Of one hub process."""

    def __init__(self, database: Database, store: Store) -> None:
        self._database = database
        self._store = store
        self._lock = asyncio.Lock()
        self._parts: Parts = {}
        self._asked_at = float("-inf")

    async def check(self) -> Parts:
        """Ask every part; takes no longer than `PART_TIMEOUT_S`."""
        async with self._lock:
            if time.monotonic() - self._asked_at >= REMEMBER_S:
                (database, migrations), store = await asyncio.gather(self._ask_database(), self._ask_store())
                self._parts = {"database": database, "migrations": migrations, "store": store}
                self._asked_at = time.monotonic()
            return self._parts

    async def _ask_database(self) -> tuple[str, str]:
        found: list[str | None] = []

        async def ask() -> None:
            found.append(await find_revision(self._database))

        answer = await _answer(ask())
        if not found:
            return answer, "unknown"
        wanted = _wanted()
        return "ok", "ok" if found[0] == wanted else f"at {found[0] or 'none'}, not {wanted}"

    async def _ask_store(self) -> str:
        """By writing: a store that is full or read-only takes no push."""
        digest = hash_bytes(_PROBE)
        return await _answer(self._store.put(f"health/{digest.hex()}", [_PROBE], digest))


async def _answer(asking: Awaitable[None]) -> str:
    try:
        async with asyncio.timeout(PART_TIMEOUT_S):
            await asking
    except TimeoutError:
        return f"no answer within {PART_TIMEOUT_S:g} s"
    except MuseError as error:
        return error.message
    except Exception as error:
        logger.exception("a part of the hub fails in a way of its own")
        return type(error).__name__
    return "ok"


@cache
def _wanted() -> str:
    return newest_revision()
