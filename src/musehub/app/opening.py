"""Opening what a hub stands on, for all that uses it: a server, a worker, a command.

Commands live for a moment: nothing here imports what only a server needs.
"""

from __future__ import annotations

from musehub.db.engine import Database
from musehub.db.instants import Clock, utc_now
from musehub.db.revision import check_up_to_date, is_up_to_date
from musehub.db.secrets import get_secret
from musehub.settings import Settings
from musehub.storage.metering import MeteredStore
from musehub.storage.opening import open_store


async def prepare_database(settings: Settings, database: Database) -> None:
    """Migrate an embedded database; refuse an external one whose tables are not those of this version."""
    if not settings.embedded_database:
        await check_up_to_date(database)
    elif not await is_up_to_date(database):
        from musehub.db import migrate  # Alembic takes longer to import than most commands to run

        await migrate.upgrade(database)


def open_hub_store(settings: Settings, database: Database, clock: Clock = utc_now) -> MeteredStore:
    """The store that the settings name; the secret of its addresses is in the database, for all processes."""

    async def url_secret() -> bytes:
        return await get_secret(database, "store-urls", clock())

    return open_store(settings, url_secret)
