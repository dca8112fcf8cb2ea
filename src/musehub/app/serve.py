"""Running a hub: database ready, first administrator, socket, server, orderly end."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from muse.errors import Conflict
from musehub.accounts.passwords import make_password
from musehub.accounts.service import open_accounts
from musehub.app.compose import create_app
from musehub.app.listen import RunningServer, open_socket, socket_url
from musehub.app.memory import bound_heaps
from musehub.app.opening import open_hub_store, prepare_database
from musehub.db.engine import Database
from musehub.db.instants import utc_now
from musehub.db.opening import open_database
from musehub.settings import Settings
from musehub.storage.opening import check_store

FIRST_ADMIN = "admin"
GC_THRESHOLDS = (20_000, 10, 10)
"""Rarer than usual: a batch of a push is tens of thousands of tuples, none of them part of a circle. The
usual ones cost a quarter of what a hub spends on a push."""


class Started(NamedTuple):
    """What is known once the hub listens."""

    url: str
    admin_password: str | None
    """The password of the administrator that this start created; it is kept nowhere else."""


async def serve(settings: Settings, announce: Callable[[Started], None]) -> None:
    """Serve until SIGTERM or SIGINT; `announce` is called once, when requests are accepted."""
    listener = open_socket(settings.host, settings.port)
    with listener:
        url = socket_url(listener)
        settings = msgspec.structs.replace(
            settings, port=listener.getsockname()[1], public_url=settings.public_url or url
        )
        database = open_database(settings)
        try:
            await prepare_database(settings, database)
            store = open_hub_store(settings, database)
            await check_store(settings, store)
            password = await create_first_admin(settings, database)
        except BaseException:
            await database.close()
            raise
        # From here on the application's lifespan owns the database.
        server = RunningServer(create_app(settings, database=database, store=store), listener)
        loop = asyncio.get_running_loop()
        stopping: list[asyncio.Task[None]] = []

        def ask_to_stop() -> None:
            # The second signal does not wait for anybody.
            grace_s = 0.0 if stopping else settings.shutdown_grace_s
            stopping.append(loop.create_task(server.stop(grace_s)))

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, ask_to_stop)
        # The socket listens already, so whoever reads the announcement can connect at once.
        announce(Started(url, password))
        await server.run()


async def create_first_admin(settings: Settings, database: Database) -> str | None:
    """In a hub without users, make one who may do everything; returns the password."""
    accounts = open_accounts(database, settings, utc_now)
    if await accounts.users.count():
        return None
    password = make_password()
    try:
        await accounts.users.create(FIRST_ADMIN, password=password, is_admin=True)
    except Conflict:  # another process of the same hub was faster
        return None
    return password


def run(settings: Settings, announce: Callable[[Started], None]) -> None:
    """`serve` in an event loop of its own; uses uvloop where it is installed."""
    try:
        import uvloop  # type: ignore[import-not-found, unused-ignore]

        loop_factory = uvloop.new_event_loop
    except ImportError:
        loop_factory = None
    gc.set_threshold(*GC_THRESHOLDS)
    bound_heaps()

    def start(started: Started) -> None:
        gc.freeze()  # what is there by now stays, and need not be looked at again
        announce(started)

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(serve(settings, start))
    sys.stdout.flush()
