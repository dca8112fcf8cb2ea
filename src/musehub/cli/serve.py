"""`musehub serve`: run the hub."""

from __future__ import annotations

import argparse
import shlex
import sys
from typing import TYPE_CHECKING

from musehub.cli.context import print_json, read_settings
from musehub.cli.parsing import Subparsers

if TYPE_CHECKING:
    from musehub.app.serve import Started

_EPILOG = """examples:
  musehub serve --data /srv/musehub --host 0.0.0.0 --public-url https://hub.example.org
  musehub serve --database postgresql://musehub@db.example.org/musehub --store 's3://packs?endpoint=https://s3.example.org'
Passwords and keys belong into the environment or the settings file, where other users do not see them."""


def add_parser(commands: Subparsers, common: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "serve",
        parents=[common],
        help="run the hub",
        epilog=_EPILOG,
        description="Run the hub until Ctrl-C or SIGTERM. Without any setting it keeps everything in "
        "the data folder. The first line on stdout is `musehub: listening on URL`.",
    )
    parser.add_argument("--host", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", help="port to listen on, 0 for a free one (default: 1337)")
    parser.add_argument("--public-url", metavar="URL", help="address under which clients reach this hub")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    settings = read_settings(args)
    from musehub.app.serve import run as run_hub
    from musehub.telemetry.logs import configure_logging

    configure_logging(settings.log_format)

    def announce(started: Started) -> None:
        if args.json:
            print_json({"url": started.url, "admin": _admin(started)})
        else:
            print(_announcement(started, _where(args)))
        sys.stdout.flush()

    run_hub(settings, announce)


def _admin(started: Started) -> dict[str, str] | None:
    from musehub.app.serve import FIRST_ADMIN

    if started.admin_password is None:
        return None
    return {"name": FIRST_ADMIN, "password": started.admin_password}


def _where(args: argparse.Namespace) -> str:
    """The options by which other commands find this hub. An address may hold a password: it is not said."""
    named = (("--data", args.data), ("--config", args.config))
    return "".join(f" {option} {shlex.quote(value)}" for option, value in named if value)


def _announcement(started: Started, where: str) -> str:
    lines = [f"musehub: listening on {started.url}"]
    admin = _admin(started)
    if admin is not None:
        lines += [
            f'musehub: created the administrator "{admin["name"]}" with the password {admin["password"]}',
            f"musehub: log in with `muse auth login {started.url} --user {admin['name']}`",
            "musehub: the password is shown only now; "
            f"`musehub user passwd {admin['name']}{where}` sets another",
        ]
    return "\n".join(lines)
