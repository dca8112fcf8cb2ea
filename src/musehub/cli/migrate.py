"""`musehub migrate`: bring the database to the tables of this version."""

from __future__ import annotations

import argparse
import asyncio

from musehub.cli.context import print_json, read_settings
from musehub.cli.parsing import Subparsers


def add_parser(commands: Subparsers, common: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "migrate",
        parents=[common],
        help="bring the database to this version",
        description="Create or change the tables so that this version can use them, in one transaction. "
        "Doing it again does nothing. Make a backup first: there is no way back but that.",
        epilog="example: musehub migrate --database-url postgresql://musehub@db.example.org/musehub",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    settings = read_settings(args)
    from musehub.db import migrate
    from musehub.db.opening import open_database
    from musehub.db.revision import find_revision

    async def work() -> tuple[str | None, str]:
        database = open_database(settings)
        try:
            before = await find_revision(database)
            return before, await migrate.upgrade(database)
        finally:
            await database.close()

    before, after = asyncio.run(work())
    if args.json:
        print_json({"before": before, "after": after})
    elif before == after:
        print(f"the database is up to date (revision {after})")
    else:
        print(f"migrated the database from revision {before or 'none'} to {after}")
