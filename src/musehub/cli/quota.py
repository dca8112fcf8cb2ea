"""`musehub quota`: how much repositories and users may hold."""

from __future__ import annotations

import argparse
from typing import Any

from muse.errors import UsageError
from musehub.cli.context import format_size, print_json, run_with_hub
from musehub.cli.parsing import Subparsers, add_action

_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


def add_parser(commands: Subparsers, common: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "quota",
        help="show and set how much repositories and users may hold",
        description="A limit of its own for a repository (OWNER/NAME) or for all repositories of a user "
        "(NAME). Without one, the settings quota_repository_bytes, quota_user_bytes and so on hold.",
        epilog="example: musehub quota set ada/songs --bytes 20g",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    show = add_action(
        actions, common, "show", "say what is held and what may be", "musehub quota show ada/songs"
    )
    show.add_argument("name", metavar="OWNER/NAME|USER")
    show.set_defaults(run=_show)
    change = add_action(
        actions, common, "set", "set limits", "musehub quota set ada/songs --bytes 20g --objects 0"
    )
    change.add_argument("name", metavar="OWNER/NAME|USER")
    what = "; 0: no limit, default: as the settings say"
    change.add_argument("--bytes", metavar="N[k|m|g|t]", help="bytes" + what)
    change.add_argument("--objects", metavar="N[k|m|g|t]", help="objects" + what)
    change.set_defaults(run=_set)


def _show(args: argparse.Namespace) -> None:
    async def work(settings: Any, database: Any, _store: Any) -> Any:
        from musehub.upkeep.room import load_room

        return await load_room(database, settings, args.name)

    _print(args, run_with_hub(args, work))


def _set(args: argparse.Namespace) -> None:
    if args.bytes is None and args.objects is None:
        raise UsageError("bad-arguments", "nothing to set", hint="give --bytes or --objects")

    async def work(settings: Any, database: Any, _store: Any) -> Any:
        from musehub.upkeep.room import load_room, set_room

        before = await load_room(database, settings, args.name)
        max_bytes = before.own_max_bytes if args.bytes is None else _parse(args.bytes)
        max_objects = before.own_max_objects if args.objects is None else _parse(args.objects)
        return await set_room(database, settings, args.name, max_bytes, max_objects)

    _print(args, run_with_hub(args, work))


def _parse(text: str) -> int | None:
    if text == "default":
        return None
    number = text.lower().rstrip("b").rstrip("i")
    unit = number[-1:] if number[-1:] in _UNITS else ""
    try:
        return int(float(number.removesuffix(unit)) * _UNITS[unit])
    except (ValueError, OverflowError):
        raise UsageError("bad-arguments", f'"{text}" is not a limit', hint="such as 500m, 20g, 0") from None


def _print(args: argparse.Namespace, room: Any) -> None:
    if args.json:
        print_json(room._asdict())
        return
    size = format_size(room.max_bytes) if room.max_bytes else "any number"
    count = str(room.max_objects) if room.max_objects else "any number"
    print(f"{room.name} holds {format_size(room.used_bytes)} of {size}")
    print(f"{room.name} holds {room.used_objects} objects of {count}")
