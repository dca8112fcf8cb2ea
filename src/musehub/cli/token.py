"""`musehub token`: tokens for programs that talk to the hub."""

from __future__ import annotations

import argparse
from datetime import timedelta
from typing import Any

from musehub.cli.context import print_json, run_with_accounts
from musehub.cli.parsing import Subparsers, add_action


def add_parser(commands: Subparsers, common: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "token",
        help="create, list, revoke tokens",
        description="Manage the tokens of a user. A token is shown once, when it is created.",
        epilog="example: musehub token create ada --scope write --label laptop --days 30",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    create = add_action(
        actions,
        common,
        "create",
        "create a token and print it",
        "musehub token create ada --scope write --label laptop --days 30",
    )
    create.add_argument("user", metavar="USER")
    create.add_argument("--label", metavar="TEXT", default="", help="what it is for")
    create.add_argument(
        "--scope", metavar="SCOPE", default="write", help="read, write or admin (default: write)"
    )
    create.add_argument(
        "--days", metavar="N", type=float, help="how long it lasts (default: setting token_ttl_days)"
    )
    create.set_defaults(run=_create)

    listing = add_action(actions, common, "list", "list the tokens of a user", "musehub token list ada")
    listing.add_argument("user", metavar="USER")
    listing.set_defaults(run=_list)

    revoke = add_action(actions, common, "revoke", "end a token now", "musehub token revoke ada 7")
    revoke.add_argument("user", metavar="USER")
    revoke.add_argument("id", metavar="ID", type=int, help="its number in `musehub token list`")
    revoke.set_defaults(run=_revoke)


def _create(args: argparse.Namespace) -> None:
    async def work(accounts: Any) -> Any:
        user = await accounts.users.get(args.user)
        ttl = None if args.days is None else timedelta(days=args.days)
        return await accounts.tokens.issue(user.id, label=args.label, scope=args.scope, ttl=ttl)

    token = run_with_accounts(args, work)
    if args.json:
        print_json({"token": token})
    else:
        print(token.secret)


def _list(args: argparse.Namespace) -> None:
    async def work(accounts: Any) -> Any:
        return await accounts.tokens.list((await accounts.users.get(args.user)).id)

    tokens = run_with_accounts(args, work)
    if args.json:
        print_json({"tokens": tokens})
        return
    for token in tokens:
        print(f"{token.id:<6} {token.scope:<6} until {token.expires_at:%Y-%m-%d}  {token.label}")


def _revoke(args: argparse.Namespace) -> None:
    async def work(accounts: Any) -> None:
        await accounts.tokens.revoke((await accounts.users.get(args.user)).id, args.id)

    run_with_accounts(args, work)
    if args.json:
        print_json({"revoked": args.id})
    else:
        print(f"revoked token {args.id}")
