"""Bringing a database to the tables of this version.

Migrations only go forward: to go back, restore the backup made before. After a change of `tables`,
`python -m musehub.db.migrate "add labels"` writes the next script, to be read and corrected.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from musehub.db.engine import Database
from musehub.db.revision import newest_revision
from musehub.db.tables import metadata

_POSTGRESQL_LOCK = 7_245_530_118
"""Two processes that start together must not migrate together; the number is arbitrary but fixed."""


async def upgrade(database: Database) -> str:
    """Run what is missing, in one transaction; returns the revision reached. Doing it again does nothing."""
    async with database.transaction("migrate") as conn:
        if database.is_postgresql:
            await conn.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_POSTGRESQL_LOCK})")
        await conn.run_sync(_upgrade)
    return newest_revision()


def find_differences(conn: sa.Connection) -> list[Any]:
    """How the database differs from `tables`, as Alembic describes it."""
    return list(compare_metadata(MigrationContext.configure(conn), metadata))


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _upgrade(conn: sa.Connection) -> None:
    config = _config()
    config.attributes["connection"] = conn
    command.upgrade(config, "head")


def _write_script(message: str) -> None:
    """Compare `tables` with an empty database that has all scripts run, and write the difference."""
    config = _config()
    numbers = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    engine = sa.create_engine("sqlite://")
    with engine.connect() as conn:
        config.attributes["connection"] = conn
        if numbers:
            command.upgrade(config, "head")
        revision = f"{len(numbers) + 1:04d}"
        config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
        command.revision(config, message=message, autogenerate=True, rev_id=revision)


if __name__ == "__main__":
    _write_script(" ".join(sys.argv[1:]))
