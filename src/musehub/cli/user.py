"""`musehub user`: the people and agents who may use the hub."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from muse.errors import UsageError
from musehub.cli.context import print_json, run_with_accounts
from musehub.cli.parsing import Subparsers, add_action

_STDIN = "read the password from stdin, without showing it if that is a terminal"


def add_parser(commands: Subparsers, common: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "user",
        help="add, list, disable users; set passwords",
        description="Manage users. Works on the database, whether or not the hub is running.",
        epilog="example: musehub user add ada --display-name 'Ada'",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    add = add_action(actions, common, "add", "add a user and print a password", "musehub user add ada")
    add.add_argument("name", metavar="NAME")
    add.add_argument("--display-name", metavar="TEXT", default="", help="the name that pages show")
    add.add_argument("--email", metavar="ADDRESS", default="", help="how to reach whoever it is")
    add.add_argument("--agent", action="store_true", help="it is a program, not a person")
    add.add_argument("--admin", action="store_true", help="may administer this hub")
    group = add.add_mutually_exclusive_group()
    group.add_argument("--password-stdin", action="store_true", help=_STDIN)
    group.add_argument("--no-password", action="store_true", help="only keys and tokens can log in")
    add.set_defaults(run=_add)

    listing = add_action(actions, common, "list", "list all users", "musehub user list --json")
    listing.set_defaults(run=_list)

    for name, what in (("disable", "shut a user out"), ("enable", "let a disabled user in again")):
        change = add_action(actions, common, name, what, f"musehub user {name} ada")
        change.add_argument("name", metavar="NAME")
        change.set_defaults(run=_disable if name == "disable" else _enable)

    passwd = add_action(
        actions,
        common,
        "passwd",
        "set a password, or make and print one; the user's tokens end with it",
        "musehub user passwd ada",
    )
    passwd.add_argument("name", metavar="NAME")
    passwd.add_argument("--password-stdin", action="store_true", help=_STDIN)
    passwd.set_defaults(run=_passwd)


def _add(args: argparse.Namespace) -> None:
    password, made = (None, False) if args.no_password else _password(args)

    async def work(accounts: Any) -> Any:
        return await accounts.users.create(
            args.name,
            password=password,
            display_name=args.display_name,
            email=args.email,
            kind="agent" if args.agent else "human",
            is_admin=args.admin,
        )

    user = run_with_accounts(args, work)
    if args.json:
        print_json({"user": user, "password": password if made else None})
    elif made:
        print(f'added "{user.name}" with the password {password}')
    else:
        print(f'added "{user.name}"')


def _list(args: argparse.Namespace) -> None:
    async def work(accounts: Any) -> list[Any]:
        users: list[Any] = []
        while page := await accounts.users.list(users[-1].name if users else "", 1000):
            users += page
        return users

    users = run_with_accounts(args, work)
    if args.json:
        print_json({"users": users})
        return
    for user in users:
        marks = [
            user.kind,
            *(["admin"] if user.is_admin else []),
            *(["disabled"] if user.disabled_at else []),
        ]
        print(f"{user.name:<24} {', '.join(marks)}")


def _disable(args: argparse.Namespace) -> None:
    _report(args, run_with_accounts(args, lambda accounts: accounts.users.disable(args.name)), "disabled")


def _enable(args: argparse.Namespace) -> None:
    _report(args, run_with_accounts(args, lambda accounts: accounts.users.enable(args.name)), "enabled")


def _passwd(args: argparse.Namespace) -> None:
    password, made = _password(args)
    run_with_accounts(args, lambda accounts: accounts.users.set_password(args.name, password))
    if args.json:
        print_json({"name": args.name, "password": password if made else None})
    elif made:
        print(f'the password of "{args.name}" is now {password}')
    else:
        print(f'set the password of "{args.name}"')


def _report(args: argparse.Namespace, user: Any, done: str) -> None:
    if args.json:
        print_json({"user": user})
    else:
        print(f'{done} "{user.name}"')


def _password(args: argparse.Namespace) -> tuple[str, bool]:
    """A password and whether it was made here."""
    if args.password_stdin:
        if sys.stdin.isatty():
            from getpass import getpass

            password = getpass(f"password for {args.name}: ")
            if password != getpass("the same again: "):
                raise UsageError("bad-arguments", "the two passwords differ")
        else:
            password = sys.stdin.readline().rstrip("\r\n")
        if not password:
            raise UsageError("bad-arguments", "there is no password on stdin")
        return password, False
    from musehub.accounts.passwords import make_password

    return make_password(), True
