"""Which tables a database has, and which this version needs: known without the machinery of migrating."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from muse.errors import UsageError
from musehub.db.engine import Database

_SCRIPTS = Path(__file__).parent / "migrations" / "versions"


async def find_revision(database: Database) -> str | None:
    """The revision that the database has, None for an empty one."""
    async with database.read("find revision") as conn:
        return await conn.run_sync(_find_revision)


def _find_revision(conn: sa.Connection) -> str | None:
    if not sa.inspect(conn).has_table("alembic_version"):
        return None
    found: str | None = conn.scalar(sa.text("SELECT version_num FROM alembic_version"))
    return found


def known_revisions() -> list[str]:
    """Those that this version of the program knows, oldest first: its scripts are named after them."""
    return sorted(script.name.partition("_")[0] for script in _SCRIPTS.glob("[0-9]*_*.py"))


def newest_revision() -> str:
    """The revision that this version of the program needs."""
    return known_revisions()[-1]


async def is_up_to_date(database: Database) -> bool:
    """Raises UsageError("bad-setting") for the database of a newer version."""
    found = await find_revision(database)
    known = known_revisions()
    if found is not None and found not in known:
        raise UsageError(
            "bad-setting",
            f'the database is at revision "{found}", which this version of musehub does not know',
            hint="it was used by a newer version: install that one",
        )
    return found == known[-1]


async def check_up_to_date(database: Database) -> None:
    """Raise UsageError("bad-setting") with what to do if the tables are not those of this version."""
    if await is_up_to_date(database):
        return
    found = await find_revision(database)
    raise UsageError(
        "bad-setting",
        f'the database is at revision "{found or "none"}", this version needs "{newest_revision()}"',
        hint="make a backup, then run `musehub migrate`",
    )
