"""`musehub restore`: put a backup into an empty hub."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from musehub.cli import fsck
from musehub.cli.context import run_with_hub
from musehub.cli.parsing import Subparsers


def add_parser(commands: Subparsers, common: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "restore",
        parents=[common],
        help="put a backup into an empty hub",
        description="Restore the newest backup of a folder into an empty database, SQLite or PostgreSQL, "
        "bring its packs into the store, and check everything.",
        epilog="example: musehub restore /backup/hub --database postgresql://musehub@db.example.org/musehub",
    )
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--database-only", action="store_true", help="the store has the packs already")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    async def work(_settings: Any, database: Any, store: Any) -> Any:
        from musehub.db.instants import utc_now
        from musehub.upkeep.backup import restore
        from musehub.upkeep.fsck import check_hub

        report = await restore(database, store, args.folder, database_only=args.database_only)
        return report, await check_hub(database, store, utc_now)

    report, checked = run_with_hub(args, work, prepare=False)
    if not args.json:
        print(f"restored {report.rows} rows of {report.tables} tables and {report.packs} packs")
        for key in report.missing_packs:
            print(f"not in the backup: {key}")
    fsck.report(checked, args.json)
