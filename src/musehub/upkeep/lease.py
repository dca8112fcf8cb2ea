"""Upkeep that only one process of a hub does at a time."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

from muse.errors import Conflict, MuseError
from musehub.db.engine import Database
from musehub.db.instants import Clock
from musehub.db.leases import end_lease, take_lease

LEASE_S = 120.0
"""After so long the work of a process that died may be begun again by another."""


@asynccontextmanager
async def leased(database: Database, name: str, clock: Clock, what: str) -> AsyncIterator[None]:
    """Hold the lease `name` while the block runs; raises `already-running` if somebody else does.

    `what` completes the sentence "… runs already".
    """
    holder = make_holder_name()

    async def take() -> str | None:
        now = clock()
        async with database.transaction("take lease") as conn:
            return await take_lease(conn, name, holder, now, now + timedelta(seconds=LEASE_S))

    async def keep() -> None:
        while True:
            await asyncio.sleep(LEASE_S / 4)
            with suppress(MuseError):
                await take()

    other = await take()
    if other is not None:
        raise Conflict(
            "already-running",
            f"{what} runs already ({other})",
            hint=f"wait for it; if that process died, try again in {LEASE_S:g} s",
            retry=True,
            details={"holder": other},
        )
    keeping = asyncio.create_task(keep())
    try:
        yield
    finally:
        keeping.cancel()
        await asyncio.wait([keeping])
        async with database.transaction("end lease") as conn:
            await end_lease(conn, name, holder)


def make_holder_name() -> str:
    """A name for whoever works in this process, for operators to find it by: host, process, and a number."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}"
