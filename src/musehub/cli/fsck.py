"""`musehub fsck`: check that database, store and hashes say the same."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from muse.errors import CorruptStore
from musehub.cli.context import print_json, run_with_hub
from musehub.cli.parsing import Subparsers


def add_parser(commands: Subparsers, common: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "fsck",
        parents=[common],
        help="check database and store against each other",
        description="Check every pack, record, commit, branch and total. Ends with code 5 if anything is "
        "wrong. What a repair marks as missing is brought back by the next push of somebody who has it.",
        epilog="example: musehub fsck ada/songs --deep --repair",
    )
    parser.add_argument("repository", nargs="?", metavar="OWNER/NAME", help="only this one")
    parser.add_argument("--deep", action="store_true", help="read every pack and hash every file")
    parser.add_argument(
        "--repair",
        "--mark-missing",
        action="store_true",
        help="write rows anew that follow from a commit, and take what cannot be read out of the database, "
        "so that the hub asks the next push for it",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    async def work(_settings: Any, database: Any, store: Any) -> Any:
        from musehub.db.instants import utc_now
        from musehub.upkeep.fsck import check_hub
        from musehub.upkeep.room import get_repository_by_name

        only = (await get_repository_by_name(database, args.repository)).id if args.repository else None
        return await check_hub(database, store, utc_now, deep=args.deep, repair=args.repair, only=only)

    report(run_with_hub(args, work), args.json)


def report(checked: list[Any], as_json: bool) -> None:
    """Print what was checked; raises `corrupt-object` if anything is wrong."""
    problems = sum(len(each.problems) for each in checked)
    if as_json:
        print_json(
            {
                "repositories": [
                    each._asdict() | {"problems": [problem._asdict() for problem in each.problems]}
                    for each in checked
                ]
            }
        )
    else:
        for each in checked:
            for problem in each.problems:
                print(f"{each.repository}: {problem.what}: {problem.where}: {problem.detail}")
            if each.derived:
                print(f"{each.repository}: wrote the rows of {each.derived} commits anew")
            if each.marked:
                print(f"{each.repository}: marked {each.marked} objects as missing; push again to heal")
        counted = sum(each.records + each.blobs for each in checked)
        packs = sum(each.packs for each in checked)
        found = "" if problems else ": nothing is wrong"
        print(f"checked {counted} objects and {packs} packs in {len(checked)} repositories{found}")
    sys.stdout.flush()
    if problems:
        raise CorruptStore(
            "corrupt-object",
            f"{problems} problems",
            hint="`musehub fsck --repair`, then push again from a repository that has everything",
        )
