"""`musehub user`: the people and agents who may use the hub."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from muse.errors import UsageError
from musehub.cli.context import Subparsers, print_json, run_with_accounts


def add_parser(commands: Subparsers, common: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "user",
        help="add, list, disable users; set passwords",
        description="Manage users. Works on the database, whether or not the hub is running.",
        epilog="example: musehub user add ada --display-name 'Ada'",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    add = actions.add_parser("add", parents=[common], help="add a user and print a password")
    add.add_argument("name")
    add.add_argument("--display-name", default="")
    add.add_argument("--email", default="")
    add.add_argument("--agent", action="store_true", help="it is a program, not a person")
    add.add_argument("--admin", action="store_true", help="may administer this hub")
    group = add.add_mutually_exclusive_group()
    group.add_argument("--password-stdin", action="store_true", help="read the password from stdin")
    group.add_argument("--no-password", action="store_true", help="only keys and tokens can log in")
    add.set_defaults(run=_add)

    listing = actions.add_parser("list", parents=[common], help="list all users")
    listing.set_defaults(run=_list)

    for name, what in (("disable", "shut a user out"), ("enable", "let a disabled user in again")):
        change = actions.add_parser(name, parents=[common], help=what)
        change.add_argument("name")
        change.set_defaults(run=_disable if name == "disable" else _enable)

    passwd = actions.add_parser(
        "passwd", parents=[common], help="set a password; the user's tokens end with it"
    )
    passwd.add_argument("name")
    passwd.add_argument("--password-stdin", action="store_true", help="read the password from stdin")
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
        password = sys.stdin.readline().rstrip("\r\n")
        if not password:
            raise UsageError("bad-arguments", "there is no password on stdin")
        return password, False
    from musehub.accounts.passwords import make_password

    return make_password(), True
