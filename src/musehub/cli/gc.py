"""`musehub gc`: remove what no branch reaches."""

from __future__ import annotations

import argparse
from datetime import timedelta
from typing import Any

from musehub.cli.context import format_size, print_json, run_with_hub
from musehub.cli.parsing import Subparsers


def add_parser(commands: Subparsers, common: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "gc",
        parents=[common],
        help="remove what no branch or tag reaches",
        description="Remove commits, trees and files that no branch or tag reaches and that were recorded "
        "longer ago than the grace, and packs that nothing names. Safe while the hub runs and is pushed to. "
        "Packs leave the store a grace after their rows.",
        epilog="example: musehub gc --dry-run",
    )
    parser.add_argument("repository", nargs="?", metavar="OWNER/NAME", help="only this one")
    parser.add_argument("--dry-run", action="store_true", help="say what would go and remove nothing")
    parser.add_argument(
        "--grace", type=float, metavar="HOURS", help="keep what is younger (default: setting gc_grace_hours)"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    async def work(settings: Any, database: Any, store: Any) -> Any:
        from musehub.db.instants import utc_now
        from musehub.upkeep.gc import collect_garbage
        from musehub.upkeep.room import get_repository_by_name

        only = (await get_repository_by_name(database, args.repository)).id if args.repository else None
        grace = None if args.grace is None else timedelta(hours=max(0.0, args.grace))
        return await collect_garbage(
            database, store, settings, utc_now, grace=grace, dry_run=args.dry_run, only=only
        )

    report = run_with_hub(args, work)
    if args.json:
        print_json(
            {
                "dry_run": report.dry_run,
                "repositories": [each._asdict() for each in report.repositories],
                "freed_bytes": report.freed_bytes,
                "orphans": report.orphans._asdict(),
                "deleted_keys": report.deleted_keys,
                "expired": report.expired,
                "remains": report.remains,
            }
        )
        return
    for each in report.repositories:
        if each.objects or each.packs or each.rewritten_packs or each.left:
            print(f"{each.repository}: {_describe(each)}")
    verb = "would free" if report.dry_run else "freed"
    print(f"{verb} {format_size(report.freed_bytes)} in {len(report.repositories)} repositories")
    orphans = report.orphans
    if orphans.keys or orphans.uploads:
        print(
            f"{orphans.keys} packs of {format_size(orphans.size_bytes)} in the store that nothing names, "
            f"{orphans.uploads} unfinished uploads"
        )
    if report.remains:
        print(
            f"rows of {report.remains} deleted repositories {'are' if report.dry_run else 'were'} still there"
        )
    if not report.dry_run:
        print(f"deleted {report.deleted_keys} packs from the store")


def _describe(each: Any) -> str:
    parts = [f"{count} {kind}{'' if count == 1 else 's'}" for kind, count in sorted(each.objects.items())]
    parts += [f"{each.packs} packs"] if each.packs else []
    parts += [f"{each.rewritten_packs} packs written anew"] if each.rewritten_packs else []
    parts.append(format_size(each.freed_bytes))
    return ", ".join(parts) + (f" (left alone: {each.left})" if each.left else "")
