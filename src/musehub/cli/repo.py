"""`musehub repo`: what an operator decides about a repository."""

from __future__ import annotations

import argparse
from typing import Any

from muse.errors import UsageError
from musehub.cli.context import format_size, print_json, run_with_hub
from musehub.cli.parsing import Subparsers, add_action


def add_parser(commands: Subparsers, common: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "repo",
        help="list repositories, change who sees one and what it demands of pushes",
        description="List repositories; change who sees one and what it demands of pushes.",
        epilog="example: musehub repo set ada/songs --signatures known",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = add_action(actions, common, "list", "list all repositories", "musehub repo list")
    listing.set_defaults(run=_list)
    change = add_action(
        actions,
        common,
        "set",
        "change who sees a repository and what it demands of pushes",
        "musehub repo set ada/songs --visibility public --signatures known",
    )
    change.add_argument("name", metavar="OWNER/NAME")
    change.add_argument("--visibility", choices=("public", "private"), help="who sees it without a login")
    change.add_argument(
        "--signatures",
        metavar="POLICY",
        help="none; signed: every new commit and annotated tag; known: by a key of somebody who may write",
    )
    change.set_defaults(run=_set)


def _list(args: argparse.Namespace) -> None:
    async def work(_settings: Any, database: Any, _store: Any) -> list[Any]:
        from musehub.repos.browse import list_visible

        found: list[Any] = []
        while page := await list_visible(database, _operator(), limit=1000, offset=len(found)):
            found += page
        return found

    found = run_with_hub(args, work)
    if args.json:
        fields = ("full_name", "visibility", "stored_bytes", "stored_objects", "pushed_at")
        print_json({"repositories": [{field: getattr(row, field) for field in fields} for row in found]})
        return
    for row in found:
        pushed = f"pushed {row.pushed_at:%Y-%m-%d}" if row.pushed_at else "never pushed"
        print(f"{row.full_name:<32} {row.visibility:<8} {format_size(row.stored_bytes):>10}  {pushed}")


def _set(args: argparse.Namespace) -> None:
    if args.visibility is None and args.signatures is None:
        raise UsageError("bad-arguments", "nothing to set", hint="give --visibility or --signatures")

    async def work(_settings: Any, database: Any, store: Any) -> None:
        from musehub.db.instants import utc_now
        from musehub.repos.administer import RepositoryAdministration
        from musehub.upkeep.room import get_repository_by_name, set_signature_policy

        row = await get_repository_by_name(database, args.name)
        if args.signatures is not None:
            await set_signature_policy(database, row.id, args.signatures)
        if args.visibility is not None:
            owner, _, name = args.name.partition("/")
            administration = RepositoryAdministration(database, store, utc_now)
            await administration.change(_operator(), owner, name, visibility=args.visibility)

    run_with_hub(args, work)
    changed = {name: getattr(args, name) for name in ("visibility", "signatures") if getattr(args, name)}
    if args.json:
        print_json({"name": args.name, **changed})
    else:
        print(f'"{args.name}": {", ".join(f"{name} {value}" for name, value in changed.items())}')


def _operator() -> Any:
    """Whoever may run this command on the hub's database may see and change everything in it."""
    from musehub.accounts.actor import Actor

    return Actor(user_id=0, name="operator", is_admin=True, scope="admin")
