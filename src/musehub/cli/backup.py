"""`musehub backup`: write the database and the packs into a folder."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from musehub.cli.context import format_size, print_json, run_with_hub
from musehub.cli.parsing import Subparsers, parse_positive


def add_parser(commands: Subparsers, common: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "backup",
        parents=[common],
        help="back up the hub, also while it runs",
        description="Write database and packs into a folder, or add to the backups there: packs "
        "that lie there are not copied again. The database can be restored into SQLite and PostgreSQL alike.",
        epilog="example: musehub backup /backup/hub",
    )
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument(
        "--database-only", action="store_true", help="leave the packs to the store's own backup"
    )
    parser.add_argument(
        "--keep", type=parse_positive, default=7, metavar="N", help="so many databases stay (default: 7)"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    async def work(_settings: Any, database: Any, store: Any) -> Any:
        from musehub.db.instants import utc_now
        from musehub.upkeep.backup import back_up

        return await back_up(
            database, store, utc_now, args.folder, database_only=args.database_only, keep=args.keep
        )

    report = run_with_hub(args, work)
    if args.json:
        print_json(report._asdict())
        return
    print(f"wrote {report.rows} rows of {report.tables} tables to {report.folder}")
    if not args.database_only:
        copied = f"copied {report.copied_packs} ({format_size(report.copied_bytes)})"
        print(f"{report.packs} packs, {copied}")
    for key in report.missing_packs:
        print(f"not in the store: {key}")
