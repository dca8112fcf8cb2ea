"""`musehub repo`: what an operator decides about a repository."""

from __future__ import annotations

import argparse
from typing import Any

from musehub.cli.context import Subparsers, print_json, run_with_hub


def add_parser(commands: Subparsers, common: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "repo",
        help="change the policies of a repository",
        description="Change what a repository demands of pushes.",
        epilog="example: musehub repo set ada/songs --signatures known",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    change = actions.add_parser("set", parents=[common], help="change policies")
    change.add_argument("name", metavar="OWNER/NAME")
    change.add_argument(
        "--signatures",
        required=True,
        help="none; signed: every new commit and annotated tag; known: by a key of somebody who may write",
    )
    change.set_defaults(run=_set)


def _set(args: argparse.Namespace) -> None:
    async def work(_settings: Any, database: Any, _store: Any) -> None:
        from musehub.upkeep.room import get_repository_by_name, set_signature_policy

        row = await get_repository_by_name(database, args.name)
        await set_signature_policy(database, row.id, args.signatures)

    run_with_hub(args, work)
    if args.json:
        print_json({"name": args.name, "signatures": args.signatures})
    else:
        print(f'"{args.name}" takes: {args.signatures}')
